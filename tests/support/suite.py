"""The whole suite as real processes on fresh databases, with two tenants, for journeys through it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.cli.client import SuiteClient, filled, register
from stepwell_shared.cli.deployment import LocalDeployment
from stepwell_shared.cli.processes import ServiceProcesses, free_port
from stepwell_shared.http_client import HttpResponse, http_client
from stepwell_shared.settings import SERVICES

from tests.support import postgres
from tests.support.collector import Collector

NORTH, SOUTH = "north", "south"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Suite:
    """Four running services; each tenant has the clients `<tenant>.clinic` (a clinician) and `<tenant>.ehr` (a system).

    Subscriptions may post to 127.0.0.1 at `listener_port`. Requests whose traceparent says so are recorded, and the
    collector has their spans.
    """

    deployment: LocalDeployment
    processes: ServiceProcesses
    listener_port: int
    collector: Collector

    @asynccontextmanager
    async def clinic(self, tenant: str = NORTH, name: str = "clinic") -> AsyncIterator["Clinic"]:
        """A clinician's client of one tenant, or its EHR's."""
        async with http_client(timeout_seconds=30) as http:
            yield Clinic(self.deployment, http, f"{tenant}.{name}")


class Clinic(SuiteClient):
    """A client that knows patients and questionnaires."""

    async def patient(self) -> Resource:
        """A new person."""
        return await self.create("screening", {"resourceType": "Patient", "name": [{"family": "Example"}]})

    async def form(self, instrument: str, weights: Sequence[int | None], patient: Resource, **more: Any) -> Resource:
        """A filled-in questionnaire that is not sent yet."""
        canonical = f"{CANONICAL}/Questionnaire/{instrument}"
        questionnaire = (await self.search("screening", "Questionnaire", url=canonical))[0]
        response = filled(
            questionnaire,
            weights,
            patient=f"Patient/{patient['id']}",
            authored=datetime.now(UTC),
            identifier=f"urn:uuid:{uuid.uuid4()}",
        )
        return {**response, **more}

    async def submit(self, response: Resource) -> HttpResponse:
        """Posts a response to screening."""
        return await self.call("POST", "screening", "QuestionnaireResponse", resource=response)

    async def requests_for(self, patient: Resource, count: int = 1) -> list[Resource]:
        """Tier assignments for a person, once there are so many."""
        return await self.wait_for("routing", "ServiceRequest", count=count, subject=f"Patient/{patient['id']}")


@contextmanager
def running_suite(
    folder: Path, names: Sequence[str] = SERVICES, make: Callable[..., LocalDeployment] = LocalDeployment
) -> Iterator[Suite]:
    """Starts the suite, or these services of it, on clones of the migrated databases, and stops it.

    `make` may be another kind of deployment.
    """
    listener_port, collector = free_port(), Collector()
    created = {name: asyncio.run(postgres.create_database(name)) for name in SERVICES}
    deployment = make(
        home=folder,
        databases={name: urls for name, (_, urls) in created.items()},
        ports=_free_ports(),
        extra_environment={
            "STEPWELL_DELIVERY_LEASE_SECONDS": "2",
            "STEPWELL_TRACE_ENDPOINT": collector.endpoint,
            "STEPWELL_TRACE_RATIO": "0",
            "STEPWELL_TRACE_CALLERS_DECIDE": "true",
            "STEPWELL_SUBSCRIPTION_HOSTS_ALLOWED": f'["127.0.0.1:{listener_port}"]',
        },
    )
    try:
        deployment.write_settings()
        asyncio.run(_populate(deployment))
        commands = [command for command in deployment.commands() if command.name in names]
        with ServiceProcesses(commands, folder / "logs") as processes:
            processes.wait_until_ready()
            yield Suite(deployment, processes, listener_port, collector)
    finally:
        collector.close()
        for name, _ in created.values():
            postgres.drop_database(name)


def _free_ports() -> dict[str, int]:
    ports: dict[str, int] = {}
    while len(set(ports.values())) < len(SERVICES):
        ports = {name: free_port() for name in SERVICES}
    return ports


async def _populate(deployment: LocalDeployment) -> None:
    for tenant in (NORTH, SOUTH):
        await deployment.add_tenant(tenant)
        await register(deployment, f"{tenant}.clinic", "clinician", f"Practitioner/{tenant}-clinician")
        await register(deployment, f"{tenant}.ehr", "service")
