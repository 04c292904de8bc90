"""Promises of the reliable-change Observation and its Provenance: R4, derived from two scores, honest when unknown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.provenance import Provenance
from stepwell_measurement import data
from stepwell_measurement.builders import reliable_change_observation, reliable_change_provenance
from stepwell_measurement.rules.progress import Track
from stepwell_measurement.rules.reliable_change import Score, classify
from stepwell_measurement.rules.trajectory import Standing, TrajectoryParameters, trajectory
from stepwell_shared.canonical import code_system

from tests.support.terminology import CODE_SYSTEMS, unknown_codings

AT = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)
ISSUED = datetime(2026, 9, 29, 14, 0, tzinfo=UTC)
PHQ9 = data.trajectory_parameters()["44261-6"]
PHQ15 = data.trajectory_parameters()["70273-8"]
GAD7_INDEX = replace(
    data.trajectory_parameters()["70274-6"], change=data.change_parameter_sets("gad-7")["bischoff-2020"]
)


def as_json(resource: dict[str, Any]) -> bytes:
    return msgspec.json.Encoder(decimal_format="number").encode(resource)


def observation(parameters: TrajectoryParameters, baseline: str, *later: str, amended: bool = False) -> dict[str, Any]:
    names = ["first", *(["between"] * (len(later) - 1)), "second"]
    scores = [
        Score(Decimal(value), AT + timedelta(days=28 * place), False, f"Observation/{name}")
        for place, (value, name) in enumerate(zip((baseline, *later), names, strict=True))
    ]
    path = trajectory(parameters, scores)
    assert path is not None
    return reliable_change_observation(
        observation_id="rc1",
        parameters=parameters,
        path=path,
        subject={"reference": "Patient/p1"},
        issued=ISSUED,
        amended=amended,
    )


def components(resource: dict[str, Any]) -> dict[str, Any]:
    return {
        component["code"]["coding"][0]["code"]: next(value for name, value in component.items() if name != "code")
        for component in resource["component"]
    }


def test_an_instrument_without_parameters_gets_no_value_but_a_reason() -> None:
    resource = observation(PHQ15, "20", "5")
    assert "valueCodeableConcept" not in resource
    assert resource["dataAbsentReason"]["coding"][0]["code"] == "unsupported"
    assert "PHQ-15" in resource["dataAbsentReason"]["text"]
    assert "threshold" not in components(resource)
    assert components(resource)["response"] is True
    assert not {"remission", "recovery", "relapse"} & set(components(resource))
    Observation.model_validate_json(as_json(resource))


def test_the_trajectory_stands_beside_the_change_with_what_matters_most_first() -> None:
    found = components(observation(PHQ9, "20", "4", "9"))
    assert found["standing"]["coding"][0] == {"system": code_system("trajectory"), "code": "recovery"}
    assert found["on-track"]["coding"][0]["code"] == "on-track"
    assert (found["change-from-best"]["value"], found["measures"]) == (5, 3)
    facts = ("response", "remission", "recovery", "important-change")
    assert [found[name] for name in facts] == [True, False, True, True]


def test_every_code_of_a_trajectory_is_defined() -> None:
    system = CODE_SYSTEMS[code_system("trajectory")]
    defined = {concept["code"] for concept in system["concept"]}
    assert {str(each) for each in (*Standing, *Track)} <= defined
    assert unknown_codings(observation(PHQ9, "20", "4", "9")) == []


@pytest.mark.parametrize(
    ("current", "code"), [("10", "improvement"), ("11", "no-reliable-change"), ("22", "deterioration")]
)
def test_every_outcome_is_a_coded_value(current: str, code: str) -> None:
    resource = observation(PHQ9, "16", current)
    (coding,) = resource["valueCodeableConcept"]["coding"]
    assert (coding["system"], coding["code"]) == (code_system("reliable-change"), code)
    assert "dataAbsentReason" not in resource
    Observation.model_validate_json(as_json(resource))


def test_the_observation_says_which_change_of_whom_when_and_from_what() -> None:
    resource = observation(PHQ9, "16", "10")
    assert resource["status"] == "final"
    assert resource["category"][0]["coding"][0]["code"] == "survey"
    assert resource["code"]["coding"] == [{"system": code_system("reliable-change"), "code": "phq-9-reliable-change"}]
    assert resource["subject"] == {"reference": "Patient/p1"}
    assert resource["effectiveDateTime"] == "2026-09-29T09:00:00.000Z"
    assert resource["derivedFrom"] == [{"reference": "Observation/first"}, {"reference": "Observation/second"}]
    assert resource["method"]["coding"][0]["code"] == "nhs-talking-therapies"
    assert "PMC8411661" in resource["method"]["text"]


def test_change_and_threshold_are_score_points_and_say_whether_the_threshold_counts() -> None:
    values = components(observation(PHQ9, "16", "10"))
    assert values["change"] == {
        "value": Decimal(-6),
        "unit": "{score}",
        "system": "http://unitsofmeasure.org",
        "code": "{score}",
    }
    assert values["threshold"]["value"] == 6
    assert values["threshold-inclusive"] is True
    assert components(observation(GAD7_INDEX, "16", "10"))["threshold-inclusive"] is False


def test_decimals_leave_as_they_are_written_in_their_source() -> None:
    assert b'"value":5.59' in as_json(observation(GAD7_INDEX, "16", "10"))


def test_a_correction_is_marked_as_amended() -> None:
    assert observation(PHQ9, "16", "10", amended=True)["status"] == "amended"


@pytest.mark.parametrize(("amended", "activity"), [(False, "CREATE"), (True, "UPDATE")])
def test_provenance_names_sources_software_rule_and_time(amended: bool, activity: str) -> None:
    first, second = Score(Decimal(16), AT), Score(Decimal(10), AT + timedelta(days=28))
    resource = reliable_change_provenance(
        provenance_id="pv1",
        target="Observation/rc1",
        sources=["Observation/first", "Observation/second"],
        result=classify(PHQ9.change, first, second),
        recorded=ISSUED.astimezone(timezone(timedelta(hours=2))),
        amended=amended,
    )
    Provenance.model_validate_json(as_json(resource))
    assert resource["target"] == [{"reference": "Observation/rc1"}]
    assert [entity["what"]["reference"] for entity in resource["entity"]] == ["Observation/first", "Observation/second"]
    assert resource["reason"][0]["coding"] == [{"system": code_system("rule"), "code": "RC-IMPROVEMENT"}]
    assert resource["activity"]["coding"][0]["code"] == activity
    assert resource["agent"][0]["who"]["identifier"]["value"] == "stepwell-measurement"
    assert resource["occurredDateTime"] == resource["recorded"] == "2026-09-29T14:00:00.000Z"
