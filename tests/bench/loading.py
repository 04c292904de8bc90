"""Fills the measurement database of a bench with COPY, on all processors, and brings it back to that state later.

A loaded cluster is kept under `.stepwell/bench`; what a bench adds to it is deleted before the next one.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from functools import cache

import asyncpg
from stepwell_shared.database.connecting import Connector
from stepwell_shared.database.pool import Database
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime, attach
from stepwell_shared.settings import SERVICES

from tests.bench import idiomatic
from tests.bench.population import LOADED_BEFORE, SERVICE, Population, Rows, columns_by_table

PART = 5_000
"""Resources that are built and copied at a time."""
FEW_PARTS = 2
"""Not worth a process."""
# While loading only: what a crash loses then is loaded again.
UNSAFE_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
}
RESOURCE_TABLES = ("fhir_version", "fhir_observation_index", "fhir_observation_number", "fhir_observation")
"""What one Observation is kept in, the current one last."""

Advance = Callable[[str, int, int], None]
"""What is done, how much of it, of how much."""


@cache
def offline_engine() -> Engine:
    """The engine of the measured service for building rows; it has no database. Rows name no address of ours."""
    runtime, service = Runtime(), service_named(SERVICE)
    urls = {name: f"https://{name}.example.org/{name}/fhir" for name in SERVICES}
    nowhere = Database(None, Connector(""))
    attach(runtime, service, service.resources(runtime), nowhere, urls, cursor_key=b"no pages here")
    return runtime.engine


async def load(url: str, population: Population, advance: Advance) -> None:
    """Loads patients and Observations, the indexes last, and the same for the idiomatic way. `url` is a superuser's."""
    connection = await asyncpg.connect(url)
    try:
        for name, value in UNSAFE_SETTINGS.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await connection.execute("SELECT pg_reload_conf()")
        indexes = await drop_indexes(connection, columns_by_table_of_resources())
        await asyncio.to_thread(_copy_all, url, population, advance)
        await connection.execute("SET maintenance_work_mem = '512MB'")
        for done, statement in enumerate(indexes, 1):
            await connection.execute(statement)
            advance("building the indexes", done, len(indexes))
        advance("filling the idiomatic table", 0, 1)
        await idiomatic.fill(connection)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("ALTER SYSTEM RESET ALL")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("CHECKPOINT")
        os.sync()
    finally:
        await connection.close()


async def forget_benches(url: str) -> None:
    """Deletes what earlier benches stored, so that each starts with the same rows."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("TRUNCATE audit")
        for table in RESOURCE_TABLES:
            await connection.execute(
                f"DELETE FROM {table} AS t USING fhir_observation AS o"
                " WHERE o.tenant = t.tenant AND o.id = t.id AND o.last_updated > $1",
                LOADED_BEFORE,
            )
        await idiomatic.forget(connection, LOADED_BEFORE)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def drop_indexes(connection: asyncpg.Connection, tables: Sequence[str]) -> Sequence[str]:
    """Statements that make the indexes of these tables again, having dropped them."""
    rows = await connection.fetch(
        "SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text, c.conname,"
        " coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid))"
        " FROM pg_index AS i LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid"
        " WHERE i.indrelid::regclass::text = ANY ($1)",
        list(tables),
    )
    statements = []
    for name, table, constraint, definition in rows:
        if constraint:
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
            statements.append(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {definition}")
        else:
            await connection.execute(f"DROP INDEX {name}")
            statements.append(definition)
    return statements


def columns_by_table_of_resources() -> list[str]:
    """The tables that loading fills."""
    return [*RESOURCE_TABLES, "fhir_patient", "fhir_patient_index"]


def _copy_all(url: str, population: Population, advance: Advance) -> None:
    """Builds and copies part after part, in the order of time, on as many processes as there are processors."""
    parts = [(kind, start) for kind, most in _kinds(population).items() for start in range(0, most, PART)]
    total, done = sum(_kinds(population).values()), 0
    if len(parts) <= FEW_PARTS:
        for kind, start in parts:
            done += copy_part(url, population, kind, start)
            advance("building and copying rows", done, total)
        return
    with ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        workers = stack.enter_context(ProcessPoolExecutor(os.cpu_count(), mp_context=context))
        stack.callback(workers.shutdown, cancel_futures=True)
        waiting: list[Future[int]] = [workers.submit(copy_part, url, population, *part) for part in parts]
        for each in as_completed(waiting):
            done += each.result()
            advance("building and copying rows", done, total)


def _kinds(population: Population) -> dict[str, int]:
    return {"Patient": population.patients, "Observation": population.observations}


def copy_part(url: str, population: Population, kind: str, start: int) -> int:
    """Builds and copies one part; how many resources it had."""
    numbers = range(start, min(start + PART, _kinds(population)[kind]))
    make = population.patient_rows if kind == "Patient" else population.observation_rows
    asyncio.run(_copy(url, make(offline_engine(), numbers)))
    return len(numbers)


async def _copy(url: str, rows: Rows) -> None:
    columns = columns_by_table()
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for table, records in rows.items():
                if not records:
                    continue
                await connection.copy_records_to_table(table, records=records, columns=columns[table])
    finally:
        await connection.close()
