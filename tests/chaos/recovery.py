"""A database that dies under load and comes back: what clients are told meanwhile, and how soon it is over."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle

import asyncpg
from stepwell_shared.cli.client import SuiteClient
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import http_client

from tests.chaos.oracle import Finding
from tests.chaos.schedule import DATABASE, Kill, Manner
from tests.chaos.stage import CLIENT, Stage
from tests.overload.load import Answer, Connection, asked
from tests.support.proxy import fair

CLIENTS = 8
BEFORE_SECONDS = 0.5
DOWN_SECONDS = 0.3
AFTER_SECONDS = 2.0
ERRORS_END_SECONDS_MAX = 1.0
PERSON = b'{"resourceType":"Patient","name":[{"family":"Example"}]}'


@dataclass
class Recovery:
    """What one crash of the database looked like from outside."""

    answers: list[Answer] = field(default_factory=list)
    returned_at: float = 0.0
    """When the database took a connection again, in seconds since 1970."""

    @property
    def statuses(self) -> Counter[int]:
        return Counter(each.status for each in self.answers)

    @property
    def errors_seconds(self) -> float:
        """How long after the database's return the last request that failed was begun; 0 when none was."""
        failed = [each.asked_at for each in self.answers if each.status not in {200, 201}]
        return max(0.0, max(failed, default=0.0) - self.returned_at)


async def recoveries(stage: Stage, crashes: int) -> list[Recovery]:
    """Kills every process of PostgreSQL so many times while clients read and write in screening."""
    async with stage.proxies(fair), http_client(timeout_seconds=30) as http:
        token = await SuiteClient(stage.deployment, http, CLIENT).token()
    head = f"Host: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/fhir+json\r\n".encode()
    read = b"GET /screening/fhir/Patient?_id=nobody HTTP/1.1\r\n%b\r\n" % head
    write = b"POST /screening/fhir/Patient HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(PERSON), PERSON)
    return [await _crash(stage, [read, write]) for _ in range(crashes)]


async def _crash(stage: Stage, requests: list[bytes]) -> Recovery:
    found = Recovery()
    over = asyncio.Event()
    port = stage.deployment.inner_ports["screening"]
    loading = [asyncio.create_task(_load(port, requests, found, over)) for _ in range(CLIENTS)]
    await asyncio.sleep(BEFORE_SECONDS)
    kill = Kill(0, DATABASE, Manner.SERVER, DOWN_SECONDS, while_starting=False, child=0)
    await stage.kill(kill)
    await asyncio.sleep(DOWN_SECONDS)
    reviving = asyncio.create_task(stage.revive(kill))
    found.returned_at = await _returned(stage)
    await reviving
    await asyncio.sleep(AFTER_SECONDS)
    over.set()
    await asyncio.gather(*loading)
    return found


async def _load(port: int, requests: list[bytes], found: Recovery, over: asyncio.Event) -> None:
    connection = await Connection.open(port)
    for number, request in enumerate(cycle(requests)):
        if over.is_set():
            break
        found.answers.append(await asked(connection, request, number))
        if not connection.is_open:
            connection = await Connection.open(port)
        await asyncio.sleep(0.005)
    connection.close()


async def _returned(stage: Stage) -> float:
    """When the database answers again."""
    while True:
        try:
            connection = await asyncpg.connect(stage.database_url("screening"), timeout=5)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SetupError, IndexError):
            await asyncio.sleep(0.01)
            continue
        moment = time.time()
        await connection.close()
        return moment


def faults(found: list[Recovery], tolerance_seconds: float = 0.0) -> list[Finding]:
    """What R2 does not allow: an answer that is no 503 with Retry-After, or errors that go on for long."""
    wrong = [
        f"crash {number}: {answer.status}"
        for number, recovery in enumerate(found, 1)
        for answer in recovery.answers
        if answer.status not in {200, 201} and not (answer.status == 503 and answer.retry_after)
    ]
    late = [
        f"crash {number}: {recovery.errors_seconds:.2f} s"
        for number, recovery in enumerate(found, 1)
        if recovery.errors_seconds > ERRORS_END_SECONDS_MAX + tolerance_seconds
    ]
    findings = [Finding("wrong", "answer other than 503 with Retry-After while the database was away", tuple(wrong))]
    findings.append(Finding("wrong", "errors long after the database was back", tuple(late)))
    return [finding for finding in findings if finding.keys]
