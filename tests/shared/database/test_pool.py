"""Connections that stay at hand: nobody starves, and what is dead is not handed out."""

import asyncio

import asyncpg
import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import SET_TENANT, UNAVAILABLE_ERRORS, Database

PID = "SELECT pg_backend_pid() AS pid"


async def pid_of(database: Database) -> int:
    found: int = (await database.fetch(PID))[0]["pid"]
    return found


async def test_a_statement_that_fails_leaves_a_connection_that_works(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime, connections_max=1) as database:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await database.fetch("SELECT 1 / 0")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with database.transaction("north") as connection:
                await connection.fetch("SELECT 1 / 0")
        assert (await database.fetch("SELECT 1 AS one"))[0]["one"] == 1


async def test_a_connection_whose_server_process_ended_is_not_handed_out_again(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime, connections_max=2) as database:
        first = await pid_of(database)
        killer = await asyncpg.connect(empty_database.runtime)
        try:
            assert await killer.fetchval("SELECT pg_terminate_backend($1, 5000)", first)
        finally:
            await killer.close()
        await asyncio.sleep(0.05)  # the end of the connection has reached us
        assert await pid_of(database) != first


async def test_a_reader_who_goes_away_takes_its_statement_along(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime, connections_max=1) as database:
        slow = asyncio.create_task(database.fetch("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.2)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        async with asyncio.timeout(5):
            assert (await database.fetch("SELECT 1 AS one"))[0]["one"] == 1


async def test_who_waits_for_a_connection_gets_one_however_many_are_asked_for(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime, connections_max=2) as database:

        async def transact() -> None:
            async with database.transaction("north") as connection:
                await connection.execute("SELECT pg_sleep(0.001)")

        async with asyncio.timeout(10):
            await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.001)") for _ in range(60)),
                                 *(transact() for _ in range(60)))  # fmt: skip
        assert len({await pid_of(database) for _ in range(10)}) == 1


async def test_the_tenant_ends_with_its_transaction(empty_database: DatabaseUrls) -> None:
    assert "true" in SET_TENANT
    async with Database.open(empty_database.runtime, connections_max=1) as database:
        async with database.transaction("north") as connection:
            await connection.execute("SELECT 1")
        shown = (await database.fetch("SELECT current_setting('stepwell.tenant', true) AS tenant"))[0]["tenant"]
        assert shown in {"", None}


async def test_while_the_server_is_away_the_error_says_that_it_may_come_back() -> None:
    async with Database.open("postgresql://nobody@127.0.0.1:1/none", connections_max=1) as database:
        with pytest.raises(UNAVAILABLE_ERRORS):
            await database.fetch("SELECT 1")


async def test_a_statement_at_work_when_the_pool_is_closed_ends_in_peace(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime, connections_max=1) as database:
        await pid_of(database)
        asked = asyncio.create_task(database.fetch("SELECT pg_sleep(0.3)"))
        for _ in range(100):  # it asks the pool without waiting for anything else
            await asyncio.sleep(0)
        assert database.load.used == 1
    assert len(await asked) == 1
