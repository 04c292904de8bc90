"""The suite that is put through chaos: a PostgreSQL of its own, four services, a fault proxy in front of each.

The public URLs are those of the proxies, so that clients, notifications, tokens and catching up all go through them.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg
from stepwell_shared.cli.bootstrap import bootstrap, database_name
from stepwell_shared.cli.client import register
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.processes import Command, ServiceProcesses, free_port
from stepwell_shared.settings import SERVICES

from tests.chaos.schedule import Kill, Manner
from tests.support.proxy import FaultProxy, Plan

TENANT = "north"
CLIENT, EHR = f"{TENANT}.load", f"{TENANT}.ehr"
EHR_LINK = "ehr"


@dataclass(frozen=True)
class ProxiedDeployment(LocalDeployment):
    """Services that listen on ports behind those of their URLs."""

    inner_ports: Mapping[str, int] = field(default_factory=dict)

    def commands(self) -> list[Command]:
        """How to start each service behind its proxy."""
        behind = replace(self, ports=self.inner_ports)
        return [
            replace(command, environment=self.environment(command.name)) for command in LocalDeployment.commands(behind)
        ]


@dataclass(frozen=True)
class Stage:
    """Everything that runs. An EHR posts its endpoint as `ehr_port` and listens, behind a proxy, on `listener_port`."""

    postgres: EmbeddedPostgres
    deployment: ProxiedDeployment
    processes: ServiceProcesses
    ehr_port: int
    listener_port: int

    @asynccontextmanager
    async def proxies(self, plan: Plan) -> AsyncIterator[list[FaultProxy]]:
        """The proxies of all links, at work under this plan; without them nobody reaches anybody."""
        ports, inner = self.deployment.ports, self.deployment.inner_ports
        async with AsyncExitStack() as stack:
            made = [FaultProxy(name, ports[name], inner[name], plan) for name in SERVICES]
            made.append(FaultProxy(EHR_LINK, self.ehr_port, self.listener_port, plan))
            yield [await stack.enter_async_context(each) for each in made]

    def database_url(self, service: str) -> str:
        """A service's database, past row-level security. The server must run."""
        return self.postgres.url(database_name(service))

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[dict[str, asyncpg.Connection]]:
        """One superuser's connection to the database of each service."""
        async with AsyncExitStack() as stack:
            opened = {}
            for service in SERVICES:
                opened[service] = await asyncpg.connect(self.database_url(service), timeout=5)
                stack.push_async_callback(opened[service].close, timeout=5)
            yield opened

    async def kill(self, kill: Kill) -> None:
        """Kills, and returns when what was killed is down or, for a child of PostgreSQL, has been told."""
        if kill.manner is Manner.SERVICE:
            self.processes.kill(kill.target)
            return
        postmaster = self.postgres.pid
        if postmaster is None:
            return
        children = children_of(postmaster)
        if kill.manner is Manner.CHILD:
            _kill(children[kill.child % len(children)])
            return
        _kill(postmaster)
        if kill.manner is Manner.SERVER:
            for child in children:
                _kill(child)
        await asyncio.to_thread(self._wait_until_down)

    def _wait_until_down(self) -> None:
        while self.postgres.running():
            time.sleep(0.01)

    async def revive(self, kill: Kill) -> None:
        """Starts again what was killed, if nobody else has."""
        if kill.manner is Manner.SERVICE:
            self.processes.start_one(kill.target)
        elif kill.manner is not Manner.CHILD:
            await asyncio.to_thread(self.postgres.start)


def children_of(parent: int) -> list[int]:
    """The processes that this one started, oldest number first; proc(5)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return sorted(found)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def staged(folder: Path, logs: Path) -> Iterator[Stage]:
    """PostgreSQL with migrated databases, a tenant and two clients, and the services, started and ready.

    Data goes to `folder`, which any user must be able to pass through; the services' output to `logs`.
    """
    with EmbeddedPostgres(folder / "postgres", say=lambda _: None) as postgres:
        *ports, ehr_port, listener_port = _free_ports(2 * len(SERVICES) + 2)
        deployment = asyncio.run(_deploy(folder, postgres, ports, ehr_port))
        with ServiceProcesses(deployment.commands(), logs) as processes:
            processes.wait_until_ready()
            yield Stage(postgres, deployment, processes, ehr_port, listener_port)


async def _deploy(folder: Path, postgres: EmbeddedPostgres, ports: list[int], ehr_port: int) -> ProxiedDeployment:
    names = {service: database_name(service) for service in SERVICES}
    urls = await bootstrap(postgres.url(), list(names.values()), folder / "credentials.json", server_is_ours=True)
    deployment = ProxiedDeployment(
        home=folder,
        databases={service: urls[name] for service, name in names.items()},
        ports=dict(zip(SERVICES, ports[: len(SERVICES)], strict=True)),
        inner_ports=dict(zip(SERVICES, ports[len(SERVICES) :], strict=True)),
        extra_environment={
            "STEPWELL_LOG_LEVEL": "WARNING",
            "STEPWELL_DELIVERY_LEASE_SECONDS": "2",
            "STEPWELL_DELIVERY_BATCH_MAX": "16",
            "STEPWELL_DELIVERY_BACKOFF_SECONDS_MAX": "3",
            "STEPWELL_SUBSCRIPTION_HOSTS_ALLOWED": f'["127.0.0.1:{ehr_port}"]',
        },
    )
    await deployment.migrate()
    deployment.write_settings()
    await deployment.add_tenant(TENANT)
    await register(deployment, CLIENT, "clinician", f"Practitioner/{TENANT}-clinician")
    await register(deployment, EHR, "service")
    return deployment


def _free_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)
