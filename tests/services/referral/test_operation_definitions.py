"""Promises of our operations: what referral declares by our name is defined as it is served, with what it takes."""

import json
from importlib.resources import files
from typing import Any

import pytest
from fhir.resources.R4B.operationdefinition import OperationDefinition
from stepwell_referral.app import service
from stepwell_referral.use_cases.booking_asked import PARAMETERS as BOOKING
from stepwell_referral.use_cases.finding import PARAMETERS as FINDING
from stepwell_referral.use_cases.match_asked import ANYBODY, WISHES
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.runtime import Runtime

Resource = dict[str, Any]
DEFINED: dict[str, Resource] = {
    entry["resource"]["id"]: entry["resource"]
    for entry in json.loads((files("stepwell_referral.data") / "operation-definitions.json").read_text())["entry"]
}
TAKEN = {
    "Appointment-find": FINDING,
    "Appointment-hold": BOOKING,
    "Appointment-book": BOOKING,
    "HealthcareService-match": ANYBODY,
    "Task-match": WISHES,
}
SERVED = {
    f"{served_type.name}-{operation.name}": (served_type.name, operation.affects_state)
    for served_type in service.resources(Runtime())
    for operation in served_type.operations
    if not operation.definition
}
# What is asked at one Appointment needs no more than where it goes.
MOVED = {"slot", "private-space"}


@pytest.mark.parametrize("name", DEFINED)
def test_a_definition_says_what_is_served_and_what_it_takes(name: str) -> None:
    definition = DEFINED[name]
    at = {
        operation.instance
        for served_type in service.resources(Runtime())
        for operation in served_type.operations
        if f"{served_type.name}-{operation.name}" == name
    }
    assert (definition["url"], definition["code"]) == (
        f"{CANONICAL}/OperationDefinition/{name}",
        name.partition("-")[2],
    )
    assert (definition["resource"], definition["affectsState"]) == ([SERVED[name][0]], SERVED[name][1])
    assert (definition["type"], definition["instance"], definition["system"]) == (False in at, True in at, False)
    given = {each["name"] for each in definition["parameter"] if each["use"] == "in"}
    assert given == set(TAKEN.get(name, MOVED if name == "Appointment-reschedule" else ()))


@pytest.mark.parametrize("name", DEFINED)
def test_a_definition_is_valid_fhir(name: str) -> None:
    OperationDefinition.model_validate_json(json.dumps(DEFINED[name]))


def test_every_operation_of_booking_queues_matching_and_coordination_is_defined() -> None:
    assert set(DEFINED) >= {
        *(f"Appointment-{each}" for each in ("find", "hold", "book", "reschedule")),
        *(f"HealthcareService-{each}" for each in ("queue", "wait-calibration", "capacity-forecast", "match")),
        *("Task-wait", "Task-match", "Patient-care-coordination"),
    }
