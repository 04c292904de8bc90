"""Sets the stage of the main job: records what it writes, loads patients who can answer, and knows the request."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from stepwell_shared.canonical import topic
from stepwell_shared.cli.client import SuiteClient
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import http_client
from stepwell_shared.settings import SERVICES

from tests.bench import content
from tests.bench.load import ChainJob, SqlJob
from tests.bench.recording import FloorWrite, NewRows, Snapshot, floor_write, new_rows, snapshot
from tests.bench.suite import TENANT, BenchSuite, client_of

QUIET_SECONDS = 1.5  # longer than the slow poll of the delivery loop
MARKER = "00000000-0000-0000-0000-000000000000"
TIER_ASSIGNED = topic("tier-assigned")


@dataclass
class JobStage:
    """A running suite with its tables loaded, and the recorded floor."""

    suite: BenchSuite
    client: SuiteClient
    patients: int
    """In all four services; each answers once."""
    chain_floor: FloorWrite
    chain_rows: Mapping[str, int]
    """Rows that one response leaves in each service, for the report."""
    response: content.Resource
    patients_used: int = 0

    def floor(self, clients: int, seconds: float) -> SqlJob:
        """Every row that one response leaves, in one statement."""
        return SqlJob(self.suite.floor_url, self.chain_floor.statement, self.chain_floor, clients, seconds)

    async def chain(self, clients: int, seconds: float, *, responses_max: int | None = None) -> ChainJob:
        """PHQ-9 responses, each of another patient who has not answered before; idle when there is a maximum."""
        first = self.patients_used
        left = range(first, self.patients if responses_max is None else first + responses_max)
        port = self.suite.deployment.ports["screening"]
        path = "/screening/fhir/QuestionnaireResponse"
        return ChainJob(
            port,
            content.http_request("POST", path, port, await self.client.token(), self.response),
            MARKER,
            [content.loaded_id("patient", number) for number in left],
            201,
            clients,
            seconds,
            once=True,
            outbox_url=self.suite.superuser_url("routing"),
            tenant=TENANT,
            topic=TIER_ASSIGNED,
            poll_seconds=0.005 if responses_max is None else 0.0005,
            one_by_one=responses_max is not None,
        )

    def use_patients(self, count: int) -> None:
        """So many patients have answered now."""
        self.patients_used += count

    async def last_write_at(self) -> float:
        """When the newest resource in any of the four services was stored, in seconds since 1970."""
        async with connections(self.suite) as opened:
            newest = [
                await connection.fetchval("SELECT extract(epoch FROM max(last_updated)) FROM fhir_version")
                for connection in opened.values()
            ]
        return float(max(newest))

    async def settle(self) -> None:
        """Waits until nothing is written any more in any service."""
        async with connections(self.suite) as opened:
            await quiet(opened)


@asynccontextmanager
async def connections(suite: BenchSuite) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """One connection to the database of each service, past row-level security."""
    async with AsyncExitStack() as stack:
        opened = {}
        for service in SERVICES:
            opened[service] = await asyncpg.connect(suite.superuser_url(service))
            stack.push_async_callback(opened[service].close)
        yield opened


async def quiet(opened: Mapping[str, asyncpg.Connection]) -> None:
    """Waits until no row has been added anywhere for a while."""
    before: list[Any] = []
    while (now := [await _row_counts(connection) for connection in opened.values()]) != before:
        before = now
        await asyncio.sleep(QUIET_SECONDS)


async def _row_counts(connection: asyncpg.Connection) -> Any:
    return await connection.fetchrow(
        "SELECT (SELECT count(*) FROM fhir_version), (SELECT count(*) FROM outbox),"
        " (SELECT count(*) FROM received_event), (SELECT count(*) FROM subscription_event)"
    )


@asynccontextmanager
async def job_staged(suite: BenchSuite, patients: int) -> AsyncIterator[JobStage]:
    """Records, loads and checks. Raises SetupError when an operation does not do what it should."""
    async with http_client(timeout_seconds=30) as http, connections(suite) as opened:
        client = SuiteClient(suite.deployment, http, client_of(TENANT))
        first = (await client.create("screening", content.patient()))["id"]
        await _submit(client, first)  # what is written once only is written now
        person = {**content.patient(), "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:bench:second"}]}
        second = (await client.create("screening", person))["id"]
        await quiet(opened)
        before = {service: await snapshot(connection) for service, connection in opened.items()}
        await _submit(client, second)
        await quiet(opened)
        chain = await _added(before, opened)
        if not any(each.table == "fhir_servicerequest" for each in chain):
            raise SetupError("the response led to no ServiceRequest in routing")
        await _load(suite, opened, first, patients)
        yield JobStage(
            suite=suite,
            client=client,
            patients=patients,
            chain_floor=floor_write(chain, second),
            chain_rows={service: sum(len(e.rows) for e in chain if e.service == service) for service in SERVICES},
            response=await content.response(client, MARKER),
        )


async def _submit(client: SuiteClient, patient_id: str) -> None:
    await client.create("screening", await content.response(client, patient_id))


async def _added(before: Mapping[str, Snapshot], opened: Mapping[str, asyncpg.Connection]) -> list[NewRows]:
    return [
        each
        for service, connection in opened.items()
        for each in new_rows(service, before[service], await snapshot(connection))
    ]


async def _load(suite: BenchSuite, opened: Mapping[str, asyncpg.Connection], patient_id: str, patients: int) -> None:
    """Fills the product's tables, and the floor's in the same way, and lets PostgreSQL look at them."""
    for connection in opened.values():
        await content.clone_patients(connection, patient_id, patients)
        await connection.execute("VACUUM ANALYZE")
    await _copy_to_floor(suite, opened)


async def _copy_to_floor(suite: BenchSuite, opened: Mapping[str, asyncpg.Connection]) -> None:
    """The floor's tables hold what the product's hold, so that its indexes are as deep."""
    floor = await asyncpg.connect(suite.floor_url)
    try:
        for service, connection in opened.items():
            tables = [r[0] for r in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname='public'")]
            for table in (name for name in tables if name.startswith("fhir_")):
                rows = await connection.fetch(f"SELECT * FROM {table}")
                await floor.copy_records_to_table(table, schema_name=service, records=rows)
        await floor.execute("VACUUM ANALYZE")
        await floor.execute("CHECKPOINT")
    finally:
        await floor.close()
