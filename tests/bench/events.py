"""`python -m tests.bench.events`: what an event costs the write that announces it, and how soon it is heard.

One process on an embedded PostgreSQL with durable commits. The cost is a ratio: the same unit of work with and without
its event, in rounds that take turns, by the clock and by the processor time of this process and the server, which other
work on the machine disturbs less. It is measured on what screening does with a response (checked, scored, stored with
its Provenance) and on a bare write that the engine takes as it is. The event is what screening announces: response,
score Observation and person. The latency is from the answer of the commit to the notification in the hands of
a subscriber over HTTP, one event at a time; the backlog is drained by one subscription.
"""

import asyncio
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console
from stepwell_screening import builders
from stepwell_screening.app import service
from stepwell_screening.instruments import instruments
from stepwell_screening.subscriptions import SCORE_FINALIZED
from stepwell_screening.use_cases import responses
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls, bootstrap
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database
from stepwell_shared.events.delivery import Delivery
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.filters import EngineFilters
from stepwell_shared.events.outbox import Content, OutboxNotifier, Version, event
from stepwell_shared.events.subscriptions import Peer, subscribe_internally
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.interactions import Engine, built, create
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.registry import Registry, Write
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.http_client import http_client
from stepwell_shared.migrations import migrate
from stepwell_shared.runtime import Runtime

from tests.shared.events.subscriber import Subscriber, Told
from tests.support.runtime import caller, running

TENANT = "bench"
WRITERS = 32
PATIENTS = 1_000
ROUNDS = 6
ROUND_SECONDS = 2.0
IDLE_EVENTS = 300
IDLE_PAUSE_SECONDS = 0.02
BACKLOGS = (2_000, 20_000)
PHQ_9 = "https://stepwell.health/fhir/Questionnaire/phq-9|1.0.0"

Resource = dict[str, Any]

PERSON: Resource = {
    "resourceType": "Patient",
    "id": "p",
    "identifier": [{"system": "https://hospital.example/mrn", "value": "1234567"}],
    "name": [{"family": "Example", "given": ["Alex"]}],
    "gender": "unknown",
    "birthDate": "1985-03-02",
    "address": [{"line": ["1 Main Street"], "city": "Springfield", "postalCode": "12345"}],
    "telecom": [{"system": "phone", "value": "+1 555 0100"}],
    "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}, "preferred": True}],
}


@dataclass(frozen=True)
class Latency:
    """Milliseconds from commit to notification."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Cost:
    """What an event takes away from the writes that announce one, and adds to their processor time."""

    per_second_without: float
    per_second_with: float
    rate_ratio: float
    processor_ratio: float


def response(patient: str) -> Resource:
    """A filled-in PHQ-9."""
    answer = {"valueCoding": {"system": "http://loinc.org", "code": "LA6569-3", "display": "Several days"}}
    return {
        "resourceType": "QuestionnaireResponse",
        "id": new_id(),
        "questionnaire": PHQ_9,
        "status": "completed",
        "subject": {"reference": f"Patient/{patient}"},
        "authored": "2026-11-21T20:54:00Z",
        "item": [{"linkId": link_id, "answer": [answer]} for link_id in instruments()[PHQ_9].definition.item_link_ids],
    }


@cache
def score() -> Resource:
    """The Observation that screening makes of such a response."""
    instrument, filled = instruments()[PHQ_9], response("p")
    return builders.score_observation(
        observation_id=new_id(),
        definition=instrument.definition,
        result=instrument.score(filled)[0],
        response_url=f"https://stepwell.example/screening/fhir/QuestionnaireResponse/{filled['id']}",
        subject=filled["subject"],
        effective=filled["authored"],
        issued=datetime.now(UTC),
    )


def announced(runtime: Runtime, resource: Resource, stored: Stored) -> Effect:
    """The event of a response with its score and the person, as screening announces it."""
    base_url, subject = runtime.engine.base_url, resource["subject"]["reference"]
    observation = {**score(), "id": new_id(), "subject": resource["subject"]}
    focus = f"QuestionnaireResponse/{resource['id']}"
    entries: list[tuple[str, Content]] = [
        (f"{base_url}/{focus}", stored),
        (f"{base_url}/Observation/{observation['id']}", observation),
        (f"{base_url}/Patient/{PERSON['id']}", Version("Patient", PERSON["id"], 1)),
    ]
    return event(SCORE_FINALIZED.canonical, subject, focus, entries, datetime.now(UTC))


@dataclass(frozen=True)
class Side:
    """An engine whose writes announce themselves, or the same without, and how screening builds an event there."""

    engine: Engine
    build: Callable[..., Effect]


Sides = dict[bool, Side]  # with its event, and without


def bare(runtime: Runtime) -> Sides:
    """Engines that keep responses as they are; the hook of one announces each of them."""

    async def announce(written: Write) -> None:
        resource = {**(written.resource or {}), "id": written.stored.id}
        written.unit.effects.append(announced(runtime, resource, written.stored))

    return {True: Side(_engine(runtime, announce), event), False: Side(_engine(runtime, None), event)}


def screened(runtime: Runtime) -> Sides:
    """Engines that do with a response what screening does; one neither builds nor keeps the event."""

    async def say_nothing(written: Write) -> None:
        await responses.submit_response(runtime, written)
        written.unit.effects[:] = [effect for effect in written.unit.effects if effect.table != "outbox"]

    return {
        True: Side(_engine(runtime, partial(responses.submit_response, runtime)), event),
        False: Side(_engine(runtime, say_nothing), lambda *_: Effect("outbox", ())),
    }


def _engine(runtime: Runtime, hook: Callable[[Write], Awaitable[None]] | None) -> Engine:
    types = runtime.engine.registry.types
    changed = replace(types["QuestionnaireResponse"], on_write=hook, unique_identifier=False)
    return replace(runtime.engine, registry=Registry(service.name, {**types, changed.name: changed}))


async def write(runtime: Runtime, engine: Engine, patient: str) -> None:
    """One create as the engine does it behind its routes: validated, put on record, durable when it returns."""
    access = caller(TENANT)

    def witness(interaction: str, id_: str, status: int) -> Effect:
        return audit_effect(
            access,
            recorded=runtime.clock(),
            interaction=interaction,
            resource_type="QuestionnaireResponse",
            resource_id=id_,
            request_id=id_,
            status=status,
        )

    await create(engine, Request(access, witness, "QuestionnaireResponse", body=encode(response(patient))))


async def writes(runtime: Runtime, side: Side, notifier: OutboxNotifier | None, server_pid: int) -> tuple[float, float]:
    """Writes a second of many writers at once, and processor seconds each; an event is followed by its notice."""
    until = time.perf_counter() + ROUND_SECONDS
    numbers = itertools.count()
    used = processor_seconds(server_pid)

    async def writer() -> None:
        while time.perf_counter() < until:
            await write(runtime, side.engine, f"p{next(numbers) % PATIENTS}")
            if notifier is not None:
                notifier.notify(TENANT)

    with mock.patch.object(responses, "event", side.build):
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
    if notifier is not None:
        await notifier.close()
    count = next(numbers)
    return count / ROUND_SECONDS, (processor_seconds(server_pid) - used) / count


def processor_seconds(server_pid: int) -> float:
    """What this process and the server's processes have used so far (proc(5): fields 14 to 17, in clock ticks)."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended; its parent has counted it
        pid, parent = int(stat.parent.name), int(fields[1])
        if pid == server_pid:
            ticks += sum(map(int, fields[11:15]))
        elif parent == server_pid:
            ticks += sum(map(int, fields[11:13]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


async def event_cost(runtime: Runtime, sides: Sides, server_pid: int) -> Cost:
    """Medians of the rounds, and of the ratios of their two sides."""
    notifier = OutboxNotifier(runtime.database, "bench")
    await writes(runtime, sides[True], notifier, server_pid)
    rounds = []
    for turn in range(ROUNDS):
        order = (False, True) if turn % 2 else (True, False)
        found = {each: await writes(runtime, sides[each], notifier if each else None, server_pid) for each in order}
        rounds.append((found[False], found[True]))
    return Cost(
        statistics.median(without[0] for without, _ in rounds),
        statistics.median(with_it[0] for _, with_it in rounds),
        statistics.median(with_it[0] / without[0] for without, with_it in rounds),
        statistics.median(with_it[1] / without[1] for without, with_it in rounds),
    )


class Hearing(Subscriber):
    """Counts events and says when one came."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.came = asyncio.Event()
        self.answering = self.hear

    async def hear(self, told: Told) -> tuple[int, bytes]:
        self.count += told.body.count(b'"event-number"')
        self.told.clear()
        self.came.set()
        return 200, b""


async def idle_latency(runtime: Runtime, delivery: Delivery, hearing: Hearing) -> Latency:
    """One event at a time, with a pause, as on a quiet day."""
    found = []
    engine = bare(runtime)[True].engine
    for n in range(IDLE_EVENTS):
        await asyncio.sleep(IDLE_PAUSE_SECONDS)
        hearing.came.clear()
        await write(runtime, engine, f"p{n}")
        committed = time.perf_counter()
        delivery.wake(TENANT)
        await hearing.came.wait()
        found.append((time.perf_counter() - committed) * 1000)
    cuts = statistics.quantiles(found[IDLE_EVENTS // 10 :], n=100)
    return Latency(cuts[49], cuts[98])


async def drained_per_second(runtime: Runtime, delivery: Callable[[], Any], hearing: Hearing, count: int) -> float:
    """Events per second while a backlog of so many is delivered."""
    for start in range(0, count, 1_000):
        units = UnitOfWork(TENANT)
        for n in range(start, min(start + 1_000, count)):
            resource = response(f"p{n % 500}")
            change = built(runtime.engine, resource, datetime.now(UTC))
            units.changes.append(change)
            units.effects.append(announced(runtime, resource, change.stored))
        await runtime.store.commit(units)
    hearing.count = 0
    began = time.perf_counter()
    async with delivery():
        while hearing.count < count:
            hearing.came.clear()
            await hearing.came.wait()
        return count / (time.perf_counter() - began)


@asynccontextmanager
async def delivering(runtime: Runtime) -> AsyncIterator[Delivery]:
    """A delivery loop as a service process runs it."""
    async with http_client() as client:

        async def token(_tenant: str) -> str:
            return "token"

        async def tenants() -> tuple[str, ...]:
            return (TENANT,)

        delivery = Delivery(
            runtime.database,
            client,
            base_url=runtime.engine.base_url,
            tenants=tenants,
            token=token,
            matches=EngineFilters(runtime.engine, service.topics),
            endpoints=EndpointPolicy(),
            replica="bench",
        )
        running_task = asyncio.create_task(delivery.run())
        delivery.wake(TENANT)
        try:
            yield delivery
        finally:
            await delivery.stop()
            await running_task


async def measure(urls: DatabaseUrls, folder: Path, console: Console, server_pid: int) -> None:
    """Measures everything and prints it."""
    await migrate(service.name, urls.owner, RUNTIME_ROLE)
    async with Database.open(urls.runtime) as database:
        await add_tenant(database, TENANT, datetime.now(UTC))
    async with running(service, urls, folder) as runtime, Hearing().up() as hearing:
        assert isinstance(hearing, Hearing)
        people = [{**PERSON, "id": f"p{number}"} for number in ("", *range(PATIENTS))]
        await runtime.store.commit(UnitOfWork(TENANT, [built(runtime.engine, p, datetime.now(UTC)) for p in people]))
        for name, sides in (("response with its event", screened(runtime)), ("bare write with it", bare(runtime))):
            cost = await event_cost(runtime, sides, server_pid)
            console.print(
                f"{name:<24} {cost.rate_ratio:.2f} of the rate without"
                f" ({cost.per_second_with:,.0f} / {cost.per_second_without:,.0f} a second),"
                f" {cost.processor_ratio:.2f} of the processor time"
            )
        peer = Peer(SCORE_FINALIZED, "bench", hearing.url)
        await subscribe_internally(runtime.database, TENANT, runtime.engine.base_url, [peer])
        async with delivering(runtime) as delivery:
            latency = await idle_latency(runtime, delivery, hearing)
        console.print(f"commit -> notification   p50 {latency.p50:.2f} ms, p99 {latency.p99:.2f} ms (idle)")
        for count in BACKLOGS:
            rate = await drained_per_second(runtime, lambda: delivering(runtime), hearing, count)
            console.print(f"backlog of {count:<7,}       {rate:,.0f} events a second")


def main() -> None:
    """Runs in a temporary folder; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="stepwell-bench-"))
    folder.chmod(0o711)  # as root, the server may run as a user who has to get to its data
    postgres = EmbeddedPostgres(folder / "postgres", say=lambda _: None)
    try:
        with postgres:
            urls = asyncio.run(bootstrap(postgres.url(), ["bench"], folder / "credentials.json", server_is_ours=True))
            asyncio.run(measure(urls["bench"], folder, Console(width=120), postgres.pid or 0))
    finally:
        shutil.rmtree(postgres.home, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
