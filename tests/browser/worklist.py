"""The coordinators' worklist in headless Chromium: signed in to by a link, walked by keyboard from the top of a page
to an accepted referral and a booked appointment, held to WCAG by axe on each page, narrow, wide, dark and printed.

`python -m tests.external worklist` runs it; BROWSER_PICTURES names a folder for a picture of each state.
"""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from stepwell_shared.canonical import CANONICAL, code_system, extension_url, instant
from stepwell_shared.cli.client import register
from stepwell_shared.cli.worklist import worklist_link

from tests.browser.playing import play, ready
from tests.support.suite import NORTH, Clinic, Suite, running_suite

PEOPLE = ("Robin Example", "Kim Rivera", "Sascha Novak", "Ana Costa", "Jo Lindqvist", "Mia Adeyemi")

Resource = dict[str, Any]


def run() -> bool:
    """Prints what was looked at and what was wrong; whether nothing was. Runs inside `postgres.test_run()`."""
    ready()
    with tempfile.TemporaryDirectory() as folder, running_suite(Path(folder), ("screening", "referral")) as suite:
        return asyncio.run(_look(suite, Path(folder)))


async def _look(suite: Suite, folder: Path) -> bool:
    await register(suite.deployment, f"{NORTH}.desk", "coordinator", "Practitioner/desk")
    async with suite.clinic() as clinic, suite.clinic(name="desk") as desk:
        tasks = await _work(suite, clinic, desk)
        links = [await worklist_link(suite.deployment.access(), f"{NORTH}.desk") for _ in range(4)]
        plan = {
            "links": links,
            "service": "desk-service",
            "requested": tasks[0],
            "declined": tasks[1],
            "name": PEOPLE[0],
        }
        findings = await asyncio.to_thread(play, "worklist", plan, folder)
        (booked,) = await desk.search("referral", "Appointment", patient=f"Patient/{await _person_of(desk, tasks[0])}",
                                      status="booked") or [{}]  # fmt: skip
        if not booked:
            findings.append("what was booked by keyboard is not there")
    for finding in findings:
        print(f"error\t{finding}")
    return not findings


async def _person_of(desk: Clinic, task: str) -> str:
    found = (await desk.call("GET", "referral", f"Task/{task}")).json()
    return str(found["for"]["reference"].rpartition("/")[2])


async def _work(suite: Suite, clinic: Clinic, desk: Clinic) -> list[str]:
    """People with referrals in different states, a calendar, a message, a barrier and a missed appointment."""
    await _place(desk)
    tasks = [await _referral(clinic, name, number) for number, name in enumerate(PEOPLE)]
    await _move(desk, tasks[2], status="accepted")
    await _move(desk, tasks[3], status="accepted")
    coding = {"system": code_system("decline-reason"), "code": "other-care-needed"}
    await _move(desk, tasks[4], status="rejected", statusReason={"coding": [coding], "text": "A stay would help more."})
    await _missed(desk, tasks[3])
    await _message(suite, await _person_of(desk, tasks[2]))
    await _rest_too_long(suite, tasks[5])
    return tasks


async def _place(desk: Clinic) -> None:
    tier = {"coding": [{"system": code_system("tier"), "code": "tier-3"}]}
    capacity = {"url": extension_url("service-capacity"), "extension": [{"url": "weekly-starts", "valueDecimal": 2}]}
    site = await desk.create("referral", {"resourceType": "HealthcareService", "active": True, "name": "Harbour Clinic",
                                          "category": [tier], "extension": [capacity]})  # fmt: skip
    actor = {"reference": f"HealthcareService/{site['id']}"}
    default = {"reference": "HealthcareService/default-tier-3"}
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
    for who in (actor, default):
        calendar = await desk.create("referral", {"resourceType": "Schedule", "active": True, "actor": [who]})
        for number in range(4):
            first = start + timedelta(days=number)
            await desk.create("referral", {
                "resourceType": "Slot", "schedule": {"reference": f"Schedule/{calendar['id']}"}, "status": "free",
                "start": instant(first), "end": instant(first + timedelta(minutes=50)),
            })  # fmt: skip


async def _referral(clinic: Clinic, name: str, number: int) -> str:
    given, family = name.split(" ")
    telecom = [{"system": "phone", "value": f"+49 30 1234 5{number}"}]
    person = await clinic.create(
        "screening", {"resourceType": "Patient", "name": [{"given": [given], "family": family}], "telecom": telecom}
    )
    await clinic.wait_for("referral", "Patient", _id=str(person["id"]))
    request = await clinic.create("referral", {
        "resourceType": "ServiceRequest",
        "identifier": [{"system": f"{CANONICAL}/NamingSystem/demo", "value": str(number)}],
        "status": "active", "intent": "order", "priority": "urgent" if number == 1 else "routine",
        "category": [{"coding": [{"system": code_system("tier"), "code": "tier-3"}]}],
        "code": {"text": "stepped care"}, "subject": {"reference": f"Patient/{person['id']}"},
        "authoredOn": instant(datetime.now(UTC) - timedelta(days=9 - number)),
        "requester": {"reference": f"Practitioner/{NORTH}-clinician"},
        "reasonCode": [{"text": "symptoms go on"}], "supportingInfo": [{"display": "a letter"}],
    })  # fmt: skip
    (task,) = await clinic.wait_for("referral", "Task", code="tier-referral", focus=f"ServiceRequest/{request['id']}")
    return str(task["id"])


async def _move(desk: Clinic, task: str, **changed: Any) -> None:
    """A change of the Task as it is now: what it promises may be told anew between reading and writing."""
    for _ in range(5):
        read = await desk.call("GET", "referral", f"Task/{task}")
        match = {"If-Match": read.headers["etag"]}
        answer = await desk.call("PUT", "referral", f"Task/{task}", resource={**read.json(), **changed}, headers=match)
        if answer.status_code == 200:
            return
    raise SystemExit(f"referral answered {answer.status_code}: {answer.text}")


async def _missed(desk: Clinic, task: str) -> None:
    """Somebody was booked and did not come."""
    found = (await desk.call("GET", "referral", f"Task/{task}")).json()
    service = found["owner"]["reference"]
    slots = await desk.search("referral", "Slot", status="free", _sort="start", **{"schedule.actor": service})
    parameters = [
        {"name": "slot", "valueReference": {"reference": f"Slot/{slots[-1]['id']}"}},
        {"name": "patient-reference", "valueReference": found["for"]},
        {"name": "overtaking-reason", "valueCode": "QUEUE-NOT-REACHED"},
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    booked = (await desk.call("POST", "referral", "Appointment/$book", resource=body)).json()["entry"][0]["resource"]
    answer = await desk.call("PUT", "referral", f"Appointment/{booked['id']}", resource={**booked, "status": "noshow"})
    if answer.status_code != 200:
        raise SystemExit(f"referral answered {answer.status_code}: {answer.text}")


async def _message(suite: Suite, person: str) -> None:
    """A person writes to the team."""
    await register(suite.deployment, f"{NORTH}.person", "patient", f"Patient/{person}")
    async with suite.clinic(name="person") as app:
        reference = {"reference": f"Patient/{person}"}
        words = "Good morning. The days are hard just now. When can it begin, and whom can I call until then?"
        await app.create("referral", {"resourceType": "Communication", "status": "completed", "subject": reference,
                                      "sender": reference, "payload": [{"contentString": words}]})  # fmt: skip


async def _rest_too_long(suite: Suite, task: str) -> None:
    """Its time is over: the loop of the service tells somebody."""
    connection = await asyncpg.connect(suite.deployment.databases["referral"].runtime)
    try:
        for _ in range(60):
            async with connection.transaction():
                await connection.execute("SELECT set_config('stepwell.tenant', $1, true)", NORTH)
                if await connection.fetchval("SELECT step FROM referral_timer WHERE task_id = $1", task):
                    return
                # Again and again: whatever is still written to the Task sets its time anew.
                await connection.execute(
                    "UPDATE referral_timer SET due_at = now() WHERE task_id = $1 AND due_at > now()", task
                )
            await asyncio.sleep(0.5)
        raise SystemExit("nobody was told of what rests too long")
    finally:
        await connection.close()
