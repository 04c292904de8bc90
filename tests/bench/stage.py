"""Sets the stage: records what each operation writes, loads tables of a realistic size, and knows the requests."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import asyncpg
from stepwell_shared.canonical import topic
from stepwell_shared.cli.client import SuiteClient
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import http_client
from stepwell_shared.settings import SERVICES

from tests.bench import content
from tests.bench.load import ChainJob, Cycled, HttpJob, SqlJob
from tests.bench.recording import FloorWrite, NewRows, Snapshot, floor_write, new_rows, snapshot
from tests.bench.suite import CLIENT, TENANT, BenchSuite

QUIET_SECONDS = 1.5  # longer than the slow poll of the delivery loop
MARKER = "00000000-0000-0000-0000-000000000000"
TIER_ASSIGNED = topic("tier-assigned")

# The plain look-up and the plain query on the product's own tables; 21 rows because the product asks for one more.
# OFFSET 0 keeps the planner from joining every row of the code, whatever its statistics say: a floor must not wander.
READ = "SELECT id, version, last_updated, body FROM fhir_observation WHERE tenant = $1 AND id = $2"
SEARCH = f"""
SELECT r.id, r.version, r.last_updated, r.body FROM fhir_observation AS r
WHERE r.tenant = $1 AND r.p_patient = 'Patient/' || $3 AND r.body IS NOT NULL AND EXISTS (
  SELECT FROM fhir_observation_index AS i WHERE i.tenant = r.tenant AND i.id = r.id AND i.parameter = 'code'
    AND i.system = '{content.LOINC}' AND i.code = $2 OFFSET 0)
ORDER BY r.p_date_low DESC, r.id DESC LIMIT {content.PAGE + 1}"""


@dataclass(frozen=True)
class Size:
    """How much is loaded before anything is measured."""

    patients: int
    """In all four services; those without Observations are for the main job, each once."""
    patients_with_observations: int


@dataclass
class Stage:
    """A running suite with its tables loaded, and the two recorded floors."""

    suite: BenchSuite
    client: SuiteClient
    size: Size
    observation_floor: FloorWrite
    chain_floor: FloorWrite
    chain_rows: Mapping[str, int]
    """Rows that one response leaves in each service, for the report."""
    observation_rows: int
    response: content.Resource
    patients_used: int = 0

    def write_floor(self, floor: FloorWrite, clients: int, seconds: float) -> SqlJob:
        """The floor of a write."""
        return SqlJob(self.suite.floor_url, floor.statement, floor, clients, seconds)

    def read_floor(self, clients: int, seconds: float) -> SqlJob:
        """The floor of a read by id."""
        source = Cycled((TENANT,), self._observation_ids())
        return SqlJob(self.suite.superuser_url("measurement"), READ, source, clients, seconds)

    def search_floor(self, clients: int, seconds: float) -> SqlJob:
        """The floor of the search."""
        source = Cycled((TENANT, content.PHQ_9_TOTAL[0]), self._patient_ids())
        return SqlJob(self.suite.superuser_url("measurement"), SEARCH, source, clients, seconds)

    async def create(self, clients: int, seconds: float) -> HttpJob:
        """Creates of Observations, each for another patient."""
        request = await self._request("POST", "measurement", "Observation", content.observation(MARKER))
        return HttpJob(self._port("measurement"), request, MARKER, self._patient_ids(), 201, clients, seconds)

    async def read(self, clients: int, seconds: float) -> HttpJob:
        """Reads of Observations by id."""
        request = await self._request("GET", "measurement", f"Observation/{MARKER}")
        return HttpJob(self._port("measurement"), request, MARKER, self._observation_ids(), 200, clients, seconds)

    async def search(self, clients: int, seconds: float) -> HttpJob:
        """Searches by patient and code, newest first, a full page of hits."""
        request = await self._request("GET", "measurement", self._search_path(MARKER))
        return HttpJob(self._port("measurement"), request, MARKER, self._patient_ids(), 200, clients, seconds)

    async def chain(self, clients: int, seconds: float, *, responses_max: int | None = None) -> ChainJob:
        """PHQ-9 responses, each of another patient who has not answered before; idle when there is a maximum."""
        first = self.patients_used + self.size.patients_with_observations
        left = range(first, self.size.patients if responses_max is None else first + responses_max)
        request = await self._request("POST", "screening", "QuestionnaireResponse", self.response)
        return ChainJob(
            self._port("screening"),
            request,
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

    def _port(self, service: str) -> int:
        return self.suite.deployment.ports[service]

    async def _request(self, method: str, service: str, path: str, resource: content.Resource | None = None) -> bytes:
        token = await self.client.token()
        return content.http_request(method, f"/{service}/fhir/{path}", self._port(service), token, resource)

    def _search_path(self, patient_id: str) -> str:
        code = quote(f"{content.LOINC}|{content.PHQ_9_TOTAL[0]}", safe="")
        return f"Observation?patient={patient_id}&code={code}&_sort=-date&_count={content.PAGE}"

    def _patient_ids(self) -> Sequence[str]:
        return [content.loaded_id("patient", number) for number in range(self.size.patients_with_observations)]

    def _observation_ids(self) -> Sequence[str]:
        # An odd step visits every one, and neighbours in time are no neighbours on disk.
        count = self.size.patients_with_observations * content.PAGE
        return [content.loaded_id("phq9", number * 7919 % count) for number in range(count)]

    async def check(self) -> None:
        """Makes sure that what is measured does what it says. Raises SetupError."""
        path = self._search_path(content.loaded_id("patient", 1))
        bundle = (await self.client.call("GET", "measurement", path)).json()
        dates = [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        if len(dates) != content.PAGE:
            raise SetupError(f"the search finds {len(dates)} Observations instead of {content.PAGE}")


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
async def staged(suite: BenchSuite, size: Size) -> AsyncIterator[Stage]:
    """Records, loads and checks. Raises SetupError when an operation does not do what it should."""
    async with http_client(timeout_seconds=30) as http, connections(suite) as opened:
        client = SuiteClient(suite.deployment, http, CLIENT)
        first = (await client.create("screening", content.patient()))["id"]
        observation_floor = await _record_observation(client, opened["measurement"], first)
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
        await _load(client, suite, opened, first, size)
        stage = Stage(
            suite=suite,
            client=client,
            size=size,
            observation_floor=observation_floor,
            chain_floor=floor_write(chain, second),
            chain_rows={service: sum(len(e.rows) for e in chain if e.service == service) for service in SERVICES},
            observation_rows=observation_floor.rows_count,
            response=await content.response(client, MARKER),
        )
        await stage.check()
        yield stage


async def _record_observation(client: SuiteClient, connection: asyncpg.Connection, patient_id: str) -> FloorWrite:
    await client.create("measurement", content.observation(patient_id))
    before = await snapshot(connection)
    await client.create("measurement", content.observation(patient_id))
    return floor_write(new_rows("measurement", before, await snapshot(connection)), patient_id)


async def _submit(client: SuiteClient, patient_id: str) -> None:
    await client.create("screening", await content.response(client, patient_id))


async def _added(before: Mapping[str, Snapshot], opened: Mapping[str, asyncpg.Connection]) -> list[NewRows]:
    return [
        each
        for service, connection in opened.items()
        for each in new_rows(service, before[service], await snapshot(connection))
    ]


async def _load(
    client: SuiteClient, suite: BenchSuite, opened: Mapping[str, asyncpg.Connection], patient_id: str, size: Size
) -> None:
    """Fills the product's tables, and the floor's in the same way, and lets PostgreSQL look at them."""
    scores = {
        "phq9": (await client.create("measurement", content.observation(patient_id)), content.PAGE),
        "gad7": (
            await client.create("measurement", content.observation(patient_id, content.GAD_7_TOTAL)),
            content.OTHERS,
        ),
    }
    for service, connection in opened.items():
        await content.clone_patients(connection, patient_id, size.patients)
        if service == "measurement":
            for kind, (score, each) in scores.items():
                await content.clone_observations(
                    connection,
                    score["id"],
                    patient_id,
                    kind=kind,
                    patients=size.patients_with_observations,
                    each=each,
                )
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
