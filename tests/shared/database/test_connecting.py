"""Of several servers the one that is right is found, although another is silent; and a vanished one is noticed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database import connecting
from stepwell_shared.database.connecting import keep_asking, urls_of
from stepwell_shared.database.pool import Database


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """Where connections are taken and nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def with_silent_one_first(url: str, port: int) -> str:
    """The server of the tests behind one that is silent; a socket's folder can be a host too."""
    parts = urlsplit(url)
    place = parse_qs(parts.query)
    folder = quote(place["host"][0], safe="")
    return f"postgresql://{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port},{folder}:{place['port'][0]}{parts.path}"


async def test_a_server_that_says_nothing_keeps_nobody_from_the_next(
    empty_database: DatabaseUrls, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "ANSWER_SECONDS_MAX", 0.5)
    url = with_silent_one_first(empty_database.runtime, silent_port)
    async with Database.open(url, connections_max=2) as database:
        assert (await database.fetch("SELECT 1 AS one"))[0]["one"] == 1
        monkeypatch.setattr(connecting, "ANSWER_SECONDS_MAX", 3600.0)  # who was right is asked first from now on
        async with database.connection(), asyncio.timeout(60):
            assert (await database.fetch("SELECT 1 AS one"))[0]["one"] == 1


async def test_a_server_that_takes_no_writes_is_left(empty_database: DatabaseUrls) -> None:
    async with Database.open(empty_database.runtime, connections_max=1) as database:
        async with database.connection() as connection:
            first = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute("SET default_transaction_read_only TO on")  # as after a demotion
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await database.fetch("CREATE TABLE t ()")
        assert (await database.fetch("SELECT pg_backend_pid() AS pid"))[0]["pid"] != first


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
