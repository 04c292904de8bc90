"""Promises of measurement's FHIR door: what is found and how, what clients may post, and what is not theirs."""

from typing import Any

import httpx
import pytest
from stepwell_measurement.app import service
from stepwell_shared.canonical import code_system, topic
from stepwell_shared.runtime import Runtime

from tests.services.measurement.scoring import NORTH, SOUTH, finalized, hear, score_id
from tests.support.runtime import URLS, received, token

EHR = token(NORTH, "ehr")


def blood_pressure(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-11-20",
        "valueQuantity": {"value": 120, "unit": "mmHg"},
        **more,
    }


async def found(http: httpx.AsyncClient, query: str, headers: dict[str, str] = EHR) -> list[str]:
    response = await http.get(f"Observation?{query}", headers={**headers, "Prefer": "handling=strict"})
    assert response.status_code == 200, response.text
    return [entry["resource"]["id"] for entry in response.json().get("entry", [])]


async def test_a_score_is_not_a_clients_to_change(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, finalized("r1", 16))
    score = (await http.get(f"Observation/{score_id('r1')}", headers=EHR)).json()
    score["valueQuantity"]["value"] = 3
    assert (await http.put(f"Observation/{score['id']}", json=score, headers=EHR)).status_code == 422
    del score["meta"]
    assert (await http.put(f"Observation/{score['id']}", json=score, headers=EHR)).status_code == 422


async def test_nothing_a_client_writes_passes_for_a_result_of_ours(http: httpx.AsyncClient) -> None:
    result = blood_pressure(code={"coding": [{"system": code_system("reliable-change"), "code": "x"}]})
    assert (await http.post("Observation", json=result, headers=EHR)).status_code == 422
    score = blood_pressure(meta={"source": f"{URLS['screening']}/QuestionnaireResponse/r1/_history/9"})
    assert (await http.post("Observation", json=score, headers=EHR)).status_code == 422


async def test_an_observation_of_the_ehr_is_stored_changed_and_read_back(http: httpx.AsyncClient) -> None:
    created = await http.post("Observation", json=blood_pressure(), headers=EHR)
    assert created.status_code == 201
    changed = {**created.json(), "status": "amended"}
    assert (await http.put(f"Observation/{changed['id']}", json=changed, headers=EHR)).status_code == 200
    history = await http.get(f"Observation/{changed['id']}/_history", headers=EHR)
    assert [entry["resource"]["status"] for entry in history.json()["entry"]] == ["amended", "final"]


@pytest.mark.parametrize(
    "query",
    [
        "patient=p1",
        "patient=Patient/p1",
        f"subject={URLS['screening']}/Patient/p1",
        "code=http://loinc.org|44261-6",
        "category=survey",
        "date=2026-09-01",
        "status=final&patient=p1",
        f"derived-from={URLS['screening']}/QuestionnaireResponse/r1",
    ],
)
async def test_a_score_is_found_by_each_way_that_is_promised(
    runtime: Runtime, http: httpx.AsyncClient, query: str
) -> None:
    await hear(runtime, finalized("r1", 16))
    assert await found(http, query) == [score_id("r1")]
    assert await found(http, query, token(SOUTH, "ehr")) == []


async def test_the_other_tenant_cannot_read_a_score_or_its_history(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, finalized("r1", 16))
    for path in (f"Observation/{score_id('r1')}", f"Observation/{score_id('r1')}/_history"):
        assert (await http.get(path, headers=EHR)).status_code == 200
        assert (await http.get(path, headers=token(SOUTH, "ehr"))).status_code == 404


async def test_the_ehrs_own_score_counts_with_those_of_screening(runtime: Runtime, http: httpx.AsyncClient) -> None:
    phq9 = {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]}
    own = blood_pressure(code=phq9, valueQuantity={"value": 22}, effectiveDateTime="2026-08-01")
    assert (await http.post("Observation", json=own, headers=EHR)).status_code == 201
    await hear(runtime, finalized("r1", 9))
    (result,) = await found(http, f"code={code_system('reliable-change')}|phq-9-reliable-change")
    body = (await http.get(f"Observation/{result}", headers=EHR)).json()
    assert body["valueCodeableConcept"]["coding"][0]["code"] == "improvement"


async def test_the_copy_of_a_patient_follows_screening_and_only_screening(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    handler = service.listens(runtime)["screening", "patient-changed"]
    patient = {"resourceType": "Patient", "id": "p1", "meta": {"versionId": "1"}, "name": [{"family": "Example"}]}
    await handler(received(topic("patient-changed"), [(f"{URLS['screening']}/Patient/p1", patient)]), NORTH)
    assert (await http.get("Patient/p1", headers=EHR)).json()["name"] == [{"family": "Example"}]
    assert (await http.get("Patient/p1", headers=token(SOUTH, "ehr"))).status_code == 404
    assert (await http.put("Patient/p1", json=patient, headers=EHR)).status_code == 405
