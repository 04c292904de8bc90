"""Promises of booking: a place is one person's, holds end by the clock, and nobody is passed or dropped in silence."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_referral.use_cases.booking_timers import work_on_due
from stepwell_shared.canonical import code_system, extension_url
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
from tests.support.runtime import NORTH, SOUTH, START, Clock, announced, http_of, stored, token

DECLINED = code_system("decline-reason")
TOMORROW = START + timedelta(days=1)
Resource = dict[str, Any]


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """Two slots of one calendar tomorrow, and people a, b and c."""
    slots = [slot(f"s{hour}", TOMORROW + timedelta(hours=hour)) for hour in (1, 2)]
    await put_in(runtime, schedule(), *slots, *(person(name) for name in "abc"))
    async with http_of(runtime, service) as client:
        yield client


def clock_of(runtime: Runtime) -> Clock:
    assert isinstance(runtime.clock, Clock)
    return runtime.clock


async def told(runtime: Runtime, category: str) -> list[Resource]:
    """What people were told, by its kind."""
    found = await stored(runtime, NORTH, "Communication")
    return [each for each in found if each["category"][0]["coding"][0]["code"] == category]


async def slot_status(http: httpx.AsyncClient, id_: str) -> str:
    return str((await http.get(f"Slot/{id_}", headers=COORDINATOR)).json()["status"])


async def put(http: httpx.AsyncClient, appointment: Resource, **changed: Any) -> httpx.Response:
    address = f"Appointment/{appointment['id']}"
    current = (await http.get(address, headers=COORDINATOR)).json()
    return await http.put(address, json={**current, **changed}, headers=COORDINATOR)


REFUSED: list[tuple[Resource, int, str]] = [
    ({"comment": "please"}, 400, "slot and patient-reference"),
    ({"slot": "Slot/s1"}, 400, "slot and patient-reference"),
    ({"slot": "Appointment/s1", "patient_reference": "Patient/a"}, 400, "a reference to Slot"),
    ({"slot": "Slot/none", "patient_reference": "Patient/a"}, 422, "not there"),
    ({"slot": "Slot/s1", "patient_reference": "Patient/nobody"}, 422, "no Patient"),
    ({"slot": "Slot/s1", "patient_reference": "Patient/a", "sessions": 99}, 400, "from 1 to 52"),
    ({"slot": "Slot/s1", "patient_reference": "Patient/a", "sessions": 3}, 422, "has no session on"),
    ({"slot": "Slot/s1", "patient_reference": "Patient/a", "overtaking_reason": "because"}, 400, "is one of"),
    ({"appointment_reference": "Appointment/none"}, 422, "no Appointment"),
    ({"appointment_resource": {"resourceType": "Observation"}}, 400, ""),
]


async def test_what_does_not_say_who_and_when_books_nothing(runtime: Runtime, http: httpx.AsyncClient) -> None:
    for given, status, says in REFUSED:
        for operation in ("hold", "book"):
            refused = await ask(http, operation, **given)
            assert (refused.status_code, says in why(refused)) == (status, True), refused.text
    assert await stored(runtime, NORTH, "Appointment") == []


async def test_of_many_who_book_one_time_at_once_one_gets_it_and_the_others_hear_what_else_is_free(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    people = [person(f"p{number}") for number in range(12)]
    await put_in(runtime, *people)
    answers = await asyncio.gather(
        *(ask(http, "book", slot="Slot/s1", patient_reference=f"Patient/{each['id']}") for each in people)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 11
    late = next(answer for answer in answers if answer.status_code == 409)
    assert "BOOK-FULL" in why(late)
    assert f"free: Slot/s2 at {slot('', TOMORROW + timedelta(hours=2))['start']}" in why(late)
    (booked,) = await stored(runtime, NORTH, "Appointment")
    assert (booked["status"], booked["slot"]) == ("booked", [{"reference": "Slot/s1"}])
    assert await slot_status(http, "s1") == "busy"


async def test_who_books_again_gets_the_same_appointment_and_never_two_places(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await put_in(runtime, slot("group", TOMORROW, places=3))
    first = only(await ask(http, "book", slot="Slot/group", patient_reference="Patient/a"))
    assert only(await ask(http, "book", slot="Slot/group", patient_reference="Patient/a")) == first
    assert only(await ask(http, "hold", slot="Slot/group", patient_reference="Patient/a")) == first


async def test_a_group_takes_as_many_as_it_has_places(runtime: Runtime, http: httpx.AsyncClient) -> None:
    people = [person(f"p{number}") for number in range(7)]
    await put_in(runtime, slot("group", TOMORROW, places=5), *people)
    answers = await asyncio.gather(
        *(ask(http, "book", slot="Slot/group", patient_reference=f"Patient/{each['id']}") for each in people)
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [409] * 2
    full = (await http.get("Slot/group", headers=COORDINATOR)).json()
    places = extension(full, "slot-places")
    assert places is not None
    assert (full["status"], places["extension"][1]) == ("busy", {"url": "free", "valueUnsignedInt": 0})


async def test_a_hold_ends_by_the_clock_even_if_no_process_looks(runtime: Runtime, http: httpx.AsyncClient) -> None:
    held = only(await ask(http, "hold", slot="Slot/s1", patient_reference="Patient/a", seconds=600))
    assert (held["status"], await slot_status(http, "s1")) == ("pending", "busy-tentative")
    assert (await ask(http, "book", slot="Slot/s1", patient_reference="Patient/b")).status_code == 409
    found = (await ask(http, "find")).json()
    assert [entry["resource"]["slot"][0]["reference"] for entry in found["entry"]] == ["Slot/s2"]
    clock_of(runtime).now += timedelta(seconds=600)
    assert len((await ask(http, "find")).json()["entry"]) == 2
    assert only(await ask(http, "book", slot="Slot/s1", patient_reference="Patient/b"))["status"] == "booked"
    lapsed = (await http.get(f"Appointment/{held['id']}", headers=COORDINATOR)).json()
    assert (lapsed["status"], extension(lapsed, "appointment-hold")) == ("cancelled", None)
    late = await ask(http, "book", appointment_reference=f"Appointment/{held['id']}")
    assert (late.status_code, "over" in why(late)) == (409, True)


async def test_a_lapsed_hold_that_nobody_wants_is_cleared_up_once(runtime: Runtime, http: httpx.AsyncClient) -> None:
    held = only(await ask(http, "hold", slot="Slot/s1", patient_reference="Patient/a"))
    await work_on_due(runtime, [NORTH, SOUTH])
    assert await slot_status(http, "s1") == "busy-tentative"
    clock_of(runtime).now += timedelta(minutes=16)
    await work_on_due(runtime, [NORTH, SOUTH])
    free = (await http.get("Slot/s1", headers=COORDINATOR)).json()
    assert free["status"] == "free"
    await work_on_due(runtime, [NORTH, SOUTH])
    assert (await http.get("Slot/s1", headers=COORDINATOR)).json() == free
    assert (await put(http, held)).json()["status"] == "cancelled"


async def test_what_is_held_is_booked_by_its_reference(http: httpx.AsyncClient) -> None:
    proposed = (await ask(http, "find", healthcare_service=f"HealthcareService/{SERVICE}")).json()["entry"][0][
        "resource"
    ]
    proposed["participant"].append({"actor": {"reference": "Patient/a"}, "status": "accepted"})
    held = only(await ask(http, "hold", appointment_resource=proposed))
    booked = only(await ask(http, "book", appointment_reference=f"Appointment/{held['id']}", comment="By phone"))
    assert (booked["id"], booked["status"], booked["comment"]) == (held["id"], "booked", "By phone")
    assert extension(booked, "appointment-hold") is None
    assert await slot_status(http, "s1") == "busy"


async def test_a_slot_is_taken_with_the_operations_alone(http: httpx.AsyncClient) -> None:
    booked = only(await ask(http, "book", slot="Slot/s1", patient_reference="Patient/a"))
    body = {name: value for name, value in booked.items() if name not in {"id", "meta"}}
    made = await http.post("Appointment", json=body, headers=COORDINATOR)
    assert (made.status_code, "$book" in why(made)) == (422, True)
    for changed in ({"slot": [{"reference": "Slot/s2"}]}, {"start": booked["end"]}, {"status": "waitlist"}):
        assert (await put(http, booked, **changed)).status_code == 422, changed
    held = only(await ask(http, "hold", slot="Slot/s2", patient_reference="Patient/b"))
    assert "$book" in why(await put(http, held, status="booked"))


async def test_a_place_that_is_given_back_is_free_at_once(http: httpx.AsyncClient) -> None:
    booked = only(await ask(http, "book", slot="Slot/s1", patient_reference="Patient/a"))
    assert (await put(http, booked, status="cancelled")).status_code == 200
    assert await slot_status(http, "s1") == "free"
    assert only(await ask(http, "book", slot="Slot/s1", patient_reference="Patient/b"))["status"] == "booked"
    closed = await put(http, booked, status="booked")
    assert (closed.status_code, "nothing" in why(closed)) == (422, True)


async def test_an_appointment_moves_to_another_time_in_one_step(runtime: Runtime, http: httpx.AsyncClient) -> None:
    mine = only(await ask(http, "book", slot="Slot/s1", patient_reference="Patient/a"))
    only(await ask(http, "book", slot="Slot/s2", patient_reference="Patient/b"))
    taken = await ask(http, "reschedule", at=f"{mine['id']}/", slot="Slot/s2")
    assert taken.status_code == 409
    assert await slot_status(http, "s1") == "busy"
    await put_in(runtime, slot("s3", TOMORROW + timedelta(hours=3)))
    moved = only(await ask(http, "reschedule", at=f"{mine['id']}/", slot="Slot/s3"))
    assert (moved["id"], moved["slot"]) == (mine["id"], [{"reference": "Slot/s3"}])
    assert [await slot_status(http, each) for each in ("s1", "s3")] == ["free", "busy"]


async def test_a_series_is_booked_whole_or_not_at_all(runtime: Runtime, http: httpx.AsyncClient) -> None:
    weeks = [slot(f"w{number}", TOMORROW + timedelta(weeks=number, hours=1)) for number in (1, 2, 3)]
    await put_in(runtime, *weeks)
    only(await ask(http, "book", slot="Slot/w2", patient_reference="Patient/b"))
    refused = await ask(http, "book", slot="Slot/w1", patient_reference="Patient/a", sessions=3)
    assert refused.status_code == 409
    assert [await slot_status(http, each) for each in ("w1", "w3")] == ["free", "free"]
    again = await ask(http, "book", slot="Slot/w1", patient_reference="Patient/a", sessions=2, interval_days=14)
    series = [entry["resource"] for entry in again.json()["entry"]]
    assert [each["slot"][0]["reference"] for each in series] == ["Slot/w1", "Slot/w3"]
    (first, second) = (each["identifier"] for each in series)
    assert first == second


async def test_nobody_who_waits_is_passed_without_a_stated_reason(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await put_in(runtime, waiting_task("t1", "b", 20), waiting_task("t2", "a", 3), waiting_task("t3", "c", 1, "urgent"))
    refused = await ask(http, "book", slot="Slot/s1", patient_reference="Patient/a")
    assert (refused.status_code, why(refused).startswith("2 who wait")) == (422, True)
    urgent = only(await ask(http, "book", slot="Slot/s1", patient_reference="Patient/c"))
    passed = extension(urgent, "overtaking")
    assert passed is not None
    assert [part.get("valueCoding", {}).get("code", part.get("valuePositiveInt")) for part in passed["extension"]] == [
        "QUEUE-URGENCY",
        2,
    ]
    assert urgent["basedOn"] == [{"reference": "ServiceRequest/of-t3"}]
    tasks = {task["id"]: task for task in await stored(runtime, NORTH, "Task")}
    assert tasks["t3"]["businessStatus"]["coding"][0]["code"] == "5.1.1"
    stated = only(
        await ask(http, "book", slot="Slot/s2", patient_reference="Patient/a", overtaking_reason="QUEUE-DECLINED")
    )
    assert "QUEUE-DECLINED" in str(extension(stated, "overtaking"))


async def test_who_does_not_come_is_asked_how_they_are_and_stays_in_the_queue(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await put_in(runtime, waiting_task("t1", "a", 9))
    booked = only(await ask(http, "book", slot="Slot/s1", patient_reference="Patient/a"))
    assert "appointment-changed" not in [each.topic for each in await announced(runtime, NORTH)]
    assert (await put(http, booked, status="noshow")).status_code == 200
    (told,) = [each for each in await announced(runtime, NORTH) if each.topic == "appointment-changed"]
    assert (told.subject, told.focus["status"]) == ("Patient/a", "noshow")
    tasks = {task["id"]: task for task in await stored(runtime, NORTH, "Task")}
    referral = tasks.pop("t1")
    (outreach,) = tasks.values()
    assert (referral["status"], referral["businessStatus"]["coding"][0]["code"]) == ("accepted", "5.1.2")
    assert (outreach["code"]["coding"][0]["code"], outreach["status"]) == ("outreach", "requested")
    assert outreach["focus"] == {"reference": f"Appointment/{booked['id']}"}
    assert "owner" not in outreach
    for reason in ("not-reached", "no-capacity"):
        said = {"coding": [{"system": DECLINED, "code": reason}], "text": "Did not come"}
        ended = {**referral, "status": "failed", "statusReason": said}
        refused = await http.put("Task/t1", json=ended, headers=COORDINATOR)
        assert (refused.status_code, "BOOK-NO-DISCHARGE" in why(refused)) == (422, True), refused.text
    again = only(await ask(http, "book", slot="Slot/s2", patient_reference="Patient/a"))
    assert (await put(http, again, status="fulfilled")).status_code == 200
    tasks = {task["id"]: task for task in await stored(runtime, NORTH, "Task")}
    assert (tasks["t1"]["status"], tasks["t1"]["businessStatus"]["coding"][0]["code"]) == ("in-progress", "5.1.4")


async def test_a_remote_session_asks_for_a_place_where_nobody_listens_in(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    link = {"url": "link", "valueUrl": "https://video.example/room"}
    remote: Resource = {"extension": [{"url": extension_url("telehealth"), "extension": [link]}]}
    start = TOMORROW + timedelta(days=7)
    await put_in(runtime, schedule("remote", **remote), slot("r1", start, calendar="remote"))
    refused = await ask(http, "book", slot="Slot/r1", patient_reference="Patient/a", private_space=False)
    assert (refused.status_code, "Slot/s1" in why(refused)) == (422, True)
    booked = only(await ask(http, "book", slot="Slot/r1", patient_reference="Patient/a"))
    told = extension(booked, "telehealth")
    assert told is not None
    assert told["extension"] == [link, {"url": "space-asked", "valueBoolean": False}]


async def test_reminders_come_on_time_once_and_name_no_condition(runtime: Runtime, http: httpx.AsyncClient) -> None:
    german = {"communication": [{"language": {"coding": [{"code": "de-AT"}]}}]}
    await put_in(runtime, slot("later", START + timedelta(days=10)), person("d", **german))
    only(await ask(http, "book", slot="Slot/later", patient_reference="Patient/d"))
    for days, expected in ((6.9, 0), (0.2, 1), (1, 1), (1, 2), (1, 2)):
        clock_of(runtime).now += timedelta(days=days)
        await work_on_due(runtime, [NORTH])
        assert len(await told(runtime, "reminder")) == expected
    first, _ = await told(runtime, "reminder")
    words = first["payload"][0]["contentString"]
    assert words.startswith("Sie haben einen Termin am ")
    assert "Step" not in words
    assert "HealthcareService" not in str(first)


async def test_what_people_have_places_in_stays_as_they_were_told(runtime: Runtime, http: httpx.AsyncClient) -> None:
    only(await ask(http, "book", slot="Slot/s1", patient_reference="Patient/a"))
    taken = (await http.get("Slot/s1", headers=COORDINATOR)).json()
    for changed in ({"status": "free"}, {"status": "busy-unavailable"}, {"start": taken["end"].replace("T22", "T23")},
                    {"end": taken["start"]}, {"schedule": {"reference": "Schedule/none"}}):  # fmt: skip
        refused = await http.put("Slot/s1", json={**taken, **changed}, headers=COORDINATOR)
        assert refused.status_code == 422, changed
    assert (await http.put("Slot/s1", json={**taken, "comment": "Room 3"}, headers=COORDINATOR)).status_code == 200


async def test_hostile_times_and_absent_codes_are_the_senders_fault(http: httpx.AsyncClient) -> None:
    absent = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    good = {name: value for name, value in slot("", TOMORROW).items() if name != "id"}
    for name in ("status", "start", "end"):
        body = {key: value for key, value in good.items() if key != name} | {f"_{name}": absent}
        assert (await http.post("Slot", json=body, headers=COORDINATOR)).status_code in {400, 422}, name
    for start in ("9999-12-31T23:59:00Z", "0001-01-01T00:00:00+14:00", "2026-12-31T23:59:60Z"):
        far = {**good, "start": start, "end": start}
        assert (await http.post("Slot", json=far, headers=COORDINATOR)).status_code in {400, 422}, start
    for start in ("9999-12-31T23:59:00Z", "0001-01-01", "tomorrow", "2026-12-31T23:59"):
        assert (await http.get("Appointment/$find", params={"start": start}, headers=COORDINATOR)).status_code == 400
    nobody = {"actor": {"type": "Patient", "display": "somebody"}, "status": "accepted"}
    service_ = {"actor": {"reference": f"HealthcareService/{SERVICE}"}, "status": "accepted"}
    made = await http.post(
        "Appointment",
        json={
            "resourceType": "Appointment",
            "status": "booked",
            "start": good["start"],
            "end": good["end"],
            "participant": [nobody, service_],
        },
        headers=COORDINATOR,
    )
    assert made.status_code == 201
    assert (await put(http, made.json(), status="noshow")).status_code == 200
    unsaid = {"resourceType": "Appointment", "_status": absent, "participant": [nobody]}
    assert (await http.post("Appointment", json=unsaid, headers=COORDINATOR)).status_code in {400, 422}


async def test_the_other_tenant_books_nothing_here(http: httpx.AsyncClient) -> None:
    south = token(SOUTH, "coordinator")
    assert (await ask(http, "book", south, slot="Slot/s1", patient_reference="Patient/a")).status_code == 422
    assert "entry" not in (await ask(http, "find", south)).json()


async def test_calendars_and_appointments_are_found(http: httpx.AsyncClient) -> None:
    only(await ask(http, "book", slot="Slot/s2", patient_reference="Patient/a"))
    for query in (
        "Slot?schedule=Schedule/calendar&status=free&start=ge2020-01-01",
        "Slot?schedule.actor=HealthcareService/default-tier-3&_id=s1",
        "Schedule?actor=HealthcareService/default-tier-3&active=true",
        "Appointment?patient=Patient/a&status=booked",
        "Appointment?slot=Slot/s2&actor=HealthcareService/default-tier-3&part-status=accepted",
    ):
        found = await http.get(query, headers={**COORDINATOR, "Prefer": "handling=strict"})
        assert len(found.json()["entry"]) == 1, found.text


async def test_a_person_hears_of_each_time_that_is_made_for_them_moved_or_taken_back(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    link = {"url": "link", "valueUrl": "https://video.example/room"}
    remote: Resource = {"extension": [{"url": extension_url("telehealth"), "extension": [link]}]}
    spanish = {"communication": [{"language": {"coding": [{"code": "es"}]}}]}
    slots = [slot(f"w{week}", TOMORROW + timedelta(weeks=week), calendar="remote") for week in (1, 2, 3)]
    await put_in(runtime, schedule("remote", **remote), *slots, person("e", **spanish))
    given: dict[str, Any] = {"slot": "Slot/w1", "patient_reference": "Patient/e", "sessions": 2, "interval_days": 7}
    answer = await ask(http, "book", **given)
    assert answer.status_code == 200, answer.text
    assert (await ask(http, "book", **given)).status_code == 200
    (made,) = await told(runtime, "notification")
    assert made["payload"][0]["contentString"].startswith("Tiene 2 citas; la primera es el 29 de noviembre de 2026")
    assert "video.example" not in made["payload"][0]["contentString"]
    assert made["payload"][1]["contentString"] == "Este es su enlace: https://video.example/room"
    second = answer.json()["entry"][1]["resource"]
    moved = only(await ask(http, "reschedule", at=f"{second['id']}/", slot="Slot/w3"))
    assert (await put(http, moved, status="cancelled")).status_code == 200
    said = [each["payload"][0]["contentString"] for each in await told(runtime, "notification")]
    assert [each.split()[2] for each in said] == ["citas;", "ha", "del"]
    named = [event.focus["id"] for event in await announced(runtime, NORTH) if event.topic == "communication-changed"]
    assert len(named) == 3
    for each in await told(runtime, "notification"):
        emitted(each)


async def test_a_time_that_is_only_held_or_is_over_is_told_to_nobody(runtime: Runtime, http: httpx.AsyncClient) -> None:
    held = only(await ask(http, "hold", slot="Slot/s1", patient_reference="Patient/a"))
    assert (await put(http, held, status="cancelled")).status_code == 200
    over = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": "2026-11-20T09:00:00Z",
        "end": "2026-11-20T09:50:00Z",
        "participant": [{"actor": {"reference": "Patient/a"}, "status": "accepted"}],
    }
    assert (await http.post("Appointment", json=over, headers=COORDINATOR)).status_code == 201
    assert await told(runtime, "notification") == []
    coming = {**over, "start": "2026-11-28T09:00:00Z", "end": "2026-11-28T09:50:00Z"}
    made = (await http.post("Appointment", json=coming, headers=COORDINATOR)).json()
    assert (await put(http, made, start="2026-11-29T09:00:00Z", end="2026-11-29T09:50:00Z")).status_code == 200
    texts = [each["payload"][0]["contentString"] for each in await told(runtime, "notification")]
    assert ["28 November" in texts[0], "it is now on 29 November" in texts[1]] == [True, True]
