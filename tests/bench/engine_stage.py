"""The three operations of the engine, each by the product, as the PostgreSQL floor, and in the two idiomatic ways."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote

import asyncpg
from stepwell_shared.cli.client import SuiteClient
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.http_client import http_client

from tests.bench import content
from tests.bench.engine_suite import RECORDER, YARDSTICKS, LoadedSuite
from tests.bench.load import Cycled, HttpJob, Job, SqlJob
from tests.bench.loading import RESOURCE_TABLES
from tests.bench.population import LARGE, SERVICE, SMALL
from tests.bench.recording import FloorWrite, floor_write, new_rows, snapshot
from tests.bench.suite import client_of

OPERATIONS = ("create", "read", "search")
PRODUCT, FLOOR = "product", "floor"
SIDES = (FLOOR, PRODUCT, *YARDSTICKS)
MARKER = "00000000-0000-0000-0000-000000000000"
IDS_MAX = 50_000
NEWEST_FIRST = f"Observation?_sort=-_lastUpdated&_count={content.PAGE}"

# The plain look-up and the plain query on the product's own tables; 21 rows because the product asks for one more.
READ = "SELECT id, version, last_updated, body FROM fhir_observation WHERE tenant = $1 AND id = $2"
SEARCH = f"""
SELECT id, version, last_updated, body FROM fhir_observation
WHERE tenant = $1 AND p_patient = 'Patient/' || $3 AND p_code = $2 AND p_code_system = '{content.LOINC}'
  AND body IS NOT NULL
ORDER BY p_date_low DESC NULLS LAST, id DESC LIMIT {content.PAGE + 1}"""


@dataclass(frozen=True)
class EngineStage:
    """The running suite and its clients; `create_floor` is what one create left, as a statement."""

    suite: LoadedSuite
    client: SuiteClient
    small_client: SuiteClient
    create_floor: FloorWrite

    async def job(self, side: str, operation: str, clients: int, seconds: float) -> Job:
        """One round of an operation on one side."""
        if side == FLOOR:
            return self._floor(operation, clients, seconds)
        port, request, status = await self._request(side, operation)
        values = self.observation_ids if operation == "read" else self.patient_ids
        return HttpJob(port, request, MARKER, values, status, clients, seconds)

    async def newest_first(self, tenant: str, seconds: float) -> HttpJob:
        """One client that asks for a tenant's newest Observations."""
        client = self.small_client if tenant == SMALL else self.client
        request = await self._product_request(client, "GET", NEWEST_FIRST)
        return HttpJob(self._port, request, MARKER, [MARKER], 200, 1, seconds)

    @cached_property
    def patient_ids(self) -> Sequence[str]:
        return self.suite.population.patient_ids(LARGE)

    @cached_property
    def observation_ids(self) -> Sequence[str]:
        return self.suite.population.observation_ids(LARGE, IDS_MAX)

    @property
    def _port(self) -> int:
        return self.suite.deployment.ports[SERVICE]

    def _floor(self, operation: str, clients: int, seconds: float) -> SqlJob:
        url = self.suite.superuser_url(SERVICE)
        if operation == "create":
            return SqlJob(url, self.create_floor.statement, self.create_floor, clients, seconds)
        if operation == "read":
            return SqlJob(url, READ, Cycled((LARGE,), self.observation_ids), clients, seconds)
        return SqlJob(url, SEARCH, Cycled((LARGE, content.PHQ_9_TOTAL[0]), self.patient_ids), clients, seconds)

    async def _request(self, side: str, operation: str) -> tuple[int, bytes, int]:
        """Port, request and expected status."""
        method, path, resource, status = "GET", f"Observation/{MARKER}", None, 200
        if operation == "create":
            method, path, resource, status = "POST", "Observation", content.observation(MARKER, content.HEART_RATE), 201
        if operation == "search":
            path = _search_path(side)
        if side in YARDSTICKS:
            port, token = self.suite.ports[side], await self.client.token()
            return port, content.http_request(method, f"/{path}", port, token, resource), status
        return self._port, await self._product_request(self.client, method, path, resource), status

    async def _product_request(
        self, client: SuiteClient, method: str, path: str, resource: content.Resource | None = None
    ) -> bytes:
        token = await client.token()
        return content.http_request(method, f"/{SERVICE}/fhir/{path}", self._port, token, resource)

    async def check(self) -> None:
        """Makes sure that what is measured does what it says. Raises SetupError."""
        patient = self.patient_ids[0]
        bundles = {PRODUCT: await self.client.call("GET", SERVICE, _search_path(PRODUCT).replace(MARKER, patient))}
        headers = {"Authorization": f"Bearer {await self.client.token()}"}
        for side, port in self.suite.ports.items():
            url = f"http://127.0.0.1:{port}/{_search_path(side).replace(MARKER, patient)}"
            bundles[side] = (await self.client.http.get(url, headers=headers)).raise_for_status()
        ids = {side: _ids(answer.json()) for side, answer in bundles.items()}
        connection = await asyncpg.connect(self.suite.superuser_url(SERVICE))
        try:
            rows = await connection.fetch(SEARCH, LARGE, content.PHQ_9_TOTAL[0], patient)
        finally:
            await connection.close()
        ids[FLOOR] = [row["id"] for row in rows][: content.PAGE]
        for side, found in ids.items():
            if len(found) != content.PAGE or found != ids[PRODUCT]:
                raise SetupError(f"the search of {side} finds {len(found)} Observations, or not those of the product")
        newest = _ids((await self.small_client.call("GET", SERVICE, NEWEST_FIRST)).json())
        if not newest:
            raise SetupError("the small tenant has no Observations")


@asynccontextmanager
async def engine_staged(suite: LoadedSuite) -> AsyncIterator[EngineStage]:
    """Records what a create writes and checks everything. Raises SetupError when an answer is not what it should be."""
    async with http_client(timeout_seconds=30) as http:
        client, small, recorder = (
            SuiteClient(suite.deployment, http, client_of(tenant)) for tenant in (LARGE, SMALL, RECORDER)
        )
        stage = EngineStage(suite, client, small, await _record_create(suite, recorder))
        await stage.check()
        yield stage


async def _record_create(suite: LoadedSuite, client: SuiteClient) -> FloorWrite:
    """What one create leaves, as for the measured tenant. Raises SetupError when loading made it otherwise."""
    patient = suite.population.patient_ids(LARGE)[0]
    connection = await asyncpg.connect(suite.superuser_url(SERVICE))
    try:
        first = await client.create(SERVICE, content.observation(patient, content.HEART_RATE))
        before = await snapshot(connection, RECORDER)
        await client.create(SERVICE, content.observation(patient, content.HEART_RATE))
        found = new_rows("public", before, await snapshot(connection, RECORDER))
        loaded = suite.population.observation_ids(LARGE, 1)[0]
        for table in RESOURCE_TABLES:
            count = f"SELECT count(*) FROM {table} WHERE tenant = $1 AND id = $2"
            ours = await connection.fetchval(count, LARGE, loaded)
            if ours != await connection.fetchval(count, RECORDER, first["id"]):
                raise SetupError(f"what was loaded has {ours} rows in {table}, and what a create stores has not")
    finally:
        await connection.close()
    moved = [replace(each, rows=[{**row, "tenant": LARGE} for row in each.rows]) for each in found]
    return floor_write(moved, patient)


def _search_path(side: str) -> str:
    if side in YARDSTICKS:
        return f"Observation?patient={MARKER}&code={content.PHQ_9_TOTAL[0]}"
    code = quote(f"{content.LOINC}|{content.PHQ_9_TOTAL[0]}", safe="")
    return f"Observation?patient={MARKER}&code={code}&_sort=-date&_count={content.PAGE}"


def _ids(bundle: content.Resource) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]
