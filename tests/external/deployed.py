"""The suite on a PostgreSQL that a check has made, with a tenant and clients, as chaos's clients and oracle want it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
from stepwell_shared.cli.bootstrap import bootstrap, database_name
from stepwell_shared.cli.client import register
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.processes import free_port
from stepwell_shared.settings import SERVICES

from tests.chaos.stage import CLIENT, EHR, TENANT

DATABASE = "/postgres?"
"""What every URL of a superuser here has in it."""


async def deploy(url: str, folder: Path, environment: Mapping[str, str]) -> LocalDeployment:
    """Databases, logins, tables, keys, a tenant and its clients. Services may be given more of an environment."""
    names = {service: database_name(service) for service in SERVICES}
    urls = await bootstrap(url, list(names.values()), folder / "credentials.json")
    ports: set[int] = set()
    while len(ports) < len(SERVICES):
        ports.add(free_port())
    deployment = LocalDeployment(
        home=folder,
        databases={service: urls[name] for service, name in names.items()},
        ports=dict(zip(SERVICES, ports, strict=True)),
        extra_environment={
            "STEPWELL_LOG_LEVEL": "WARNING",
            "STEPWELL_DELIVERY_LEASE_SECONDS": "2",
            "STEPWELL_DELIVERY_BACKOFF_SECONDS_MAX": "3",
            **environment,
        },
    )
    await deployment.migrate()
    deployment.write_settings()
    await deployment.add_tenant(TENANT)
    await register(deployment, CLIENT, "clinician", f"Practitioner/{TENANT}-clinician")
    await register(deployment, EHR, "service")
    return deployment


@asynccontextmanager
async def connections(url: str) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """A superuser's connection to the database of each service."""
    async with AsyncExitStack() as stack:
        opened = {}
        for service in SERVICES:
            opened[service] = await asyncpg.connect(url.replace(DATABASE, f"/{database_name(service)}?"), timeout=10)
            stack.push_async_callback(opened[service].close, timeout=5)
        yield opened
