"""Fills measurement's database with the rows of a synthetic region by COPY, on all processors; goes on where it was.

Parts that are there are on record in the database that they are in, committed with their rows.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from math import inf

import asyncpg
from stepwell_measurement.care_tables import COUNTED
from stepwell_shared.cli.demo.region import Region
from stepwell_shared.database.connecting import Connector
from stepwell_shared.database.pool import Database
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Runtime, attach
from stepwell_shared.settings import SERVICES

from tests.bench.loading import UNSAFE_SETTINGS, Advance, drop_indexes
from tests.bench.population import SERVICE, columns_by_table
from tests.bench.population_rows import CARE, COUNTED_BESIDE, OBSERVATIONS, PeopleRows, Rows

PART = 2_000
"""People whose rows are made and copied at a time."""
FEW_PARTS = 2
"""Not worth a process."""
WHOLE = 20_000
"""People who have everything that the store writes."""
DONE = "bench_part"
TABLES = {
    OBSERVATIONS: (
        *("fhir_observation", "fhir_observation_index", "fhir_observation_number", "fhir_version", "trajectory"),
        "care_episode",
    ),
    CARE: ("care_fact", "care_person", *COUNTED),
}
URLS = {name: f"https://{name}.example.org/{name}/fhir" for name in SERVICES}


@dataclass(frozen=True)
class Load:
    """Whose rows to load into which tenant, of OBSERVATIONS or of CARE.

    The first `whole` people have everything that the store writes; of the others each Observation has its current row,
    without history and rows of search beside its columns, and care has what is counted, without the facts behind it.
    """

    region: Region
    tenant: str
    kind: str
    urls: tuple[tuple[str, str], ...] = tuple(URLS.items())
    whole: int = WHOLE

    @property
    def parts_count(self) -> int:
        return -(-self.region.patients // PART)


async def load_people(url: str, load: Load, advance: Advance, *, seconds: float = inf) -> bool:
    """Loads what is not there yet; the indexes are made last. `url` is a superuser's.

    Whether all is there: it begins no part after so many `seconds`, and goes on with the rest when called again.
    """
    connection = await asyncpg.connect(url)
    try:
        for name, value in UNSAFE_SETTINGS.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {DONE} (kind text, part integer, PRIMARY KEY (kind, part));"
            f"CREATE TABLE IF NOT EXISTS {DONE}_index (kind text, statement text, PRIMARY KEY (kind, statement))"
        )
        there = {row["part"] for row in await connection.fetch(f"SELECT part FROM {DONE} WHERE kind = $1", load.kind)}
        if len(there) < load.parts_count:
            for statement in await drop_indexes(connection, TABLES[load.kind]):
                await connection.execute(f"INSERT INTO {DONE}_index VALUES ($1, $2)", load.kind, statement)
        is_whole = await asyncio.to_thread(_copy_all, url, load, there, advance, seconds)
        if is_whole:
            await _finish(connection, load, advance)
        return is_whole
    finally:
        await connection.close()


async def _finish(connection: asyncpg.Connection, load: Load, advance: Advance) -> None:
    """Makes the indexes and statistics, and the settings those of every day."""
    await connection.execute("SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 1")
    rows = await connection.fetch(f"SELECT statement FROM {DONE}_index WHERE kind = $1 ORDER BY 1", load.kind)
    statements = [row["statement"] for row in rows]
    for done, statement in enumerate(statements, 1):
        async with connection.transaction():
            await connection.execute(statement)
            await connection.execute(f"DELETE FROM {DONE}_index WHERE statement = $1", statement)
        advance("building the indexes", done, len(statements))
    for table in TABLES[load.kind]:
        await connection.execute(f"VACUUM ANALYZE {table}")
    await connection.execute("ALTER SYSTEM RESET ALL")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.execute("CHECKPOINT")
    os.sync()


def _copy_all(url: str, load: Load, there: set[int], advance: Advance, seconds: float) -> bool:
    """Makes and copies part after part on as many processes as there are processors; whether all are there."""
    people, deadline = load.region.patients, time.monotonic() + seconds
    parts = [part for part in range(load.parts_count) if part not in there]
    done = people - sum(_people_in(load, part) for part in parts)
    if len(parts) <= FEW_PARTS:
        for part in parts:
            done += copy_part(url, load, part)
            advance("building and copying rows", done, people)
        return True
    with ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        workers = stack.enter_context(ProcessPoolExecutor(os.cpu_count(), mp_context=context))
        stack.callback(workers.shutdown, cancel_futures=True)
        waiting: set[Future[int]] = set()
        for part in parts:
            if time.monotonic() > deadline:
                break
            waiting.add(workers.submit(copy_part, url, load, part))
            if len(waiting) > 2 * (os.cpu_count() or 1):
                ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                done += sum(each.result() for each in ended)
                advance("building and copying rows", done, people)
        done += sum(each.result() for each in waiting)
        advance("building and copying rows", done, people)
    return done == people


def _people_in(load: Load, part: int) -> int:
    return min(PART, load.region.patients - part * PART)


def copy_part(url: str, load: Load, part: int) -> int:
    """Makes and copies the rows of one part; how many people it has."""
    people = range(part * PART, part * PART + _people_in(load, part))
    is_whole = part * PART < load.whole
    asyncio.run(_copy(url, load, part, people_rows(load, is_whole=is_whole).rows(people)))
    return len(people)


@cache
def people_rows(load: Load, *, is_whole: bool) -> PeopleRows:
    """What makes the rows; it keeps the patterns that it has built."""
    urls = dict(load.urls)
    runtime = offline_runtime(load.urls)
    return PeopleRows(load.region, load.tenant, runtime, urls, frozenset({load.kind}), whole=is_whole)


@cache
def offline_runtime(urls: tuple[tuple[str, str], ...]) -> Runtime:
    """The running parts of the measured service that need no database."""
    runtime, service = Runtime(), service_named(SERVICE)
    addresses: Mapping[str, str] = dict(urls)
    nowhere = Database(None, Connector(""))
    attach(runtime, service, service.resources(runtime), nowhere, addresses, cursor_key=b"no pages here")
    return runtime


async def _copy(url: str, load: Load, part: int, rows: Rows) -> None:
    columns = columns_by_table()
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for table, records in rows.items():
                named = [*columns[table], *COUNTED_BESIDE.get(table, ())]
                await connection.copy_records_to_table(table, records=records, columns=named)
            await connection.execute(f"INSERT INTO {DONE} VALUES ($1, $2)", load.kind, part)
    finally:
        await connection.close()
