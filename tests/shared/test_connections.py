"""Connections before any request: a crowd is let in at once, and whoever is let in can be heard."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send
from stepwell_shared.connections import BoundedProtocol, EagerServer, Standing
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.marks import BODY_IS_HERE

CROWD = 300
TURNS_MAX = 20
HELLO = b"hello"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
TAGGED = {"ETag": 'W/"1"'}


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
        if data:
            self.writes.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, _name: str) -> None:
        return None

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None


Headers = list[tuple[bytes, bytes]]


async def written(headers: Headers, *parts: bytes | Exception, method: bytes = b"GET") -> Wire:
    """What an application that says this leaves on the wire; a part that is an error is raised."""

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, part in enumerate(parts, 1):
            if isinstance(part, Exception):
                raise part
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    return await answering(application, method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")


async def written_whole(
    status: int = 200, body: bytes = HELLO, *, headers: Mapping[str, str] = TAGGED, method: str = "GET", more: str = ""
) -> Wire:
    """What our own answer leaves on the wire; `more` are lines of the request."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(scope, receive, send).answer(Response(status, body, dict(headers)))

    return await answering(application, f"{method} / HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\n{more}\r\n".encode())


def connected(application: ASGIApp, **settings: Any) -> tuple[BoundedProtocol, Wire]:
    """A connection on which nothing has come yet."""
    config = uvicorn.Config(application, http=BoundedProtocol, lifespan="off", log_config=None, ws="none", **settings)
    config.load()
    standing, wire = Standing(), Wire()
    standing.default_headers = [(b"date", b"today")]
    protocol = BoundedProtocol(config, standing, {})
    protocol.connection_made(wire)  # type: ignore[arg-type]  # as much of a transport as it uses
    return protocol, wire


async def answering(application: ASGIApp, *parts: bytes) -> Wire:
    """What an application leaves on the wire for a request that comes in parts, a turn of the loop between them."""
    protocol, wire = connected(application)
    for part in parts:
        protocol.data_received(part)
        await asyncio.sleep(0)
    await asyncio.gather(*protocol.server_state.tasks)
    protocol.connection_lost(None)
    return wire


SIZED = [(b"etag", b'W/"1"'), (b"content-length", b"5")]
SAID = b"x-request-id: 1\r\ncache-control: no-store\r\n"
SAID_OF_THE_BODY = b"content-type: application/fhir+json\r\ncontent-length: 5\r\n"
HEAD = b'HTTP/1.1 200 OK\r\ndate: today\r\netag: W/"1"\r\n%b%b\r\n' % (SAID, SAID_OF_THE_BODY)


async def test_an_answer_of_ours_is_one_write() -> None:
    assert (await written_whole()).writes == [HEAD + HELLO]
    assert (await written_whole(method="HEAD")).writes == [HEAD]
    said = b"HTTP/1.1 %b\r\ndate: today\r\n%b\r\n"
    assert (await written_whole(204, b"", headers={})).writes == [said % (b"204 No Content", SAID)]
    assert (await written_whole(304, b"", headers={})).writes == [said % (b"304 Not Modified", SAID)]
    nothing = SAID + b"content-length: 0\r\n"
    assert (await written_whole(202, b"", headers={})).writes == [said % (b"202 Accepted", nothing)]


async def test_an_answer_of_ours_that_ends_its_connection_says_the_same() -> None:
    wire = await written_whole(more="Connection: close\r\n")
    head, _, body = b"".join(wire.writes).partition(b"\r\n\r\n")
    assert (head, body, wire.is_closed) == (HEAD.removesuffix(b"\r\n\r\n") + b"\r\nconnection: close", HELLO, True)


async def test_an_answer_in_parts_and_one_without_a_body_are_as_uvicorn_writes_them() -> None:
    parts = await written([], b"hel", b"lo", b"")
    assert b"".join(parts.writes).endswith(b"chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
    head = b'HTTP/1.1 200 OK\r\ndate: today\r\netag: W/"1"\r\ncontent-length: 5\r\n\r\n'
    assert (await written(SIZED, b"", method=b"HEAD")).writes == [head]


async def test_a_connection_that_is_to_end_is_ended_after_the_answer() -> None:
    wire = await written([*SIZED, (b"connection", b"close")], HELLO)
    assert (b"".join(wire.writes).endswith(b"connection: close\r\n\r\nhello"), wire.is_closed) == (True, True)


@pytest.mark.parametrize("control", ["\n", "\r\n", "\0", "\x7f"])
async def test_a_header_that_would_end_its_line_is_never_sent(control: str) -> None:
    location = f"a{control}set-cookie: b"
    told = await written_whole(headers={"Location": location})
    assert told.writes[0].startswith(b"HTTP/1.1 500 ")
    cut_off = [
        await written_whole(headers={"Location": location}, more="Connection: close\r\n"),
        await written([(b"location", location.encode()), *SIZED], HELLO),
    ]
    assert all(wire.is_closed for wire in cut_off)
    assert not any(b"set-cookie" in each for wire in (told, *cut_off) for each in wire.writes)


async def test_what_fails_before_its_answer_has_not_begun_to_answer() -> None:
    async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("no body")

    wire = await answering(application, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"".join(wire.writes).startswith(b"HTTP/1.1 500 ")


async def test_an_answer_that_is_shorter_or_longer_than_it_says_ends_the_connection() -> None:
    for body in (b"hell", b"hello!"):
        assert (await written(SIZED, body)).is_closed


@pytest.mark.parametrize(
    ("sent", "is_closed"), [((), True), ((GET,), True), ((GET, b"GET / HT"), False), ((GET, GET + GET), True)]
)
async def test_a_connection_is_closed_when_nothing_has_come_for_a_while_since_the_last_answer(
    sent: tuple[bytes, ...], is_closed: bool
) -> None:
    seconds = 0.05
    protocol, wire = connected(says_hello, timeout_keep_alive=seconds)
    for data in (GET, *sent):
        protocol.data_received(data)
        await asyncio.sleep(seconds / 2)
    assert not wire.is_closed
    await asyncio.sleep(2 * seconds)
    assert wire.is_closed is is_closed
    assert wire.writes.count(b"hello") == 1 + b"".join(sent).count(GET)
    protocol.connection_lost(None)


async def test_a_connection_whose_request_takes_long_is_not_idle() -> None:
    seconds, answer = 0.05, asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await answer.wait()
        await says_hello(scope, receive, send)

    answer.set()
    protocol, wire = connected(application, timeout_keep_alive=seconds)
    protocol.data_received(GET)
    await asyncio.sleep(seconds / 2)
    answer.clear()
    protocol.data_received(GET)
    await asyncio.sleep(3 * seconds)
    assert (wire.writes.count(b"hello"), wire.is_closed) == (1, False)
    answer.set()
    await asyncio.sleep(seconds / 2)
    assert (wire.writes.count(b"hello"), wire.is_closed) == (2, False)
    await asyncio.sleep(2 * seconds)
    assert wire.is_closed
    protocol.connection_lost(None)


def test_an_answer_reaches_the_client_whole() -> None:
    uvloop.run(whole())


async def whole() -> None:
    async with served() as (_, port):
        assert (await ask(port)).endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    ("parts", "is_here"), [((b"hello",), True), ((b"hel", b"lo"), False), ((b"", b"hello"), False)]
)
async def test_a_body_that_came_with_its_head_is_marked_as_one_that_is_here(
    parts: tuple[bytes, ...], is_here: bool
) -> None:
    seen: list[int | None] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope.get(BODY_IS_HERE))
        while (await receive()).get("more_body"):
            pass
        await says_hello(scope, receive, send)

    first, *others = parts
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    wire = await answering(application, head + first, *others)
    assert (seen, wire.writes[-1].endswith(HELLO)) == ([5 if is_here else None], True)
