"""What screening emits, as FHIR R4 JSON: score Observations, and the resources around a safety finding.

Pure functions: ids, times, URLs and references are passed in. Numbers are int or Decimal. Words are for the people
who read them, and carry nothing of the person beyond references.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_screening.rules.aggregation import ScoreResult
from stepwell_screening.rules.bands import Band
from stepwell_screening.rules.definition import ScoreDefinition, ScoringDefinition
from stepwell_screening.rules.safety import RiskLevel, SafetyFinding

Resource = dict[str, Any]
Reference = Mapping[str, Any]

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
CORE = "http://hl7.org/fhir/StructureDefinition"
FLAG_PRIORITY = "http://hl7.org/fhir/flag-priority-code"
UCUM = "http://unitsofmeasure.org"
SOFTWARE = "Stepwell screening"
_ANSWERED = "{result.items_answered} of {result.items_total} questions were answered; "
_BRIDGED = {
    "prorate": _ANSWERED + "the score was extended from their mean to all {result.items_total}.",
    "impute-mean": _ANSWERED + "a blank counts as the mean of the others.",
    "leave-out": _ANSWERED + "the score is made of these alone.",
}


@dataclass(frozen=True, slots=True)
class SafetyCause:
    """What the resources of one safety finding share: the finding, the response (a reference inside screening),
    the subject, when the answers were given (a FHIR dateTime as received) and when the alert opened."""

    finding: SafetyFinding
    response: str
    subject: Reference
    answered: str
    opened: datetime


def score_observation(
    *,
    observation_id: str,
    definition: ScoringDefinition,
    result: ScoreResult,
    response_url: str,
    subject: Reference,
    effective: str,
    issued: datetime,
    performer: Reference | None = None,
    status: str = "final",
) -> Resource:
    """One score as an Observation in the shape of US Core Screening Assessment.

    `response_url` and `subject` are absolute: the Observation lives in another service. `effective` is the
    response's `authored` as received. Without a score it says why (`dataAbsentReason`), which us-core-2 asks for.
    """
    score = result.score
    observation: Resource = {
        "resourceType": "Observation",
        "id": observation_id,
        "status": status,
        "category": [_concept(f"{TERMINOLOGY}/observation-category", "survey", "Survey")],
        "code": {"coding": [dict(score.code)], "text": score.name},
        "subject": dict(subject),
        "effectiveDateTime": effective,
        "issued": instant(issued),
        **({"performer": [dict(performer)]} if performer else {}),
    }
    observation |= _value(result, definition.band_system)
    if result.band is not None and not score.categories:
        observation["interpretation"] = [_concept(definition.band_system, result.band.code, result.band.display)]
    words = _words(result)
    if words:
        observation["note"] = [{"text": text} for text in words]
    if score.bands:
        observation["referenceRange"] = [_range(band, score) for band in score.bands]
    observation["derivedFrom"] = [{"reference": response_url}]
    observation["component"] = _components(result, definition.band_system)
    return observation


def risk_assessment(*, assessment_id: str, cause: SafetyCause) -> Resource:
    """The open question behind a safety finding: preliminary, without a risk level until a clinician records one."""
    return {
        "resourceType": "RiskAssessment",
        "id": assessment_id,
        "status": "preliminary",
        "code": {"text": "Safety screening"},
        "subject": dict(cause.subject),
        "occurrenceDateTime": cause.answered,
        "reasonCode": [_rule(cause.finding)],
        "basis": [{"reference": cause.response}],
        "prediction": [{"outcome": {"text": "Self-harm, not yet assessed"}, "rationale": cause.finding.reason}],
    }


def safety_flag(*, flag_id: str, assessment: str, cause: SafetyCause) -> Resource:
    """The mark that whoever opens the record sees; `assessment` is the reference of the RiskAssessment."""
    return {
        "resourceType": "Flag",
        "id": flag_id,
        "extension": [
            {"url": f"{CORE}/flag-detail", "valueReference": {"reference": assessment}},
            {"url": f"{CORE}/flag-priority", "valueCodeableConcept": _concept(FLAG_PRIORITY, "PH", "High priority")},
        ],
        "status": "active",
        "category": [_concept(f"{TERMINOLOGY}/flag-category", "safety", "Safety")],
        "code": _rule(cause.finding),
        "subject": dict(cause.subject),
        "period": {"start": instant(cause.opened)},
    }


def safety_task(*, task_id: str, assessment: str, cause: SafetyCause) -> Resource:
    """The request that a clinician talks with the person, due at `restriction.period.end`."""
    opened = instant(cause.opened)
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "intent": "order",
        "priority": cause.finding.rule.priority,
        "code": _concept(code_system("task"), "safety-review", "Safety review"),
        "description": cause.finding.reason,
        "focus": {"reference": assessment},
        "for": dict(cause.subject),
        "authoredOn": opened,
        "lastModified": opened,
        "requester": {"type": "Device", "display": SOFTWARE},
        "reasonCode": _rule(cause.finding),
        "reasonReference": {"reference": cause.response},
        "restriction": {"period": {"start": opened, "end": instant(cause.finding.deadline)}},
    }


def provenance(
    *,
    provenance_id: str,
    targets: Sequence[str],
    response_version: str,
    questionnaire: str,
    recorded: datetime,
    software_version: str,
    cause: SafetyCause | None = None,
) -> Resource:
    """Who made `targets` (versioned references) out of what: this software, from one version of a response.

    `questionnaire` is the canonical with version whose options gave the weights (SDC: weights belong in Provenance).
    """
    sources: list[Resource] = [
        {"role": "source", "what": {"reference": response_version}},
        {"role": "source", "what": {"identifier": {"system": "urn:ietf:rfc:3986", "value": questionnaire}}},
    ]
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "target": [{"reference": target} for target in targets],
        "recorded": instant(recorded),
        **({"reason": [_rule(cause.finding)]} if cause else {}),
        "agent": [
            {
                "type": _concept(f"{TERMINOLOGY}/provenance-participant-type", "assembler", "Assembler"),
                "who": {"type": "Device", "display": f"{SOFTWARE} {software_version}"},
            }
        ],
        "entity": sources,
    }


def completed_task(
    task: Mapping[str, Any], *, level: RiskLevel, recorded: datetime, clinician: Reference | None = None
) -> Resource:
    """The safety Task once a clinician has recorded a risk level on it."""
    output = {
        "type": _concept(code_system("task"), "risk-level", "Risk level"),
        "valueCodeableConcept": _risk_level(level),
    }
    return {
        **task,
        "status": "completed",
        "lastModified": instant(recorded),
        **({"owner": dict(clinician)} if clinician else {}),
        "output": [*task.get("output", ()), output],
    }


def final_risk_assessment(
    assessment: Mapping[str, Any], *, level: RiskLevel, recorded: datetime, clinician: Reference | None = None
) -> Resource:
    """The RiskAssessment with the level that a clinician recorded, and what follows from it in plain words."""
    risk = _risk_level(level)
    risk["coding"].append({"system": f"{TERMINOLOGY}/risk-probability", "code": level.code})
    prediction = {**assessment["prediction"][0], "outcome": {"text": "Self-harm"}, "qualitativeRisk": risk}
    return {
        **assessment,
        "status": "final",
        **({"performer": dict(clinician)} if clinician else {}),
        "prediction": [prediction],
        "mitigation": level.text,
        "note": [*assessment.get("note", ()), {"time": instant(recorded), "text": level.text}],
    }


def reviewed_flag(flag: Mapping[str, Any], *, level: RiskLevel, recorded: datetime) -> Resource:
    """The Flag after the review: it stays, with the rule that now holds, or it ends, as the level's data says."""
    rule = {"coding": [{"system": code_system("rule"), "code": level.rule}], "text": level.text}
    if level.keeps_flag:
        return {**flag, "code": rule}
    return {**flag, "status": "inactive", "code": rule, "period": {**flag["period"], "end": instant(recorded)}}


def _value(result: ScoreResult, band_system: str) -> Resource:
    """The score as its kind of value: a number with its unit, a category, a profile; or why there is none."""
    if result.value is None:
        return {"dataAbsentReason": _absent(result)}
    if result.score.categories and result.band is not None:
        return {"valueCodeableConcept": _concept(band_system, result.band.code, result.band.display)}
    if isinstance(result.value, str):
        return {"valueString": result.value}
    return {"valueQuantity": _points(result.value, result.score)}


def _points(value: object, score: ScoreDefinition) -> Resource:
    return {"value": value, "unit": score.unit, "system": UCUM, "code": score.unit}


def _range(band: Band, score: ScoreDefinition) -> Resource:
    return {"low": _points(band.lower, score), "high": _points(band.upper, score), "text": band.display}


def _components(result: ScoreResult, band_system: str) -> list[Resource]:
    details = code_system("score-detail")
    made: list[Resource] = [
        {"code": _concept(details, "items-answered", "Items answered"), "valueInteger": result.items_answered},
        {"code": _concept(details, "prorated", "Prorated"), "valueBoolean": result.prorated},
    ]
    if result.at_least is not None:
        least = _concept(band_system, result.at_least.code, result.at_least.display)
        made.append({"code": _concept(details, "at-least", "At least"), "valueCodeableConcept": least})
    if result.standard_error is not None:
        error = _points(result.standard_error, result.score)
        made.append({"code": _concept(details, "standard-error", "Standard error"), "valueQuantity": error})
    made.extend(
        {"code": _concept(details, "remark", "Remark"), "valueString": remark.code} for remark in result.remarks
    )
    return made


def _absent(result: ScoreResult) -> Resource:
    if not result.applies:
        words = "This score does not apply to the answers that were given."
        return {**_concept(f"{TERMINOLOGY}/data-absent-reason", "not-applicable", "Not Applicable"), "text": words}
    reason = _concept(f"{TERMINOLOGY}/data-absent-reason", "unknown", "Unknown")
    words = f"{result.items_answered} of {result.items_total} questions were answered, too few for a score."
    return {**reason, "text": words}


def _words(result: ScoreResult) -> list[str]:
    """What a person reads beside the score."""
    words = [_BRIDGED[result.score.missing.bridge].format(result=result)] if result.prorated else []
    return [*words, *(remark.text for remark in result.remarks)]


def _risk_level(level: RiskLevel) -> Resource:
    return _concept(code_system("risk-level"), level.code, level.display)


def _rule(finding: SafetyFinding) -> Resource:
    return {**_concept(code_system("rule"), finding.rule.code, finding.rule.display), "text": finding.reason}


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}
