"""What may be recorded on a safety Task, by whom, and what is left open: one risk level, or one outcome."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.safety_policy import SAFETY_REVIEW, ReviewOutcome, RiskLevel, SafetyPolicy

JsonObject = Mapping[str, Any]
Recorded = TypeVar("Recorded", RiskLevel, ReviewOutcome)
OPEN_STATUSES = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
"""Where a safety Task may stand until somebody records what came of it; R4 task-status."""
TAKEN_ON = frozenset({"accepted", "ready", "in-progress"})
CLINICIANS = frozenset({"Practitioner", "PractitionerRole"})
LEVEL, OUTCOME, ACKNOWLEDGED_BY = "risk-level", "review-outcome", "acknowledged-by"


def kind_of(policy: SafetyPolicy, task: JsonObject) -> str:
    """The kind of a safety Task: its code, beside the one that all of them have."""
    kinds = {rule.kind for rule in policy.rules.values()}
    for coding in task.get("code", {}).get("coding", ()):
        if coding.get("system") == policy.task_system and coding.get("code") in kinds:
            return str(coding["code"])
    return SAFETY_REVIEW


def recorded_risk_level(policy: SafetyPolicy, task: JsonObject) -> tuple[RiskLevel | None, list[Finding]]:
    """The level that a clinician recorded on a safety review (`Task.output` of type `risk-level`).

    No level on a Task that is still open is (None, []). Findings: a Task that is closed without a level, a level on
    a Task that is not completed, more than one level, or a level that the policy does not know.
    """
    return _recorded(policy, task, LEVEL, policy.risk_level_system, policy.risk_levels)


def recorded_outcome(policy: SafetyPolicy, task: JsonObject) -> tuple[ReviewOutcome | None, list[Finding]]:
    """The same of the other kinds of safety Task: their outcome (`Task.output` of type `review-outcome`)."""
    system = policy.task_system.rpartition("/")[0] + f"/{OUTCOME}"
    return _recorded(policy, task, OUTCOME, system, policy.outcomes)


def is_acknowledged(policy: SafetyPolicy, task: JsonObject) -> bool:
    """Whether a person has taken it on."""
    return bool(outputs_of(policy, task, ACKNOWLEDGED_BY))


def clinician_of(acting: str | None, task: JsonObject) -> str | None:
    """Who stands for what is recorded: the person who acts, or the clinician whom the Task names as its owner."""
    for reference in (acting, (task.get("owner") or {}).get("reference")):
        if is_person(reference):
            return str(reference)
    return None


def is_person(reference: object) -> bool:
    """Whether a reference names a person who can answer for somebody's safety."""
    return bool(reference) and bool(CLINICIANS & set(str(reference).split("/")))


def outputs_of(policy: SafetyPolicy, task: JsonObject, type_: str) -> list[tuple[int, JsonObject]]:
    """The outputs of a type, each with its place."""
    rows: Sequence[JsonObject] = task.get("output", ())
    return [(index, each) for index, each in enumerate(rows) if has_code(each.get("type"), policy.task_system, type_)]


def has_code(concept: JsonObject | None, system: str, code: str) -> bool:
    """Whether a CodeableConcept has this code among its codings."""
    codings: Sequence[JsonObject] = (concept or {}).get("coding", ())
    return any(coding.get("system") == system and coding.get("code") == code for coding in codings)


def _recorded(
    policy: SafetyPolicy, task: JsonObject, type_: str, system: str, known: Mapping[str, Recorded]
) -> tuple[Recorded | None, list[Finding]]:
    what = type_.replace("-", " ")
    outputs = outputs_of(policy, task, type_)
    if not outputs:
        return None, _left_open(task, what, known)
    if len(outputs) > 1:
        return None, [Finding("business-rule", f"A review records one {what}.", "Task.output")]
    index, output = outputs[0]
    concept = output.get("valueCodeableConcept")
    found = [each for each in known.values() if has_code(concept, system, each.code)]
    if len(found) != 1:
        text = f"The recorded {what} is not one of {', '.join(known)}."
        return None, [Finding("code-invalid", text, f"Task.output[{index}].value")]
    if task.get("status") != "completed":
        return None, [Finding("business-rule", f"Recording a {what} completes the review.", "Task.status")]
    return found[0], []


def _left_open(task: JsonObject, what: str, known: Mapping[str, Recorded]) -> list[Finding]:
    """A safety Task on which nothing is recorded stays where somebody sees it."""
    status = task.get("status")
    if status in OPEN_STATUSES:
        return []
    if status == "completed":
        text = f"This review is completed by recording a {what}: {', '.join(known)}."
        return [Finding("required", text, "Task.output")]
    text = f"This review stays open until a {what} is recorded; to hand it on, change its owner."
    return [Finding("business-rule", text, "Task.status")]
