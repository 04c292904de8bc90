"""Booking over HTTP: many want few times, and a process that dies takes no hold with it and keeps none too long."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from stepwell_shared.canonical import code_system, extension_url, instant
from stepwell_shared.cli.client import register
from stepwell_shared.http_client import HttpResponse

from tests.support.suite import NORTH, Clinic, Resource, Suite

SLOTS, CLIENTS = 50, 200


async def calendar(desk: Clinic, name: str, first: datetime, count: int) -> list[Resource]:
    """A new service of tier 3 with a calendar of so many slots."""
    tier = {"coding": [{"system": code_system("tier"), "code": "tier-3"}]}
    starts = {"url": "weekly-starts", "valueDecimal": 5}
    service = await desk.create(
        "referral",
        {
            "resourceType": "HealthcareService",
            "active": True,
            "name": name,
            "category": [tier],
            "extension": [{"url": extension_url("service-capacity"), "extension": [starts]}],
        },
    )
    actor = {"reference": f"HealthcareService/{service['id']}"}
    schedule = await desk.create("referral", {"resourceType": "Schedule", "active": True, "actor": [actor]})
    return [
        await desk.create(
            "referral",
            {
                "resourceType": "Slot",
                "schedule": {"reference": f"Schedule/{schedule['id']}"},
                "status": "free",
                "start": instant(first + timedelta(hours=number)),
                "end": instant(first + timedelta(hours=number, minutes=50)),
            },
        )
        for number in range(count)
    ]


async def asked(desk: Clinic, operation: str, slot: Resource, number: int, **more: Any) -> HttpResponse:
    person = {"type": "Patient", "identifier": {"system": "https://ehr.example/persons", "value": str(number)}}
    parameters: list[Resource] = [
        {"name": "slot", "valueReference": {"reference": f"Slot/{slot['id']}"}},
        {"name": "patient-reference", "valueReference": person},
        *({"name": name, "valuePositiveInt": value} for name, value in more.items()),
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    return await desk.call("POST", "referral", f"Appointment/${operation}", resource=body)


async def test_200_clients_race_for_50_slots_and_50_are_booked_and_150_hear_of_other_times(suite: Suite) -> None:
    await register(suite.deployment, f"{NORTH}.race", "coordinator", "Practitioner/desk")
    async with suite.clinic(name="race") as desk:
        first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=30)
        slots = await calendar(desk, "Wanted", first, SLOTS)
        others = await calendar(desk, "Elsewhere", first, 3)
        answers = await asyncio.gather(
            *(asked(desk, "book", slots[number % SLOTS], number) for number in range(CLIENTS))
        )
        assert Counter(answer.status_code for answer in answers) == {200: SLOTS, 409: CLIENTS - SLOTS}
        booked = [answer.json()["entry"][0]["resource"] for answer in answers if answer.status_code == 200]
        taken = Counter(each["slot"][0]["reference"] for each in booked)
        people = Counter(each["participant"][0]["actor"]["identifier"]["value"] for each in booked)
        assert set(taken) == {f"Slot/{slot['id']}" for slot in slots}
        assert {*taken.values(), *people.values()} == {1}
        elsewhere = {f"free: Slot/{slot['id']}" for slot in others}
        for answer in answers:
            if answer.status_code == 409:
                told = [issue["diagnostics"] for issue in answer.json()["issue"]]
                assert "BOOK-FULL" in told[0]
                assert any(text.startswith("free: Slot/") for text in told[1:]), told
        last = await asked(desk, "book", slots[0], CLIENTS + 1)
        assert elsewhere <= {issue["diagnostics"].partition(" at ")[0] for issue in last.json()["issue"]}
        for slot in slots:
            found = await desk.search("referral", "Appointment", slot=f"Slot/{slot['id']}", status="booked")
            assert len(found) == 1


async def test_a_hold_outlives_the_process_that_made_it_and_ends_on_time(suite: Suite) -> None:
    await register(suite.deployment, f"{NORTH}.holder", "coordinator", "Practitioner/desk")
    async with suite.clinic(name="holder") as desk:
        (slot,) = await calendar(desk, "Held", datetime.now(UTC) + timedelta(days=40), 1)
        held = (await asked(desk, "hold", slot, 1, seconds=15)).json()["entry"][0]["resource"]
        suite.processes.kill("referral")
        suite.processes.start_one("referral")
        suite.processes.wait_until_ready("referral")
        (until,) = (each for each in held["extension"] if each["url"] == extension_url("appointment-hold"))
        over = datetime.fromisoformat(until["valueInstant"])
        refused = 0
        while (answer := await asked(desk, "book", slot, 2)).status_code == 409:
            refused += 1
            assert datetime.now(UTC) < over + timedelta(seconds=2), "the hold does not end"
            await asyncio.sleep(0.1)
        assert (answer.status_code, datetime.now(UTC) >= over) == (200, True)
        assert refused > 0
        (ended,) = await desk.search("referral", "Appointment", _id=held["id"])
        assert ended["status"] == "cancelled"
