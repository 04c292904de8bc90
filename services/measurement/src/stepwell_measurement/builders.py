"""The FHIR R4 resources that measurement emits, as plain dicts: reliable change and where it came from.

Pure: ids, times and references are passed in. Observation: https://hl7.org/fhir/R4/observation.html,
Provenance: https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_measurement.rules.reliable_change import Change, ChangeParameters, ReliableChange, Score

Json = dict[str, Any]

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
UCUM = "http://unitsofmeasure.org"
_DISPLAY = {
    Change.IMPROVEMENT: "Reliable improvement",
    Change.DETERIORATION: "Reliable deterioration",
    Change.NONE: "No reliable change",
}


def reliable_change_observation(
    *,
    observation_id: str,
    parameters: ChangeParameters,
    result: ReliableChange,
    baseline: Score,
    current: Score,
    patient: str,
    issued: datetime,
    amended: bool = False,
) -> Json:
    """The reliable change of one person on one instrument, derived from two score Observations.

    `baseline.reference` and `current.reference` name them. When reliable change is not available the Observation
    says so by dataAbsentReason, with the reason in words. `amended`: it replaces an earlier result after a correction.
    """
    observation: Json = {
        "resourceType": "Observation",
        "id": observation_id,
        "status": "amended" if amended else "final",
        "category": [{"coding": [_coding(f"{TERMINOLOGY}/observation-category", "survey", "Survey")]}],
        "code": {
            "coding": [_own(f"{parameters.instrument}-reliable-change")],
            "text": f"Reliable change of {parameters.instrument.upper()}",
        },
        "subject": {"reference": patient},
        "effectiveDateTime": instant(current.effective),
        "issued": instant(issued),
        **_value(result),
        "note": [{"text": result.reason}],
        "method": {"coding": [_own(parameters.parameter_set)], "text": parameters.source},
        "derivedFrom": [{"reference": baseline.reference}, {"reference": current.reference}],
    }
    if components := _components(result):
        observation["component"] = components
    return observation


def provenance(
    *,
    provenance_id: str,
    targets: Sequence[str],
    sources: Sequence[str],
    rule: str,
    software: Mapping[str, Any],
    recorded: datetime,
    occurred: datetime,
) -> Json:
    """Who made these resources, when, by which rule and out of what.

    `targets` and `sources` are references (of versions where known); `software` is a Reference to the Device that
    assembled them, at least with a display that names product and version.
    """
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "target": [{"reference": target} for target in targets],
        "occurredDateTime": instant(occurred),
        "recorded": instant(recorded),
        "activity": {"coding": [_coding(code_system("rule"), rule)]},
        "agent": [
            {
                "type": {"coding": [_coding(f"{TERMINOLOGY}/provenance-participant-type", "assembler", "Assembler")]},
                "who": dict(software),
            }
        ],
        "entity": [{"role": "source", "what": {"reference": source}} for source in sources],
    }


def _value(result: ReliableChange) -> Json:
    if result.outcome is Change.NOT_AVAILABLE:
        coding = _coding(f"{TERMINOLOGY}/data-absent-reason", "unsupported", "Unsupported")
        return {"dataAbsentReason": {"coding": [coding], "text": result.reason}}
    return {"valueCodeableConcept": {"coding": [_own(result.outcome, _DISPLAY[result.outcome])]}}


def _components(result: ReliableChange) -> list[Json]:
    """Change, threshold, and whether the threshold itself counts."""
    components: list[Json] = []
    if result.change is not None:
        components.append({"code": {"coding": [_own("change")]}, "valueQuantity": _points(result.change)})
    if result.threshold is not None:
        components.append({"code": {"coding": [_own("threshold")]}, "valueQuantity": _points(result.threshold)})
        components.append({"code": {"coding": [_own("threshold-inclusive")]}, "valueBoolean": result.inclusive})
    return components


def _points(value: Decimal) -> Json:
    return {"value": value, "unit": "{score}", "system": UCUM, "code": "{score}"}


def _own(code: str, display: str | None = None) -> Json:
    return _coding(code_system("reliable-change"), str(code), display)


def _coding(system: str, code: str, display: str | None = None) -> Json:
    coding = {"system": system, "code": code}
    return {**coding, "display": display} if display else coding
