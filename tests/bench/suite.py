"""A throw-away suite with durable commits: embedded PostgreSQL, four services as real processes, one tenant.

Beside the services' databases there is one more, with the tables of all four: the floor is written there.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import make_private_key, public_key_set
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.cli.access import add_client
from stepwell_shared.cli.bootstrap import OWNER_ROLE, RUNTIME_ROLE, bootstrap, database_name
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.processes import ServiceProcesses, free_port
from stepwell_shared.migrations import migrate
from stepwell_shared.settings import SERVICES

TENANT = "bench"
CLIENT = f"{TENANT}.load"
FLOOR = "stepwell_floor"


@dataclass(frozen=True)
class BenchSuite:
    """What the bench measures against."""

    folder: Path
    postgres: EmbeddedPostgres
    deployment: LocalDeployment
    processes: ServiceProcesses

    def superuser_url(self, service: str) -> str:
        """A service's database, past row-level security."""
        return self.postgres.url(database_name(service))

    @property
    def floor_url(self) -> str:
        """The database in which the floor writes; it has one schema for each service."""
        return self.postgres.url(FLOOR)


@contextmanager
def running_suite() -> Iterator[BenchSuite]:
    """Starts everything in a temporary folder; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="stepwell-bench-"))
    folder.chmod(0o711)  # as root, the server may run as a user who has to get to its data
    postgres = EmbeddedPostgres(folder / "postgres", say=lambda _: None)
    try:
        with postgres:
            deployment = asyncio.run(_prepare(folder, postgres))
            with ServiceProcesses(deployment.commands(), folder / "logs") as processes:
                processes.wait_until_ready()
                yield BenchSuite(folder, postgres, deployment, processes)
    finally:
        shutil.rmtree(postgres.home, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


async def _prepare(folder: Path, postgres: EmbeddedPostgres) -> LocalDeployment:
    names = [*(database_name(service) for service in SERVICES), FLOOR]
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
    await _migrate_floor(postgres, urls[FLOOR].owner)
    deployment.write_settings()
    await deployment.add_tenant(TENANT)
    key = make_private_key(deployment.access().key_file(CLIENT))
    client = Client(CLIENT, Scopes.parse("system/*.cruds"), jwks=public_key_set([key]))
    await add_client(deployment.access(), client)
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
