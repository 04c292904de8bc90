"""A suite with durable commits for the benches: embedded PostgreSQL, four services as real processes, its tenants."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import load_private_key, make_private_key, public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.access import add_client
from stepwell_shared.cli.bootstrap import OWNER_ROLE, RUNTIME_ROLE, bootstrap, database_name
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.processes import ServiceProcesses, free_port
from stepwell_shared.migrations import migrate
from stepwell_shared.settings import SERVICES

TENANT = "bench"
FLOOR = "stepwell_floor"


@dataclass(frozen=True)
class BenchSuite:
    """What a bench measures against."""

    folder: Path
    postgres: EmbeddedPostgres
    deployment: LocalDeployment
    processes: ServiceProcesses

    def superuser_url(self, service: str) -> str:
        """A service's database, past row-level security."""
        return self.postgres.url(database_name(service))

    @property
    def floor_url(self) -> str:
        """The database in which the floor of the main job writes; it has one schema for each service."""
        return self.postgres.url(FLOOR)


def client_of(tenant: str) -> str:
    """The client that sends a tenant's load."""
    return f"{tenant}.load"


@contextmanager
def running_suite() -> Iterator[BenchSuite]:
    """Starts everything in a temporary folder; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="stepwell-bench-"))
    folder.chmod(0o711)  # as root, the server may run as a user who has to get to its data
    postgres = EmbeddedPostgres(folder / "postgres", say=lambda _: None)
    try:
        with postgres:
            deployment = asyncio.run(_prepare_with_floor(folder, postgres))
            with ServiceProcesses(deployment.commands(), folder / "logs") as processes:
                processes.wait_until_ready()
                yield BenchSuite(folder, postgres, deployment, processes)
    finally:
        shutil.rmtree(postgres.home, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


async def prepare(folder: Path, postgres: EmbeddedPostgres, tenants: Sequence[str]) -> LocalDeployment:
    """Databases, keys, tenants and a client for each; doing it again changes nothing but the ports."""
    names = [database_name(service) for service in SERVICES]
    urls = await bootstrap(postgres.url(), names, folder / "credentials.json", server_is_ours=True)
    ports: dict[str, int] = {}
    while len(set(ports.values())) < len(SERVICES):
        ports = {service: free_port() for service in SERVICES}
    deployment = LocalDeployment(
        home=folder,
        databases={service: urls[database_name(service)] for service in SERVICES},
        ports=ports,
        extra_environment={"STEPWELL_LOG_LEVEL": "WARNING"},
    )
    await deployment.migrate()
    deployment.write_settings()
    for tenant in tenants:
        await deployment.add_tenant(tenant)
        key_file = deployment.access().key_file(client_of(tenant))
        key = load_private_key(key_file) if key_file.exists() else make_private_key(key_file)
        client = Client(client_of(tenant), Scopes.parse("system/*.cruds"), jwks=public_key_set([key]))
        await add_client(deployment.access(), client, replace=True)
    return deployment


async def _prepare_with_floor(folder: Path, postgres: EmbeddedPostgres) -> LocalDeployment:
    deployment = await prepare(folder, postgres, [TENANT])
    floor = await bootstrap(postgres.url(), [FLOOR], folder / "credentials.json", server_is_ours=True)
    await _migrate_floor(postgres, floor[FLOOR].owner)
    return deployment


async def _migrate_floor(postgres: EmbeddedPostgres, owner_url: str) -> None:
    """The tables and indexes of every service, as its own migrations make them, each in a schema of its own."""
    for service in SERVICES:
        connection = await asyncpg.connect(postgres.url(FLOOR))
        try:
            await connection.execute(
                f"CREATE SCHEMA {service} AUTHORIZATION {OWNER_ROLE};"
                f"ALTER ROLE {OWNER_ROLE} IN DATABASE {FLOOR} SET search_path = {service}"
            )
        finally:
            await connection.close()
        await migrate(service, owner_url, RUNTIME_ROLE)
