"""A release rolls through all four services under load, and nobody outside notices."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE
from stepwell_shared.cli.client import register
from stepwell_shared.cli.processes import ServiceProcesses, free_port
from stepwell_shared.migrations import migrate
from stepwell_shared.revisions import Half
from stepwell_shared.settings import SERVICES

from tests.chaos.clients import submitting
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Finding, examine
from tests.chaos.stage import CLIENT, TENANT, ProxiedDeployment
from tests.support import postgres
from tests.support.balancer import Balancer, Probe

MANIFEST = Path(__file__).parents[2] / "deploy" / "k8s" / "base" / "deployment.yaml"
# `make check` has more of everything (rolling.py).
PODS = int(os.environ.get("ROLLING_PODS", "1"))
CLIENTS = int(os.environ.get("ROLLING_CLIENTS", "1"))
# Where the sources of the release before are; without it the same code rolls.
BEFORE = os.environ.get("ROLLING_BEFORE", "")
PAUSE_SECONDS = 0.3
SETTLED_SECONDS_MAX = 120
# What the first half of a next release may do: the tables are those that every request writes to.
NEXT_RELEASE = "ALTER TABLE fhir_version ADD COLUMN next_release text; ALTER TABLE audit ADD COLUMN next_release text"
UNITS = {"Mi": 2**20, "Gi": 2**30}


@cache
def container() -> Mapping[str, Any]:
    """The container of a service in the manifests."""
    found: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())["spec"]["template"]["spec"]["containers"][0]
    return found


def in_the_manifest(variable: str) -> str:
    """The value of a variable there."""
    return str(next(each["value"] for each in container()["env"] if each["name"] == variable))


def memory_bytes_max() -> int:
    limit = container()["resources"]["limits"]["memory"]
    return int(limit[:-2]) * UNITS[limit[-2:]]


@dataclass
class Pods:
    """The processes of one generation, behind the balancers of their services."""

    deployment: ProxiedDeployment
    processes: ServiceProcesses
    balancers: Mapping[str, Balancer]

    async def start(self, service: str) -> None:
        """Returns when the process gets connections."""
        self.processes.start_one(service)
        await self.balancers[service].add(self.deployment.inner_ports[service])

    async def stop(self, service: str) -> int:
        """SIGTERM, until it has ended by itself; the most memory that it ever had, in bytes."""
        memory = peak_bytes(self.processes.pid_of(service))
        await asyncio.to_thread(self.processes.stop_one, service)
        await self.balancers[service].remove(self.deployment.inner_ports[service])
        return memory


def peak_bytes(pid: int) -> int:
    """proc_pid_status(5), VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)


def generation(deployment: ProxiedDeployment, balancers: Mapping[str, Balancer], logs: Path, sources: str = "") -> Pods:
    """Processes that are not started yet, of the installed code or of other sources."""
    environment = {**deployment.extra_environment, **({"PYTHONPATH": sources} if sources else {})}
    behind = replace(deployment, inner_ports=ports(), extra_environment=environment)
    logs.mkdir()
    return Pods(behind, ServiceProcesses(behind.commands(), logs), balancers)


def ports() -> dict[str, int]:
    found: dict[str, int] = {}
    while len(set(found.values())) < len(SERVICES):
        found = {service: free_port() for service in SERVICES}
    return found


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[ProxiedDeployment]:
    """Migrated databases with a tenant and a client; the public ports are those of the balancers."""
    created = {name: asyncio.run(postgres.create_database(name)) for name in SERVICES}
    made = ProxiedDeployment(
        home=tmp_path,
        databases={name: urls for name, (_, urls) in created.items()},
        ports=ports(),
        extra_environment={
            "STEPWELL_DRAIN_SECONDS": in_the_manifest("STEPWELL_DRAIN_SECONDS"),
            "STEPWELL_LOG_LEVEL": "WARNING",
        },
    )

    async def populate() -> None:
        await made.add_tenant(TENANT)
        await register(made, CLIENT, "clinician", f"Practitioner/{TENANT}-clinician")

    try:
        made.write_settings()
        asyncio.run(populate())
        yield made
    finally:
        for name, _ in created.values():
            postgres.drop_database(name)


@contextmanager
def stopped_at_the_end(generations: list[Pods]) -> Iterator[None]:
    try:
        yield
    finally:
        for pods in generations:
            pods.processes.stop()


@asynccontextmanager
async def load(deployment: ProxiedDeployment, ledger: Ledger) -> AsyncIterator[None]:
    """Clients that submit one response after the other for as long as the context lasts, then finish."""
    enough = asyncio.Event()

    async def submit(first: int) -> None:
        number = first
        while not enough.is_set():
            await submitter.submit(number)
            number += CLIENTS
            await asyncio.sleep(PAUSE_SECONDS)

    async with submitting(deployment, ledger) as submitter, asyncio.TaskGroup() as clients:
        for first in range(CLIENTS):
            clients.create_task(submit(first))
        try:
            yield
        finally:
            enough.set()


async def next_release(deployment: ProxiedDeployment) -> None:
    """The first half of the migrations of all four, as their Jobs would."""
    for service in SERVICES:
        owner = deployment.databases[service].owner
        await migrate(service, owner, RUNTIME_ROLE, [Half.BEFORE])
        connection = await asyncpg.connect(owner)
        await connection.execute(f"SET lock_timeout = '5s'; {NEXT_RELEASE}")
        await connection.close()


async def roll(before: list[Pods], after: list[Pods]) -> list[int]:
    """As the manifests say, maxSurge 1 and maxUnavailable 0: a new Pod is ready before an old one goes."""

    async def roll_one(service: str) -> list[int]:
        peaks = []
        for old, new in zip(before, after, strict=True):
            await new.start(service)
            peaks.append(await old.stop(service))
        return peaks

    return [peak for peaks in await asyncio.gather(*map(roll_one, SERVICES)) for peak in peaks]


async def examined(deployment: ProxiedDeployment, ledger: Ledger) -> list[Finding]:
    """What the oracle finds in the four databases, once everything that is owed has come."""
    async with AsyncExitStack() as stack:
        connections = {}
        for service in SERVICES:
            name = urlsplit(deployment.databases[service].owner).path.removeprefix("/")
            connections[service] = await asyncpg.connect(postgres.server().url(name))
            stack.push_async_callback(connections[service].close)
        try:
            async with asyncio.timeout(SETTLED_SECONDS_MAX):
                while True:
                    if not (findings := await examine(connections, ledger)):
                        break
                    await asyncio.sleep(0.5)
        except TimeoutError:
            pass
        return findings


@pytest.mark.timeout(400)  # three drains of ten seconds and eight starts, on a machine that is shared
async def test_a_release_rolls_through_all_services_and_no_request_fails_and_nothing_is_lost_or_doubled(
    deployment: ProxiedDeployment, tmp_path: Path
) -> None:
    ledger = Ledger()
    ready, live = (Probe.of(container()[name]) for name in ("readinessProbe", "livenessProbe"))
    balancers = {service: Balancer(deployment.ports[service], ready, live) for service in SERVICES}
    before, after = (
        [generation(deployment, balancers, tmp_path / f"logs-{release}-{number}", sources) for number in range(PODS)]
        for release, sources in (("old", BEFORE), ("new", ""))
    )
    with stopped_at_the_end([*before, *after]):
        async with AsyncExitStack() as stack:
            for balancer in balancers.values():
                await stack.enter_async_context(balancer)
            await asyncio.gather(*(pods.start(service) for pods in before for service in SERVICES))
            async with load(deployment, ledger):
                await next_release(deployment)
                peaks = await roll(before, after)
            findings = await examined(deployment, ledger)
    assert ledger.wrong == {}
    assert set(ledger.answers) <= {"200", "201"}, ledger.answers
    assert [str(finding) for finding in findings] == []
    assert len(ledger.acknowledged) == len(ledger.submissions) > 20 * CLIENTS
    assert [balancer.would_be_killed for balancer in balancers.values()] == [[]] * len(SERVICES)
    assert [peak for peak in peaks if peak > memory_bytes_max()] == []
    said = f"{len(ledger.acknowledged)} submissions, {ledger.answers.total()} requests"
    print(f"{said}, at most {max(peaks) / 2**20:.0f} MiB")
