"""Promises of what partners may send: their own alone, once however often, and taken back where it can be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from typing import Any

import httpx
import pytest
from stepwell_shared.federation.partners import Partner
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import referral_events, referrals
from tests.services.referral.partnering import add_practice, caller_of, cancellation, referral
from tests.support.door import door_for
from tests.support.runtime import NORTH, SOUTH, caller

Resource = dict[str, Any]


@pytest.fixture
async def alder(runtime: Runtime) -> Partner:
    return await add_practice(runtime, "alder")


@pytest.fixture
async def practice(runtime: Runtime, alder: Partner) -> AsyncIterator[httpx.AsyncClient]:
    """The door as the practice alder comes to it."""
    async with door_for(runtime, caller_of(alder)) as client:
        yield client


@pytest.fixture
async def other(runtime: Runtime, alder: Partner) -> AsyncIterator[httpx.AsyncClient]:
    """The door as the practice birch comes to it."""
    async with door_for(runtime, caller_of(await add_practice(runtime, "birch"))) as client:
        yield client


async def counts(runtime: Runtime) -> tuple[int, int, int]:
    """How many Patients, ServiceRequests and Tasks there are."""
    patients, requests, tasks = [
        len(await referrals(runtime, NORTH, name)) for name in ("Patient", "ServiceRequest", "Task")
    ]
    return patients, requests, tasks


async def move(runtime: Runtime, task: Resource, status: str) -> None:
    change = built(runtime.engine, {**task, "status": status}, runtime.clock(), version=2)
    await runtime.store.commit(UnitOfWork(NORTH, [change]))


def why(response: httpx.Response) -> str:
    return " ".join(issue["diagnostics"] for issue in response.json()["issue"])


@pytest.mark.parametrize("role", ["coordinator", "service", "partner"])
async def test_nobody_but_a_partner_sends_a_partners_referrals(runtime: Runtime, alder: Partner, role: str) -> None:
    async with door_for(runtime, caller(NORTH, [role])) as anybody:
        assert (await anybody.post("", json=referral("alder"))).status_code == 400
        for entry in referral("alder")["entry"]:
            resource = {**entry["resource"], "subject": {"reference": "Patient/x"}, "focus": {"reference": "Task/x"}}
            resource = {name: resource[name] for name in entry["resource"]}
            assert (await anybody.post(resource["resourceType"], json=resource)).status_code == 405
    assert await counts(runtime) == (0, 0, 0)


async def test_a_partner_that_only_we_refer_to_sends_nothing(runtime: Runtime, alder: Partner) -> None:
    async with door_for(runtime, caller(NORTH, ["partner"])) as client:
        assert (await client.post("", json=referral("alder"))).status_code == 400
    assert await counts(runtime) == (0, 0, 0)


@pytest.mark.parametrize(
    ("position", "changed", "status"),
    [
        (0, {"managingOrganization": {"reference": "Organization/partner-birch"}}, 403),
        (1, {"requester": {"reference": "Organization/partner-birch"}}, 403),
        (1, {"intent": "proposal"}, 422),
        (1, {"status": "on-hold"}, 422),
        (2, {"requester": {"reference": "Organization/partner-birch"}}, 403),
        (2, {"status": "accepted"}, 422),
        (2, {"owner": {"reference": "HealthcareService/not-here"}}, 422),
        (2, {"focus": {"reference": "ServiceRequest/not-here"}}, 422),
        (2, {"for": {"reference": "Patient/not-here"}}, 422),
        (2, {"identifier": [{"value": "without a system"}]}, 422),
    ],
)
async def test_what_a_referral_may_not_say_refuses_all_of_it(
    runtime: Runtime, practice: httpx.AsyncClient, position: int, changed: Resource, status: int
) -> None:
    bundle = deepcopy(referral("alder"))
    bundle["entry"][position]["resource"] |= changed
    refused = await practice.post("", json=bundle)
    assert refused.status_code == status, refused.text
    assert await counts(runtime) == (0, 0, 0)
    assert await referral_events(runtime, NORTH) == []


async def test_another_practice_can_neither_see_use_nor_end_what_is_not_its_own(
    runtime: Runtime, practice: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    assert (await practice.post("", json=referral("alder"))).status_code == 200
    (patient,), (request,), (task,) = [
        await referrals(runtime, NORTH, n) for n in ("Patient", "ServiceRequest", "Task")
    ]
    for resource_type, id_ in (("Patient", patient["id"]), ("ServiceRequest", request["id"]), ("Task", task["id"])):
        assert (await other.get(f"{resource_type}/{id_}")).status_code == 404
        assert "entry" not in (await other.get(resource_type)).json()
    stolen = referral("birch")
    stolen["entry"] = stolen["entry"][1:]
    stolen["entry"][0]["resource"]["subject"] = {"reference": f"Patient/{patient['id']}"}
    stolen["entry"][1]["resource"]["for"] = {"reference": f"Patient/{patient['id']}"}
    refused = await other.post("", json=stolen)
    assert (refused.status_code, "Patient that you have sent" in why(refused)) == (422, True)
    assert (await other.post("", json=cancellation("birch"))).status_code == 200
    assert (await practice.get(f"Task/{task['id']}")).json() == task


async def test_two_practices_with_the_same_identifiers_have_a_copy_each(
    runtime: Runtime, practice: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    for name, client in (("alder", practice), ("birch", other)):
        assert (await client.post("", json=referral(name))).status_code == 200
        found = (await client.get("Task")).json()["entry"]
        assert [each["resource"]["requester"]["reference"] for each in found] == [f"Organization/partner-{name}"]
    assert await counts(runtime) == (2, 2, 2)


async def test_a_referral_is_here_once_however_often_it_comes(
    runtime: Runtime, practice: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    bundle = referral("alder")
    emitted(bundle)
    answers = await asyncio.gather(*(practice.post("", json=bundle) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert (await practice.post("", json=bundle)).json()["type"] == "transaction-response"
    assert await counts(runtime) == (1, 1, 1)
    (event,) = await referral_events(runtime, NORTH)
    assert (event.topic, event.focus["status"]) == ("referral-changed", "requested")
    assert [url.rsplit("/", 2)[-2] for url in event.entries] == ["Task", "ServiceRequest"]
    assert await referrals(runtime, SOUTH) == []


async def test_a_person_who_is_referred_twice_is_one_person(runtime: Runtime, practice: httpx.AsyncClient) -> None:
    for request_id in ("s1", "s2"):
        assert (await practice.post("", json=referral("alder", request_id))).status_code == 200
    assert await counts(runtime) == (1, 2, 2)


async def test_a_referral_is_taken_back_with_the_request_to_do_so_once(
    runtime: Runtime, practice: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await practice.post("", json=referral("alder"))
    bundle = cancellation("alder")
    emitted(bundle)
    for _ in range(2):
        assert (await practice.post("", json=bundle)).status_code == 200
    tasks = {task["status"]: task for task in await referrals(runtime, NORTH)}
    assert (sorted(tasks), tasks["cancelled"]["meta"]["versionId"]) == (["cancelled", "requested"], "2")
    assert [event.focus["status"] for event in await referral_events(runtime, NORTH)] == ["requested", "cancelled"]


@pytest.mark.parametrize("status", ["completed", "rejected", "failed"])
async def test_what_is_closed_here_is_not_taken_back(
    runtime: Runtime, practice: httpx.AsyncClient, status: str
) -> None:
    await practice.post("", json=referral("alder"))
    (task,) = await referrals(runtime, NORTH)
    await move(runtime, task, status)
    assert (await practice.post("", json=cancellation("alder"))).status_code == 200
    assert (await practice.get(f"Task/{task['id']}")).json()["status"] == status


async def test_a_referral_that_was_taken_back_before_it_came_does_not_begin(
    runtime: Runtime, practice: httpx.AsyncClient
) -> None:
    assert (await practice.post("", json=cancellation("alder"))).status_code == 200
    refused = await practice.post("", json=referral("alder"))
    assert (refused.status_code, "taken back" in why(refused)) == (422, True)
    assert refused.json()["issue"][0]["expression"][0].startswith("Bundle.entry[")
    assert await counts(runtime) == (0, 0, 1)
