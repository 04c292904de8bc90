"""What a notification costs the database does not grow with what others have, nor with what came before."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import orjson
import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH

ROWS = 5_000
PAGES_MAX = 40

OTHERS = f"""
INSERT INTO fhir_observation (tenant, id, version, last_updated, body, p_patient, p_subject, p_code, p_code_system)
  SELECT '{NORTH}', 'o' || n, 1, now(), '{{}}', 'Patient/' || n, 'Patient/' || n, '44261-6', 'http://loinc.org'
    FROM generate_series(1, {ROWS}) AS n"""
ROWS_OF_OTHERS = f"""
INSERT INTO trajectory (tenant, person, code, number, recorded, series, measures)
  SELECT '{NORTH}', 'Patient/' || n, '44261-6', 1, now(), '[]', 0 FROM generate_series(1, {ROWS}) AS n;
INSERT INTO care_episode (tenant, person, episode, version, started_at)
  SELECT '{NORTH}', 'Patient/' || n, 'e1', 1, now() FROM generate_series(1, {ROWS}) AS n"""
READ = (
    f"SELECT * FROM read_trajectories('{NORTH}', ARRAY['Patient/1', 'Patient/2'],"
    " ARRAY['http://loinc.org', 'http://loinc.org'], ARRAY['44261-6', '44261-6'])"
)
EARLIER = f"""
INSERT INTO received_event (tenant, subscription, event_number, focus, recorded, status)
  SELECT '{NORTH}', 's1', n, 'QuestionnaireResponse/' || n, now(), 'received' FROM generate_series(1, {ROWS}) AS n"""


@pytest.mark.parametrize(
    ("filling", "asked"),
    [
        (OTHERS, READ),
        (f"{OTHERS}; {ROWS_OF_OTHERS}", READ),
        (OTHERS, f"SELECT * FROM observed_codes('{NORTH}', 'Patient/1')"),
        (EARLIER, f"SELECT * FROM known_events('{NORTH}', 's1', ARRAY[4998, 4999, 5001]::bigint[])"),
    ],
    ids=["series", "rows", "codes", "numbers"],
)
@pytest.mark.parametrize("statistics", ["", "; ANALYZE"], ids=["without statistics", "with statistics"])
async def test_a_look_up_reads_a_few_pages_however_much_there_is(
    runtime: Runtime,
    database_of: Callable[[str], Awaitable[DatabaseUrls]],
    filling: str,
    asked: str,
    statistics: str,
) -> None:
    connection = await asyncpg.connect((await database_of("measurement")).owner)
    try:
        await connection.execute(f"SET ROLE NONE; SELECT set_config('stepwell.tenant', '{NORTH}', false)")
        await connection.execute(f"{filling}{statistics}")
        await connection.fetch(asked)  # the first call makes the plan, which is kept
        assert await _pages_read(connection, asked) < PAGES_MAX
    finally:
        await connection.close()


async def _pages_read(connection: asyncpg.Connection, asked: str) -> int:
    rows: list[Any] = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {asked}")
    plan = orjson.loads(rows[0][0])[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("statistics", ["", "; ANALYZE"], ids=["without statistics", "with statistics"])
async def test_a_change_of_a_row_touches_a_few_pages_however_many_rows_there_are(
    database_of: Callable[[str], Awaitable[DatabaseUrls]], statistics: str
) -> None:
    connection = await asyncpg.connect((await database_of("measurement")).owner)
    try:
        await connection.execute(f"SET ROLE NONE; SELECT set_config('stepwell.tenant', '{NORTH}', false)")
        nothing = ", ".join(["NULL"] * 19)
        for number in (1, 2):
            if number == 2:
                await connection.execute(f"{ROWS_OF_OTHERS}{statistics}")
            for place in range(6):
                person, code = f"Person/{number}", "44261-6"
                asked = (
                    f"SELECT insert_trajectory('{NORTH}', ARRAY['{person}'], ARRAY['{code}'], ARRAY[{place + 1}],"
                    f" ARRAY[now()], NULL, ARRAY['[]'], ARRAY[0], {nothing})"
                )
                pages = await _pages_read(connection, asked)
        assert pages < PAGES_MAX
    finally:
        await connection.close()
