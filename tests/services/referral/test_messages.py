"""Promises of messages and documents: a person answers by a stated time, nobody speaks for another, notes come back."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from stepwell_referral.data.loop import message_policy
from stepwell_referral.use_cases.due import tell_of_due
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referrals
from tests.services.referral.test_loop import beside, move, put, said, told
from tests.support.door import door_for
from tests.support.runtime import NORTH, Clock, announced, stored, token

NURSE = token(NORTH, "coordinator", "Practitioner/nurse-1")
Resource = dict[str, Any]


@pytest.fixture
async def person(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """The door as the person comes to it, who prefers Spanish."""
    access = Caller(NORTH, "app", ROLES["patient"], "t", roles=("patient",), fhir_user="Patient/p1", patient="p1")
    spanish = {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}
    await ship(
        runtime.engine,
        NORTH,
        {"resourceType": "Patient", "id": "p1", "communication": [{"language": spanish, "preferred": True}]},
    )
    async with door_for(runtime, access) as client:
        yield client


def message(text: str = "When does it begin?", **changed: Any) -> Resource:
    body = {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "sender": {"reference": "Patient/p1"},
        "payload": [{"contentString": text}],
        **changed,
    }
    return {name: value for name, value in body.items() if value is not None}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"sender": {"reference": "Practitioner/nurse-1"}}, 403),
        ({"sender": None}, 403),
        ({"payload": None}, 422),
        ({"payload": [{"contentString": "x" * (message_policy().characters_max + 1)}]}, 422),
    ],
)
async def test_words_in_anothers_name_empty_or_endless_are_refused(
    runtime: Runtime, person: httpx.AsyncClient, changed: Resource, status: int
) -> None:
    assert (await person.post("Communication", json=message(**changed))).status_code == status
    assert await stored(runtime, NORTH, "Communication") == await stored(runtime, NORTH, "Task") == []


async def test_a_person_hears_at_once_when_a_person_answers_and_whom_to_call_before(
    runtime: Runtime, person: httpx.AsyncClient, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    asked = await person.post("Communication", json=message())
    assert asked.status_code == 201, asked.text
    (receipt,) = await told(runtime)
    (task,) = await beside(runtime, "answer-message")
    assert receipt["language"] == "es"
    assert task["restriction"]["period"]["end"][:10] in said(receipt)
    assert "emergencias" in said(receipt)
    answer = message(
        "On Monday.",
        sender={"reference": "Practitioner/nurse-1"},
        recipient=[{"reference": "Patient/p1"}],
        inResponseTo=[{"reference": f"Communication/{asked.json()['id']}"}],
    )
    wrong = await http.post("Communication", json={**answer, "subject": {"reference": "Patient/p2"}}, headers=NURSE)
    assert wrong.status_code == 422
    assert (await http.post("Communication", json=answer, headers=NURSE)).status_code == 201
    (task,) = await beside(runtime, "answer-message")
    assert task["status"] == "completed"
    assert [each.topic for each in await announced(runtime, NORTH)].count("communication-changed") == 3
    for each in (receipt, task):
        emitted(each)


async def test_an_answer_that_does_not_come_in_time_is_brought_to_people(
    runtime: Runtime, person: httpx.AsyncClient
) -> None:
    await person.post("Communication", json=message())
    assert isinstance(runtime.clock, Clock)
    assert await tell_of_due(runtime, [NORTH]) == 0
    runtime.clock.now += message_policy().reply
    assert await tell_of_due(runtime, [NORTH]) == 1
    (alert,) = await told(runtime, "alert")
    assert alert["recipient"][0]["identifier"]["value"] == "coordinator"


async def test_a_team_with_too_much_to_read_says_so_before_people_wait(
    runtime: Runtime, person: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = message_policy()
    monkeypatch.setattr(
        "stepwell_referral.use_cases.messaging.message_policy",
        lambda: type(policy)(policy.reply, policy.reply_busy, 1, policy.characters_max),
    )
    for _ in range(2):
        assert (await person.post("Communication", json=message())).status_code == 201
    first, second = await beside(runtime, "answer-message")
    assert first["restriction"]["period"]["end"] < second["restriction"]["period"]["end"]
    assert "Muchas personas" in said((await told(runtime))[-1])


async def test_how_a_message_was_brought_is_said_and_what_was_said_stays(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, assigned(accepted(assignment())))
    (waiting,) = await told(runtime)
    address = f"Communication/{waiting['id']}"
    rewritten = {**waiting, "payload": [{"contentString": "something else"}]}
    assert (await http.put(address, json=rewritten, headers=NURSE)).status_code == 422
    sent = {**waiting, "status": "completed", "sent": "2026-11-22T10:00:00Z"}
    assert (await http.put(address, json=sent, headers=NURSE)).status_code == 200


def document(**changed: Any) -> Resource:
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"text": "Consultation note"},
        "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "bm90ZQ=="}}],
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"subject": {"display": "somebody"}}, "DocumentReference.subject"),
        ({"content": [{"attachment": {"contentType": "text/plain"}}]}, "DocumentReference.content[0].attachment"),
        (
            {"content": [{"attachment": {"contentType": "text/plain", "data": "QUFB" * 200_000}}]},
            "DocumentReference.content[0].attachment.data",
        ),
    ],
)
async def test_a_document_about_nobody_without_content_or_too_large_is_refused(
    http: httpx.AsyncClient, changed: Resource, place: str
) -> None:
    refused = await http.post("DocumentReference", json=document(**changed), headers=NURSE)
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, [place])


async def test_a_note_comes_back_on_the_task_and_only_one_about_its_person(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, assigned(accepted(assignment())))
    (task,) = await referrals(runtime)
    task = await move(http, task, "accepted", "in-progress")
    kind = {"text": "Consultation note"}
    made = {}
    for person in ("p1", "p2"):
        note = document(subject={"reference": f"Patient/{person}"})
        answer = await http.post("DocumentReference", json=note, headers=NURSE)
        assert answer.status_code == 201, answer.text
        made[person] = [{"type": kind, "valueReference": {"reference": f"DocumentReference/{answer.json()['id']}"}}]
    refused = await put(http, task, status="completed", output=made["p2"])
    assert (refused.status_code, "somebody else" in refused.text) == (422, True)
    done = await put(http, task, status="completed", output=made["p1"])
    assert done.status_code == 200
    assert made["p1"] in [each.focus.get("output") for each in await announced(runtime, NORTH)]
    emitted(done.json())
