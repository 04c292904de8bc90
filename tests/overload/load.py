"""Load for one service over raw sockets: closed loops that find its peak, open loops that go far beyond it.

An open loop sends at its own times, whatever became of the requests before (R14 of the reliability goals); it runs in
a process of its own, so that waiting for it is not waiting for the service.
"""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import uvloop

ANSWER_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: status 0 when the connection ended without one; seconds since 1970 when it was asked for."""

    status: int
    seconds: float
    asked_at: float
    request: int
    """Which request it was, by its place in the sequence."""
    retry_after: bool = False


@dataclass
class Answers:
    """What came of one round of load."""

    seconds: float
    all: list[Answer] = field(default_factory=list)

    def of(self, *statuses: int) -> list[Answer]:
        """Those with one of these status codes."""
        return [each for each in self.all if each.status in statuses]

    @property
    def good_per_second(self) -> float:
        return len(self.of(200, 201)) / self.seconds

    @property
    def statuses(self) -> dict[int, int]:
        """How many of each."""
        return dict(Counter(each.status for each in self.all))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection with one request under way; answers must say their length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = -1
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """A connection to a port of this machine."""
        _, made = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return made

    def send(self, request: bytes) -> "asyncio.Future[bytes]":
        """The head of the answer, once all of it is there; empty when the connection ended."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self._answer.set_result(b"")
        else:
            self._transport.write(request)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transport is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._wanted < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._wanted = end + 4 + int(length or b"0")
        if len(self._buffer) >= self._wanted and self._answer is not None:
            head = bytes(self._buffer).partition(b"\r\n\r\n")[0]
            self._buffer.clear()
            self._wanted = -1
            if not self._answer.done():
                self._answer.set_result(head)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(b"")


async def asked(connection: Connection, request: bytes, number: int) -> Answer:
    """One request and what came of it."""
    asked_at, began = time.time(), time.perf_counter()
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            head = await connection.send(request)
    except TimeoutError:
        head = b""
        connection.close()
    status = int(head.split(b" ", 2)[1]) if head else 0
    return Answer(status, time.perf_counter() - began, asked_at, number, b"retry-after:" in head.lower())


async def closed_loop(port: int, requests: Iterator[bytes], clients: int, seconds: float) -> Answers:
    """So many clients, each sending its next request when the last one was answered."""
    began = time.perf_counter()
    answers = Answers(seconds)
    numbered = enumerate(requests)

    async def client() -> None:
        connection = await Connection.open(port)
        while time.perf_counter() - began < seconds:
            number, request = next(numbered)
            answers.all.append(await asked(connection, request, number))
            if not connection.is_open:
                connection = await _opened(port)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    answers.seconds = time.perf_counter() - began
    return answers


async def _opened(port: int) -> Connection:
    """A new connection, as soon as somebody listens."""
    while True:
        try:
            return await Connection.open(port)
        except OSError:
            await asyncio.sleep(0.02)


async def open_loop(port: int, requests: Iterator[bytes], per_second: float, seconds: float) -> Answers:
    """Requests at these times, each on a free connection or a new one, until time is up; then waits for the answers."""
    answers = Answers(seconds)
    free: list[Connection] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(number: int, request: bytes) -> None:
        connection = free.pop() if free else await Connection.open(port)
        answers.all.append(await asked(connection, request, number))
        if connection.is_open:
            free.append(connection)

    began = time.perf_counter()
    numbered = enumerate(requests)
    sent = 0
    while (elapsed := time.perf_counter() - began) < seconds:
        while sent < elapsed * per_second:
            number, request = next(numbered)
            task = asyncio.create_task(one(number, request))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            sent += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*under_way, return_exceptions=True)
    for connection in free:
        connection.close()
    return answers


Requests = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """An open loop as a job for another process."""

    port: int
    requests: Sequence[bytes]
    per_second: float
    seconds: float

    def run(self) -> Answers:
        """Runs on a loop of its own."""
        return uvloop.run(open_loop(self.port, iter(self.requests), self.per_second, self.seconds))


async def elsewhere(job: OpenLoop) -> Answers:
    """Runs the job in a fresh process."""

    def run() -> Answers:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(job.run)

    return await asyncio.to_thread(run)
