"""A practice and a hub in networks of their own: what a referral comes to, with hours without a line in its middle.

Hours are told by tries, not by a clock: delivery backs off to 0.2 seconds here, where a service backs off to minutes.
Nothing else in the exchange depends on how long the line was away.
"""

import base64
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS
from stepwell_shared.canonical import code_system, extension_url, instant
from stepwell_shared.federation.terms import ADVICE, REFERRAL, Terms

from tests.journeys.test_federation import cut_off, having, nothing_is_owed, together_again
from tests.support import namespaces
from tests.support.lines import Lines
from tests.support.partners import Organisation, Resource, introduce, loopback, organisations
from tests.support.waiting import until

TRIES = 60
# What was agreed goes, and nothing that has one of these in it.
OURS, THEIRS = "KEPT-AT-THE-PRACTICE", "KEPT-AT-THE-HUB"
REPORT = base64.b64encode(b"Six sessions, and much better.").decode()
TAKEN = Terms(frozenset({REFERRAL, ADVICE}), frozenset({"tier-3"}))
PERSON: Resource = {
    "photo": [{"title": OURS}],
    "telecom": [{"system": "phone", "value": OURS}],
    "address": [{"city": OURS}],
    "contact": [{"name": {"text": OURS}}],
    "maritalStatus": {"text": OURS},
    "generalPractitioner": [{"display": OURS}],
    "extension": [{"url": "https://example.org/kept", "valueString": OURS}],
}
REQUEST: Resource = {
    "note": [{"text": OURS}],
    "reasonCode": [{"text": OURS}],
    "supportingInfo": [{"display": OURS}],
    "insurance": [{"display": OURS}],
    "patientInstruction": OURS,
    "bodySite": [{"text": OURS}],
}


@pytest.fixture
def lines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lines]:
    """Two network namespaces, or loopback with a proxy that can be cut where a machine permits none."""
    why_not = namespaces.why_not()
    if request.param == "namespaces" and why_not:
        pytest.skip(why_not)
    if request.param == "loopback" and not why_not:
        pytest.skip("the same journey runs in two network namespaces here")
    in_namespaces = request.param == "namespaces"
    with namespaces.two_namespaces(tmp_path) if in_namespaces else nullcontext(loopback) as found:
        yield found


def business(task: Resource) -> str:
    """The BSeR code of a Task's business status."""
    codings = task.get("businessStatus", {}).get("coding", [])
    return next((each["code"] for each in codings if each["system"] == BSER_BUSINESS_STATUS), "")


def known_as(where: Organisation, code: str) -> Any:
    """Whether the only referral has this business status there."""

    async def condition() -> Resource | None:
        (task,) = (await where.referrals()).values()
        return task if business(task) == code else None

    return condition


async def status_was_tried(hub: Organisation) -> bool:
    """Whether the hub has tried so often to say what became of the referral."""
    return any(each.attempts >= TRIES for each in await hub.standings())


async def made(where: Organisation, resource: Resource) -> Resource:
    """What a coordinator has stored."""
    answer = await where.call("POST", resource["resourceType"], resource)
    assert answer.status_code == 201, answer.text
    found: Resource = answer.json()
    return found


async def booked(hub: Organisation, task: Resource) -> Resource:
    """The first appointment of this referral."""
    service = task["owner"]
    calendar = await made(hub, {"resourceType": "Schedule", "active": True, "actor": [service]})
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
    slot = await made(
        hub,
        {
            "resourceType": "Slot",
            "schedule": {"reference": f"Schedule/{calendar['id']}"},
            "status": "free",
            "start": instant(start),
            "end": instant(start + timedelta(minutes=50)),
            "comment": THEIRS,
        },
    )
    wish = [
        {"name": "slot", "valueReference": {"reference": f"Slot/{slot['id']}"}},
        {"name": "patient-reference", "valueReference": task["for"]},
        {"name": "comment", "valueString": THEIRS},
    ]
    answer = await hub.call("POST", "Appointment/$book", {"resourceType": "Parameters", "parameter": wish})
    assert answer.status_code == 200, answer.text
    (entry,) = answer.json()["entry"]
    return dict(entry["resource"])


async def reported(hub: Organisation, task: Resource) -> None:
    """A letter is written, and the referral is complete with it."""
    letter = await made(
        hub,
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "type": {"coding": [{"system": "http://loinc.org", "code": "11488-4"}]},
            "subject": task["for"],
            "author": [{"reference": "Practitioner/coordinator", "display": "Dr Hub"}],
            "content": [{"attachment": {"contentType": "text/plain", "data": REPORT}}],
            "context": {"sourcePatientInfo": {"display": THEIRS}},
        },
    )
    output = {"type": {"text": "Consult note"}, "valueReference": {"reference": f"DocumentReference/{letter['id']}"}}
    (now,) = (await hub.referrals()).values()
    await hub.move(now, status="completed", output=[output])


def question_about(person: str) -> Resource:
    """What a coordinator of the practice asks the hub."""
    return {
        "resourceType": "Communication",
        "status": "in-progress",
        "category": [{"coding": [{"system": code_system("case-review"), "code": "econsult-question"}]}],
        "subject": {"reference": f"Patient/{person}"},
        "sender": {"reference": "Practitioner/coordinator", "display": OURS},
        "recipient": [{"reference": "Organization/partner-hub"}],
        "payload": [{"contentString": "Would sport help?"}],
        "note": [{"text": OURS}],
    }


async def it_is_answered_without_transfer_of_care(
    practice: Organisation, hub: Organisation, question: Resource
) -> None:
    """The question came when the line was mended; somebody answers it, and the practice has the answer."""

    async def come() -> list[Resource]:
        return [each for each in await hub.search("Communication") if "Would sport help?" in str(each)]

    (there,) = await until(come)
    answer = {
        **{name: there[name] for name in ("resourceType", "subject")},
        "status": "completed",
        "category": [{"coding": [{"system": code_system("case-review"), "code": "econsult-answer"}]}],
        "sender": {"reference": "Practitioner/coordinator", "display": "Dr Hub"},
        "recipient": [there["sender"]],
        "inResponseTo": [{"reference": f"Communication/{there['id']}"}],
        "payload": [{"contentString": "Walks every day."}],
    }
    await made(hub, answer)

    async def answered() -> list[Resource]:
        return [each for each in await practice.search("Communication") if "Walks every day." in str(each)]

    (here,) = await until(answered)
    assert here["inResponseTo"] == [{"reference": f"Communication/{question['id']}"}]
    assert len(await hub.search("ServiceRequest")) == 1


async def its_capacity_is_known(practice: Organisation) -> bool:
    """Whether the place that the practice has entered for the hub has the hub's figures."""
    places = await practice.search("HealthcareService", organization="Organization/partner-hub")
    shared = [each for each in places if extension_url("shared-capacity") in str(each)]
    names = {each["name"] for each in shared}
    return "The hub" in names


async def the_report_can_be_read(practice: Organisation, task: Resource) -> None:
    """By the practice's own people, at the practice, about its own patient."""
    (output,) = task["output"]
    answer = await practice.call("GET", output["valueReference"]["reference"])
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["content"][0]["attachment"]["data"] == REPORT
    assert (document["subject"], document["author"]) == (task["for"], [{"display": "Dr Hub"}])
    assert document["meta"]["source"].startswith(task["extension"][-1]["extension"][0]["valueUri"].split("/Task/")[0])


async def the_appointment_is_shown(practice: Organisation, task: Resource, theirs: Resource) -> None:
    """With its time and place, for our own patient."""
    (shown,) = await practice.search("Appointment", patient=task["for"]["reference"])
    assert (shown["start"], shown["end"], shown["status"]) == (theirs["start"], theirs["end"], "fulfilled")
    assert shown["basedOn"] == [{"reference": task["focus"]["reference"]}]
    assert [each["actor"].get("display") for each in shown["participant"][1:]] == [
        "Individual psychotherapy with medical care"
    ]


@pytest.mark.parametrize("lines", ["namespaces", "loopback"], indirect=True)
async def test_a_referral_goes_is_booked_and_completed_and_its_report_returns_though_the_line_was_away_for_hours(
    tmp_path: Path, lines: Lines
) -> None:
    async with organisations(tmp_path, "practice", "hub", lines=lines) as (practice, hub):
        await introduce(practice, hub, shared=(), taken=TAKEN, refers_here=True)
        await introduce(hub, practice, shared=(), taken=TAKEN, referred_to=True)
        await practice.ask_at("hub", f"{hub.base_url}/HealthcareService/default-tier-3")
        await practice.person("p0", **PERSON)
        assert (await practice.assign("first", "p0", **REQUEST)).status_code == 200
        (there,) = (await until(having(hub, 1, "requested"))).values()
        await hub.move(there, status="accepted")
        await until(known_as(practice, "3.0"))

        await until(lambda: its_capacity_is_known(practice))

        cut_off(practice, hub)
        question = await made(practice, question_about("p0"))
        appointment = await booked(hub, (await hub.referrals()).popitem()[1])
        assert business((await hub.referrals()).popitem()[1]) == "5.1.1"
        await until(lambda: status_was_tried(hub), seconds=120)
        assert business((await practice.referrals()).popitem()[1]) == "3.0"

        together_again(practice, hub)
        await until(known_as(practice, "5.1.1"))
        came = {**appointment, "status": "fulfilled"}
        assert (await hub.call("PUT", f"Appointment/{appointment['id']}", came)).status_code == 200
        await until(having(practice, 1, "in-progress"))
        assert business((await practice.referrals()).popitem()[1]) == "5.1.4"
        await reported(hub, there)
        (task,) = (await until(having(practice, 1, "completed"))).values()
        assert business(task) == "7.0"
        await the_report_can_be_read(practice, task)
        await the_appointment_is_shown(practice, task, appointment)
        await it_is_answered_without_transfer_of_care(practice, hub, question)
        await nothing_is_owed(practice, hub)
        crossed = practice.line.crossed() + hub.line.crossed()
        assert b"Example" in crossed
        assert REPORT.encode() in crossed
        assert [mark for mark in (OURS, THEIRS) if mark.encode() in crossed] == []
