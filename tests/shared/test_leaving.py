"""A server that is told to stop takes what still comes for a while, says that it goes, and finishes what it has."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from stepwell_shared.connections import STOP_SECONDS_MAX, BoundedProtocol, EagerServer

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def served(drain_seconds: float, told: list[str], slow: asyncio.Event) -> AsyncIterator[tuple[EagerServer, int]]:
    """A server that answers when `slow` is set, and its port."""

    async def answers(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await slow.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

    options = {"host": "127.0.0.1", "port": 0, "http": BoundedProtocol, "log_config": None, "ws": "none"}
    config = uvicorn.Config(answers, lifespan="off", timeout_graceful_shutdown=STOP_SECONDS_MAX, **options)  # type: ignore[arg-type]  # a plain dict of keywords
    server = EagerServer(config, drain_seconds, lambda: told.append("leaving"))
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    answer = await reader.readuntil(b"ok")
    writer.close()
    return answer


def test_while_it_leaves_new_requests_are_answered_and_asked_to_go_elsewhere() -> None:
    async def leaving() -> None:
        told: list[str] = []
        slow = asyncio.Event()
        slow.set()
        async with served(600, told, slow) as (server, port):
            assert b"connection: close" not in await ask(port)
            server.handle_exit(signal.SIGTERM, None)
            answer = await ask(port)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer
            assert (told, server.should_exit) == (["leaving"], False)
            server.handle_exit(signal.SIGTERM, None)
            assert (told, server.should_exit) == (["leaving"], True)

    uvloop.run(leaving())


def test_a_request_that_is_under_way_when_it_closes_is_answered() -> None:
    async def finishing() -> None:
        slow = asyncio.Event()
        async with served(0, [], slow) as (server, port):
            asked = asyncio.create_task(ask(port))
            await until(lambda: bool(server.server_state.tasks))
            closing = asyncio.create_task(server.shutdown())
            await until(lambda: not server.servers[0].is_serving())
            slow.set()
            assert (await asked).startswith(b"HTTP/1.1 200")
            await closing

    uvloop.run(finishing())


def test_ctrl_c_does_not_wait() -> None:
    server = EagerServer(uvicorn.Config(lambda scope: scope), 600, lambda: None)
    server.handle_exit(signal.SIGINT, None)
    assert server.should_exit


def test_after_its_time_it_closes() -> None:
    async def late() -> None:
        server = EagerServer(uvicorn.Config(lambda scope: scope), 0.01, lambda: None)
        server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(20):
            while True:
                if await server.on_tick(1):
                    return
                await asyncio.sleep(0.01)

    asyncio.run(late())
