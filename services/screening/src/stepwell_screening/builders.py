"""What screening emits of scores, as FHIR R4 JSON: Observations, and the Provenance of what a response led to.

Pure functions: ids, times, URLs and references are passed in. Numbers are int or Decimal. Words are for the people
who read them, and carry nothing of the person beyond references.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_screening.rules.aggregation import ScoreResult
from stepwell_screening.rules.bands import Band
from stepwell_screening.rules.definition import ScoreDefinition, ScoringDefinition

Resource = dict[str, Any]
Reference = Mapping[str, Any]

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
UCUM = "http://unitsofmeasure.org"
SOFTWARE = "Stepwell screening"
_ANSWERED = "{result.items_answered} of {result.items_total} questions were answered; "
_BRIDGED = {
    "prorate": _ANSWERED + "the score was extended from their mean to all {result.items_total}.",
    "impute-mean": _ANSWERED + "a blank counts as the mean of the others.",
    "leave-out": _ANSWERED + "the score is made of these alone.",
}


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


def provenance(
    *,
    provenance_id: str,
    targets: Sequence[str],
    response_version: str,
    questionnaire: str,
    recorded: datetime,
    software_version: str,
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
        "agent": [
            {
                "type": _concept(f"{TERMINOLOGY}/provenance-participant-type", "assembler", "Assembler"),
                "who": {"type": "Device", "display": f"{SOFTWARE} {software_version}"},
            }
        ],
        "entity": sources,
    }


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


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}
