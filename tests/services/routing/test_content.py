"""Promises of the content library: nobody is given what the site has not approved; what was given stays as it was."""

from base64 import b64decode
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.builders.content import CARE_TASK, CONTENT
from stepwell_routing.data.library import shipped_texts
from stepwell_routing.use_cases.content import complete_task, ship_content
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

from tests.services.routing.caring import CLINICIAN, PERSON, SITE, add, add_person, as_patient, parameters
from tests.support.runtime import NORTH, SOUTH, Resource, http_of, stored, token
from tests.support.terminology import unknown_codings

PACING = "ActivityDefinition/pacing-en"
RELATED: Resource = {"reference": "RelatedPerson/r1"}


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await add_person(runtime)
    async with http_of(runtime, service) as client:
        yield client


async def approve(http: httpx.AsyncClient, address: str = PACING) -> httpx.Response:
    draft = (await http.get(address, headers=SITE)).json()
    approved = {**draft, "status": "active", "approvalDate": "2026-11-22", "endorser": [{"name": "Dr. Lead"}]}
    return await http.put(address, json=approved, headers=SITE)


async def deliver(http: httpx.AsyncClient, headers: dict[str, str] = CLINICIAN, **given: Resource) -> httpx.Response:
    body = parameters(**({"subject": {"valueReference": PERSON}} | given))
    return await http.post(f"{PACING}/$deliver", json=body, headers=headers)


async def test_what_the_site_has_not_approved_is_given_to_nobody(runtime: Runtime, http: httpx.AsyncClient) -> None:
    assert (await deliver(http)).status_code == 422
    assert await stored(runtime, NORTH, "Task") == []


@pytest.mark.parametrize("missing", ["approvalDate", "endorser", "useContext", "topic", "relatedArtifact", "title"])
async def test_nothing_is_approved_without_saying_who_approved_what_for_whom(
    http: httpx.AsyncClient, missing: str
) -> None:
    draft = (await http.get(PACING, headers=SITE)).json()
    approved = {**draft, "status": "active", "approvalDate": "2026-11-22", "endorser": [{"name": "Dr. Lead"}]}
    del approved[missing]
    refused = await http.put(PACING, json=approved, headers=SITE)
    assert (refused.status_code, f"ActivityDefinition.{missing}" in refused.text) == (422, True)


async def test_what_was_approved_changes_no_more_and_once_retired_is_given_to_nobody(http: httpx.AsyncClient) -> None:
    approved = (await approve(http)).json()
    changed = await http.put(PACING, json={**approved, "title": "Other words"}, headers=SITE)
    assert (changed.status_code, "ActivityDefinition.title" in changed.text) == (422, True)
    assert (await http.put(PACING, json={**approved, "status": "retired"}, headers=SITE)).status_code == 200
    assert (await http.put(PACING, json=approved, headers=SITE)).status_code == 422
    assert (await deliver(http)).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (token(NORTH, "clinician"), 403),
        (token(NORTH, "analyst", "Practitioner/a1"), 403),
        (token(SOUTH, "clinician", "Practitioner/dr-1"), 422),
        ({}, 401),
    ],
)
async def test_only_a_named_person_who_may_give_tasks_gives_content(
    runtime: Runtime, http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    await approve(http)
    assert (await deliver(http, headers)).status_code == status
    assert await stored(runtime, NORTH, "Task") == []


@pytest.mark.parametrize(
    "subject", [{"reference": "Patient/nobody"}, {"reference": "Practitioner/dr-1"}, {"display": "Alex"}]
)
async def test_content_is_given_to_people_who_are_known(http: httpx.AsyncClient, subject: Resource) -> None:
    await approve(http)
    assert (await deliver(http, subject={"valueReference": subject})).status_code == 422


async def test_family_gets_nothing_until_a_consent_names_them(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await approve(http)
    refused = await deliver(http, recipient={"valueReference": RELATED})
    assert (refused.status_code, "SHARE-RELATED" in refused.text) == (422, True)
    actor = {
        "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
        "reference": RELATED,
    }
    consent = {
        "resourceType": "Consent",
        "id": "c1",
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"text": "sharing"}],
        "patient": PERSON,
        "provision": {"type": "permit", "actor": [actor]},
    }
    await add(runtime, consent)
    given = await deliver(http, recipient={"valueReference": RELATED})
    assert (given.status_code, given.json()["owner"]) == (201, RELATED)
    assert given.json()["for"] == PERSON


async def test_what_was_given_stands_in_the_task_and_is_given_once_while_open(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await approve(http)
    first, again = await deliver(http), await deliver(http)
    assert (first.status_code, again.status_code) == (201, 200)
    (task,) = await stored(runtime, NORTH, "Task")
    assert task == first.json() == again.json()
    text = b64decode(task["contained"][0]["content"][0]["attachment"]["data"]).decode()
    assert text == next(each.text for each in shipped_texts() if (each.topic, each.language) == ("pacing", "en"))
    assert task["requester"] == {"reference": "Practitioner/dr-1"}
    validation.check(encode(task), "Task")
    emitted(task)


async def test_only_the_person_or_the_team_says_that_it_is_done(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await approve(http)
    task = (await deliver(http)).json()
    with pytest.raises(FhirError, match="no Task"):
        await complete_task(runtime, as_patient(runtime, "Task", task["id"], patient="p2"))
    coordinator = await http.post(f"Task/{task['id']}/$complete", headers=token(NORTH, "coordinator"))
    assert coordinator.status_code == 403
    assert (await stored(runtime, NORTH, "Task"))[0]["status"] == "requested"


async def test_that_it_is_done_is_recorded_once_with_who_says_so_and_then_it_can_be_given_again(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await approve(http)
    task = (await deliver(http)).json()
    for _ in range(2):
        await complete_task(runtime, as_patient(runtime, "Task", task["id"]))
    (done,) = await stored(runtime, NORTH, "Task")
    assert (done["status"], done["meta"]["versionId"]) == ("completed", "2")
    assert done["output"][0]["valueReference"] == PERSON
    emitted(done)
    assert (await deliver(http)).json()["id"] != task["id"]
    found = (await http.get("Task?code=use-content&status=completed&patient=p1", headers=CLINICIAN)).json()
    assert [each["resource"]["id"] for each in found["entry"]] == [task["id"]]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("topic=pacing", 4),
        ("topic=pacing&language=de", 1),
        ("context-type-value=audience$family&language=fr", 4),
        ("context-type-value=reading-level$standard", 0),
        ("status=active", 0),
    ],
)
async def test_content_is_found_by_topic_language_audience_and_ease(
    http: httpx.AsyncClient, query: str, count: int
) -> None:
    found = (await http.get(f"ActivityDefinition?{query}&_count=50", headers=CLINICIAN)).json()
    assert len(found.get("entry", ())) == count


async def test_a_site_adds_a_text_of_its_own_and_none_about_a_person(http: httpx.AsyncClient) -> None:
    attachment = {"contentType": "text/plain", "language": "de", "data": "SGFsbG8="}
    text: Resource = {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": attachment}]}
    assert (await http.post("DocumentReference", json={**text, "subject": PERSON}, headers=SITE)).status_code == 422
    linked = {**text, "content": [{"attachment": {**attachment, "data": "", "url": "https://elsewhere.example"}}]}
    del linked["content"][0]["attachment"]["data"]
    assert (await http.post("DocumentReference", json=linked, headers=SITE)).status_code == 422
    assert (await http.post("DocumentReference", json=text, headers=SITE)).status_code == 201


async def test_what_ships_is_valid_reviewed_by_nobody_yet_and_shipped_once(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    await ship_content(runtime, NORTH)
    definitions = await stored(runtime, NORTH, "ActivityDefinition")
    documents = await stored(runtime, NORTH, "DocumentReference")
    assert len(definitions) == len(documents) == len(shipped_texts()) == 16
    assert {each["meta"]["versionId"] for each in (*definitions, *documents)} == {"1"}
    for each in (*definitions, *documents):
        validation.check(encode(each), each["resourceType"])
        emitted(each)
        assert unknown_codings(each) == []
    assert {each["status"] for each in definitions} == {"draft"}
    assert all("approves it" in each["description"] for each in definitions)
    assert {code_system("care-content"), code_system("care-task")} == {CONTENT, CARE_TASK}


@pytest.mark.parametrize("text", shipped_texts(), ids=lambda each: f"{each.topic}-{each.language}")
def test_shipped_sentences_are_short(text: object) -> None:
    words = [len(each.split()) for each in str(getattr(text, "text", "")).replace("?", ".").split(".") if each.strip()]
    assert len(words) >= 8
    assert sum(words) / len(words) <= 16
