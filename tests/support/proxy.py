"""A fault proxy in front of a service: it does to HTTP exchanges what networks, gateways and crashes do to them.

What happens to the n-th exchange of a kind on a link is chosen by a `Plan`, a function without state, so that the
same plan chooses the same again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

NOTIFICATION, REQUEST = "notification", "request"
ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CONNECT_SECONDS_MAX = 5.0
REPLY_SECONDS_MAX = 30.0
OVERTAKEN_SECONDS_MAX = 1.0
HELD_RETRY_SECONDS = 0.2
TRICKLED_PIECES = 16


class Fault(StrEnum):
    """What may become of one request and its answer."""

    NONE = "passed on"
    DROP = "request dropped"
    DROP_REPLY = "answer dropped"
    DELAY = "delayed"
    DUPLICATE = "duplicated at once"
    STALE = "a copy comes again, after later ones"
    OVERTAKE = "accepted for the receiver, delivered after later ones"
    CUT = "request cut short"
    CUT_REPLY = "answer cut short"
    TRICKLE = "trickled"


@dataclass(frozen=True, slots=True)
class Choice:
    """A fault with its measures: how long (delay, trickle), how many bytes (cut), behind how many others."""

    fault: Fault = Fault.NONE
    seconds: float = 0.0
    bytes_max: int = 0
    behind: int = 1


Plan = Callable[[str, str, int], Choice]
"""Link, kind of exchange and its number from 1 -> what becomes of it."""


def fair(_link: str, _kind: str, _number: int) -> Choice:
    """A plan without faults."""
    return Choice()


@dataclass(slots=True)
class _Held:
    """A request that is delivered when `behind` others have passed it."""

    request: bytes
    behind: int
    must_arrive: bool
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class FaultProxy:
    """Listens on `port` of loopback and passes on to `target_port`. An asynchronous context manager.

    `link` names it in the plan. `counts` says what was done by kind and fault; `refused` holds the status codes with
    which held notifications were turned down for good.
    """

    link: str
    port: int
    target_port: int
    plan: Plan = fair
    counts: Counter[tuple[str, Fault]] = field(default_factory=Counter)
    refused: list[int] = field(default_factory=list)
    _numbers: Counter[str] = field(default_factory=Counter)
    _held: list[_Held] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    def follow(self, plan: Plan) -> None:
        """From now on does what this plan says, counting exchanges from 1."""
        self.plan = plan
        self._numbers.clear()

    async def settled(self) -> None:
        """Returns when everything that was held back has been delivered."""
        while self._held:
            for held in self._held:
                held.released.set()
            await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while (request := await read_message(reader)) and await self._exchange(request, writer):
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or the proxy stops
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Passes one request on and its answer back; false when the connection ends here."""
        kind = kind_of(request)
        self._numbers[kind] += 1
        choice = self.plan(self.link, kind, self._numbers[kind])
        self.counts[kind, choice.fault] += 1
        try:
            reply = await self._suffer(request, choice)
        finally:
            if kind == NOTIFICATION:
                self._let_pass()
        if reply is None:
            return False
        if choice.fault is Fault.CUT_REPLY:
            reply = reply[: min(choice.bytes_max, len(reply) - 1)]
        writer.write(reply)
        await writer.drain()
        return choice.fault is not Fault.CUT_REPLY

    async def _suffer(self, request: bytes, choice: Choice) -> bytes | None:
        """The answer that the client gets, None for none."""
        match choice.fault:
            case Fault.DROP:
                return None
            case Fault.CUT:
                await self._send_part(request[: min(choice.bytes_max, len(request) - 1)])
                return None
            case Fault.DROP_REPLY:
                await self._forward(request)
                return None
            case Fault.DUPLICATE:
                first, _ = await asyncio.gather(self._forward(request), self._forward(request))
                return first
            case Fault.OVERTAKE:
                self._hold(request, choice.behind, must_arrive=True)
                return ACCEPTED
            case Fault.DELAY:
                await asyncio.sleep(choice.seconds)
        reply = await self._forward(request, choice.seconds if choice.fault is Fault.TRICKLE else 0.0)
        if choice.fault is Fault.STALE and reply is not None:
            self._hold(request, choice.behind, must_arrive=False)
        return reply

    async def _forward(self, request: bytes, trickled_seconds: float = 0.0) -> bytes | None:
        """One request over a connection of its own; None when the other side is away or breaks off."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except (OSError, TimeoutError):
            return None
        try:
            async with asyncio.timeout(REPLY_SECONDS_MAX):
                for piece in _pieces(request, TRICKLED_PIECES if trickled_seconds else 1):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(trickled_seconds / TRICKLED_PIECES)
                return await read_message(reader) or None
        except (OSError, TimeoutError):
            return None
        finally:
            writer.close()

    async def _send_part(self, part: bytes) -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            writer.write(part)
            await writer.drain()
            writer.close()

    def _hold(self, request: bytes, behind: int, *, must_arrive: bool) -> None:
        held = _Held(request, behind, must_arrive)
        self._held.append(held)
        task = asyncio.create_task(self._deliver_held(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _let_pass(self) -> None:
        """One notification has passed those that are held."""
        for held in self._held:
            held.behind -= 1
            if held.behind < 0:
                held.released.set()

    async def _deliver_held(self, held: _Held) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(OVERTAKEN_SECONDS_MAX):
                    await held.released.wait()
            while True:
                status = status_of(await self._forward(held.request))
                if 200 <= status < 300 or not held.must_arrive:
                    return
                if status in {400, 403, 404, 409, 410, 412, 413, 422}:
                    self.refused.append(status)
                    return
                await asyncio.sleep(HELD_RETRY_SECONDS)
        finally:
            self._held.remove(held)


def kind_of(request: bytes) -> str:
    """NOTIFICATION or REQUEST, by the path."""
    path = request.split(b" ", 2)[1].partition(b"?")[0]
    return NOTIFICATION if path.endswith(b"/notifications") else REQUEST


def status_of(reply: bytes | None) -> int:
    """The status code of an answer; 0 for none."""
    return int(reply.split(b" ", 2)[1]) if reply else 0


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP/1.1 message, head and body (RFC 9112 section 6); empty when the connection ended before it did."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        headers = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if b":" in line)
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            return head + await _chunks(reader)
        return head + await reader.readexactly(int(headers.get(b"content-length", b"0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while not body.endswith(b"\r\n0\r\n\r\n") and body != b"0\r\n\r\n":
        line = await reader.readuntil(b"\r\n")
        body += line + await reader.readexactly(int(line.partition(b";")[0], 16) + 2)
    return body


def _pieces(data: bytes, count: int) -> list[bytes]:
    size = -(-len(data) // count)
    return [data[start : start + size] for start in range(0, len(data), size)]
