"""Connections before any request: a crowd is let in at once, and whoever is let in can be heard."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from stepwell_shared.connections import BoundedProtocol, EagerServer, JoinedWrites

CROWD = 300
TURNS_MAX = 20


async def says_hello(scope: Scope, _receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def served() -> AsyncIterator[tuple[EagerServer, int]]:
    """A server in this loop, and its port."""
    config = uvicorn.Config(says_hello, port=0, http=BoundedProtocol, lifespan="off", log_config=None, ws="none")
    server = EagerServer(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


def test_a_crowd_of_clients_is_let_in_within_a_few_turns_of_the_loop() -> None:
    uvloop.run(let_in())


async def let_in() -> None:
    async with served() as (server, port):
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(CROWD)]
        for _ in range(TURNS_MAX):
            await asyncio.sleep(0)
        assert len(server.server_state.connections) == CROWD
        for client in crowd:
            client.close()


def test_every_client_of_a_crowd_is_answered_once_and_nothing_stays_open() -> None:
    uvloop.run(answered())


async def answered() -> None:
    async with served() as (server, port):
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(ask(port) for _ in range(CROWD)))
        assert {answer.rpartition(b"\r\n\r\n")[2] for answer in answers} == {b"hello"}
    assert not server.server_state.connections


async def ask(port: int) -> bytes:
    """The whole answer, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


class Wire:
    """A transport that remembers each write, which is one system call."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.writes.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


HEAD, BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b"hello"


async def test_a_head_that_nothing_follows_is_sent_at_the_end_of_the_turn_or_with_the_connection() -> None:
    wire, closed = Wire(), Wire()
    JoinedWrites(wire).write(HEAD)  # type: ignore[arg-type]  # as much of a transport as it uses
    ends = JoinedWrites(closed)  # type: ignore[arg-type]  # the same
    ends.write(HEAD)
    ends.close()
    assert (wire.writes, closed.writes, ends.is_closing()) == ([], [HEAD], True)
    await asyncio.sleep(0)
    assert (wire.writes, closed.writes) == ([HEAD], [HEAD])


async def test_head_and_body_are_one_write_and_order_is_kept() -> None:
    wire = Wire()
    joined = JoinedWrites(wire)  # type: ignore[arg-type]  # the same
    joined.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    for part in (HEAD, BODY, HEAD, BODY, BODY):
        joined.write(part)
    await asyncio.sleep(0)
    assert wire.writes == [b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD, BODY, HEAD + BODY, BODY]
    assert b"".join(wire.writes) == b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + BODY + HEAD + BODY + BODY


def test_an_answer_reaches_the_client_whole() -> None:
    uvloop.run(whole())


async def whole() -> None:
    async with served() as (_, port):
        assert (await ask(port)).endswith(b"\r\n\r\nhello")
