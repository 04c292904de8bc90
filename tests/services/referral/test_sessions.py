"""Promises of sessions: a series is with the same people at fixed intervals, groups have places, remote ones a private
space, and a time is given to who can make use of it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_referral.use_cases.booking_timers import work_on_due
from stepwell_shared.canonical import CANONICAL, code_system, extension_url
from stepwell_shared.runtime import Runtime

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
    why,
)
from tests.services.referral.test_booking import clock_of, told
from tests.support.runtime import NORTH, START, http_of

Resource = dict[str, Any]
MONDAY = START + timedelta(days=2, hours=1)
CLINICIAN = {"reference": "Practitioner/th-1"}
LINK = {"url": "link", "valueUrl": "https://video.example/room"}


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """Calendars of a clinician, of a group and of remote sessions, four weeks each, and people a, b and c."""
    remote: dict[str, Any] = {"extension": [{"url": extension_url("telehealth"), "extension": [LINK]}]}
    actor = [{"reference": f"HealthcareService/{SERVICE}"}, CLINICIAN]
    calendars = [{**schedule("own"), "actor": actor}, schedule("group"), schedule("remote", **remote)]
    slots = [
        slot(f"{name}{week}", MONDAY + timedelta(weeks=week, hours=hour), calendar=name, places=places)
        for hour, (name, places) in enumerate((("own", 1), ("group", 3), ("remote", 1)))
        for week in range(4)
    ]
    await put_in(runtime, *calendars, *slots, *(person(name) for name in "abc"))
    async with http_of(runtime, service) as client:
        yield client


def entries(answer: httpx.Response) -> list[Resource]:
    assert answer.status_code == 200, answer.text
    return [each["resource"] for each in answer.json()["entry"]]


def actors(appointment: Resource) -> set[str]:
    return {each["actor"]["reference"] for each in appointment["participant"]}


async def free(http: httpx.AsyncClient, name: str) -> int:
    found = extension((await http.get(f"Slot/{name}", headers=COORDINATOR)).json(), "slot-places")
    assert found is not None
    return next(int(part["valueUnsignedInt"]) for part in found["extension"] if part["url"] == "free")


async def says_often(runtime: Runtime, who: str, *barriers: str) -> None:
    """What somebody said of what gets in their way."""
    often = {"valueCoding": {"system": code_system("form-answer"), "code": "often"}}
    form = {
        "resourceType": "QuestionnaireResponse",
        "id": f"form-{who}",
        "questionnaire": f"{CANONICAL}/Questionnaire/preference-and-barriers|1.0.0",
        "status": "completed",
        "subject": {"reference": f"Patient/{who}"},
        "authored": "2026-11-01T09:00:00Z",
        "item": [{"linkId": f"/{each}", "answer": [often]} for each in barriers],
    }
    await put_in(runtime, form)


async def test_a_series_is_with_the_same_clinician_at_fixed_intervals_and_reminds_of_each_session(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    asked: dict[str, Any] = {"slot": "Slot/own0", "patient_reference": "Patient/a", "sessions": 4, "interval_days": 7}
    made = entries(await ask(http, "book", **asked))
    assert [each["start"][:10] for each in made] == ["2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14"]
    assert {frozenset(actors(each)) for each in made} == {
        frozenset({"Patient/a", f"HealthcareService/{SERVICE}", "Practitioner/th-1"})
    }
    assert entries(await ask(http, "book", **asked)) == made
    for week in range(4):
        clock_of(runtime).now = MONDAY + timedelta(weeks=week, hours=-20)
        await work_on_due(runtime, [NORTH])
        about = {each["about"][0]["reference"] for each in await told(runtime, "reminder")}
        assert about == {f"Appointment/{each['id']}" for each in made[: week + 1]}


async def test_a_group_has_its_places_in_every_session_of_a_series(http: httpx.AsyncClient) -> None:
    series: dict[str, Any] = {"slot": "Slot/group0", "sessions": 3, "interval_days": 7}
    for number, name in enumerate("ab", start=1):
        assert len(entries(await ask(http, "book", **series, patient_reference=f"Patient/{name}"))) == 3
        assert [await free(http, f"group{week}") for week in range(4)] == [3 - number] * 3 + [3]
    only(await ask(http, "book", slot="Slot/group1", patient_reference="Patient/c"))
    late = await ask(http, "book", **series, patient_reference="Patient/d")
    assert late.status_code == 422  # nobody knows d
    refused = await ask(http, "book", slot="Slot/group1", patient_reference="Patient/c", sessions=1)
    assert only(refused)["slot"] == [{"reference": "Slot/group1"}]
    assert [await free(http, f"group{week}") for week in range(3)] == [1, 0, 1]


async def test_a_session_that_moves_is_with_who_gives_it_there_and_remote_only_where_one_can_talk(
    http: httpx.AsyncClient,
) -> None:
    mine = only(await ask(http, "book", slot="Slot/own0", patient_reference="Patient/a"))
    assert extension(mine, "telehealth") is None
    refused = await ask(http, "reschedule", at=f"{mine['id']}/", slot="Slot/remote1", private_space=False)
    assert (refused.status_code, "Slot/" in why(refused)) == (422, True)
    moved = only(await ask(http, "reschedule", at=f"{mine['id']}/", slot="Slot/remote1", private_space=True))
    assert actors(moved) == {"Patient/a", f"HealthcareService/{SERVICE}"}
    found = extension(moved, "telehealth")
    assert found is not None
    assert found["extension"] == [
        LINK,
        {"url": "private-space", "valueBoolean": True},
        {"url": "space-asked", "valueBoolean": True},
    ]
    back = only(await ask(http, "reschedule", at=f"{mine['id']}/", slot="Slot/own1"))
    assert (extension(back, "telehealth"), "Practitioner/th-1" in actors(back)) == (None, True)


@pytest.mark.parametrize(
    ("place", "barrier", "passed"),
    [
        ("own0", "work", True),
        ("own0", "private-space", False),
        ("remote0", "private-space", True),
        ("remote0", "income", False),
    ],
)
async def test_who_cannot_make_use_of_a_time_is_passed_with_that_reason_and_keeps_their_place(
    runtime: Runtime, http: httpx.AsyncClient, place: str, barrier: str, passed: bool
) -> None:
    await put_in(runtime, waiting_task("t1", "a", 9), waiting_task("t2", "b", 2))
    await says_often(runtime, "a", barrier)
    answer = await ask(http, "book", slot=f"Slot/{place}", patient_reference="Patient/b")
    assert answer.status_code == (200 if passed else 422), answer.text
    if passed:
        found = extension(only(answer), "overtaking")
        assert found is not None
        assert found["extension"][0]["valueCoding"]["code"] == "QUEUE-SLOT-FIT"
        (first, *_) = (await http.get(f"HealthcareService/{SERVICE}/$queue", headers=COORDINATOR)).json()["parameter"][
            1:
        ]
        assert first["part"][0]["valueReference"]["reference"] == "Task/t1"
