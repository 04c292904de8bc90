"""Promises of advice between organisations: asked and answered once, by who may, and nobody's care moves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from stepwell_referral.app import listens
from stepwell_referral.builders import Placer, outgoing_cancellation
from stepwell_referral.builders import advice as builders
from stepwell_referral.subscriptions import PATIENT_CHANGED
from stepwell_referral.use_cases.news import news
from stepwell_referral.use_cases.partners import advice_behind, concerns, outgoing, take_news
from stepwell_shared.canonical import code_system, topic
from stepwell_shared.events.bodies import completed
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import decode_payload
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.federation.partners import Partner, save_partner
from stepwell_shared.federation.terms import ADVICE, REFERRAL, Terms
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.referral.partnering import PRACTICE_URL, add_practice, caller_of, person
from tests.services.referral.test_partners import consents
from tests.shared.federation.pairs import HUB_URL, hub
from tests.support.consents import opt_in
from tests.support.door import door_for
from tests.support.runtime import NORTH, START, URLS, announced, received, stored, token

KEPT = "KEPT"
BOTH = Terms(frozenset({REFERRAL, ADVICE}))
DOCTOR = "Practitioner/dr-1"
CLINICIAN = token(NORTH, "clinician", DOCTOR)
COORDINATOR = token(NORTH, "coordinator", "Practitioner/coordinator")
Resource = dict[str, Any]


@pytest.fixture
async def partner(runtime: Runtime) -> Partner:
    """The hub, which takes questions; the person is known and consents."""
    partner = replace(hub(shared=frozenset()), taken_there=BOTH)
    await save_partner(runtime.database, partner, START)
    patient = {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {"versionId": "1"},
        "name": [{"family": "Example"}],
        "telecom": [{"system": "phone", "value": KEPT}],
        "contact": [{"name": {"text": KEPT}}],
    }
    heard = received(topic("patient-changed"), [(f"{URLS['screening']}/Patient/p1", patient)])
    await listens(runtime)[PATIENT_CHANGED](heard, NORTH)
    await consents(runtime, opt_in("p1"))
    return partner


def message(code: str, **changed: Any) -> Resource:
    return {
        "resourceType": "Communication",
        "status": "in-progress",
        "category": [{"coding": [{"system": code_system("case-review"), "code": code}]}],
        "subject": {"reference": "Patient/p1"},
        "sender": {"reference": DOCTOR, "display": "Dr Practice"},
        "recipient": [{"reference": "Organization/partner-hub"}],
        "payload": [{"contentString": "Would you change the medicine?"}],
        "note": [{"text": KEPT}],
        "about": [{"display": KEPT}],
        **changed,
    }


async def asked(http: httpx.AsyncClient, **changed: Any) -> httpx.Response:
    return await http.post("Communication", json=message(builders.QUESTION, **changed), headers=CLINICIAN)


async def pending(runtime: Runtime) -> PendingEvent:
    """The newest event about advice as delivery takes it."""
    async with runtime.database.transaction(NORTH) as connection:
        rows = await connection.fetch(
            "SELECT subject, focus, payload FROM outbox WHERE topic = $1 ORDER BY position", topic("advice-changed")
        )
    (entries,) = await completed(runtime.database, NORTH, [decode_payload(rows[-1]["payload"])])
    return PendingEvent((1, 1), rows[-1]["subject"], rows[-1]["focus"], entries, None, START)


async def only(runtime: Runtime, resource_type: str) -> Resource:
    (found,) = [each for each in await stored(runtime, NORTH, resource_type) if each.get("status") != "preparation"]
    return found


def answered(task: Resource, status: str = "completed", version: int = 3, **changed: Any) -> ReceivedEvent:
    """The hub's news of our question."""
    output = [{"type": {"text": "answer"}, "valueReference": {"reference": "Communication/a1"}}]
    theirs = {
        "resourceType": "Task",
        "id": "there",
        "meta": {"versionId": str(version)},
        "identifier": task["identifier"],
        "status": status,
        "intent": "order",
        **({"output": output} if status == "completed" else {}),
    }
    answer = {
        "resourceType": "Communication",
        "id": "a1",
        "meta": {"versionId": "1"},
        "status": "completed",
        "sender": {"display": "Dr Hub"},
        "payload": [{"contentString": "No, wait for two weeks."}],
        **changed,
    }
    found = [(f"{HUB_URL}/Task/there", theirs)]
    found += [(f"{HUB_URL}/Communication/a1", answer)] if status == "completed" else []
    return received(topic("advice-changed"), found, number=version)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"sender": {"reference": "Practitioner/other"}}, 403),
        ({"recipient": [{"reference": "Organization/default-organization"}]}, 422),
        ({"recipient": [{"reference": "Organization/partner-hub"}, {"reference": DOCTOR}]}, 422),
        ({"subject": {"reference": "Patient/nobody"}}, 422),
        ({"status": "completed"}, 422),
        ({"payload": [{"contentString": " "}]}, 422),
    ],
    ids=["name", "no-partner", "two", "unknown-person", "answered", "empty"],
)
async def test_a_question_that_cannot_be_asked_is_refused(
    runtime: Runtime, partner: Partner, http: httpx.AsyncClient, changed: Resource, status: int
) -> None:
    assert (await asked(http, **changed)).status_code == status
    assert await stored(runtime, NORTH, "Task") == []


async def test_a_partner_that_takes_no_questions_is_asked_none(
    runtime: Runtime, partner: Partner, http: httpx.AsyncClient
) -> None:
    await save_partner(runtime.database, replace(partner, taken_there=Terms()), START)
    assert (await asked(http)).status_code == 422


async def test_a_person_asks_nobody_elses_organisation(partner: Partner, http: httpx.AsyncClient) -> None:
    body = message(builders.QUESTION, sender={"reference": "Patient/p1"})
    answer = await http.post("Communication", json=body, headers=token(NORTH, "clinician", "Patient/p1"))
    assert answer.status_code == 403


async def test_without_a_consent_no_question_leaves(
    runtime: Runtime, partner: Partner, http: httpx.AsyncClient
) -> None:
    assert (await asked(http)).status_code == 201
    await consents(runtime, {**opt_in("p1"), "status": "inactive"}, 2)
    assert (await outgoing(runtime, partner, await pending(runtime))).entries == []
    assert (await only(runtime, "Task"))["businessStatus"]["coding"][0]["code"] == "not-consented"


async def test_a_question_leaves_with_the_least_and_without_a_request_for_care(
    runtime: Runtime, partner: Partner, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    assert (await asked(http, basedOn=[{"reference": "ServiceRequest/ours"}])).status_code == 201
    event = await pending(runtime)
    assert await concerns(runtime, partner, event)
    sent = (await outgoing(runtime, partner, event)).entries
    assert [each["resource"]["resourceType"] for each in sent] == ["Patient", "Communication", "Task"]
    assert [word for word in (KEPT, "ServiceRequest", "Dr Practice", "phone") if word in str(sent)] == []
    assert "change the medicine" in str(sent)
    for each in sent:
        validation.check(encode(each["resource"]), each["resource"]["resourceType"])
    task = await only(runtime, "Task")
    assert task["basedOn"] == [{"reference": "ServiceRequest/ours"}]
    assert {each.topic for each in await announced(runtime, NORTH)} >= {"advice-changed"}
    assert "referral-changed" not in {each.topic for each in await announced(runtime, NORTH)}
    emitted(task)


async def test_the_answer_is_kept_once_and_closes_the_question(
    runtime: Runtime, partner: Partner, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    question = (await asked(http)).json()
    task = await only(runtime, "Task")
    await take_news(runtime, partner, answered(task, "requested", 1))
    for _ in range(2):
        await take_news(runtime, partner, answered(task))
    await take_news(runtime, partner, answered(task, "in-progress", 2))
    after = await only(runtime, "Task")
    messages = {each["id"]: each for each in await stored(runtime, NORTH, "Communication")}
    assert (after["status"], messages.pop(question["id"])["status"]) == ("completed", "completed")
    ((id_, answer),) = messages.items()
    assert after["output"][0]["valueReference"]["reference"] == f"Communication/{id_}"
    assert answer["payload"][0]["contentString"] == "No, wait for two weeks."
    assert (answer["subject"], answer["recipient"]) == (question["subject"], [question["sender"]])
    assert answer["inResponseTo"] == [{"reference": f"Communication/{question['id']}"}]
    emitted(answer)


async def test_advice_becomes_a_referral_that_names_the_answer_by_the_partners_own_address(
    runtime: Runtime, partner: Partner, http: httpx.AsyncClient
) -> None:
    await asked(http)
    await take_news(runtime, partner, answered(await only(runtime, "Task")))
    (answer,) = [each for each in await stored(runtime, NORTH, "Communication") if "inResponseTo" in each]
    request = {"supportingInfo": [{"reference": f"Communication/{answer['id']}"}, {"display": "x"}]}
    assert await advice_behind(runtime, partner, request) == [f"{HUB_URL}/Communication/a1"]
    other = hub(name="other", base_url="https://other.example.org/fhir")
    assert await advice_behind(runtime, other, request) == []


def question_of(name: str) -> Resource:
    """The transaction Bundle of one question of this practice."""
    placer = Placer(PRACTICE_URL, f"Organization/partner-{name}", frozenset())
    question = {**message(builders.QUESTION), "id": "q1"}
    task = builders.advice_task(question, task_id="t1", owner="Organization/partner-hub", at=START, due=START)
    owner = "Organization/default-organization"
    entries = builders.outgoing_question(task, question, person(), placer, owner=owner)
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@pytest.fixture
async def alder(runtime: Runtime) -> Partner:
    """A practice that asks us."""
    alder = replace(await add_practice(runtime, "alder"), taken_here=BOTH)
    await save_partner(runtime.database, alder, START)
    return alder


async def sent_by(runtime: Runtime, partner: Partner, body: Resource) -> httpx.Response:
    async with door_for(runtime, caller_of(partner)) as practice:
        return await practice.post("", json=body)


async def test_a_hub_takes_questions_of_partners_that_may_ask_about_their_own_people_and_once(
    runtime: Runtime, alder: Partner
) -> None:
    birch = await add_practice(runtime, "birch")
    assert (await sent_by(runtime, birch, question_of("birch"))).status_code == 403
    assert (await sent_by(runtime, alder, question_of("birch"))).status_code in {403, 422}
    foreign = question_of("alder")
    foreign["entry"] = foreign["entry"][1:]
    for each in foreign["entry"]:
        each["resource"] |= {
            name: {"reference": "Patient/x"} for name in ("subject", "for") if name in each["resource"]
        }
    assert (await sent_by(runtime, alder, foreign)).status_code in {403, 422}
    assert await stored(runtime, NORTH, "Communication") == []
    for _ in range(2):
        assert (await sent_by(runtime, alder, question_of("alder"))).status_code == 200
    counts = [
        len(await stored(runtime, NORTH, name)) for name in ("Patient", "Communication", "Task", "ServiceRequest")
    ]
    assert counts == [1, 1, 1, 0]


async def test_a_question_is_answered_once_by_people_and_goes_back_with_what_they_said_and_no_more(
    runtime: Runtime, alder: Partner, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await sent_by(runtime, alder, question_of("alder"))
    task, question = await only(runtime, "Task"), await only(runtime, "Communication")
    moved = await http.put(f"Task/{task['id']}", json={**task, "status": "completed"}, headers=COORDINATOR)
    assert (moved.status_code, "an answer closes it" in moved.text) == (422, True)
    back = await http.put(f"Task/{task['id']}", json={**task, "status": "cancelled"}, headers=COORDINATOR)
    assert (back.status_code, "says no" in back.text) == (422, True)
    accepted = await http.put(f"Task/{task['id']}", json={**task, "status": "accepted"}, headers=COORDINATOR)
    assert accepted.status_code == 200, accepted.text
    body = message(
        builders.ANSWER,
        status="completed",
        subject=question["subject"],
        recipient=[question["sender"]],
        inResponseTo=[{"reference": f"Communication/{question['id']}"}],
    )
    elsewhere = {**body, "recipient": [{"reference": DOCTOR}]}
    assert (await http.post("Communication", json=elsewhere, headers=CLINICIAN)).status_code == 422
    assert (await http.post("Communication", json=body, headers=CLINICIAN)).status_code == 201
    assert (await http.post("Communication", json=body, headers=CLINICIAN)).status_code == 422
    after = await only(runtime, "Task")
    assert after["status"] == "completed"
    entries = await news(runtime, alder, await pending(runtime))
    assert [each.full_url.rsplit("/", 2)[1] for each in entries] == ["Task", "Communication"]
    crossed = b"".join(bytes(each.resource) for each in entries)
    assert (KEPT.encode() in crossed, b"Dr Practice" in crossed, b"7.0" in crossed) == (False, True, True)
    for each in (after, *(orjson.loads(bytes(entry.resource)) for entry in entries)):
        validation.check(encode(each), each["resourceType"])
        emitted(each)
    assert await stored(runtime, NORTH, "ServiceRequest") == []
    waiting = await http.get("HealthcareService/default-tier-3/$queue", headers=COORDINATOR)
    assert waiting.json()["parameter"] == [{"name": "people", "valueUnsignedInt": 0}]


async def test_a_question_that_is_taken_back_is_closed_on_both_sides(
    runtime: Runtime, alder: Partner, http: httpx.AsyncClient
) -> None:
    await sent_by(runtime, alder, question_of("alder"))
    task = {**await only(runtime, "Task")}
    ours = {**task, "identifier": [{"system": builders.ADVICE_IDENTIFIERS, "value": "t1"}]}
    placer = Placer(PRACTICE_URL, "Organization/partner-alder", frozenset())
    abort = outgoing_cancellation(ours, placer, owner="Organization/default-organization")
    body = {"resourceType": "Bundle", "type": "transaction", "entry": abort}
    assert (await sent_by(runtime, alder, body)).status_code == 200
    tasks = {each["id"]: each["status"] for each in await stored(runtime, NORTH, "Task")}
    assert tasks[task["id"]] == "cancelled"


async def test_who_asked_takes_a_question_back_and_moves_it_no_other_way(
    runtime: Runtime, partner: Partner, http: httpx.AsyncClient
) -> None:
    await asked(http)
    task = await only(runtime, "Task")
    refused = await http.put(f"Task/{task['id']}", json={**task, "status": "accepted"}, headers=CLINICIAN)
    assert (refused.status_code, "takes it back" in refused.text) == (422, True)
    taken_back = await http.put(f"Task/{task['id']}", json={**task, "status": "cancelled"}, headers=CLINICIAN)
    assert taken_back.status_code == 200
    assert (await only(runtime, "Communication"))["status"] == "stopped"
    event = await pending(runtime)
    assert await concerns(runtime, partner, event)
    assert (await outgoing(runtime, partner, event)).alone
