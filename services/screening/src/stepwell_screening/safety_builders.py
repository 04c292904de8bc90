"""The resources around a safety finding, as FHIR R4 JSON: from the alert that opens to what a clinician records.

Pure functions: ids, times, URLs and references are passed in. Words are for the people who read them, and carry
nothing of the person beyond references.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_screening.builders import SOFTWARE, TERMINOLOGY
from stepwell_screening.rules.safety import SafetyFinding
from stepwell_screening.rules.safety_policy import POSITIVE, ReviewOutcome, RiskLevel, SafetyPolicy

Resource = dict[str, Any]
Reference = Mapping[str, Any]

CORE = "http://hl7.org/fhir/StructureDefinition"
FLAG_PRIORITY = "http://hl7.org/fhir/flag-priority-code"
WAITING, ESCALATED, ACKNOWLEDGED, OVERDUE, REVIEWED = "waiting", "escalated", "acknowledged", "overdue", "reviewed"
_STATUS_WORDS = {
    WAITING: "Waiting",
    ESCALATED: "Escalated",
    ACKNOWLEDGED: "Acknowledged",
    OVERDUE: "Overdue",
    REVIEWED: "Reviewed",
}
_KINDS = {
    "safety-review": ("Safety review", "Safety screening", "Self-harm, not yet assessed"),
    "medical-review": ("Medical review", "Medical red flag", "Medical cause, not yet assessed"),
    "manual-triage": ("Manual triage", "Triage by a person", "Care that a person decides, not yet assessed"),
    "ask-safety-question": ("Ask about safety", "", ""),
    "triage-prompt": ("Ask at the next contact", "", ""),
}


@dataclass(frozen=True, slots=True)
class SafetyCause:
    """What the resources of one safety finding share: the finding, what it was found in (a reference inside
    screening), the subject, when the answers were given (a FHIR dateTime as received) and when the alert opened."""

    finding: SafetyFinding
    response: str
    subject: Reference
    answered: str
    opened: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask with next: in words, and the Questionnaire by its canonical."""

    text: str
    questionnaire: str


def risk_assessment(
    *, assessment_id: str, cause: SafetyCause, policy: SafetyPolicy, performer: Reference | None = None
) -> Resource:
    """The open question behind a safety finding: preliminary until a clinician records what is so.

    A level that the answers already say (SAF-2) stands in it from the start, so that care follows at once. While
    routine decisions must wait, the rule that holds them comes first.
    """
    rule = cause.finding.rule
    _, code, outcome = _KINDS[rule.kind]
    reasons = [_rule(cause.finding)]
    if rule.holds:
        holding = policy.rules[POSITIVE]
        reasons.insert(0, _concept(code_system("rule"), holding.code, holding.display))
    prediction: Resource = {"outcome": {"text": outcome}, "rationale": cause.finding.reason}
    if rule.level is not None:
        prediction["qualitativeRisk"] = _graded(policy.risk_levels[rule.level])
    return {
        "resourceType": "RiskAssessment",
        "id": assessment_id,
        "status": "preliminary",
        "code": {"text": code},
        "subject": dict(cause.subject),
        "occurrenceDateTime": cause.answered,
        **({"performer": dict(performer)} if performer else {}),
        "reasonCode": reasons,
        "basis": [{"reference": cause.response}],
        "prediction": [prediction],
    }


def safety_flag(*, flag_id: str, assessment: str, cause: SafetyCause) -> Resource:
    """The mark that whoever opens the record sees; `assessment` is the reference of the RiskAssessment."""
    return {
        "resourceType": "Flag",
        "id": flag_id,
        "extension": [
            flag_detail(assessment),
            {"url": f"{CORE}/flag-priority", "valueCodeableConcept": _concept(FLAG_PRIORITY, "PH", "High priority")},
        ],
        "status": "active",
        "category": [_concept(f"{TERMINOLOGY}/flag-category", "safety", "Safety")],
        "code": _rule(cause.finding),
        "subject": dict(cause.subject),
        "period": {"start": instant(cause.opened)},
    }


def safety_plan_flag(
    *,
    flag_id: str,
    plan: str,
    source: str,
    subject: Reference,
    period: Mapping[str, str],
    previous: Mapping[str, Any] | None = None,
) -> Resource:
    """The mark that a person has a safety plan, with its address; it ends with the plan. `source` is the version of the
    plan that it was made from."""
    ended = "end" in period
    start = (period if previous is None else previous["period"])["start"]
    return {
        "resourceType": "Flag",
        "id": flag_id,
        "meta": {"source": source},
        "extension": [flag_detail(plan)],
        "status": "inactive" if ended else "active",
        "category": [_concept(f"{TERMINOLOGY}/flag-category", "safety", "Safety")],
        "code": _concept(code_system("care-plan"), "safety-plan", "My safety plan"),
        "subject": dict(subject),
        "period": {**period, "start": start},
    }


def flag_detail(reference: str) -> Resource:
    """What a Flag leads to."""
    return {"url": f"{CORE}/flag-detail", "valueReference": {"reference": reference}}


def linked_flag(flag: Mapping[str, Any], plan: str, *, is_open: bool) -> Resource:
    """The Flag with the address of the person's safety plan while that is in use, and without it afterwards."""
    detail = flag_detail(plan)
    others = [each for each in flag.get("extension", ()) if each != detail]
    return {**flag, "extension": [*others, detail] if is_open else others}


def safety_task(
    *,
    task_id: str,
    cause: SafetyCause,
    assessment: str | None = None,
    ask: Ask | None = None,
    requester: Reference | None = None,
) -> Resource:
    """The request that a person acts, due at `restriction.period.end`; its focus is the RiskAssessment, if it has one,
    else what it was found in."""
    opened, rule = instant(cause.opened), cause.finding.rule
    reason = cause.finding.reason if ask is None else f"{cause.finding.reason} {ask.text}"
    task: Resource = {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "businessStatus": business_status(WAITING),
        "intent": "order",
        "priority": rule.priority,
        "code": task_code(rule.kind),
        "description": reason,
        "focus": {"reference": assessment or cause.response},
        "for": dict(cause.subject),
        "authoredOn": opened,
        "lastModified": opened,
        "requester": dict(requester) if requester else {"type": "Device", "display": SOFTWARE},
        "reasonCode": _rule(cause.finding),
        "reasonReference": {"reference": cause.response},
        "restriction": {"period": {"start": opened, "end": instant(cause.finding.deadline)}},
    }
    if ask is not None:
        ask_with = _concept(code_system("task"), "ask-with", "Ask with")
        task["input"] = [{"type": ask_with, "valueCanonical": ask.questionnaire}]
    return task


def task_code(kind: str) -> Resource:
    """A kind of safety Task, and that it is one: the second coding finds them all."""
    display, _, _ = _KINDS[kind]
    concept = _concept(code_system("task"), kind, display)
    concept["coding"].append({"system": code_system("task"), "code": "safety", "display": "Safety"})
    return concept


def business_status(*codes: str) -> Resource:
    """Where a safety Task stands; several hold at once, such as acknowledged and overdue."""
    system = code_system("safety-status")
    codings = [{"system": system, "code": code, "display": _STATUS_WORDS[code]} for code in codes]
    return {"coding": codings, "text": ", ".join(_STATUS_WORDS[code] for code in codes)}


def acknowledged_task(task: Mapping[str, Any], *, person: Reference, moment: datetime) -> Resource:
    """The Task once a person has said that they take it on: who, when, and theirs from now on."""
    taken = "accepted" if task["status"] in {"requested", "received"} else task["status"]
    kept = [each for each in task.get("output", ()) if not _is_acknowledgement(each)]
    system = code_system("task")
    outputs = [
        {"type": _concept(system, "acknowledged-by", "Acknowledged by"), "valueReference": dict(person)},
        {"type": _concept(system, "acknowledged-at", "Acknowledged at"), "valueInstant": instant(moment)},
    ]
    overdue = [OVERDUE] if OVERDUE in statuses_of(task) else []
    return {
        **task,
        "status": taken,
        "businessStatus": business_status(ACKNOWLEDGED, *overdue),
        "owner": dict(person),
        "lastModified": instant(moment),
        "output": [*kept, *outputs],
    }


def escalated_task(
    task: Mapping[str, Any], *, kind: str, recipient: Reference, acknowledged: bool, overdue: bool, moment: datetime
) -> Resource:
    """The Task one step on. Whoever has taken it on keeps it; otherwise it is now for the one who is told."""
    codes = [ACKNOWLEDGED if acknowledged else ESCALATED, *([OVERDUE] if overdue else [])]
    return {
        **task,
        "code": task_code(kind),
        "businessStatus": business_status(*codes),
        "priority": "stat" if overdue else task["priority"],
        **({} if acknowledged else {"owner": dict(recipient)}),
        "lastModified": instant(moment),
    }


def statuses_of(task: Mapping[str, Any]) -> list[str]:
    """The codes of its business status."""
    codings: Sequence[Mapping[str, Any]] = (task.get("businessStatus") or {}).get("coding", ())
    return [str(coding.get("code")) for coding in codings]


def escalation(
    *, communication_id: str, task: Mapping[str, Any], recipients: Sequence[Reference], text: str, moment: datetime
) -> Resource:
    """Whom a Task was brought to. It is in progress, for nobody here can know that it arrived; the Task does."""
    return {
        "resourceType": "Communication",
        "id": communication_id,
        "status": "in-progress",
        "category": [_concept(f"{TERMINOLOGY}/communication-category", "alert", "Alert")],
        "priority": "stat",
        "subject": dict(task["for"]),
        "about": [{"reference": f"Task/{task['id']}"}],
        "sent": instant(moment),
        "recipient": [dict(each) for each in recipients],
        "sender": {"type": "Device", "display": SOFTWARE},
        "payload": [{"contentString": text}],
    }


def step_provenance(
    *,
    provenance_id: str,
    targets: Sequence[str],
    source: str,
    activity: str,
    recorded: datetime,
    person: Reference | None = None,
) -> Resource:
    """Who moved a safety Task on: a person, or this software. `targets` and `source` are versioned references."""
    kind = "author" if person else "assembler"
    who = dict(person) if person else {"type": "Device", "display": SOFTWARE}
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "target": [{"reference": target} for target in targets],
        "recorded": instant(recorded),
        "activity": {"text": activity},
        "agent": [
            {"type": _concept(f"{TERMINOLOGY}/provenance-participant-type", kind, kind.capitalize()), "who": who}
        ],
        "entity": [{"role": "source", "what": {"reference": source}}],
    }


def completed_task(
    task: Mapping[str, Any],
    *,
    result: RiskLevel | ReviewOutcome,
    recorded: datetime,
    clinician: Reference | None = None,
    note: str | None = None,
) -> Resource:
    """The safety Task once a clinician has recorded a risk level, or an outcome, on it."""
    type_ = ("risk-level", "Risk level") if isinstance(result, RiskLevel) else ("review-outcome", "Review outcome")
    value = _concept(code_system(type_[0]), result.code, result.display)
    output = {"type": _concept(code_system("task"), *type_), "valueCodeableConcept": value}
    completed = {
        **task,
        "status": "completed",
        "lastModified": instant(recorded),
        **({"owner": dict(clinician)} if clinician else {}),
        "output": [*task.get("output", ()), output],
    }
    if note:
        completed["note"] = [*task.get("note", ()), {"time": instant(recorded), "text": note}]
    return completed


def answered_task(task: Mapping[str, Any], *, outcome: ReviewOutcome, response: str, moment: datetime) -> Resource:
    """A Task that asked for a safety question, once the question has been answered in `response`."""
    completed = completed_task(task, result=outcome, recorded=moment)
    value = _concept(code_system("task"), "ask-with", "Ask with")
    answered = {"type": value, "valueReference": {"reference": response}}
    return {**completed, "businessStatus": business_status(REVIEWED), "output": [*completed["output"], answered]}


def final_risk_assessment(
    assessment: Mapping[str, Any],
    *,
    result: RiskLevel | ReviewOutcome,
    recorded: datetime,
    clinician: Reference | None = None,
) -> Resource:
    """The RiskAssessment with what a clinician recorded, and what follows from it in plain words."""
    prediction = {**assessment["prediction"][0]}
    if isinstance(result, RiskLevel):
        prediction |= {"outcome": {"text": "Self-harm"}, "qualitativeRisk": _graded(result)}
    return {
        **assessment,
        "status": "final",
        **({"performer": dict(clinician)} if clinician else {}),
        "prediction": [prediction],
        "mitigation": result.text,
        "note": [*assessment.get("note", ()), {"time": instant(recorded), "text": result.text}],
    }


def reviewed_flag(flag: Mapping[str, Any], *, result: RiskLevel | ReviewOutcome, recorded: datetime) -> Resource:
    """The Flag after the review: it stays, with the rule that now holds, or it ends, as the result's data says."""
    rule = flag["code"]
    if isinstance(result, RiskLevel):
        rule = {"coding": [{"system": code_system("rule"), "code": result.rule}], "text": result.text}
    if result.keeps_flag:
        return {**flag, "code": rule}
    return {**flag, "status": "inactive", "code": rule, "period": {**flag["period"], "end": instant(recorded)}}


def _is_acknowledgement(output: Mapping[str, Any]) -> bool:
    codes = {coding.get("code") for coding in output["type"].get("coding", ())}
    return not codes.isdisjoint({"acknowledged-by", "acknowledged-at"})


def _graded(level: RiskLevel) -> Resource:
    risk = _concept(code_system("risk-level"), level.code, level.display)
    risk["coding"].append({"system": f"{TERMINOLOGY}/risk-probability", "code": level.code})
    return risk


def _rule(finding: SafetyFinding) -> Resource:
    return {**_concept(code_system("rule"), finding.rule.code, finding.rule.display), "text": finding.reason}


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}
