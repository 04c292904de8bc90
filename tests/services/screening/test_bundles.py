"""Transactions through screening's own rules: what one Bundle brings is seen by all of it, or none of it is kept."""

from typing import Any

import httpx
import pytest
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, form, patient, places, said, score_in
from tests.support.bundles import bundle_of, entry, id_in, statuses
from tests.support.runtime import NORTH, stored

P = "urn:uuid:0f2e1c7a-1111-4444-8888-000000000001"
ADDRESS = "https://stepwell.example/screening/fhir"

Resource = dict[str, Any]


def both(response: Resource, person: Resource | None = None) -> list[Resource]:
    """A response and the person it is about, the response first."""
    person = person or {name: value for name, value in patient().items() if name != "id"}
    return [
        entry("POST", "QuestionnaireResponse", {**response, "subject": {"reference": P}}),
        entry("POST", "Patient", person, fullUrl=P),
    ]


async def post(http: httpx.AsyncClient, *entries: Resource, **headers: str) -> httpx.Response:
    return await http.post("", json=bundle_of("transaction", *entries), headers={**EHR, **headers})


async def test_a_response_that_its_questionnaire_refuses_leaves_no_patient(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    before = await stored(runtime, NORTH, "Patient")
    answer = await post(http, *both(form(total=99)))
    assert answer.status_code == 422
    assert all(place.startswith("Bundle.entry[0].resource") for place in places(answer))
    assert await stored(runtime, NORTH, "Patient") == before
    assert await said(runtime, "score-finalized") == []


async def test_types_that_clients_may_not_create_are_refused_in_a_bundle_too(http: httpx.AsyncClient) -> None:
    task = {"resourceType": "Task", "status": "requested", "intent": "order"}
    answer = await post(http, entry("POST", "Task", task))
    assert (answer.status_code, places(answer)) == (400, ["Bundle.entry[0]"])


@pytest.mark.parametrize("turned", [False, True])
async def test_a_response_and_its_new_patient_come_in_one_transaction(
    runtime: Runtime, http: httpx.AsyncClient, *, turned: bool
) -> None:
    entries = both(form(1))[:: -1 if turned else 1]
    answer = await post(http, *entries)
    assert answer.status_code == 200, answer.text
    found = answer.json()["entry"][:: -1 if turned else 1]
    assert statuses(found) == ["201", "201"]
    person = f"Patient/{id_in(found[1])}"
    assert found[0]["resource"]["subject"] == {"reference": person}
    (event,) = await said(runtime, "score-finalized")
    assert event.subject == person
    assert event.entries[f"{ADDRESS}/{person}"] == found[1]["resource"]
    assert score_in(event)["subject"]["reference"] == f"{ADDRESS}/{person}"
    (alert,) = await said(runtime, "safety-alert")
    assert alert.subject == person
    assert [each.focus["id"] for each in await said(runtime, "patient-changed")][-1] == id_in(found[1])


async def test_the_same_transaction_under_one_key_is_one_response_and_one_alert(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": "k-1"}
    answers = [await post(http, *both(form(1)), **key) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert {answer.status_code for answer in answers} == {200}
    assert len(await stored(runtime, NORTH, "QuestionnaireResponse")) == 1
    assert len(await said(runtime, "safety-alert")) == 1
    other = await post(http, *both(form(0)), **key)
    assert other.status_code == 422
