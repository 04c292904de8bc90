"""The FHIR R4 resources that measurement emits, as plain dicts: reliable change and where it came from.

Pure: ids, times and references are passed in. Observation: https://hl7.org/fhir/R4/observation.html,
Provenance: https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import CANONICAL, code_system, instant

from stepwell_measurement.rules.reliable_change import Change, ReliableChange, shown
from stepwell_measurement.rules.trajectory import Trajectory, TrajectoryParameters

Json = dict[str, Any]

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
UCUM = "http://unitsofmeasure.org"
SOFTWARE = {
    "type": "Device",
    "identifier": {"system": f"{CANONICAL}/NamingSystem/software", "value": "stepwell-measurement"},
    "display": "Stepwell measurement",
}
_DISPLAY = {
    Change.IMPROVEMENT: "Reliable improvement",
    Change.DETERIORATION: "Reliable deterioration",
    Change.NONE: "No reliable change",
}


def reliable_change_observation(
    *,
    observation_id: str,
    parameters: TrajectoryParameters,
    path: Trajectory,
    subject: Mapping[str, Any],
    issued: datetime,
    amended: bool = False,
) -> Json:
    """The reliable change of one person on one instrument, with the trajectory as it was at the last score of `path`.

    It is derived from two score Observations, which their references name; `subject` is the Reference that they carry.
    When reliable change is not available the Observation says so by dataAbsentReason, with the reason in words.
    `amended`: it replaces an earlier result after a correction.
    """
    result = path.reliable_change
    observation: Json = {
        "resourceType": "Observation",
        "id": observation_id,
        "status": "amended" if amended else "final",
        "category": [{"coding": [_coding(f"{TERMINOLOGY}/observation-category", "survey", "Survey")]}],
        "code": {
            "coding": [reliable_change_code(parameters.change.instrument)],
            "text": f"Reliable change of {parameters.title}",
        },
        "subject": dict(subject),
        "effectiveDateTime": instant(path.last.effective),
        "issued": instant(issued),
        **_value(result),
        "note": [{"text": result.reason}],
        "method": {"coding": [_own(parameters.change.parameter_set)], "text": parameters.change.source},
        "derivedFrom": [{"reference": path.baseline.reference}, {"reference": path.last.reference}],
        "component": [*_components(result), *_trajectory(path)],
    }
    return observation


def reliable_change_code(instrument: str) -> Json:
    """The Coding of the reliable change of an instrument such as `phq-9`."""
    return _own(f"{instrument}-reliable-change")


def retracted(observation: Mapping[str, Any], *, reason: str, issued: datetime) -> Json:
    """The next version of a result that no longer stands, because a score behind it left the series.

    What it said stays readable; the status says not to use it, the last note why.
    """
    kept = {name: value for name, value in observation.items() if name != "meta"}
    notes = [*observation.get("note", ()), {"time": instant(issued), "text": reason}]
    return {**kept, "status": "entered-in-error", "issued": instant(issued), "note": notes}


def reliable_change_provenance(
    *,
    provenance_id: str,
    target: str,
    sources: Sequence[str],
    result: ReliableChange,
    recorded: datetime,
    amended: bool = False,
) -> Json:
    """Out of which scores and by which rule a reliable change was computed.

    `target` and `sources` are references, of versions where they are known.
    """
    activity = "UPDATE" if amended else "CREATE"
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "target": [{"reference": target}],
        "occurredDateTime": instant(recorded),
        "recorded": instant(recorded),
        "reason": [{"coding": [_coding(code_system("rule"), result.rule)], "text": result.reason}],
        "activity": {"coding": [_coding(f"{TERMINOLOGY}/v3-DataOperation", activity)]},
        "agent": [
            {
                "type": {"coding": [_coding(f"{TERMINOLOGY}/provenance-participant-type", "assembler", "Assembler")]},
                "who": dict(SOFTWARE),
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
        components.append({"code": {"coding": [_own("threshold")]}, "valueQuantity": _points(shown(result.threshold))})
        components.append({"code": {"coding": [_own("threshold-inclusive")]}, "valueBoolean": result.inclusive})
    return components


def _trajectory(path: Trajectory) -> list[Json]:
    """Where the person stands by this score: one code for what matters most, then each fact that is known."""
    system = code_system("trajectory")
    from_best = path.last.value - path.best.value
    facts = {
        "response": path.response,
        "remission": path.remission,
        "recovery": path.recovery,
        "important-change": path.important_change,
        "stalled": path.stalled,
        "relapse": path.relapse,
    }
    return [
        {"code": _fact("standing"), "valueCodeableConcept": {"coding": [_coding(system, path.standing)]}},
        {"code": _fact("on-track"), "valueCodeableConcept": {"coding": [_coding(system, path.track)]}},
        {"code": _fact("change-from-best"), "valueQuantity": _points(from_best)},
        {"code": _fact("measures"), "valueInteger": path.count},
        *({"code": _fact(name), "valueBoolean": holds} for name, holds in facts.items() if holds is not None),
    ]


def _fact(code: str) -> Json:
    return {"coding": [_coding(code_system("trajectory"), code)]}


def _points(value: Decimal) -> Json:
    return {"value": value, "unit": "{score}", "system": UCUM, "code": "{score}"}


def _own(code: str, display: str | None = None) -> Json:
    return _coding(code_system("reliable-change"), str(code), display)


def _coding(system: str, code: str, display: str | None = None) -> Json:
    coding = {"system": system, "code": code}
    return {**coding, "display": display} if display else coding
