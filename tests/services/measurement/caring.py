"""What other services tell of somebody's care, as it arrives, and the rows that are counted afterwards."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from stepwell_measurement.app import listens
from stepwell_measurement.care_tables import COUNTED
from stepwell_measurement.use_cases.counting import Counting
from stepwell_shared.canonical import code_system, extension_url, instant, topic
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, SOUTH, URLS, received

Resource = dict[str, Any]

FIRST = datetime(2026, 1, 5, 9, tzinfo=UTC)
PERSON = f"{URLS['screening']}/Patient/p1"
TOPIC_OF = {"Task": "referral-changed", "Appointment": "appointment-changed", "EpisodeOfCare": "episode-changed",
            "Patient": "patient-changed"}  # fmt: skip
FROM = {"Task": "referral", "Appointment": "referral", "EpisodeOfCare": "routing", "Patient": "screening"}


def at(day: int) -> str:
    return instant(FIRST + timedelta(days=day))


def told(resource: Resource, *context: tuple[str, Resource]) -> ReceivedEvent:
    """The event of one version of a resource."""
    kind = resource["resourceType"]
    url = f"{URLS[FROM[kind]]}/{kind}/{resource['id']}"
    return received(topic(TOPIC_OF[kind]), [(url, resource), *context])


async def hear(runtime: Runtime, *events: ReceivedEvent, tenant: str = NORTH) -> None:
    """Handles the events one after another."""
    by_kind = {f"{FROM[kind]} {name}": listens(runtime)[FROM[kind], name] for kind, name in TOPIC_OF.items()}
    for each in events:
        kind = each.resources[str(each.focus)]["resourceType"]
        await by_kind[f"{FROM[kind]} {TOPIC_OF[kind]}"](each, tenant)


def task(status: str, day: int, version: int, *, id_: str = "t1", person: str = PERSON) -> ReceivedEvent:
    request = f"{URLS['routing']}/ServiceRequest/r-{id_}"
    body = {
        "resourceType": "Task",
        "id": id_,
        "meta": {"versionId": str(version)},
        "status": status,
        "code": {"coding": [{"system": code_system("task"), "code": "tier-referral"}]},
        "focus": {"reference": request},
        "for": {"reference": person},
        "lastModified": at(day),
    }
    authorisation = {
        "resourceType": "ServiceRequest",
        "id": f"r-{id_}",
        "category": [{"coding": [{"system": code_system("tier"), "code": "tier-2"}]}],
        "instantiatesCanonical": ["https://stepwell.health/fhir/PlanDefinition/stepped-care|1.0.0"],
    }
    return told(body, (request, authorisation))


def appointment(status: str, day: int, version: int = 2, *, id_: str = "", person: str = PERSON) -> ReceivedEvent:
    return told(
        {
            "resourceType": "Appointment",
            "id": id_ or f"a{day}",
            "meta": {"versionId": str(version)},
            "status": status,
            "start": at(day),
            "basedOn": [{"reference": f"{URLS['routing']}/ServiceRequest/r-t1"}],
            "participant": [{"actor": {"reference": person}, "status": "accepted"}],
        }
    )


def episode(status: str, tier: str, since: int, version: int, *, ended: int | None = None) -> ReceivedEvent:
    parts = [
        {"url": "tier", "valueCoding": {"system": code_system("tier"), "code": tier}},
        {"url": "since", "valueDateTime": at(since)},
    ]
    return told(
        {
            "resourceType": "EpisodeOfCare",
            "id": "e1",
            "meta": {"versionId": str(version)},
            "extension": [{"url": extension_url("current-step"), "extension": parts}],
            "status": status,
            "type": [{"coding": [{"system": code_system("pathway"), "code": "stepped-care"}]}],
            "patient": {"reference": PERSON},
            "period": {"start": at(0), **({"end": at(ended)} if ended is not None else {})},
        }
    )


def patient(version: int = 1, *, id_: str = "p1", practice: str = "north-street", **said: Any) -> ReceivedEvent:
    return told(
        {
            "resourceType": "Patient",
            "id": id_,
            "meta": {"versionId": str(version)},
            "birthDate": "1980-05-01",
            "gender": "female",
            "managingOrganization": {"identifier": {"system": "https://practices.example", "value": practice}},
            **said,
        }
    )


async def counted(runtime: Runtime, tenant: str = NORTH) -> dict[str, list[tuple[Any, ...]]]:
    """All counted rows, once all marks were worked on."""
    counting = Counting(runtime)
    # A mark is ripe once no older transaction of this PostgreSQL, of whatever database, runs.
    async with asyncio.timeout(20):
        while await _marks(runtime):
            await counting.look([NORTH, SOUTH])
    async with runtime.database.transaction(tenant) as connection:
        found = {}
        for table in COUNTED:
            rows: Sequence[Any] = await connection.fetch(f"SELECT * FROM {table} ORDER BY person, item")
            found[table] = [tuple(row.values())[1:] for row in rows]
    return found


async def _marks(runtime: Runtime) -> int:
    count = 0
    for tenant in (NORTH, SOUTH):
        async with runtime.database.transaction(tenant) as connection:
            count += await connection.fetchval("SELECT count(*) FROM care_mark")
    return count
