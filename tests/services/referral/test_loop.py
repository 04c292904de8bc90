"""Promises of the closed loop over HTTP: only allowed moves succeed, a No asks elsewhere, people are told, once."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_referral.use_cases.due import tell_of_due
from stepwell_shared.canonical import code_system
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referrals
from tests.services.referral.rules.test_loop_machine import CONTRACT
from tests.support.runtime import NORTH, Clock, announced, stored, token

CLINICIAN, COORDINATOR = token(NORTH, "clinician"), token(NORTH, "coordinator")
OPEN = {"draft", "requested", "received", "accepted", "in-progress", "on-hold"}
STATUSES = [*sorted(OPEN), "rejected", "cancelled", "failed", "completed", "entered-in-error", "ready"]
Resource = dict[str, Any]


@pytest.fixture
async def task(runtime: Runtime) -> Resource:
    """A referral that was requested."""
    await hear(runtime, assigned(accepted(assignment())))
    (found,) = await referrals(runtime)
    return found


def no(code: str = "no-capacity", status: str = "rejected") -> Resource:
    coding = {"system": code_system("decline-reason"), "code": code}
    return {"status": status, "statusReason": {"coding": [coding], "text": "said by the place"}}


async def put(
    http: httpx.AsyncClient, task: Resource, headers: dict[str, str] = COORDINATOR, **changed: Any
) -> httpx.Response:
    body = {name: value for name, value in {**task, **changed}.items() if value is not None}
    return await http.put(f"Task/{task['id']}", json=body, headers=headers)


async def move(http: httpx.AsyncClient, task: Resource, *statuses: str) -> Resource:
    for status in statuses:
        answer = await put(http, task, status=status)
        assert answer.status_code == 200, answer.text
        task = answer.json()
    return task


async def beside(runtime: Runtime, code: str) -> list[Resource]:
    found = await stored(runtime, NORTH, "Task")
    return [each for each in found if each["code"]["coding"][0]["code"] == code]


async def told(runtime: Runtime, category: str = "notification") -> list[Resource]:
    found = await stored(runtime, NORTH, "Communication")
    named = [each for each in found if "category" in each]
    return [each for each in named if each["category"][0]["coding"][0]["code"] == category]


async def timers(runtime: Runtime) -> dict[str, Any]:
    async with runtime.database.transaction(NORTH) as connection:
        rows = await connection.fetch("SELECT task_id, due_at FROM referral_timer")
    return {row["task_id"]: row["due_at"] for row in rows}


async def another_place(http: httpx.AsyncClient) -> None:
    """A second place of the tier, as a site enters it."""
    known = (await http.get("HealthcareService/default-tier-3", headers=COORDINATOR)).json()
    place = {name: value for name, value in known.items() if name != "meta"} | {"id": "other", "name": "Another"}
    answer = await http.put("HealthcareService/other", json=place, headers=COORDINATOR)
    assert answer.status_code == 201, answer.text


def said(message: Resource) -> str:
    return str(message["payload"][-1]["contentString"])


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"status": None, "_status": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                                                     "valueCode": "unknown"}]}}, "Task.status"),
        ({"status": "rejected"}, "Task.statusReason"),
        ({"status": "rejected", "statusReason": {"text": "no"}}, "Task.statusReason"),
        ({"status": "rejected", "statusReason": {"coding": no()["statusReason"]["coding"]}}, "Task.statusReason.text"),
        ({"status": "accepted", "statusReason": {"coding": [{"code": "x"}]}}, "Task.statusReason.text"),
        ({"businessStatus": {"coding": [{"system": "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS",
                                         "code": "5.2"}]}}, "Task.businessStatus"),
        ({"output": [{"type": {"text": "note"}, "valueReference": {"reference": "DocumentReference/none"}}]},
         "Task.output[0].value"),
        ({"output": [{"type": {"text": "note"}, "valueReference": {"reference": "Patient/p1"}}]},
         "Task.output[0].value"),
    ],
)  # fmt: skip
async def test_what_leaves_the_next_step_open_is_refused(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, changed: Resource, place: str
) -> None:
    refused = await put(http, task, **changed)
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, [place])
    assert await referrals(runtime) == [task]


async def test_a_no_asks_the_next_best_place_in_the_same_commit_until_people_must_look(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, emitted: Callable[[Resource], None]
) -> None:
    await another_place(http)
    assert (await put(http, task, **no())).status_code == 200
    first, second = await referrals(runtime)
    assert (first["status"], second["status"]) == ("rejected", "requested")
    assert second["focus"] == task["focus"]
    assert {first["owner"]["reference"], second["owner"]["reference"]} == {
        "HealthcareService/default-tier-3",
        "HealthcareService/other",
    }
    assert "cannot take you: it has no free place" in said((await told(runtime))[-1])
    assert (await put(http, second, **no("language"))).status_code == 200
    third = (await referrals(runtime))[-1]
    assert (third["status"], "owner" in third) == ("requested", False)
    assert (await timers(runtime))[third["id"]] <= runtime.clock()
    assert len(await beside(runtime, "interim-support")) == 1
    for each in (first, second, third, *await told(runtime)):
        emitted(each)


async def test_a_no_that_no_machine_can_answer_is_a_task_of_people(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, emitted: Callable[[Resource], None]
) -> None:
    assert (await put(http, task, **no("other-care-needed"))).status_code == 200
    (decide,) = await beside(runtime, "next-step")
    assert decide["focus"]["reference"] == f"Task/{task['id']}"
    assert len(await referrals(runtime)) == 1
    assert await tell_of_due(runtime, [NORTH]) == 1
    (alert,) = await told(runtime, "alert")
    assert alert["about"] == [{"reference": f"Task/{decide['id']}"}]
    refused = await put(http, decide, status="draft")
    assert (refused.status_code, "completed" in refused.text) == (422, True)
    assert (await put(http, decide, status="completed")).status_code == 200
    assert (await timers(runtime))[decide["id"]] is None
    for each in (decide, alert):
        emitted(each)


async def test_a_transfer_goes_to_the_place_that_is_named(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    await another_place(http)
    task = await move(http, task, "accepted")
    kind = {"coding": [{"system": code_system("task"), "code": "transfer-to"}]}
    place = {"reference": "HealthcareService/other"}
    changed = {**no("transferred", "cancelled"), "output": [{"type": kind, "valueReference": place}]}
    assert (await put(http, task, **changed)).status_code == 200
    assert (await referrals(runtime))[-1]["owner"]["reference"] == place["reference"]


async def test_the_person_is_told_where_when_what_helps_until_then_and_how_to_say_no(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, emitted: Callable[[Resource], None]
) -> None:
    (message,) = await told(runtime)
    assert message["recipient"] == [task["for"]]
    open_part, closed_part = (each["contentString"] for each in message["payload"])
    assert task["owner"]["display"] not in open_part
    for part in (task["note"][-1]["text"], "trained staff of your practice", "or say no", "emergency number"):
        assert part in closed_part
    await move(http, task, "received", "accepted", "in-progress", "completed")
    assert len({said(each) for each in await told(runtime)}) == 5
    events = [each.focus["id"] for each in await announced(runtime, NORTH) if each.topic == "communication-changed"]
    assert events == [each["id"] for each in await told(runtime)]
    emitted(message)


async def test_support_while_waiting_is_a_request_and_a_task_that_asks_again_and_ends_with_the_wait(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, emitted: Callable[[Resource], None]
) -> None:
    (support,) = await beside(runtime, "interim-support")
    (request,) = [each for each in await stored(runtime, NORTH, "ServiceRequest") if each["id"] == support["id"]]
    assert (support["status"], request["status"], request["intent"]) == ("requested", "active", "order")
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += timedelta(days=14, seconds=10)
    await tell_of_due(runtime, [NORTH])
    alerts = [each for each in await told(runtime, "alert") if each["about"][0]["reference"] == f"Task/{support['id']}"]
    assert len(alerts) == 1
    later = (await timers(runtime))[support["id"]]
    assert timedelta(days=13) < later - runtime.clock.now < timedelta(days=15)
    await move(http, task, "accepted", "in-progress")
    (support,) = await beside(runtime, "interim-support")
    assert support["status"] == "completed"
    (request,) = [each for each in await stored(runtime, NORTH, "ServiceRequest") if each["id"] == support["id"]]
    assert request["status"] == "completed"
    assert (await timers(runtime))[support["id"]] is None
    for each in (support, request):
        emitted(each)


async def test_time_outs_tell_one_more_each_time_once_however_many_replicas_run(
    runtime: Runtime, task: Resource, emitted: Callable[[Resource], None]
) -> None:
    assert isinstance(runtime.clock, Clock)
    assert await tell_of_due(runtime, [NORTH]) == 0
    for count in (1, 2, 3):
        runtime.clock.now += timedelta(hours=97)
        await asyncio.gather(*(tell_of_due(runtime, [NORTH]) for _ in range(4)))
        about = {"reference": f"Task/{task['id']}"}
        alerts = [each for each in await told(runtime, "alert") if each["about"] == [about]]
        assert len(alerts) == count
        assert len(alerts[-1]["recipient"]) == count
    emitted(alerts[-1])
    assert all("p1" not in each["contentString"] for alert in alerts for each in alert["payload"])


async def test_what_has_lost_its_request_while_a_place_cares_is_brought_to_people(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    await move(http, task, "accepted", "in-progress")
    await hear(runtime, assigned({**accepted(assignment()), "status": "completed"}, 3))
    (still,) = await referrals(runtime)
    assert still["status"] == "in-progress"
    assert await tell_of_due(runtime, [NORTH]) == 1
    (alert,) = await told(runtime, "alert")
    assert "still open here" in alert["payload"][0]["contentString"]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whoever_moves_what_in_any_order_only_the_contract_succeeds_and_nothing_dangles(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, seed: int
) -> None:
    await another_place(http)
    chance = random.Random(seed)
    sides = {"requester": CLINICIAN, "owner": COORDINATOR}
    for _ in range(40):
        current = chance.choice(await referrals(runtime))
        side, after = chance.choice(sorted(sides)), chance.choice(STATUSES)
        allowed = CONTRACT.get((current["status"], side), set())
        reasons = no(chance.choice(["no-capacity", "not-reached"]), after) if after in {"rejected", "failed"} else {}
        answer = await put(http, current, sides[side], **{**reasons, "status": after})
        expected = 200 if after in allowed or (after == current["status"] and not reasons) else 422
        if after == current["status"] and reasons:
            continue
        assert answer.status_code == expected, (current["status"], side, after, answer.text)
        if expected == 422:
            assert answer.json()["issue"][0]["diagnostics"].endswith(f"{', '.join(sorted(allowed)) or 'nothing'}.")
    due = await timers(runtime)
    everything = await stored(runtime, NORTH, "Task")
    assert {each["id"] for each in everything if each["status"] in OPEN} == {id_ for id_, at in due.items() if at}
    refused = [each for each in await referrals(runtime) if each["status"] in {"rejected", "failed"}]
    names = [str(each.get("input", "")) + str(each["focus"]) for each in everything]
    assert all(any(f"Task/{each['id']}" in name for name in names) for each in refused)


async def test_support_ends_with_the_request_when_nobody_was_left_who_would_give_the_care(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    assert (await put(http, task, **no("declined-by-person"))).status_code == 200
    assert [each["status"] for each in await beside(runtime, "interim-support")] == ["requested"]
    await hear(runtime, assigned({**accepted(assignment()), "status": "revoked"}, 3))
    assert [each["status"] for each in await beside(runtime, "interim-support")] == ["cancelled"]
