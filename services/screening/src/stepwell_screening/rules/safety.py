"""Safety findings and recorded risk levels: rules SAF-1 to SAF-5 of the default routing policy.

A blank safety item is an unresolved positive, never a zero. Deadlines, wording and levels are data
(`data/safety.json`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from stepwell_screening.rules.definition import SafetyItem, ScoringDefinition
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.weights import (
    Number,
    OptionKey,
    answered_items,
    exact,
    extension_weight,
    weighted_items,
)

JsonObject = Mapping[str, Any]
POSITIVE = "SAF-1"
UNANSWERED = "SAF-5"
OPEN_STATUSES = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
"""Where a safety Task may stand until a risk level is recorded; R4 task-status."""
CLINICIANS = frozenset({"Practitioner", "PractitionerRole"})


@dataclass(frozen=True, slots=True)
class SafetyRule:
    """What a safety finding asks for: Task priority and the hours until a person must have acted."""

    code: str
    display: str
    priority: str
    deadline_hours: Number
    reason: str


@dataclass(frozen=True, slots=True)
class RiskLevel:
    """A level that a clinician records, the rule it means and the least care tier that follows (None: unchanged)."""

    code: str
    display: str
    rule: str
    tier_floor: int | None
    keeps_flag: bool
    next_step_hours: Number
    text: str


@dataclass(frozen=True, slots=True)
class SafetyPolicy:
    """The parameters of every safety decision, as shipped in `data/safety.json`."""

    version: str
    rule_system: str
    task_system: str
    risk_level_system: str
    positive_statuses: frozenset[str]
    unanswered_statuses: frozenset[str]
    rules: Mapping[str, SafetyRule]
    risk_levels: Mapping[str, RiskLevel]


@dataclass(frozen=True, slots=True)
class SafetyFinding:
    """One safety item that needs a person, by when, and why in plain words."""

    rule: SafetyRule
    link_id: str
    reason: str
    deadline: datetime


class SafetyCheck:
    """One instrument's safety items, compiled; call it with a QuestionnaireResponse and the time it came in."""

    def __init__(self, questionnaire: JsonObject, definition: ScoringDefinition, policy: SafetyPolicy) -> None:
        self.policy = policy
        self._items = definition.safety_items
        accepted = {
            key: means
            for key, means in definition.accepted_answers.items()
            if any(item.link_id == key[0] for item in self._items)
        }
        self._weights = weighted_items(questionnaire, [item.link_id for item in self._items], accepted)

    def __call__(self, response: JsonObject, received: datetime) -> tuple[SafetyFinding, ...]:
        """The safety items of this response that need a person; deadlines count from `received`."""
        status = response.get("status")
        if not self._items or status not in self.policy.positive_statuses:
            return ()
        answers: dict[str, list[JsonObject]] = {}
        for link_id, item, _ in answered_items(response.get("item", ()), "QuestionnaireResponse"):
            if link_id in self._weights:
                answers.setdefault(link_id, []).extend(item.get("answer", ()))
        found = ((item, self._rule(item, answers.get(item.link_id, ()), status)) for item in self._items)
        return tuple(_finding(item, rule, received) for item, rule in found if rule is not None)

    def _rule(self, item: SafetyItem, answers: Sequence[JsonObject], status: str) -> SafetyRule | None:
        weights = [_safety_weight(answer, self._weights[item.link_id]) for answer in answers]
        if any(weight is not None and weight >= item.positive_from for weight in weights):
            return self.policy.rules[POSITIVE]
        answered = bool(weights) and None not in weights
        if answered or status not in self.policy.unanswered_statuses:
            return None
        return self.policy.rules[UNANSWERED]


def compile_safety(questionnaire: JsonObject, definition: ScoringDefinition, policy: SafetyPolicy) -> SafetyCheck:
    """Compile an instrument's safety items once; raises ValueError when one is not in the Questionnaire."""
    return SafetyCheck(questionnaire, definition, policy)


def recorded_risk_level(policy: SafetyPolicy, task: JsonObject) -> tuple[RiskLevel | None, list[Finding]]:
    """The level that a clinician recorded on a safety Task (`Task.output` of type `risk-level`).

    No level on a Task that is still open is (None, []). Findings: a Task that is closed without a level, a level on
    a Task that is not completed, more than one level, or a level that the policy does not know.
    """
    outputs = [
        (index, output)
        for index, output in enumerate(task.get("output", ()))
        if _has_code(output.get("type"), policy.task_system, "risk-level")
    ]
    if not outputs:
        return None, _left_open(task)
    if len(outputs) > 1:
        return None, [Finding("business-rule", "A safety review records one risk level.", "Task.output")]
    index, output = outputs[0]
    concept = output.get("valueCodeableConcept")
    levels = [
        level for level in policy.risk_levels.values() if _has_code(concept, policy.risk_level_system, level.code)
    ]
    if len(levels) != 1:
        text = "The recorded risk level is not one of low, moderate, high."
        return None, [Finding("code-invalid", text, f"Task.output[{index}].value")]
    if task.get("status") != "completed":
        return None, [Finding("business-rule", "Recording a risk level completes the safety review.", "Task.status")]
    return levels[0], []


def _left_open(task: JsonObject) -> list[Finding]:
    """A safety Task without a risk level stays where somebody sees it."""
    status = task.get("status")
    if status in OPEN_STATUSES:
        return []
    if status == "completed":
        text = "A safety review is completed by recording a risk level: low, moderate or high."
        return [Finding("required", text, "Task.output")]
    text = "A safety review stays open until a risk level is recorded; to hand it on, change its owner."
    return [Finding("business-rule", text, "Task.status")]


def clinician_of(acting: str | None, task: JsonObject) -> str | None:
    """Who recorded the level: the person who acts, or the clinician whom the Task names as its owner; a reference."""
    for reference in (acting, (task.get("owner") or {}).get("reference")):
        if reference and CLINICIANS & set(str(reference).split("/")):
            return str(reference)
    return None


def parse_policy(data: Mapping[str, Any]) -> SafetyPolicy:
    """Read the policy as shipped; raises KeyError or ValueError when a rule or level is incomplete."""
    policy = SafetyPolicy(
        version=data["version"],
        rule_system=data["ruleSystem"],
        task_system=data["taskSystem"],
        risk_level_system=data["riskLevelSystem"],
        positive_statuses=frozenset(data["positiveStatuses"]),
        unanswered_statuses=frozenset(data["unansweredStatuses"]),
        rules={code: _safety_rule(code, rule) for code, rule in data["rules"].items()},
        risk_levels={code: _risk_level(code, level) for code, level in data["riskLevels"].items()},
    )
    if not {POSITIVE, UNANSWERED} <= policy.rules.keys():
        raise ValueError("the safety policy needs rules for a positive and for an unanswered item")
    if not policy.unanswered_statuses <= policy.positive_statuses:
        raise ValueError("a status in which blanks count is one in which answers count")
    return policy


def _safety_rule(code: str, data: Mapping[str, Any]) -> SafetyRule:
    return SafetyRule(code, data["display"], data["priority"], _hours(data["deadlineHours"]), data["reason"])


def _risk_level(code: str, data: Mapping[str, Any]) -> RiskLevel:
    return RiskLevel(
        code,
        data["display"],
        data["rule"],
        data["tierFloor"],
        data["keepsFlag"],
        _hours(data["nextStepHours"]),
        data["text"],
    )


def _hours(value: object) -> Number:
    hours = exact(value)
    if hours is None or hours <= 0:
        raise ValueError("a safety deadline is a positive number of hours")
    return hours


def _safety_weight(answer: JsonObject, weights: Mapping[OptionKey, Number]) -> Number | None:
    # The option's own weight stands beside the one that the sender put on the answer and the higher counts:
    # for a score the sender's weight wins (SDC), but no sender may weigh a positive safety answer down.
    coding = answer.get("valueCoding")
    if coding is None:
        return None
    option = weights.get((coding.get("system"), coding.get("code")))
    own = extension_weight(coding)
    if option is None:
        return own if own else None
    return option if own is None else max(option, own)


def _finding(item: SafetyItem, rule: SafetyRule, received: datetime) -> SafetyFinding:
    deadline = received + timedelta(hours=float(rule.deadline_hours))
    return SafetyFinding(rule, item.link_id, rule.reason.format(topic=item.topic), deadline)


def _has_code(concept: JsonObject | None, system: str, code: str) -> bool:
    codings: Sequence[JsonObject] = (concept or {}).get("coding", ())
    return any(coding.get("system") == system and coding.get("code") == code for coding in codings)
