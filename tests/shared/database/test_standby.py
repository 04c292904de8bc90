"""A standby is asked for what may be a little old, and passed over when it is away, behind or in trouble."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database import standby
from stepwell_shared.database.pool import Connection, Database
from stepwell_shared.database.standby import Reader

AWAY = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
async def primary(empty_database: DatabaseUrls) -> AsyncIterator[Database]:
    async with Database.open(empty_database.runtime, connections_max=2) as database:
        yield database


@pytest.fixture
async def other(empty_database: DatabaseUrls) -> AsyncIterator[Database]:
    """Another way to the same server, which is no standby: what it says is always fresh."""
    async with Database.open(empty_database.runtime, connections_max=2) as database:
        yield database


async def pid(connection: Connection) -> int:
    found: int = await connection.fetchval("SELECT pg_backend_pid()")
    return found


async def test_a_standby_that_is_away_is_passed_over_and_left_alone_for_a_while(
    primary: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "PAUSE_SECONDS", 3600.0)
    async with Database.open(AWAY, connections_max=1) as away:
        reader = Reader(primary, away)
        assert await reader.read("north", pid) > 0
        asked = reader._not_before
        assert asked > 0
        assert await reader.read("north", pid) > 0
        assert reader._not_before == asked


async def test_a_standby_that_is_behind_is_passed_over(
    primary: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await Reader(primary, other).read("north", pid) != await Reader(primary).read("north", pid)
    monkeypatch.setattr(standby, "IS_FRESH", "SELECT $1::float8 IS NULL")
    assert await Reader(primary, other).read("north", pid) == await Reader(primary).read("north", pid)


async def test_work_that_the_standby_had_to_cancel_is_done_on_the_primary(primary: Database, other: Database) -> None:
    done = []

    async def cancelled_once(connection: Connection) -> int:
        done.append(await pid(connection))
        if len(done) == 1:
            raise asyncpg.SerializationError("canceling statement due to conflict with recovery")
        return done[-1]

    assert await Reader(primary, other).read("north", cancelled_once) == done[1] != done[0]


async def test_work_that_takes_too_long_or_is_wrong_is_not_done_twice(primary: Database, other: Database) -> None:
    done = []

    async def slow(connection: Connection) -> None:
        done.append(await pid(connection))
        async with asyncio.timeout(0):
            await connection.execute("SELECT pg_sleep(30)")

    async def wrong(connection: Connection) -> None:
        done.append(await pid(connection))
        await connection.execute("SELECT 1 / 0")

    reader = Reader(primary, other)
    with pytest.raises(TimeoutError):
        await reader.read("north", slow)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await reader.read("north", wrong)
    assert len(done) == 2


async def test_the_work_sees_one_tenant(primary: Database, other: Database) -> None:
    async def tenant(connection: Connection) -> str:
        found: str = await connection.fetchval("SELECT current_setting('stepwell.tenant')")
        return found

    assert await Reader(primary, other).read("north", tenant) == "north"
    assert await Reader(primary).read("south", tenant) == "south"
