"""`python -m tests.bench.deciding`: how soon a scored questionnaire is a committed ServiceRequest.

Notifications of screening are posted to a routing process over HTTP, one response of another person each, by clients
that each are a subscription; routing answers when its decision is committed. The other services are stopped meanwhile.
The floor is every row that such a decision leaves, in one prepared statement.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import orjson
from rich.console import Console
from stepwell_shared.auth.keys import load_private_key
from stepwell_shared.auth.service_tokens import request_token, service_client_id
from stepwell_shared.canonical import topic
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.events.notification import Addressee, NumberedEvent, notification
from stepwell_shared.events.outbox import Entry
from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.http_client import http_client

from tests.bench.goals import P99_MILLISECONDS_MAX
from tests.bench.job_stage import quiet
from tests.bench.load import HttpConnection, HttpJob, LoadProcess, SqlJob
from tests.bench.measuring import Side
from tests.bench.recording import FloorWrite, floor_write, new_rows, snapshot
from tests.bench.suite import TENANT, BenchSuite, running_suite
from tests.services.routing.hearing import score_url, scored
from tests.support.runtime import URLS

CLIENTS = 8
ROUNDS = 3
SECONDS = 4.0
WARM_UP_SECONDS = 2.0
PLACE_OF_NUMBER = 77_777_777
PERSON, NUMBER, SUBSCRIPTION = "00000000-0000-7000-8000-000000000000", "@NUMBER@", "@SUBSCRIPTION@"


@dataclass
class NotificationJob(HttpJob):
    """Each client is a subscription of its own and counts its events; each response is of another person."""

    def _sender(self, connection: HttpConnection, values: Iterator[str]) -> Callable[[], Coroutine[Any, Any, None]]:
        name, numbers = new_id(), count(1)

        async def call() -> None:
            body = self.request.replace(PERSON.encode(), new_id().encode())
            body = body.replace(SUBSCRIPTION.encode(), name.encode()).replace(
                NUMBER.encode(), str(next(numbers)).encode()
            )
            head = f"{self.marker}Content-Length: {len(body)}\r\n\r\n"
            status, answer = await connection.send(head.encode() + body)
            if status != self.status:
                raise RuntimeError(f"routing answered {status} instead of {self.status}: {answer[:300]!r}")

        return call


def told(suite: BenchSuite) -> bytes:
    """A notification of one PHQ-9 of 12 points without thoughts of self-harm, with places for what differs."""
    event, now = scored(12, PERSON), datetime.now(UTC)
    entries = [Entry(url, msgspec.Raw(orjson.dumps(resource))) for url, resource in event.resources.items()]
    addressee = Addressee(
        f"{URLS['screening']}/Subscription/{SUBSCRIPTION}", topic("score-finalized"), "active", "full-resource"
    )
    numbered = [NumberedEvent(PLACE_OF_NUMBER, now, entries)]
    text = notification(addressee, "event-notification", numbered, events_total=1, sent=now).decode()
    places = {
        str(PLACE_OF_NUMBER): NUMBER,
        "Patient/p1": f"Patient/{PERSON}",
        score_url(PERSON).rpartition("/")[2]: PERSON,
    }
    addresses = {url: suite.deployment.url_of(name) for name, url in URLS.items()}
    for old, new in (places | addresses).items():
        text = text.replace(old, new)
    return text.encode()


async def head_of(suite: BenchSuite) -> str:
    """The head of a request of screening, without the length of its body."""
    deployment = suite.deployment
    key = load_private_key(Path(deployment.environment("screening")["STEPWELL_SERVICE_KEY_FILE"]))
    async with http_client(timeout_seconds=30) as http:
        client_id = service_client_id(TENANT, "screening")
        token = await request_token(http, deployment.issuer_url, client_id, key, now=time.time())
    lines = [
        "POST /routing/notifications HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token.text}",
        "Content-Type: application/fhir+json",
    ]
    return "\r\n".join(lines) + "\r\n"


@contextmanager
def stopped(suite: BenchSuite, *names: str) -> Iterator[None]:
    """These services do nothing meanwhile."""
    pids = [suite.processes.pid_of(name) for name in names]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def floor_of(suite: BenchSuite, job: NotificationJob, load: LoadProcess) -> FloorWrite:
    """Every row of one decision, found out by making two."""
    connection = await asyncpg.connect(suite.superuser_url("routing"))
    try:
        found = []
        for _ in range(2):  # the first also writes what is written only once
            before = await snapshot(connection)
            await asyncio.to_thread(load.run, replace(job, clients=1, seconds=0.0001))
            await quiet({"routing": connection})
            found = new_rows("routing", before, await snapshot(connection))
        if not any(each.table == "fhir_servicerequest" for each in found):
            raise SetupError("the notification led to no ServiceRequest")
        return floor_write(found, PERSON)
    finally:
        await connection.close()


async def measure(suite: BenchSuite, load: LoadProcess, console: Console) -> None:
    """Floor and product take turns; prints the medians."""
    job = NotificationJob(
        suite.deployment.ports["routing"], told(suite), await head_of(suite), (), 200, CLIENTS, SECONDS
    )
    floor = await floor_of(suite, job, load)
    floors, decided = Side(), Side()
    with stopped(suite, "screening", "referral", "measurement"):
        await asyncio.to_thread(load.run, replace(job, seconds=WARM_UP_SECONDS))
        for _ in range(ROUNDS):
            sql = SqlJob(suite.floor_url, floor.statement, floor, CLIENTS, SECONDS / 2)
            floors.add(await asyncio.to_thread(load.run, sql))
            decided.add(await asyncio.to_thread(load.run, job))
    ours, least = decided.rate(), floors.rate()
    console.print(
        f"notification -> ServiceRequest committed, {CLIENTS} clients: p50 {ours.p50:.1f} ms, p99 {ours.p99:.1f} ms"
        f" (must {P99_MILLISECONDS_MAX:g}), {ours.per_second:,.0f} a second, {ours.per_second / least.per_second:.2f}"
        f" of the floor of {least.per_second:,.0f} ({floor.rows_count} rows; p99 {least.p99:.1f} ms)"
    )


def main() -> None:
    """Runs in a temporary folder; afterwards nothing of it is left."""
    console = Console(width=160)
    with LoadProcess() as load, running_suite() as suite:
        asyncio.run(measure(suite, load, console))


if __name__ == "__main__":
    main()
