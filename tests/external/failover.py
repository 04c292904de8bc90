"""The primary is killed under load: what was answered is there, nothing is doubled, the services go on by themselves.

Four services work on a cluster of three servers under Patroni, and clients submit all the time. The primary and its
Patroni get SIGKILL; the next one SIGSTOP, as a machine that hangs, and goes on later as if nothing had happened; the
third hands over in order. Each has to come back as a standby. Then everything in the databases is compared with what
the clients were answered. All the time each client looks for whom it has just submitted, and standbys answer that.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import asyncpg
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.processes import Command, ServiceProcesses
from stepwell_shared.database.pool import Database
from stepwell_shared.database.standby import Reader

from tests.chaos.clients import Submitter, submitting
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Connections, Finding, examine
from tests.chaos.stage import TENANT
from tests.external.deployed import connections, deploy
from tests.external.failover_searches import Asked, Seeker, gap_seconds
from tests.external.patroni_cluster import Cluster, Node, running_cluster
from tests.support import postgres

CLIENTS = 12
SUBMISSIONS = 60
"""So many are answered before something happens, and again after it."""
BACK_SECONDS_MAX = 150.0
STALENESS_SECONDS_MAX = 2.0
TRIES = 10
STANDSTILL_SECONDS_MAX = 60.0


@dataclass
class Load:
    """Clients that submit, and look for it, until they are told to stop; and when they were answered."""

    submitter: Submitter
    seeker: Seeker
    answered_at: list[float] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Every submission that began is finished."""
        numbers = count()

        async def work() -> None:
            for number in numbers:
                if self.over.is_set():
                    return
                await self.submitter.submit(number)
                self.answered_at.append(time.monotonic())
                await self.seeker.find(number)

        await asyncio.gather(*(work() for _ in range(CLIENTS)))

    async def reached(self, answers: int, seconds_max: float) -> None:
        """Waits until so many were answered in all."""
        deadline = time.monotonic() + seconds_max
        while len(self.answered_at) < answers:
            if time.monotonic() > deadline:
                wrong = ", ".join(self.submitter.ledger.wrong)
                raise RuntimeError(f"{len(self.answered_at)} of {answers} submissions answered in time: {wrong}")
            await asyncio.sleep(0.05)


def run() -> bool:
    """Whether nothing was lost or doubled and all came back. Raises SkippedError where Patroni cannot be had."""
    folder = postgres.run_folder() / "failover"
    folder.mkdir(mode=0o711)
    with running_cluster(folder) as cluster:
        return asyncio.run(_on(cluster, folder))


async def _on(cluster: Cluster, folder: Path) -> bool:
    await cluster.settled()
    deployment = await deploy(cluster.url(), folder, {})
    findings = await _figures_are_read_on_a_standby_that_is_fresh(cluster, deployment)
    asked = Asked(deployment)
    commands = [_reading_on_standbys(each, deployment) for each in (*deployment.commands(), asked.command)]
    with ServiceProcesses(commands, folder / "logs") as processes:
        await asyncio.to_thread(processes.wait_until_ready)
        ledger = Ledger()
        findings += await _change_primaries(cluster, deployment, asked, ledger)
        processes.refuse_ended()
    for finding in findings:
        print(finding)
    return not findings


def _standby_url(deployment: LocalDeployment, service: str) -> str:
    return deployment.databases[service].runtime.replace("=read-write", "=standby")


def _reading_on_standbys(command: Command, deployment: LocalDeployment) -> Command:
    url = _standby_url(deployment, command.name.partition("-")[0])
    reading = {"STEPWELL_READ_DATABASE_URL": url, "STEPWELL_READ_SEARCHES": "true"}
    return replace(command, environment={**command.environment, **reading})


async def _figures_are_read_on_a_standby_that_is_fresh(cluster: Cluster, deployment: LocalDeployment) -> list[Finding]:
    """While its standbys keep up one of them answers, and as soon as they do not, the primary."""
    async with (
        Database.open(deployment.databases["measurement"].runtime, connections_max=1) as primary,
        Database.open(_standby_url(deployment, "measurement"), connections_max=1) as standby,
    ):
        fresh = await _answered_by_standby(cluster, primary, standby)
        for node in cluster.nodes.values():
            node.replay(going=False)
        await asyncio.sleep(STALENESS_SECONDS_MAX)  # what is promised is about time: nothing else makes them old
        paused = await _answered_by_standby(cluster, primary, standby)
        for node in cluster.nodes.values():
            node.replay(going=True)
    wrong = ["a fresh standby was not asked"] * (not fresh) + ["a standby that was behind answered"] * paused
    return [Finding("wrong", "reads of figures", tuple(wrong))] * bool(wrong)


async def _answered_by_standby(cluster: Cluster, primary: Database, standby: Database) -> bool:
    """Whether a read is answered by a standby within a few tries, with something written before each."""
    for _ in range(TRIES):
        connection = await asyncpg.connect(cluster.url(), timeout=10)
        await connection.execute("SELECT pg_current_xact_id()")
        await connection.close()
        reader = Reader(primary, standby, STALENESS_SECONDS_MAX)
        if await reader.read(TENANT, lambda found: found.fetchval("SELECT pg_is_in_recovery()")):
            return True
    return False


async def _change_primaries(
    cluster: Cluster, deployment: LocalDeployment, asked: Asked, ledger: Ledger
) -> list[Finding]:
    """Under load the primary dies, another hangs and wakes up again, and one hands over to another."""
    async with submitting(deployment, ledger) as submitter:
        seeker = Seeker(submitter, asked)
        load = Load(submitter, seeker)
        running = asyncio.create_task(load.run())
        await load.reached(SUBMISSIONS, BACK_SECONDS_MAX)
        (await _lose(cluster, load, "is killed", Node.kill)).start()
        await cluster.settled()
        (await _lose(cluster, load, "hangs", Node.freeze)).thaw()
        await cluster.settled()
        await _lose(cluster, load, "hands over", cluster.hand_over)
        await cluster.settled()
        by_standby = await seeker.standby_is_asked(cluster)
        load.over.set()
        await running
    answers = dict(sorted(ledger.answers.items()))
    print(f"{len(ledger.acknowledged)} submissions acknowledged; answers by status {answers}", flush=True)
    print(f"{len(seeker.answered_at)} searches answered, {by_standby} of them by a standby", flush=True)
    return await _findings_when_settled(cluster, ledger)


async def _lose(cluster: Cluster, load: Load, what: str, act: Callable[[Node], None]) -> Node:
    """Something becomes of the primary while a standby answers searches; the clients are answered again. The node."""
    await load.seeker.standby_is_asked(cluster)
    leader = await asyncio.to_thread(cluster.leader)
    began, before = time.monotonic(), len(load.answered_at)
    await asyncio.to_thread(act, leader)
    await load.reached(before + SUBMISSIONS, BACK_SECONDS_MAX)
    gaps = [gap_seconds(each, began) for each in (load.answered_at, load.seeker.answered_at)]
    print(f"primary {leader.name} {what}: no answer for {gaps[0]:.1f} s, to a search for {gaps[1]:.1f} s", flush=True)
    return leader


async def _findings_when_settled(cluster: Cluster, ledger: Ledger) -> list[Finding]:
    """Asks the oracle until it finds nothing, or until nothing has changed for long."""
    before: list[int] = []
    moved_at = time.monotonic()
    while True:
        async with connections(cluster.url()) as opened:
            now = await _rows(opened)
            if now != before:
                before, moved_at = now, time.monotonic()
            found = await examine(opened, ledger)
        if not found or time.monotonic() - moved_at > STANDSTILL_SECONDS_MAX:
            return found
        await asyncio.sleep(0.5)


async def _rows(opened: Connections) -> list[int]:
    counted = "SELECT (SELECT count(*) FROM fhir_version) + (SELECT count(*) FROM received_event)"
    return [await connection.fetchval(counted) for connection in opened.values()]
