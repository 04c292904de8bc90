"""Load for one service over raw sockets: closed loops that find its peak, open loops that go far beyond it.

An open loop sends at its own times, whatever became of the requests before (R14 of the reliability goals); it runs in
a process of its own, so that waiting for it is not waiting for the service.
"""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
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


class Sender:
    """An open loop: requests at their times, each on a free connection or a new one.

    It makes no tasks and no futures, so that one process can send far more than another can answer; what it was late
    by is known (`late`), for a client that lags measures itself.
    """

    def __init__(self, port: int, requests: Iterator[bytes], per_second: float, seconds: float) -> None:
        self._port, self._requests, self._per_second = port, enumerate(requests), per_second
        self.answers = Answers(seconds)
        self.free: list[Line] = []
        self.late: list[float] = []
        self._opening: set[asyncio.Task[None]] = set()
        self.under_way = 0
        self._all_answered = asyncio.Event()

    async def run(self) -> Answers:
        """Sends until time is up, then waits for the answers."""
        began, sent = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - began) < self.answers.seconds:
            due = int(elapsed * self._per_second)
            self.late.append(elapsed - sent / self._per_second)
            for _ in range(due - sent):
                self._send(*next(self._requests))
            sent = max(sent, due)
            await asyncio.sleep(0.001)
        if self.under_way:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    await self._all_answered.wait()
        for each in self.free:
            each.close()
        return self.answers

    def answered(self, answer: Answer) -> None:
        """One more is."""
        self.answers.all.append(answer)
        self.under_way -= 1
        if not self.under_way:
            self._all_answered.set()

    def _send(self, number: int, request: bytes) -> None:
        self.under_way += 1
        self._all_answered.clear()
        if self.free:
            self.free.pop().ask(number, request)
        else:
            task = asyncio.create_task(self._open(number, request, time.perf_counter()))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, number: int, request: bytes, began: float) -> None:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(self), "127.0.0.1", self._port)
        line.ask(number, request, began)


class Line(asyncio.Protocol):
    """A connection of a sender."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._number = -1
        self._began = self._asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transport is no subclass of asyncio's

    def ask(self, number: int, request: bytes, began: float | None = None) -> None:
        self._number, self._asked_at = number, time.time()
        self._began = time.perf_counter() if began is None else began
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        end = buffer.find(b"\r\n\r\n")
        at = buffer.find(b"content-length: ", 0, end)
        if end < 0 or len(buffer) < end + 4 + int(buffer[at + 16 : buffer.index(b"\r", at)]):
            self._buffer = buffer
            return
        self._buffer = b""
        self._end(int(buffer[9:12]), is_later=b"\r\nretry-after:" in buffer[:end])
        self._sender.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._number >= 0:
            self._end(0, is_later=False)
        elif self in self._sender.free:
            self._sender.free.remove(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _end(self, status: int, *, is_later: bool) -> None:
        seconds = time.perf_counter() - self._began
        self._sender.answered(Answer(status, seconds, self._asked_at, self._number, is_later))
        self._number = -1


async def open_loop(port: int, requests: Iterator[bytes], per_second: float, seconds: float) -> Answers:
    """Requests at these times, whatever became of those before."""
    return await Sender(port, requests, per_second, seconds).run()


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
