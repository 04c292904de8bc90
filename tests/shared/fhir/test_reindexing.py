"""Resources that were stored by an earlier release, and how search finds them after the upgrade."""

import asyncio
from typing import Any

import asyncpg
import orjson
from alembic import command
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls
from stepwell_shared.fhir.reindexing import Reindexed, reindex
from stepwell_shared.installed import service_named
from stepwell_shared.migrations import alembic_config, migrate

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, SOUTH, Bench, FakeAccess, json_of, patient
from tests.support.engine import bench as open_bench

LOINC = "http://loinc.org"
PHQ_9 = {"system": LOINC, "code": "44261-6", "display": "PHQ-9 total"}
OLD = "0005_search_values"


def observation(id_: str, *codings: dict[str, Any], **members: Any) -> dict[str, Any]:
    code = {"coding": [*codings]}
    subject = {"reference": "Patient/ann"}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, "subject": subject, **members}


OBSERVATIONS = [
    observation("score", PHQ_9, valueQuantity={"value": 16}, encounter={"reference": "Encounter/e"}),
    observation("both", PHQ_9, {"system": "urn:local", "code": "phq"}),
]


async def upgraded(urls: DatabaseUrls) -> None:
    """A database with rows as the release of 0005 kept them, some of them without the values that 0005 itself added,
    then brought to the newest schema."""

    def to_old(connection: Connection) -> None:
        command.upgrade(alembic_config(service_named("measurement"), connection), OLD)

    url = "postgresql+asyncpg://" + urls.owner.partition("://")[2]
    engine = create_async_engine(url, poolclass=pool.NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(to_old)
    finally:
        await engine.dispose()
    owner = await asyncpg.connect(urls.owner)
    try:
        for tenant in (NORTH, SOUTH):
            for each in OBSERVATIONS:
                await owner.execute(
                    "INSERT INTO fhir_observation"
                    " (tenant, id, version, last_updated, body, p_status, p_patient, p_subject)"
                    " VALUES ($1, $2, 1, now(), $3, 'final', 'Patient/ann', 'Patient/ann')",
                    *(tenant, each["id"], orjson.dumps(each)),
                )
                rows = [(tenant, each["id"], coding["system"], coding["code"]) for coding in each["code"]["coding"]]
                await owner.executemany(
                    "INSERT INTO fhir_observation_index (tenant, id, parameter, system, code)"
                    " VALUES ($1, $2, 'code', $3, $4)",
                    rows,
                )
    finally:
        await owner.close()
    await migrate("measurement", urls.owner, RUNTIME_ROLE)


async def run(bench: Bench, *, everything: bool = False) -> dict[str, Reindexed]:
    engine = bench.engine
    done = await reindex(bench.database, engine.registry, engine.localise, [NORTH, SOUTH], everything=everything)
    return {each.resource_type: each for each in done}


async def kept(bench: Bench, table: str, tenant: str = NORTH) -> list[tuple[Any, ...]]:
    async with bench.database.transaction(tenant) as connection:
        return [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY id, parameter, code")]


async def test_a_code_is_found_before_and_after_and_the_rest_after(empty_database: DatabaseUrls) -> None:
    await upgraded(empty_database)
    async with open_bench(empty_database, "measurement") as bench:
        by_code = ["code=44261-6", "code=http://loinc.org|44261-6&patient=ann", "code:not=urn:local|phq"]
        before = [await bench.found("Observation", query) for query in by_code]
        assert before == [["both", "score"], ["both", "score"], ["score"]]
        assert await bench.found("Observation", "value-quantity=16") == []
        assert await bench.found("Observation", "code:text=phq-9") == []

        done = await run(bench)
        assert (done["Observation"].seen, done["Observation"].changed) == (4, 4)

        assert [await bench.found("Observation", query) for query in by_code] == before
        for query in ("value-quantity=16", "encounter=Encounter/e", "code:text=phq-9&value-quantity:missing=false"):
            assert await bench.found("Observation", query) == ["score"], query
        south = FakeAccess(tenant=SOUTH)
        assert await bench.found("Observation", "value-quantity=gt15", access=south) == ["score"]
        assert {row[1] for row in await kept(bench, "fhir_observation_index")} == {"both"}
        assert json_of(await bench.read("Observation", "score")) == OBSERVATIONS[0]


async def test_what_is_up_to_date_is_left_alone(database_of: DatabaseOf) -> None:
    async with open_bench(await database_of("measurement"), "measurement") as bench:
        await bench.update(patient(id="ann"))
        for each in OBSERVATIONS:
            await bench.update(each)
        tables = ("fhir_observation_index", "fhir_observation_number")
        before = [await kept(bench, table) for table in tables]
        first = await run(bench)
        assert (first["Observation"].seen, first["Patient"].seen) == (2, 1)
        assert all(each.changed == 0 for each in first.values())
        assert await run(bench) == {}
        assert (await run(bench, everything=True)).keys() == first.keys()
        assert [await kept(bench, table) for table in tables] == before


async def test_what_is_written_meanwhile_is_found_as_it_was_written(empty_database: DatabaseUrls) -> None:
    await upgraded(empty_database)
    async with open_bench(empty_database, "measurement") as bench:
        await bench.update(patient(id="ann"))

        async def write() -> None:
            for value in range(20, 30):
                resource = observation("score", {"code": f"c{value}"}, valueQuantity={"value": value})
                await bench.update(resource)

        await asyncio.gather(write(), *(run(bench, everything=True) for _ in range(3)))
        assert await bench.found("Observation", "value-quantity=29&code=c29") == ["score"]
        for gone in ("value-quantity=16", "value-quantity=20,28", "code=44261-6&_id=score", "code=c28"):
            assert await bench.found("Observation", gone) == [], gone
