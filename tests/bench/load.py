"""Closed-loop load: so many clients, each sending its next request when the last one was answered.

Two kinds: SQL on dedicated connections with a prepared statement (the floor), and HTTP/1.1 over raw sockets with
keep-alive, because a full HTTP client would cost more than the server. `LoadProcess` runs them in a process of
their own.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol, Self

import asyncpg
import uvloop

PATIENCE_SECONDS = 30.0
"""How long an effect of a request is waited for before it counts as missing."""


@dataclass
class Measured:
    """What came of one round of load."""

    seconds: float
    latencies_seconds: list[float]
    client_cpu_seconds: float
    """Of the load generator itself."""
    started_at: float = 0.0
    """Wall clock, in seconds since 1970."""
    done_seconds: list[float] = field(default_factory=list)
    """For a chain: from sending a request to seeing what it led to."""
    done_in_time: int = 0
    """For a chain: how many had led to something when the load ended."""

    @property
    def count(self) -> int:
        return len(self.latencies_seconds)

    @property
    def per_second(self) -> float:
        return self.count / self.seconds


class Arguments(Protocol):
    """Where a floor's arguments come from."""

    def arguments(self) -> Iterator[Sequence[Any]]:
        """Endless; each is for one call."""


@dataclass
class Cycled:
    """Calls with one value after the other, behind what is common to all."""

    common: tuple[Any, ...]
    values: Sequence[str]

    def arguments(self) -> Iterator[Sequence[Any]]:
        """Endless; each is for one call."""
        for value in itertools.cycle(self.values):
            yield (*self.common, value)


class Job(Protocol):
    """One round of load, so many seconds long."""

    seconds: float

    async def run(self) -> Measured:
        """Connects, warms nothing up, and measures from the first request to the last answer."""


@dataclass
class SqlJob:
    """Runs a prepared statement on dedicated connections."""

    url: str
    statement: str
    source: Arguments
    clients: int
    seconds: float

    async def run(self) -> Measured:
        """Measures from the first call to the last answer."""
        connections = [await asyncpg.connect(self.url) for _ in range(self.clients)]
        try:
            prepared = [await connection.prepare(self.statement) for connection in connections]
            arguments = self.source.arguments()
            calls = [_caller(each, arguments) for each in prepared]
            return await _closed_loop(calls, self.seconds)
        finally:
            for connection in connections:
                await connection.close()


def _caller(
    prepared: asyncpg.prepared_stmt.PreparedStatement, arguments: Iterator[Sequence[Any]]
) -> Callable[[], Coroutine[Any, Any, None]]:
    async def call() -> None:
        await prepared.fetch(*next(arguments))

    return call


@dataclass
class HttpJob:
    """Sends one request after the other on kept-alive connections; `marker` in it becomes the next value."""

    port: int
    request: bytes
    marker: str
    values: Sequence[str]
    status: int
    clients: int
    seconds: float
    once: bool = False
    """Whether each value may be sent only once; the round ends when none is left."""

    async def run(self) -> Measured:
        """Measures from the first request to the last answer."""
        connections = [await HttpConnection.open(self.port) for _ in range(self.clients)]
        try:
            values = iter(self.values) if self.once else itertools.cycle(self.values)
            calls = [self._sender(each, values) for each in connections]
            return await _closed_loop(calls, self.seconds)
        finally:
            for connection in connections:
                connection.close()

    def _sender(self, connection: "HttpConnection", values: Iterator[str]) -> Callable[[], Coroutine[Any, Any, None]]:
        async def call() -> None:
            await self.send(connection, next(values, ""))

        return call

    async def send(self, connection: "HttpConnection", value: str) -> None:
        """One request; raises RuntimeError when the answer is not the expected one, ExhaustedError without a value."""
        if not value:
            raise ExhaustedError
        status, body = await connection.send(self.request.replace(self.marker.encode(), value.encode()))
        if status != self.status:
            raise RuntimeError(f"the service answered {status} instead of {self.status}: {body[:300]!r}")


class ExhaustedError(Exception):
    """Every value that may be sent once has been sent."""


@dataclass
class ChainJob(HttpJob):
    """Sends requests and watches for what they lead to: an event in the outbox at the end of the chain.

    Each value is a patient id; the event's subject is that patient. With `one_by_one` the next request waits for it.
    """

    outbox_url: str = ""
    tenant: str = ""
    topic: str = ""
    poll_seconds: float = 0.005
    one_by_one: bool = False

    async def run(self) -> Measured:
        """Measures the requests, then waits until everything that they cause was seen, or patience ends."""
        watcher = await _Watcher.open(self)
        watching = asyncio.create_task(watcher.watch())
        self._watcher = watcher
        try:
            measured = await super().run()
            measured.done_in_time = len(watcher.seen)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(watcher.until(lambda: len(watcher.seen) == len(watcher.sent)), PATIENCE_SECONDS)
        finally:
            watching.cancel()
            await watcher.connection.close()
        measured.done_seconds = [watcher.seen[id_] - watcher.sent[id_] for id_ in watcher.seen]
        return measured

    async def send(self, connection: "HttpConnection", value: str) -> None:
        """One request, and with `one_by_one` what it leads to."""
        self._watcher.sent[value] = time.perf_counter()
        try:
            await super().send(connection, value)
        except ExhaustedError:
            del self._watcher.sent[value]
            raise
        if self.one_by_one:
            await asyncio.wait_for(self._watcher.until(lambda: value in self._watcher.seen), PATIENCE_SECONDS)


@dataclass
class _Watcher:
    """Follows an outbox and notes when the event of each patient was there."""

    job: ChainJob
    connection: asyncpg.Connection
    position: int
    sent: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @classmethod
    async def open(cls, job: ChainJob) -> "_Watcher":
        connection = await asyncpg.connect(job.outbox_url)
        return cls(job, connection, await connection.fetchval("SELECT coalesce(max(position), 0) FROM outbox"))

    async def until(self, reached: Callable[[], bool]) -> None:
        """Waits until what was seen is enough."""
        async with self._more:
            await self._more.wait_for(reached)

    async def watch(self) -> None:
        """Runs until it is cancelled."""
        next_rows = await self.connection.prepare(
            "SELECT position, subject FROM outbox WHERE tenant = $1 AND topic = $2 AND position > $3 ORDER BY position"
        )
        while True:
            rows = await next_rows.fetch(self.job.tenant, self.job.topic, self.position)
            now = time.perf_counter()
            for position, subject in rows:
                self.position = position
                id_ = subject.rpartition("/")[2]
                if id_ in self.sent:
                    self.seen.setdefault(id_, now)
            async with self._more:
                self._more.notify_all()
            await asyncio.sleep(self.job.poll_seconds)


async def _closed_loop(calls: Sequence[Callable[[], Coroutine[Any, Any, None]]], seconds: float) -> Measured:
    """Each call again and again until time is up; what is under way then is waited for and counted."""
    latencies: list[float] = []
    usage = resource.getrusage(resource.RUSAGE_SELF)
    started_at, started = time.time(), time.perf_counter()
    deadline = started + seconds

    async def client(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        before = time.perf_counter()
        while before < deadline:
            try:
                await call()
            except ExhaustedError:
                return
            after = time.perf_counter()
            latencies.append(after - before)
            before = after

    await asyncio.gather(*(client(call) for call in calls))
    elapsed = time.perf_counter() - started
    spent = resource.getrusage(resource.RUSAGE_SELF)
    cpu = spent.ru_utime + spent.ru_stime - usage.ru_utime - usage.ru_stime
    return Measured(elapsed, latencies, cpu, started_at)


class HttpConnection(asyncio.Protocol):
    """One kept-alive connection with one request under way at a time; answers must say their length."""

    def __init__(self) -> None:
        self._buffer = b""
        self._end = -1
        self._status = 0
        self._head_length = 0
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def open(cls, port: int) -> "HttpConnection":
        """A connection to a port of this machine."""
        _, protocol = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return protocol

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """The status and body of the answer."""
        assert self._transport is not None, "the connection is open"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transport is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        """Called by the loop: collects until the announced length is there."""
        self._buffer += data
        if self._end < 0:
            head_end = self._buffer.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head = self._buffer[:head_end].lower()
            self._status = int(head[9:12])
            _, found, rest = head.partition(b"\r\ncontent-length:")
            self._head_length = head_end + 4
            self._end = self._head_length + (int(rest.partition(b"\r\n")[0]) if found else 0)
        if len(self._buffer) >= self._end and self._answer is not None:
            body = self._buffer[self._head_length : self._end]
            self._buffer, self._end = self._buffer[self._end :], -1
            self._answer.set_result((self._status, body))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop: whoever waits hears of it."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the service closed the connection"))


class LoadProcess:
    """The process that runs the jobs, one after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    def run(self, job: Job) -> Measured:
        """Runs one job there. Raises RuntimeError with what went wrong."""
        self._pipe.send(job)
        answer = self._pipe.recv()
        if isinstance(answer, Measured):
            return answer
        raise RuntimeError(answer)


def _serve(pipe: Connection) -> None:
    while True:
        job: Job = pipe.recv()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                pipe.send(runner.run(job.run()))
        except Exception as error:  # noqa: BLE001  whatever it was, the bench says it
            pipe.send(f"{type(error).__name__}: {error}")
