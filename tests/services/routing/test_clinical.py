"""Promises of conditions and medicines: what is active and confirmed counts, what is missing is not false."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.rules.clinical import condition_state, medicine_state
from stepwell_routing.use_cases.dues import work_on_due
from stepwell_routing.use_cases.knowledge import known_of
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.caring import add_person
from tests.services.routing.hearing import PATIENT, activities, hear, scored
from tests.support.runtime import NORTH, http_of, token

Resource = dict[str, Any]

EHR, ANALYST = token(NORTH, "ehr"), token(NORTH, "analyst")
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
SNOMED = "http://snomed.info/sct"
BACK_PAIN = {"system": SNOMED, "code": "161891005", "display": "Backache"}
CONDITION: Resource = {
    "resourceType": "Condition",
    "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
    "verificationStatus": {"coding": [{"system": VERIFICATION, "code": "confirmed"}]},
    "code": {"coding": [BACK_PAIN]},
    "subject": PATIENT,
    "onsetDateTime": "2025-11",
}
MEDICINE: Resource = {
    "resourceType": "MedicationStatement",
    "status": "active",
    "medicationCodeableConcept": {"text": "Something for the night"},
    "subject": PATIENT,
}


def coded(name: str, code: str) -> Resource:
    system = CLINICAL if name == "clinicalStatus" else VERIFICATION
    return {**CONDITION, name: {"coding": [{"system": system, "code": code}]}}


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await add_person(runtime)
    async with http_of(runtime, service) as client:
        yield client


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        (CONDITION, "active|2025-11"),
        ({**CONDITION, "verificationStatus": None}, "active|2025-11"),
        (coded("clinicalStatus", "recurrence"), "active|2025-11"),
        (coded("clinicalStatus", "remission"), "inactive|"),
        (coded("clinicalStatus", "resolved"), "inactive|"),
        (coded("verificationStatus", "differential"), "inactive|"),
        (coded("verificationStatus", "refuted"), "inactive|"),
        (coded("verificationStatus", "entered-in-error"), None),
    ],
)
def test_a_condition_counts_when_it_is_confirmed_and_holds(condition: Resource, value: str | None) -> None:
    said = {name: each for name, each in condition.items() if each is not None}
    assert condition_state(said) == (value, frozenset({f"{SNOMED}|161891005"}))


@pytest.mark.parametrize(
    ("status", "value"), [("active", "active|"), ("stopped", "inactive|"), ("entered-in-error", None)]
)
def test_a_medicine_counts_while_it_is_taken(status: str, value: str | None) -> None:
    assert medicine_state({**MEDICINE, "status": status}) == (value, frozenset({"|"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": {"reference": "Patient/unknown"}},
        {"subject": {"reference": "Group/g1"}},
        {"subject": {"display": "somebody"}},
    ],
)
async def test_what_is_about_nobody_we_know_is_refused(http: httpx.AsyncClient, changed: Resource) -> None:
    for resource in (CONDITION, MEDICINE):
        answer = await http.post(resource["resourceType"], json={**resource, **changed}, headers=EHR)
        assert answer.status_code == 422, answer.text
    assert (await http.post("Condition", json=CONDITION, headers=ANALYST)).status_code == 403


async def test_a_condition_stays_with_its_person(http: httpx.AsyncClient) -> None:
    assert (await http.put("Condition/x", json={**CONDITION, "id": "x"}, headers=EHR)).status_code == 201
    other = {**CONDITION, "id": "x", "subject": {"reference": "https://ehr.example/fhir/Patient/p2"}}
    assert (await http.put("Condition/x", json=other, headers=EHR)).status_code == 422


async def test_a_condition_with_a_code_that_is_absent_for_a_reason_is_kept_and_counted(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    reason = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    absent = {**CONDITION, "code": {"coding": [{"system": SNOMED, "_code": {"extension": [reason]}}]}}
    for body in (absent, {name: each for name, each in CONDITION.items() if name != "code"}):
        answer = await http.post("Condition", json=body, headers=EHR)
        assert answer.status_code == 201, answer.text
        validation.check(encode(answer.json()), "Condition")
        emitted(answer.json())
    found = await http.get("Condition?patient=Patient/p1", headers=EHR)
    assert found.status_code == 200


async def test_a_changed_code_takes_the_earlier_one_back(runtime: Runtime, http: httpx.AsyncClient) -> None:
    other = {"system": SNOMED, "code": "46206005"}
    for coding in (BACK_PAIN, other):
        body = {**CONDITION, "id": "x", "code": {"coding": [coding]}}
        assert (await http.put("Condition/x", json=body, headers=EHR)).status_code in {200, 201}
    newest = {row.name: row.value for row in await known_of(runtime, NORTH, "Patient/p1")}
    assert newest == {f"condition/{SNOMED}|161891005": None, f"condition/{SNOMED}|46206005": "active|2025-11"}


async def test_what_is_brought_is_decided_on_once_where_a_course_has_begun(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    assert (await http.post("MedicationStatement", json=MEDICINE, headers=EHR)).status_code == 201
    assert await work_on_due(runtime, [NORTH]) == 1
    assert await activities(runtime) == []
    await hear(runtime, scored(3))
    assert (await http.post("Condition", json=CONDITION, headers=EHR)).status_code == 201
    assert [await work_on_due(runtime, [NORTH]) for _ in range(2)] == [1, 0]
    assert len(await activities(runtime)) == 2
