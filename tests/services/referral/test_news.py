"""Promises of what goes back to who referred: the least that says it, in BSeR's words, and copies that can be read."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import orjson
import pytest
from stepwell_referral.app import service
from stepwell_referral.builders import news as builders
from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS
from stepwell_referral.use_cases.news import news
from stepwell_referral.use_cases.partners import take_news
from stepwell_shared.canonical import code_system, instant, topic
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import Entry
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.federation.partners import Partner, save_partner
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referral_events, referrals
from tests.services.referral.booking import COORDINATOR, ask, put_in, schedule, slot
from tests.services.referral.partnering import add_practice, caller_of, referral
from tests.shared.federation.pairs import HUB_URL, hub
from tests.support.door import door_for
from tests.support.runtime import NORTH, START, URLS, http_of, received, stored

KEPT = "KEPT"
Resource = dict[str, Any]


@pytest.fixture
async def partner(runtime: Runtime) -> Partner:
    """The hub, which is asked for tier 3."""
    partner = hub()
    await save_partner(runtime.database, partner, START)
    (place,) = [each for each in await stored(runtime, NORTH, "HealthcareService") if each["id"] == "default-tier-3"]
    change = {**place, "providedBy": {"reference": partner.organization}}
    await runtime.store.commit(UnitOfWork(NORTH, [built(runtime.engine, change, runtime.clock(), version=2)]))
    return partner


def letter(**changed: Any) -> Resource:
    return {
        "resourceType": "DocumentReference",
        "id": "d1",
        "meta": {"versionId": "1"},
        "status": "current",
        "subject": {"reference": "Patient/there"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "aGk="}}],
        **changed,
    }


def appointment(**changed: Any) -> Resource:
    return {
        "resourceType": "Appointment",
        "id": "a1",
        "meta": {"versionId": "1"},
        "status": "booked",
        "start": "2026-12-01T09:00:00Z",
        "end": "2026-12-01T09:50:00Z",
        "participant": [{"actor": {"reference": "Patient/there", "display": KEPT}, "status": "accepted"}],
        **changed,
    }


def told(
    task: Resource, *besides: Resource, base_url: str = HUB_URL, version: int = 5, **changed: Any
) -> ReceivedEvent:
    """The hub's news of a referral with what it sends beside the Task."""
    theirs = {
        "resourceType": "Task",
        "id": "there",
        "meta": {"versionId": str(version)},
        "identifier": task["identifier"],
        "status": "completed",
        "intent": "order",
        "output": [{"type": {"text": "note"}, "valueReference": {"reference": "DocumentReference/d1"}}],
        **changed,
    }
    found = [(f"{HUB_URL}/Task/there", theirs)]
    found += [(f"{base_url}/{each['resourceType']}/{each['id']}", each) for each in besides]
    return received(topic("referral-changed"), found, number=version)


async def referred(runtime: Runtime) -> Resource:
    await hear(runtime, assigned(accepted(assignment("s1"))))
    (task,) = await referrals(runtime, NORTH)
    return task


async def test_what_is_not_the_partners_or_not_valid_is_not_kept_and_the_state_follows_all_the_same(
    runtime: Runtime, partner: Partner
) -> None:
    task = await referred(runtime)
    broken = letter(status="no such status")
    person = {"resourceType": "Patient", "id": "p9", "meta": {"versionId": "1"}}
    await take_news(runtime, partner, told(task, broken, person))
    await take_news(runtime, partner, told(task, letter(), base_url="https://other.example.org/fhir", version=6))
    (after,) = await referrals(runtime, NORTH)
    assert after["status"] == "completed"
    assert after["output"][0]["valueReference"]["reference"] == f"{HUB_URL}/DocumentReference/d1"
    assert await stored(runtime, NORTH, "DocumentReference") == []
    assert [each for each in await stored(runtime, NORTH, "Patient") if each["id"] == "p9"] == []


async def test_times_and_reports_are_kept_once_about_our_own_person_and_the_task_names_our_copy(
    runtime: Runtime, partner: Partner, emitted: Callable[[Resource], None]
) -> None:
    task = await referred(runtime)
    event = told(task, appointment(), letter())
    for _ in range(2):
        await take_news(runtime, partner, event)
    (document,) = await stored(runtime, NORTH, "DocumentReference")
    (shown,) = await stored(runtime, NORTH, "Appointment")
    (after,) = await referrals(runtime, NORTH)
    assert after["output"][0]["valueReference"]["reference"] == f"DocumentReference/{document['id']}"
    assert document["subject"] == task["for"]
    assert [each["actor"] for each in shown["participant"]] == [task["for"]]
    assert document["meta"]["source"] == f"{HUB_URL}/DocumentReference/d1/_history/1"
    assert {each["meta"]["versionId"] for each in (document, shown)} == {"1"}
    for each in (document, shown, after):
        emitted(each)


async def test_the_least_goes_back_with_the_times_that_were_made_and_the_letter_that_is_named(runtime: Runtime) -> None:
    practice = await add_practice(runtime, "north-practice")
    task = {
        "resourceType": "Task",
        "id": "t1",
        "meta": {"versionId": "3"},
        "identifier": [{"system": "https://stepwell.health/fhir/NamingSystem/referral", "value": "x"}],
        "status": "completed",
        "businessStatus": {"coding": [{"system": BSER_BUSINESS_STATUS, "code": "5.1.4"}], "text": "It took place"},
        "intent": "order",
        "focus": {"reference": "ServiceRequest/s1"},
        "for": {"reference": "Patient/there", "display": KEPT},
        "owner": {"reference": "HealthcareService/default-tier-3"},
        "reasonCode": {"text": KEPT},
        "input": [{"type": {"text": "x"}, "valueString": KEPT}],
        "output": [{"type": {"text": "note"}, "valueReference": {"reference": "DocumentReference/d1"}}],
    }
    based = {"basedOn": [{"reference": "ServiceRequest/s1"}], "comment": KEPT}
    actor = {"reference": "HealthcareService/default-tier-3"}
    place = {"actor": actor, "status": "accepted"}
    await put_in(
        runtime,
        letter(context={"sourcePatientInfo": {"display": KEPT}}),
        letter(id="d2", description=KEPT),
        appointment(**based, participant=[*appointment()["participant"], place]),
        appointment(id="a2", status="pending", description=KEPT, **based),
        appointment(id="a3", description=KEPT),
    )
    entry = Entry(f"{URLS['referral']}/Task/t1", msgspec.Raw(encode(task)))
    entries = await news(runtime, practice, PendingEvent((1, 1), "x", "Task/t1", [entry], None, START))
    assert [each.full_url.rsplit("/", 2)[1:] for each in entries] == [
        *(["Task", "t1"], ["Appointment", "a1"], ["DocumentReference", "d1"])
    ]
    crossed = b"".join(bytes(each.resource) for each in entries)
    assert KEPT.encode() not in crossed
    assert b"7.0" in crossed
    assert b"5.1.4" not in crossed
    for each in entries:
        validation.check(bytes(each.resource), each.full_url.rsplit("/", 2)[1])


def test_our_own_code_stays_beside_bsers_and_words_stay_with_their_state() -> None:
    own = {"system": code_system("task"), "code": "only-parts"}
    task = {"status": "in-progress", "businessStatus": {"coding": [own], "text": "Only parts"}}
    found = builders.with_business_state(task)["businessStatus"]
    assert ([each["code"] for each in found["coding"]], found["text"]) == (["only-parts", "3.0"], "Only parts")
    accepted_then = {"coding": [{"system": BSER_BUSINESS_STATUS, "code": "2.0"}], "text": "Referred"}
    moved = builders.with_business_state({"status": "accepted", "businessStatus": accepted_then})["businessStatus"]
    assert (moved["coding"][0]["code"], moved["text"]) == ("3.0", "Accepted")
    draft = {"status": "entered-in-error", "businessStatus": accepted_then}
    assert builders.with_business_state(draft) == draft


async def test_a_time_that_moves_is_told_to_who_referred(runtime: Runtime) -> None:
    practice = await add_practice(runtime, "alder")
    async with door_for(runtime, caller_of(practice)) as door:
        assert (await door.post("", json=referral("alder"))).status_code == 200
    (task,) = await referrals(runtime, NORTH)
    times = [START + timedelta(days=day) for day in (2, 3)]
    await put_in(runtime, schedule(), *(slot(f"s{number}", start) for number, start in enumerate(times)))
    async with http_of(runtime, service) as http:
        accepted_there = {**task, "status": "accepted"}
        assert (await http.put(f"Task/{task['id']}", json=accepted_there, headers=COORDINATOR)).status_code == 200
        booked = await ask(http, "book", slot="Slot/s0", patient_reference=task["for"]["reference"])
        assert booked.status_code == 200, booked.text
        made = booked.json()["entry"][0]["resource"]
        moved = await ask(http, "reschedule", at=f"{made['id']}/", slot="Slot/s1")
        assert moved.status_code == 200, moved.text
    heard = [each.focus for each in await referral_events(runtime, NORTH)]
    told = []
    for each in heard[-2:]:
        entry = Entry(f"{URLS['referral']}/Task/{task['id']}", msgspec.Raw(encode(each)))
        entries = await news(runtime, practice, PendingEvent((1, 1), "x", f"Task/{task['id']}", [entry], None, START))
        told.append([orjson.loads(bytes(part.resource)).get("start") for part in entries[1:]])
    assert [each["meta"]["versionId"] for each in heard[-2:]] == ["3", "4"]
    assert told == [[instant(times[1])]] * 2
