"""Promises of queues in a running service: waits from a calendar, who is next, what people hear, and what is shown."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_referral.use_cases.booking_timers import work_on_due
from stepwell_referral.use_cases.paces import paces_of
from stepwell_shared.canonical import extension_url
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import PATIENT, accepted, assigned, assignment, hear
from tests.services.referral.booking import (
    COORDINATOR,
    SERVICE,
    ask,
    extension,
    only,
    person,
    put_in,
    schedule,
    slot,
    waiting_task,
)
from tests.support.runtime import NORTH, SOUTH, START, Clock, announced, http_of, stored, token

Resource = dict[str, Any]


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A calendar with two places on each of the next 40 days, and three people who wait."""
    slots = [slot(f"d{day}", START + timedelta(days=day, hours=3), places=2) for day in range(1, 41)]
    people = [person(name) for name in ("a", "b", "c", "p1")]
    tasks = [waiting_task("t1", "a", 20), waiting_task("t2", "b", 3), waiting_task("t3", "c", 1, "urgent")]
    await put_in(runtime, schedule(), *slots, *people, *tasks)
    async with http_of(runtime, service) as client:
        yield client


def clock_of(runtime: Runtime) -> Clock:
    assert isinstance(runtime.clock, Clock)
    return runtime.clock


async def touch(http: httpx.AsyncClient, **changed: Any) -> None:
    """A site changes its calendar, so that the service is reckoned anew."""
    current = (await http.get("Schedule/calendar", headers=COORDINATOR)).json()
    answer = await http.put("Schedule/calendar", json={**current, **changed}, headers=COORDINATOR)
    assert answer.status_code == 200, answer.text


async def answered(http: httpx.AsyncClient, path: str, headers: dict[str, str] = COORDINATOR) -> list[Resource]:
    answer = await http.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[Resource] = answer.json().get("parameter", [])
    return found


def parts(parameter: Resource) -> Resource:
    return {part["name"]: next(value for name, value in part.items() if name != "name") for part in parameter["part"]}


async def test_the_queue_is_for_the_team_and_says_what_puts_each_before_the_next(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    path = f"HealthcareService/{SERVICE}/$queue"
    assert (await http.get(path, headers=token(NORTH, "analyst"))).status_code == 403
    assert (await http.get(path, headers=token(SOUTH, "coordinator"))).json()["parameter"][0]["valueUnsignedInt"] == 0
    people, *entries = await answered(http, path)
    assert people["valueUnsignedInt"] == 3
    told = [parts(each) for each in entries]
    assert [(each["referral"]["reference"], each["position"]) for each in told] == [
        ("Task/t3", 1),
        ("Task/t1", 2),
        ("Task/t2", 3),
    ]
    assert [each["before-next-because"]["code"] for each in told] == ["QUEUE-URGENCY", "QUEUE-AGEING", "QUEUE-LAST"]
    await hear(runtime, assigned(accepted(assignment())))
    assert len(await answered(http, path)) == 5


async def test_a_person_hears_where_they_stand_and_nothing_of_the_others(http: httpx.AsyncClient) -> None:
    told = {each["name"]: each for each in await answered(http, "Task/t2/$wait")}
    assert told["position"]["valuePositiveInt"] == 3
    assert told["keepable"]["valueBoolean"] is True
    assert told["words"]["valueString"].startswith("Your place: ")
    assert "t1" not in str(told)
    assert "t3" not in str(told)
    only(await ask(http, "book", slot="Slot/d1", patient_reference="Patient/c"))
    assert (await http.get("Task/t3/$wait", headers=COORDINATOR)).status_code == 422
    assert (await answered(http, "Task/t2/$wait"))[0]["valuePositiveInt"] == 2


async def test_waits_come_from_the_calendar_and_change_with_it(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await touch(http, comment="Two rooms")
    assert await work_on_due(runtime, [NORTH]) == 1
    clock_of(runtime).now += timedelta(seconds=10)
    pace = (await paces_of(runtime, NORTH, runtime.clock()))[SERVICE]
    assert (len(pace.calendar), sum(places for _, places in pace.calendar)) == (40, 80)
    assert pace.attended_share == 0.85
    await hear(runtime, assigned(accepted(assignment(subject=PATIENT))))
    promised = next(each for each in await stored(runtime, NORTH, "Task") if each["for"] == PATIENT)
    told = extension(promised, "wait-promise")
    assert told is not None
    assert told["extension"][1]["valueDuration"]["value"] <= 5
    announcements = [each.focus["id"] for each in await announced(runtime, NORTH) if each.topic == "capacity-changed"]
    assert announcements == [SERVICE]
    assert await work_on_due(runtime, [NORTH]) == 0


async def test_when_the_wait_moves_the_referral_says_so_and_the_person_is_told_once(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await touch(http, comment="Two rooms")
    await work_on_due(runtime, [NORTH])
    first = {each["id"]: each for each in await stored(runtime, NORTH, "Task")}
    assert all(extension(first[id_], "wait-promise") for id_ in ("t1", "t2", "t3"))
    told = len(await stored(runtime, NORTH, "Communication"))
    await touch(http, comment="Two rooms, as before")
    await work_on_due(runtime, [NORTH])
    assert len(await stored(runtime, NORTH, "Communication")) == told == 3
    for day in range(1, 31):
        busy = (await http.get(f"Slot/d{day}", headers=COORDINATOR)).json()
        refused = await http.put(f"Slot/d{day}", json={**busy, "status": "busy-unavailable"}, headers=COORDINATOR)
        assert refused.status_code == 200
    await work_on_due(runtime, [NORTH])
    tasks = {each["id"]: each for each in await stored(runtime, NORTH, "Task")}
    messages = await stored(runtime, NORTH, "Communication")
    assert len(messages) > told
    assert "Your wait has changed." in messages[-1]["payload"][1]["contentString"]
    contingency = next(each for each in tasks.values() if each["code"]["coding"][0]["code"] == "urgent-contingency")
    assert contingency["focus"] == {"reference": "Task/t3"}
    assert "owner" not in contingency
    await touch(http, comment="Closed in part")
    await work_on_due(runtime, [NORTH])
    assert len(await stored(runtime, NORTH, "Task")) == len(tasks)


async def test_promises_are_held_against_what_happened_by_service_and_month(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await touch(http, comment="Two rooms")
    await work_on_due(runtime, [NORTH])
    await put_in(runtime, *(person(f"q{number}") for number in range(6)))
    headers = token(NORTH, "coordinator")
    for number in range(6):
        subject = {"reference": f"Patient/q{number}"}
        await hear(runtime, assigned(accepted(assignment(f"r{number}", subject=subject))))
    tasks = [each for each in await stored(runtime, NORTH, "Task") if each["id"] not in {"t1", "t2", "t3"}]
    referrals = [each for each in tasks if each["code"]["coding"][0]["code"] == "tier-referral"]
    assert len(referrals) == 6
    assert not [each for each in await answered(http, "HealthcareService/$wait-calibration") if each["name"] == "month"]
    for task in referrals[:5]:
        for status in ("accepted", "in-progress"):
            current = (await http.get(f"Task/{task['id']}", headers=headers)).json()
            moved = await http.put(f"Task/{task['id']}", json={**current, "status": status}, headers=headers)
            assert moved.status_code == 200, moved.text
    clock_of(runtime).now += timedelta(days=60)
    (month,) = (
        parts(each)
        for each in await answered(http, f"HealthcareService/{SERVICE}/$wait-calibration")
        if each["name"] == "month"
    )
    assert (month["month"], month["promises"], month["kept"], month["share"]) == ("2026-11", 6, 5, 0.833)


async def test_a_forecast_sets_demand_against_capacity_by_week_and_tier(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await touch(http, comment="Two rooms")
    await work_on_due(runtime, [NORTH])
    clock_of(runtime).now += timedelta(seconds=10)
    weeks = [parts(each) for each in await answered(http, "HealthcareService/$capacity-forecast")]
    ours = [each for each in weeks if each["tier"]["code"] == "tier-3"]
    assert len(ours) == 12
    assert ours[0]["rule"]["code"] == "FORECAST-ENOUGH"
    assert ours[0]["capacity"] > 10 > ours[-1]["capacity"]
    assert ours[0]["demand"] > 0


async def test_re_triage_moves_the_queue_at_once(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, assigned(accepted(assignment(subject=PATIENT))))
    path = f"HealthcareService/{SERVICE}/$queue"
    last = parts((await answered(http, path))[-1])
    await hear(runtime, assigned({**accepted(assignment(subject=PATIENT)), "priority": "urgent"}, 2))
    entries = [parts(each) for each in (await answered(http, path))[1:]]
    moved = next(each for each in entries if each["referral"] == last["referral"])
    assert (moved["priority"], moved["position"]) == ("urgent", 2)
    history = await http.get(f"{last['referral']['reference']}/_history", headers=COORDINATOR)
    assert [entry["resource"]["priority"] for entry in history.json()["entry"]] == ["urgent", "routine"]


async def test_waiting_goes_along_to_a_step_that_replaces_one_that_never_began(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, assigned(accepted(assignment("old", subject=PATIENT))))
    clock_of(runtime).now += timedelta(days=10)
    replaced = {**accepted(assignment("old", subject=PATIENT)), "status": "revoked"}
    following = assignment("new", subject=PATIENT, replaces=[{"reference": "ServiceRequest/old"}])
    await hear(runtime, assigned(replaced, 2), assigned(accepted(following)))
    entries = [parts(each) for each in (await answered(http, f"HealthcareService/{SERVICE}/$queue"))[1:]]
    (moved,) = (each for each in entries if each["referral"]["reference"] not in {"Task/t1", "Task/t2", "Task/t3"})
    assert moved["asked"].startswith(f"{START:%Y-%m-%d}")


@pytest.mark.parametrize(("starts", "basis", "has_date"), [(4, "BASIS-STATED", True), (0, "BASIS-NOTHING", False)])
async def test_a_service_that_nobody_ever_touched_says_on_what_its_wait_rests_or_gives_no_date(
    runtime: Runtime, http: httpx.AsyncClient, starts: int, basis: str, has_date: bool
) -> None:
    weekly = {"url": "weekly-starts", "valueDecimal": starts}
    capacity = {"url": extension_url("service-capacity"), "extension": [weekly]}
    await put_in(
        runtime,
        {"resourceType": "HealthcareService", "id": "quiet", "active": True, "name": "Quiet", "extension": [capacity]},
        person("q"),
        waiting_task("tq", "q", 1, owner={"reference": "HealthcareService/quiet"}),
    )
    told = {each["name"]: each for each in await answered(http, "Task/tq/$wait")}
    assert told["rests-on"]["valueCoding"]["code"] == basis
    assert ("upper" in told, "median" in told) == (has_date, has_date)
    assert ("cannot give you an honest date" in told["words"]["valueString"]) is not has_date
    assert told["words"]["valueString"].endswith(("yet.", "there."))


async def test_a_calendar_that_came_by_itself_counts_at_once_and_is_reckoned_once_somebody_waits(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    told = {each["name"]: each for each in await answered(http, "Task/t2/$wait")}
    assert told["rests-on"]["valueCoding"]["code"] == "BASIS-CALENDAR"
    assert told["upper"]["valueDuration"]["value"] <= 5
    assert await paces_of(runtime, NORTH, runtime.clock()) == {}
    await hear(runtime, assigned(accepted(assignment(subject=PATIENT))))
    assert await work_on_due(runtime, [NORTH]) == 1
    clock_of(runtime).now += timedelta(seconds=10)
    assert set(await paces_of(runtime, NORTH, runtime.clock())) == {SERVICE}
