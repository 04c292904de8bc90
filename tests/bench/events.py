"""`python -m tests.bench.events`: what an event costs the write that announces it, and how soon it is heard.

One process on an embedded PostgreSQL with durable commits. The cost is a ratio: the same unit of work with and without
its event, in rounds that take turns. The latency is from the answer of the commit to the notification in the hands of
a subscriber over HTTP, one event at a time; the backlog is drained by one subscription.
"""

import asyncio
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from stepwell_screening.app import service
from stepwell_screening.subscriptions import SCORE_FINALIZED
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls, bootstrap
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database
from stepwell_shared.events.delivery import Delivery
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.filters import EngineFilters
from stepwell_shared.events.outbox import OutboxNotifier, event
from stepwell_shared.events.subscriptions import Peer, subscribe_internally
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.interactions import Engine, built, create
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.registry import Registry, Write
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.http_client import http_client
from stepwell_shared.migrations import migrate
from stepwell_shared.runtime import Runtime

from tests.shared.events.subscriber import Subscriber, Told
from tests.support.runtime import caller, running

TENANT = "bench"
WRITERS = 32
ROUNDS = 6
ROUND_SECONDS = 2.0
IDLE_EVENTS = 300
IDLE_PAUSE_SECONDS = 0.02
BACKLOGS = (2_000, 20_000)

Resource = dict[str, Any]


@dataclass(frozen=True)
class Latency:
    """Milliseconds from commit to notification."""

    p50: float
    p99: float


def response(patient: str) -> Resource:
    """A filled-in form of nine questions, about as large as a PHQ-9."""
    answer = {"valueCoding": {"system": "http://loinc.org", "code": "LA6569-3", "display": "Several days"}}
    return {
        "resourceType": "QuestionnaireResponse",
        "id": new_id(),
        "questionnaire": "https://stepwell.health/fhir/Questionnaire/phq-9|1.0.0",
        "status": "completed",
        "subject": {"reference": f"Patient/{patient}"},
        "authored": "2026-11-21T20:54:00Z",
        "item": [{"linkId": f"/44250-{n}", "answer": [answer]} for n in range(9)],
    }


def announced(runtime: Runtime, resource: Resource, body: bytes) -> Effect:
    """The event of a response with its score and the person, as screening announces it."""
    base_url, subject = runtime.engine.base_url, resource["subject"]["reference"]
    score = {
        "resourceType": "Observation",
        "id": new_id(),
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]},
        "subject": resource["subject"],
        "valueQuantity": {"value": 9, "unit": "{score}", "system": "http://unitsofmeasure.org", "code": "{score}"},
    }
    focus = f"QuestionnaireResponse/{resource['id']}"
    entries: list[tuple[str, bytes | Resource]] = [
        (f"{base_url}/{focus}", body),
        (f"{base_url}/Observation/{score['id']}", score),
        (f"{base_url}/{subject}", {"resourceType": "Patient", "id": subject.partition("/")[2]}),
    ]
    return event(SCORE_FINALIZED.canonical, subject, focus, entries, datetime.now(UTC))


def engines(runtime: Runtime) -> dict[bool, Engine]:
    """Two engines that keep responses as they are; the hook of one announces each of them."""

    async def announce(written: Write) -> None:
        resource = {**(written.resource or {}), "id": written.stored.id}
        written.unit.effects.append(announced(runtime, resource, written.stored.body or b""))

    engine = runtime.engine
    found = {}
    for with_event, hook in ((False, None), (True, announce)):
        plain = replace(engine.registry.types["QuestionnaireResponse"], on_write=hook, unique_identifier=False)
        found[with_event] = replace(engine, registry=Registry(service.name, {plain.name: plain}))
    return found


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


async def writes_per_second(runtime: Runtime, engine: Engine, notifier: OutboxNotifier | None) -> float:
    """Throughput of many writers at once; an event is followed by its notice."""
    until = time.perf_counter() + ROUND_SECONDS
    numbers = itertools.count()

    async def writer() -> None:
        while time.perf_counter() < until:
            await write(runtime, engine, f"p{next(numbers) % 1000}")
            if notifier is not None:
                notifier.notify(TENANT)

    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    if notifier is not None:
        await notifier.close()
    return next(numbers) / ROUND_SECONDS


async def event_cost(runtime: Runtime) -> tuple[float, float, float]:
    """Writes per second without and with an event, and the median of the rounds' ratios."""
    notifier = OutboxNotifier(runtime.database, "bench")
    sides = engines(runtime)
    await writes_per_second(runtime, sides[True], notifier)
    rounds = []
    for turn in range(ROUNDS):
        order = (False, True) if turn % 2 else (True, False)
        found = {each: await writes_per_second(runtime, sides[each], notifier if each else None) for each in order}
        rounds.append((found[False], found[True]))
    without, with_it = (statistics.median(side) for side in zip(*rounds, strict=True))
    return without, with_it, statistics.median(b / a for a, b in rounds)


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
    engine = engines(runtime)[True]
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
    effects = []
    for n in range(count):
        resource = response(f"p{n % 500}")
        effects.append(
            announced(runtime, resource, built(runtime.engine, resource, datetime.now(UTC)).stored.body or b"")
        )
    for start in range(0, count, 1_000):
        await runtime.store.commit(UnitOfWork(TENANT, effects=effects[start : start + 1_000]))
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


async def measure(urls: DatabaseUrls, folder: Path, console: Console) -> None:
    """Measures everything and prints it."""
    await migrate(service.name, urls.owner, RUNTIME_ROLE)
    async with Database.open(urls.runtime) as database:
        await add_tenant(database, TENANT, datetime.now(UTC))
    async with running(service, urls, folder) as runtime, Hearing().up() as hearing:
        assert isinstance(hearing, Hearing)
        without, with_it, ratio = await event_cost(runtime)
        console.print(
            f"write with its event     {ratio:.2f} of the write alone ({with_it:,.0f} / {without:,.0f} a second)"
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
            asyncio.run(measure(urls["bench"], folder, Console(width=120)))
    finally:
        shutil.rmtree(postgres.home, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
