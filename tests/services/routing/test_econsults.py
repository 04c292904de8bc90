"""Promises of eConsults: nobody speaks in another's name, every question has its time, and is answered once."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.builders.econsults import CASE_REVIEW
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.caring import CLINICIAN, PERSON, add_person
from tests.support.runtime import NORTH, Resource, http_of, stored, token
from tests.support.terminology import unknown_codings

ASKER, ASKED = {"reference": "Practitioner/dr-1"}, {"reference": "Practitioner/dr-2"}
COLLEAGUE = token(NORTH, "clinician", "Practitioner/dr-2")


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await add_person(runtime)
    async with http_of(runtime, service) as client:
        yield client


def message(code: str, **members: Any) -> Resource:
    return {
        "resourceType": "Communication",
        "status": "in-progress",
        "category": [{"coding": [{"system": CASE_REVIEW, "code": code}]}],
        "subject": PERSON,
        "sender": ASKER,
        "recipient": [ASKED],
        "payload": [{"contentString": "What do you think?"}],
        **members,
    }


def answer(question: str, **members: Any) -> Resource:
    to = {"inResponseTo": [{"reference": f"Communication/{question}"}]}
    return message("econsult-answer", **{"status": "completed", "sender": ASKED, "recipient": [ASKER], **to, **members})


async def send(http: httpx.AsyncClient, body: Resource, headers: dict[str, str] = CLINICIAN) -> httpx.Response:
    return await http.post("Communication", json=body, headers=headers)


async def test_what_is_no_question_or_in_anothers_name_is_not_sent(runtime: Runtime, http: httpx.AsyncClient) -> None:
    assert (await send(http, message("econsult-question"), COLLEAGUE)).status_code == 403
    assert (await send(http, message("econsult-question"), token(NORTH, "clinician"))).status_code == 403
    for body in (
        message("agree"),
        message("econsult-question", recipient=[ASKED], status="completed"),
        message("econsult-question", subject={"reference": "Patient/nobody"}),
        answer("nothing", sender=ASKER),
    ):
        assert (await send(http, body)).status_code == 422
    assert await stored(runtime, NORTH, "Communication") == await stored(runtime, NORTH, "Task") == []


@pytest.mark.parametrize(("priority", "due"), [("stat", "2026-11-21T13:"), ("routine", "2026-12-19T09:")])
async def test_a_question_says_until_when_it_is_answered_and_is_seen_when_overdue(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None], priority: str, due: str
) -> None:
    asked = (await send(http, message("econsult-question", priority=priority))).json()
    (task,) = await stored(runtime, NORTH, "Task")
    assert task["restriction"]["period"]["end"].startswith(due)
    assert (task["owner"], task["focus"]) == (ASKED, {"reference": f"Communication/{asked['id']}"})
    found = await http.get("Task?code=answer-econsult&status=requested&due=lt2027-01-01", headers=COLLEAGUE)
    assert [each["resource"]["id"] for each in found.json()["entry"]] == [task["id"]]
    for each in (asked, task):
        validation.check(encode(each), each["resourceType"])
        assert unknown_codings(each) == []
        emitted(each)


async def test_a_question_is_answered_once_by_somebody_else_about_the_same_person(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await add_person(runtime, "p2")
    asked = (await send(http, message("econsult-question"))).json()["id"]
    assert (await send(http, answer(asked, sender=ASKER))).status_code == 422
    assert (await send(http, answer(asked, subject={"reference": "Patient/p2"}), COLLEAGUE)).status_code == 422
    assert (await stored(runtime, NORTH, "Task"))[0]["status"] == "requested"
    assert (await send(http, answer(asked), COLLEAGUE)).status_code == 201
    assert (await send(http, answer(asked), COLLEAGUE)).status_code == 422
    (task,) = await stored(runtime, NORTH, "Task")
    assert (task["status"], task["output"][0]["valueReference"]) == ("completed", ASKED)
    assert {each["status"] for each in await stored(runtime, NORTH, "Communication")} == {"completed"}
