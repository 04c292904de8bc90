"""Promises of who sees whose referrals: a hub all of them by origin, a practice its own, a stranger nothing."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from stepwell_shared.federation.partners import Partner
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import referrals
from tests.services.referral.booking import put_in
from tests.services.referral.partnering import add_practice, caller_of, referral
from tests.support.door import door_for
from tests.support.runtime import NORTH, SOUTH, caller

Resource = dict[str, Any]
OWN = ("Task", "ServiceRequest", "Patient")
# What the hub keeps beside referrals, and no partner may ask for in any way.
KEPT_HERE = ("Appointment", "DocumentReference", "Communication", "Schedule", "Slot", "Provenance", "Consent")


@pytest.fixture
async def both(runtime: Runtime) -> tuple[Partner, Partner]:
    """Two practices with one referral each, of people who are called alike."""
    found = await add_practice(runtime, "alder"), await add_practice(runtime, "birch")
    for partner in found:
        async with door_for(runtime, caller_of(partner)) as practice:
            assert (await practice.post("", json=referral(partner.name))).status_code == 200
    return found


@pytest.fixture
async def alder(runtime: Runtime, both: tuple[Partner, Partner]) -> AsyncIterator[httpx.AsyncClient]:
    async with door_for(runtime, caller_of(both[0])) as practice:
        yield practice


def ids(answer: httpx.Response) -> set[str]:
    return {each["resource"]["id"] for each in answer.json().get("entry", [])}


async def of_birch(runtime: Runtime) -> dict[str, Resource]:
    """What the other practice has sent, by type."""
    found = {}
    for name in OWN:
        (found[name],) = [each for each in await referrals(runtime, NORTH, name) if "partner-birch" in str(each)]
    return found


@pytest.mark.parametrize("resource_type", KEPT_HERE)
async def test_what_a_hub_keeps_beside_referrals_is_closed_to_partners(
    alder: httpx.AsyncClient, resource_type: str
) -> None:
    assert (await alder.get(resource_type)).status_code in {403, 404}


@pytest.mark.parametrize("operation", ["HealthcareService/default-tier-3/$queue", "Organization/partner-birch/$link"])
async def test_how_many_wait_and_how_others_are_reached_is_not_for_partners(
    alder: httpx.AsyncClient, operation: str
) -> None:
    assert (await alder.get(operation)).status_code == 403


async def test_another_practices_referral_is_there_by_no_way(runtime: Runtime, alder: httpx.AsyncClient) -> None:
    theirs = await of_birch(runtime)
    task, person = theirs["Task"]["id"], theirs["Patient"]["id"]
    ways = [
        *(f"{name}/{each['id']}" for name, each in theirs.items()),
        *(f"{name}/{each['id']}/_history" for name, each in theirs.items()),
        *(f"{name}/{each['id']}/_history/1" for name, each in theirs.items()),
        *(f"{name}?_id={each['id']}" for name, each in theirs.items()),
        "Task?requester=Organization/partner-birch&_include=Task:patient&_include=Task:focus",
        f"Patient?_id={person}&_revinclude=Task:patient",
        f"Patient/{person}/Task",
        f"Task/{task}/$match",
        f"Task/{task}/$wait",
    ]
    for way in ways:
        answer = await alder.get(way)
        assert answer.status_code < 500, way
        assert answer.status_code >= 400 or ids(answer) == set(), way
        assert theirs["Task"]["identifier"][0]["value"] not in answer.text or answer.status_code >= 400, way
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": f"{name}/{each['id']}"}} for name, each in theirs.items()],
    }
    answer = await alder.post("", json=batch)
    assert {each["response"]["status"][:3] for each in answer.json()["entry"]} <= {"403", "404"}


async def test_a_practice_sees_its_own_and_a_hub_all_of_them_each_by_its_origin(
    runtime: Runtime, both: tuple[Partner, Partner], alder: httpx.AsyncClient
) -> None:
    for name in OWN:
        (own,) = (await alder.get(name)).json()["entry"]
        assert "partner-alder" in str(own)
    async with door_for(runtime, caller(NORTH, ["coordinator"])) as hub:
        everything = await hub.get("Task?code=fulfill")
        assert len(ids(everything)) == 2
        for partner in both:
            (found,) = (await hub.get(f"Task?requester={partner.organization}")).json()["entry"]
            assert found["resource"]["requester"]["reference"] == partner.organization
    async with door_for(runtime, caller(SOUTH, ["coordinator"])) as other_tenant:
        for name in OWN:
            assert ids(await other_tenant.get(name)) == set()


async def test_the_database_itself_keeps_a_hubs_referrals_from_every_other_tenant(
    runtime: Runtime, both: tuple[Partner, Partner]
) -> None:
    """Whatever a query forgets to ask for: the second lock."""
    await put_in(runtime, {"resourceType": "Patient", "id": "south"}, tenant=SOUTH)
    async with runtime.database.transaction(SOUTH) as connection:
        for table in ("fhir_task", "fhir_servicerequest", "partner", "partner_link", "outbox"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table} WHERE tenant = 'north'") == 0
        assert await connection.fetchval("SELECT count(*) FROM fhir_patient") == 1
