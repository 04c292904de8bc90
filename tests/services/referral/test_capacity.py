"""Promises of capacity-changed: told once for each change of how many people a place takes, and for nothing else."""

from typing import Any

import httpx
from stepwell_shared.canonical import extension_url
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, SOUTH, announced, token

COORDINATOR = token(NORTH, "coordinator")
Resource = dict[str, Any]


def place(weekly_starts: float | None, **more: Any) -> Resource:
    capacity = [{"url": "weekly-starts", "valueDecimal": weekly_starts}]
    extension = [] if weekly_starts is None else [{"url": extension_url("service-capacity"), "extension": capacity}]
    kept = {"extension": extension} if extension else {}
    return {"resourceType": "HealthcareService", "id": "place-1", "active": True, "name": "Group", **kept, **more}


async def told(runtime: Runtime) -> list[tuple[str, Any]]:
    return [
        (event.topic, [part["valueDecimal"] for each in event.focus.get("extension", ()) for part in each["extension"]])
        for event in await announced(runtime, NORTH)
    ]


async def put(http: httpx.AsyncClient, service_: Resource) -> int:
    return (await http.put("HealthcareService/place-1", json=service_, headers=COORDINATOR)).status_code


async def test_a_capacity_that_is_refused_is_not_told(runtime: Runtime, http: httpx.AsyncClient) -> None:
    assert await put(http, place(-1)) == 422
    assert await told(runtime) == []


async def test_each_change_of_capacity_is_told_exactly_once(runtime: Runtime, http: httpx.AsyncClient) -> None:
    assert await put(http, place(2)) == 201
    assert await put(http, place(3)) == 200
    assert await told(runtime) == [("capacity-changed", [2]), ("capacity-changed", [3])]
    assert await announced(runtime, SOUTH) == []


async def test_what_is_not_capacity_is_not_told(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await put(http, place(2))
    await put(http, place(2, name="Evening group"))
    await put(http, place(2, name="Evening group", comment="Room 2"))
    assert len(await told(runtime)) == 1


async def test_a_place_that_says_nothing_of_its_capacity_tells_nothing(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    assert await put(http, place(None)) == 201
    assert await told(runtime) == []


async def test_a_place_that_closes_or_opens_again_has_changed_its_capacity(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    for active in (True, False, False, True):
        await put(http, place(2, active=active))
    events = await announced(runtime, NORTH)
    assert [event.focus["active"] for event in events] == [True, False, True]
    assert {event.subject for event in events} == {"HealthcareService/place-1"}
