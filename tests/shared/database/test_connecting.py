"""Of several servers the one that is right is found, although another is silent; and a vanished one is noticed."""

import asyncio
import socket
from typing import Any

import asyncpg
import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.connecting import ANSWER_SECONDS_MAX, Connector, keep_asking, urls_of
from stepwell_shared.database.pool import Database


async def test_a_server_that_says_nothing_keeps_nobody_from_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []

    async def connect(url: str, **options: object) -> str:
        asked.append((url, options.get("timeout")))
        if "silent" in url:
            raise TimeoutError
        return url

    monkeypatch.setattr(asyncpg, "connect", connect)
    connector = Connector("postgresql://u@silent:1,right:2/d")
    silent, right = "postgresql://u@silent:1/d", "postgresql://u@right:2/d"
    assert await connector.connect(timeout=60) == right
    assert asked == [(silent, ANSWER_SECONDS_MAX), (right, ANSWER_SECONDS_MAX)]
    asked.clear()
    assert await connector.connect(timeout=60) == right
    assert asked == [(right, ANSWER_SECONDS_MAX)], "who was right is asked first"
    asked.clear()
    with pytest.raises(TimeoutError):
        await Connector(silent).connect(timeout=60)
    assert asked == [(silent, 60)], "one alone has as long as whoever asks waits"


async def test_a_server_that_refuses_the_login_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(url: str, **_: object) -> str:
        raise asyncpg.InvalidPasswordError(url)

    monkeypatch.setattr(asyncpg, "connect", connect)
    with pytest.raises(asyncpg.InvalidPasswordError, match="one"):
        await Connector("postgresql://u@one:1,two:2/d").connect()


async def test_a_server_that_takes_no_writes_is_left(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime, connections_max=1) as database:
        async with database.connection() as connection:
            first = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute("SET default_transaction_read_only TO on")  # as after a demotion
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await database.fetch("CREATE TABLE t ()")
        assert (await database.fetch("SELECT pg_backend_pid() AS pid"))[0]["pid"] != first


async def test_what_a_server_says_whose_place_another_has_taken_is_not_believed(
    empty_database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, hung = asyncpg.connect, set[str]()

    async def one_of_two(url: str, **options: Any) -> asyncpg.Connection:
        if any(name in url for name in hung):
            raise TimeoutError
        return await connect(empty_database.runtime, **options)

    monkeypatch.setattr(asyncpg, "connect", one_of_two)

    async def hang_in_the_middle(database: Database) -> None:
        async with database.connection() as connection:
            await connection.execute("SELECT 1")
            hung.add("one")
            assert (await database.fetch("SELECT 1 AS one"))[0]["one"] == 1

    async with Database.open("postgresql://u@one:1,two:2/d", connections_max=3) as database:
        both = await asyncio.gather(
            *(database.fetch("SELECT pg_backend_pid() AS pid, pg_sleep(0.2)") for _ in range(2))
        )
        before = {rows[0]["pid"] for rows in both}
        assert len(before) == 2
        asked = asyncio.create_task(database.fetch("SELECT pg_sleep(1)"))
        await asyncio.sleep(0)  # it has its connection
        with pytest.raises(ConnectionError):
            await hang_in_the_middle(database)
        with pytest.raises(ConnectionError):
            await asked
        assert (await database.fetch("SELECT pg_backend_pid() AS pid"))[0]["pid"] not in before


def test_each_server_of_a_url_has_a_url() -> None:
    assert urls_of("postgresql://u:p@one:1,two:2/d?target_session_attrs=read-write") == [
        "postgresql://u:p@one:1/d?target_session_attrs=read-write",
        "postgresql://u:p@two:2/d?target_session_attrs=read-write",
    ]
    assert urls_of("postgresql://u:p@/d?host=/run&port=1") == ["postgresql://u:p@/d?host=/run&port=1"]


def test_the_kernel_asks_whether_the_other_end_is_there() -> None:
    with socket.socket() as channel:
        keep_asking(channel)
        assert channel.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert channel.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
    one, other = socket.socketpair()
    with one, other:
        keep_asking(one)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
