"""Connections before any request: a crowd is let in at once, and whoever is let in can be heard."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from stepwell_shared.connections import BoundedProtocol, EagerServer

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
