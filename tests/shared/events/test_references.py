"""Events name the versions that they carry: what is sent is what was written, whenever it is sent, to nobody else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from stepwell_screening.app import service
from stepwell_screening.subscriptions import PATIENT_CHANGED
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.events import operations
from stepwell_shared.events.bodies import completed
from stepwell_shared.events.delivery import Delivery
from stepwell_shared.events.filters import EngineFilters
from stepwell_shared.events.notification import QUERIED_KINDS, parse_notification
from stepwell_shared.events.outbox import Content, Version, decode_payload, event
from stepwell_shared.events.subscriptions import Peer, SubscriptionRow, internal_subscription
from stepwell_shared.events.topics import Topic, Topics
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.http_client import http_client
from stepwell_shared.runtime import Runtime

from tests.shared.events.conftest import LOOPBACK, QUICK
from tests.shared.events.subscriber import Subscriber, write
from tests.support.runtime import NORTH, SOUTH, START, URLS, caller, running
from tests.support.waiting import until

CHANGED = Topic("patient-changed", ("Patient",), ("patient", "gender"), "a Patient with a filter on its content")
BODY = b'{"resourceType":"Patient","id":"p1"}'


@pytest.fixture
async def runtime(database_of: Callable[[str], Awaitable[DatabaseUrls]], tmp_path: Path) -> AsyncIterator[Runtime]:
    async with running(service, await database_of("screening"), tmp_path) as opened:
        yield opened


async def change(runtime: Runtime, version: int, *, id_: str = "p1", tenant: str = NORTH, **more: Any) -> bytes:
    """Stores a version of a Patient with its event; the bytes that are stored."""
    patient = {"resourceType": "Patient", "id": id_, **more}
    made = built(runtime.engine, patient, runtime.clock(), version=version)
    focus = f"Patient/{id_}"
    entries: list[tuple[str, Content]] = [(f"{URLS['screening']}/{focus}", made.stored)]
    told = event(PATIENT_CHANGED.canonical, focus, focus, entries, START)
    await runtime.store.commit(UnitOfWork(tenant, [made], [told]))
    assert made.stored.body is not None
    return made.stored.body


@dataclass
class Counting:
    """A database that counts how often bodies were asked for."""

    runtime: Runtime
    queries: list[int] = field(default_factory=list)

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        if "event_bodies" in statement:
            self.queries.append(len(arguments[1]))
        return await self.runtime.database.fetch(statement, *arguments)


@asynccontextmanager
async def delivering(runtime: Runtime, database: Any = None) -> AsyncIterator[Delivery]:
    async def token(tenant: str) -> str:
        return f"token-of-{tenant}"

    async def tenants() -> tuple[str, ...]:
        return (NORTH, SOUTH)

    async with http_client() as client:
        delivery = Delivery(
            database or runtime.database,
            client,
            base_url=URLS["screening"],
            tenants=tenants,
            token=token,
            matches=EngineFilters(runtime.engine, [CHANGED]),
            endpoints=LOOPBACK,
            replica="replica-1",
            policy=QUICK,
        )
        task = asyncio.create_task(delivery.run())
        try:
            yield delivery
        finally:
            await delivery.stop()
            await task


async def subscribe(runtime: Runtime, subscriber: Subscriber, tenant: str = NORTH, **changed: Any) -> str:
    """An internal subscription to changes of Patients, with columns of its state as given."""
    _, row = internal_subscription(tenant, URLS["screening"], Peer(CHANGED, "peer", subscriber.url))
    values = {name: getattr(row, name) for name in row.__slots__} | changed
    await write(runtime.database, tenant, SubscriptionRow(**values).effect())
    return row.subscription_id


def bodies(subscriber: Subscriber) -> list[bytes]:
    """Every resource that was sent, byte for byte, in order."""
    return [
        body
        for told in subscriber.told
        for each in parse_notification(told.body).events
        for body in each.bodies.values()
    ]


async def rows(runtime: Runtime, tenant: str = NORTH) -> list[bytes]:
    async with runtime.database.transaction(tenant) as connection:
        return [row["payload"] for row in await connection.fetch("SELECT payload FROM outbox ORDER BY position")]


async def test_a_deletion_or_another_address_cannot_be_announced() -> None:
    url = f"{URLS['screening']}/Patient/p1"
    contents: list[Content] = [
        Stored("Patient", "p1", 2, START, None),
        Stored("Patient", "p2", 1, START, BODY),
        Version("Task", "p1", 1),
    ]
    for content in contents:
        with pytest.raises(ValueError, match=r"address|deletion"):
            event(PATIENT_CHANGED.canonical, "Patient/p1", "Patient/p1", [(url, content)], START)


async def test_the_row_of_an_event_holds_no_second_copy(runtime: Runtime) -> None:
    await change(runtime, 1, name=[{"family": "Example"}])
    assert [orjson.loads(row) for row in await rows(runtime)] == [
        [{"fullUrl": f"{URLS['screening']}/Patient/p1", "version": 1}]
    ]


async def test_each_event_carries_the_version_that_it_is_about_whatever_came_after(
    runtime: Runtime, subscriber: Subscriber
) -> None:
    await subscribe(runtime, subscriber)
    written = [await change(runtime, number, active=number % 2 == 0) for number in range(1, 5)]
    async with delivering(runtime):
        await subscriber.heard(4)
    assert bodies(subscriber) == written


async def test_events_shows_the_same_as_was_sent(runtime: Runtime, subscriber: Subscriber) -> None:
    id_ = await subscribe(runtime, subscriber)
    written = [await change(runtime, number) for number in range(1, 4)]
    async with delivering(runtime):
        await subscriber.heard(3)
    for level, shown in (("full-resource", written), ("id-only", []), ("empty", [])):
        request = Request(caller(NORTH), lambda *_: None, "Subscription", id_, parameters=[("content", level)])  # type: ignore[arg-type]  # nothing is put on record here
        answer = await operations.events(runtime.database, URLS["screening"], Topics([CHANGED]), START, request)
        told = parse_notification(answer.body, QUERIED_KINDS)
        assert [each.number for each in told.events] == [1, 2, 3]
        assert [body for each in told.events for body in each.bodies.values()] == shown


async def test_a_batch_reads_its_bodies_in_one_query_and_each_version_once(
    runtime: Runtime, subscriber: Subscriber
) -> None:
    await subscribe(runtime, subscriber)
    person = built(runtime.engine, {"resourceType": "Patient", "id": "p1"}, runtime.clock())
    await runtime.store.commit(UnitOfWork(NORTH, [person]))
    entries = [(f"{URLS['screening']}/Patient/p1", person.stored)]
    told = [event(PATIENT_CHANGED.canonical, "Patient/p1", "Patient/p1", entries, START) for _ in range(30)]
    await runtime.store.commit(UnitOfWork(NORTH, effects=told))
    counting = Counting(runtime)
    async with delivering(runtime, counting):
        await subscriber.heard(30)
    assert len(subscriber.told) == 1
    assert counting.queries == [1]


@pytest.mark.parametrize("content", ["id-only", "empty"])
async def test_bodies_that_are_not_sent_are_not_read(runtime: Runtime, subscriber: Subscriber, content: str) -> None:
    await subscribe(runtime, subscriber, content=content)
    await change(runtime, 1)
    counting = Counting(runtime)
    async with delivering(runtime, counting):
        await until(lambda: bool(subscriber.told))
    assert counting.queries == []
    assert not any("resource" in entry for entry in subscriber.told[0].bundle["entry"][1:])


async def test_a_filter_on_the_content_sees_the_version_of_the_event(runtime: Runtime, subscriber: Subscriber) -> None:
    await subscribe(runtime, subscriber, filters='["Patient?gender=female"]')
    first = await change(runtime, 1, gender="female")
    await change(runtime, 2, gender="male")
    third = await change(runtime, 3, gender="female")
    async with delivering(runtime):
        await subscriber.heard(2)
        await asyncio.sleep(0.2)
    assert bodies(subscriber) == [first, third]


async def test_no_tenant_reads_what_the_events_of_another_name(runtime: Runtime) -> None:
    written = await change(runtime, 1)
    named = [decode_payload(row) for row in await rows(runtime)]
    ((own,),) = await completed(runtime.database, NORTH, named)
    ((foreign,),) = await completed(runtime.database, SOUTH, named)
    assert (bytes(own.resource), foreign.is_complete) == (written, False)


async def test_a_version_that_is_gone_is_said_to_be_gone_and_holds_nobody_up(
    runtime: Runtime, subscriber: Subscriber
) -> None:
    await subscribe(runtime, subscriber)
    url = f"{URLS['screening']}/Patient/p1"
    lost = event(PATIENT_CHANGED.canonical, "Patient/p1", "Patient/p1", [(url, Version("Patient", "p1", 7))], START)
    await runtime.store.commit(UnitOfWork(NORTH, effects=[lost]))
    written = await change(runtime, 1)
    async with delivering(runtime):
        assert [number for number, _ in await subscriber.heard(2)] == [1, 2]
    entry = subscriber.told[0].bundle["entry"][1]
    assert (entry["fullUrl"], "resource" in entry, entry["response"]["status"]) == (url, False, "410")
    assert entry["response"]["outcome"]["issue"][0]["code"] == "deleted"
    assert bodies(subscriber) == [written]
