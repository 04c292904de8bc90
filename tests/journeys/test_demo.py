"""A synthetic region comes through the real APIs: what is there then is what the same people are copied as."""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
import pytest
from rich.console import Console
from stepwell_measurement.rules.care_record import Kind
from stepwell_shared.cli.demo.command import Wanted, demo
from stepwell_shared.cli.demo.numbers import numbers
from stepwell_shared.cli.demo.region import Region
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.database.pool import Database
from stepwell_shared.settings import SERVICES

from tests.bench.population import columns_by_table
from tests.bench.population_load import offline_runtime
from tests.bench.population_rows import COUNTED_BESIDE, PeopleRows
from tests.support.suite import Suite

TENANT, SEED, PEOPLE, FIRST = "region", 5, 10, 4
PATIENCE_SECONDS = 90.0
# When it was stored and how often it was told; routing's word on courses is its own (docs/demo.md).
OF_THE_LOAD = frozenset({"tenant", "version", "recorded", "number"})
OF_ROUTING = frozenset({Kind.EPISODE.value, Kind.STEP.value})
COMPARED = ("trajectory", "care_person", "care_fact", "care_referral", "care_contact")

# Events that a service has not delivered, and why.
OWED = """SELECT s.topic, s.status, s.attempts, s.last_error, s.cursor_transaction::text, o.transaction::text, o.focus,
    e.event_number, e.status AS event_status, e.attempts AS event_attempts, e.reason
  FROM subscription_state AS s JOIN outbox AS o ON o.tenant = s.tenant AND o.topic = s.topic
  LEFT JOIN subscription_event AS e
    ON e.tenant = s.tenant AND e.subscription_id = s.subscription_id AND e.outbox_position = o.position
  WHERE e.status <> 'sent' OR e.status IS NULL"""

Row = tuple[tuple[str, object], ...]


@pytest.fixture(scope="module")
def region() -> Region:
    return Region(SEED, PEOPLE)


@pytest.mark.timeout(480)  # each of the tables may take its minute
async def test_a_region_through_the_apis_is_the_region_that_is_copied_and_comes_once(
    suite: Suite, region: Region
) -> None:
    settings, last_day = suite.deployment.access(), numbers().last_day
    console = Console(file=io.StringIO(), width=120)
    await demo(console, settings, Wanted(SEED, FIRST, TENANT, last_day), PATIENCE_SECONDS)
    await demo(console, settings, Wanted(SEED, PEOPLE, TENANT), PATIENCE_SECONDS)

    urls = {name: suite.deployment.url_of(name) for name in SERVICES}
    runtime = offline_runtime(tuple(urls.items()))
    copied = PeopleRows(region, TENANT, runtime, urls, with_episodes=False).rows(range(PEOPLE))
    for table in COMPARED:
        wanted = sorted(_told(_columns(table), row) for row in copied[table])
        assert wanted
        await _until(suite, partial(_rows, suite, table), wanted, table)
    bodies = {str(row[1]): _resource(row[4]) for row in copied["fhir_observation"]}
    stored = await _observations(suite, list(bodies))
    assert {id_: _said(body) for id_, body in stored.items()} == {id_: _said(body) for id_, body in bodies.items()}

    before = await _versions(suite)
    (settings.home / f"demo-{TENANT}-{SEED}.json").unlink()
    await demo(console, settings, Wanted(SEED, PEOPLE, TENANT, last_day), PATIENCE_SECONDS)
    await asyncio.sleep(1)
    assert await _versions(suite) == before


async def test_without_a_suite_the_command_says_how_to_start_one(suite: Suite) -> None:
    nobody = suite.deployment.access().model_copy(update={"screening_url": "http://127.0.0.1:9/screening/fhir"})
    with pytest.raises(SetupError, match="stepwell run"):
        await demo(Console(file=io.StringIO()), nobody, Wanted(SEED, 1, "nobody-there"), PATIENCE_SECONDS)


def _told(columns: Sequence[str], row: Sequence[object]) -> Row:
    """What a row says, whenever it was stored; texts so that rows have an order."""
    named = dict(zip(columns, row, strict=True))
    return tuple((name, str(value)) for name, value in sorted(named.items()) if name not in OF_THE_LOAD)


async def _rows(suite: Suite, table: str) -> list[Row]:
    rows = await _fetch(suite, "measurement", f"SELECT * FROM {table}")
    kept = [row for row in rows if table != "care_fact" or row["kind"] not in OF_ROUTING]
    return sorted(_told(_columns(table), [row[name] for name in _columns(table)]) for row in kept)


def _columns(table: str) -> list[str]:
    return [*columns_by_table()[table], *COUNTED_BESIDE.get(table, ())]


async def _until(suite: Suite, read: Callable[[], Awaitable[list[Row]]], wanted: list[Row], what: str) -> None:
    """Events are on their way: looks until all is there. What does not come is told with where it stopped."""
    deadline = time.monotonic() + 60
    while (found := await read()) != wanted:
        if time.monotonic() > deadline:
            missing, more = sorted(set(wanted) - set(found))[:2], sorted(set(found) - set(wanted))[:2]
            owed = {name: [dict(row) for row in await _fetch(suite, name, OWED)] for name in SERVICES}
            pytest.fail(f"{what}: {len(found)} of {len(wanted)}; missing {missing}, more {more}; owed {owed}")
        await asyncio.sleep(0.2)


async def _observations(suite: Suite, ids: list[str]) -> dict[str, dict[str, Any]]:
    rows = await _fetch(suite, "measurement", "SELECT id, body FROM fhir_observation WHERE id = ANY($1)", ids)
    return {row["id"]: orjson.loads(row["body"]) for row in rows}


def _resource(body: object) -> dict[str, Any]:
    assert isinstance(body, bytes)
    found: dict[str, Any] = orjson.loads(body)
    return found


def _said(body: Mapping[str, Any]) -> dict[str, Any]:
    """What an Observation says, whenever it was stored."""
    source = body.get("meta", {}).get("source")
    return {**{name: value for name, value in body.items() if name not in {"meta", "issued"}}, "source": source}


async def _versions(suite: Suite) -> dict[str, int]:
    """How much has ever been stored, by service."""
    found = {}
    for name in SERVICES:
        rows = await _fetch(suite, name, "SELECT count(*) AS number FROM fhir_version")
        found[name] = int(rows[0]["number"])
    return found


async def _fetch(suite: Suite, service: str, statement: str, *arguments: object) -> list[Any]:
    async with (
        Database.open(suite.deployment.databases[service].runtime, connections_max=1) as database,
        database.transaction(TENANT) as connection,
    ):
        return list(await connection.fetch(statement, *arguments))
