"""The door: what a request may bring before anything looks at it, as one ASGI guard around the application.

It bounds headers, address, body bytes and body time, and how many requests are worked on at once. What it refuses
is an OperationOutcome with an X-Request-Id (RFC 9110 section 15.5, RFC 6585 section 5).
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepwell_shared.fhir.outcome import Category, FhirError, outcome_bytes
from stepwell_shared.fhir.wire import safe_request_id
from stepwell_shared.marks import BODY_IS_HERE, CANNOT_WAIT, WHOLE_ANSWER
from stepwell_shared.urgent import Test, nothing_is

ALWAYS_OPEN = frozenset({"/livez", "/readyz"})
LINGER_SECONDS = 2.0
LINGER_BYTES_MAX = 16 * 1024 * 1024
DRAIN_BYTES_MAX = 65_536
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_NO_LENGTH = frozenset({b"", b"0"})

log = structlog.get_logger("stepwell.door")


@dataclass(frozen=True)
class Limits:
    """How much one request, and all of them together, may take.

    `body_bytes_max_at` gives paths another body limit. The paths in `reserved` (what other services tell us, safety
    alerts among them) still get in when `in_flight_max` others are being worked on. A request to whose method and path
    `urgent` gives a test, of whose body that says that it cannot wait, is let in even then, until `urgent_max` of them,
    or so many bytes, are here at once: they are not counted among the others.
    """

    body_bytes_max: int
    body_seconds_max: float
    body_bytes_max_at: Mapping[str, int] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    urgent: Callable[[str, str], Test | None] = nothing_is
    in_flight_max: int = 192
    reserve: int = 64
    urgent_max: int = 3072
    urgent_bytes_max: int = 32 * 1024 * 1024
    partial_bytes_max: int = 256 * 1024 * 1024
    header_count_max: int = 100
    header_bytes_max: int = 32_768
    url_bytes_max: int = 16_384


class Guard:
    """Wraps an application. A request counts as worked on except while it waits for its client's body."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self.limits = limits
        self.in_flight = 0
        # of these: what cannot wait and was let in without room
        self.urgent = 0
        self.urgent_bytes = 0
        # let in at a connection, and not yet here
        self.entering = 0
        # how many may be worked on now; what is in front of the guard makes it less while the loop turns slowly
        self.room = limits.in_flight_max
        self.partial_bytes = 0
        # how many requests were refused unseen, by the category of the refusal
        self.refused: Counter[str] = Counter()
        self._told_at = -1.0
        self._busy = FhirError(
            Category.UNAVAILABLE,
            "too many requests are being worked on; try again shortly",
            headers={"Retry-After": "1"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entering = 0  # all that came in with this one begin in the same turn of the loop
        if scope["type"] != "http" or scope["path"] in ALWAYS_OPEN:
            await self._app(scope, receive, send)
            return
        has_body, refusal = self._judge(scope)
        exchange = None
        if (has_body or scope["method"] in _BODY_METHODS) and (refusal is not None or not self._has_body_of(scope)):
            scope.pop(WHOLE_ANSWER, None)  # between its head and its end, the rest of the body may have to be read
            exchange = _Exchange(self, scope, receive, send, has_body=has_body)
            receive, send = exchange.receive, exchange.send
        urgent_bytes = scope.get(CANNOT_WAIT, 0)
        if refusal is self._busy and exchange is not None:
            if not urgent_bytes:
                urgent_bytes = await exchange.urgent_bytes(self.limits.urgent(scope["method"], scope["path"]))
                receive = exchange.again if urgent_bytes else receive
            refusal = None if urgent_bytes else refusal
        if refusal is not None:
            await self._refuse(scope, send, refusal)
            self.partial_bytes -= 0 if exchange is None else exchange.partial_bytes
            return
        self.in_flight += 1
        self.urgent += urgent_bytes > 0
        self.urgent_bytes += urgent_bytes
        try:
            await self._app(scope, receive, send)
        except FhirError as error:  # raised by `receive` through an application that does not speak FHIR
            if exchange is None or exchange.is_answered:
                raise
            await self._refuse(scope, send, error)
        finally:
            self.in_flight -= 1
            self.urgent -= urgent_bytes > 0
            self.urgent_bytes -= urgent_bytes
            if exchange is not None:
                self.partial_bytes -= exchange.partial_bytes

    def _judge(self, scope: Scope) -> tuple[bool, FhirError | None]:
        """Whether a body is announced, and why the request is refused unseen, if it is."""
        limits = self.limits
        headers = scope["headers"]
        given = dict(headers)
        size = len(b"".join(chain.from_iterable(headers)))
        length, encoding = given.get(b"content-length", b""), given.get(b"content-encoding", b"")
        chunked = b"transfer-encoding" in given
        has_body = chunked or length not in _NO_LENGTH
        refusal = None
        if size > limits.header_bytes_max or len(headers) > limits.header_count_max:
            text = f"more than {limits.header_count_max} headers or {limits.header_bytes_max} bytes of them"
            refusal = FhirError(Category.HEADERS_TOO_LARGE, text)
        elif len(scope.get("raw_path") or b"") + len(scope["query_string"]) > limits.url_bytes_max:
            text = f"the URL is longer than {limits.url_bytes_max} bytes; long searches go to POST _search"
            refusal = FhirError(Category.URI_TOO_LONG, text)
        elif chunked and length:
            refusal = FhirError(Category.INVALID, "Content-Length and Transfer-Encoding exclude each other")
        elif len(given) < len(headers) and [name for name, _ in headers].count(b"host") > 1:
            refusal = FhirError(Category.INVALID, "a request is for one Host")
        elif encoding and encoding.lower().strip() not in {b"", b"identity"}:
            # A few kilobytes can unpack to gigabytes, and FHIR bodies are small: nothing is unpacked here.
            text = "send the body without Content-Encoding"
            refusal = FhirError(Category.UNSUPPORTED_MEDIA_TYPE, text, headers={"Accept-Encoding": "identity"})
        elif has_body and (len(length) > 18 or (length.isdigit() and int(length) > self.bytes_max(scope["path"]))):
            refusal = _too_large(self.bytes_max(scope["path"]))
        elif not self.has_room(scope["path"]):
            refusal = self.busy()
        return has_body, refusal

    def _has_body_of(self, scope: Scope) -> bool:
        """Whether the body is here and no longer than it may be, so that nobody need count it or wait for it."""
        size: float = scope.get(BODY_IS_HERE, math.inf)
        return size <= self.bytes_max(scope["path"])

    def has_room(self, path: str) -> bool:
        """Whether one more request may be worked on."""
        limits = self.limits
        return self.in_flight - self.urgent < self.room + (limits.reserve if path in limits.reserved else 0)

    def has_urgent_room(self, size: int) -> bool:
        """Whether one more request that cannot wait, with so large a body, may come in beside the others."""
        return self.urgent < self.limits.urgent_max and self.urgent_bytes + size <= self.limits.urgent_bytes_max

    def bytes_max(self, path: str) -> int:
        return self.limits.body_bytes_max_at.get(path, self.limits.body_bytes_max)

    async def _refuse(self, scope: Scope, send: Send, error: FhirError) -> None:
        self.refused[error.category.value] += 1
        await _refuse(scope, send, error)

    def busy(self) -> FhirError:
        """The refusal when there is no room, told to the log once a second at most: it must stay cheap."""
        now = time.monotonic()
        if now - self._told_at > 1:
            self._told_at = now
            log.warning("requests are turned away: too many are being worked on", status=503)
        return self._busy


class _Exchange:
    """One request with a body: counts what arrives until its deadline, and closes the connection on what is left."""

    __slots__ = (
        "_close",
        "_complete",
        "_deadline",
        "_guard",
        "_has_body",
        "_is_here",
        "_is_late",
        "_is_tried",
        "_path",
        "_receive",
        "_send",
        "_size",
        "_whole",
        "is_answered",
        "partial_bytes",
    )

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send, *, has_body: bool) -> None:
        self._guard, self._receive, self._send = guard, receive, send
        self._path: str = scope["path"]
        self._has_body, self._is_here = has_body, BODY_IS_HERE in scope
        self._deadline = asyncio.get_running_loop().time() + guard.limits.body_seconds_max
        self._size = self.partial_bytes = 0
        self._complete = self._is_late = self._close = self._is_tried = self.is_answered = False
        self._whole = b""

    async def urgent_bytes(self, test: Test | None) -> int:
        """Reads the body of a request for which there is no room: its size when it cannot wait, else 0."""
        if test is None:
            return 0
        guard = self._guard
        guard.in_flight += 1  # `receive` counts who waits for a client as one who is not worked on
        self._is_tried = True
        try:
            while not self._complete:
                self._whole += (await self.receive()).get("body", b"")
        except FhirError:
            return 0
        finally:
            guard.in_flight -= 1
        return len(self._whole) if guard.has_urgent_room(len(self._whole)) and test(self._whole) else 0

    async def again(self) -> Message:
        """The body that was read already, in one part; then what comes after it."""
        if self._is_tried:
            self._is_tried = False
            return {"type": "http.request", "body": self._whole, "more_body": False}
        return await self._receive()

    async def receive(self) -> Message:
        """The next part of the body. Raises FhirError: too much, too late, or no room for it."""
        if self._complete:
            return await self._receive()
        guard = self._guard
        guard.in_flight -= 1
        try:
            message = await (self._receive() if self._is_here else self._before_deadline())
        finally:
            guard.in_flight += 1
        if message["type"] != "http.request":
            self._complete = True
            return message
        part = len(message.get("body", b""))
        self._size += part
        self._complete = not message.get("more_body", False)
        bytes_max = guard.bytes_max(self._path)
        if self._size > bytes_max:
            raise _too_large(bytes_max)
        if not self._complete:
            self.partial_bytes += part
            guard.partial_bytes += part
            if guard.partial_bytes > guard.limits.partial_bytes_max:
                raise guard.busy()
        elif self.partial_bytes and not self._is_tried and not guard.has_room(self._path):
            raise guard.busy()
        return message

    async def send(self, message: Message) -> None:
        """Answers; where part of the body was never read, reads on a little so that the client sees the answer."""
        if message["type"] == "http.response.start":
            self.is_answered = True
            if self._has_body and not self._complete:
                await self._discard(DRAIN_BYTES_MAX, 0)
                self._close = not self._complete
                if self._close:
                    headers = [each for each in message.get("headers", []) if each[0].lower() != b"connection"]
                    message = {**message, "headers": [*headers, (b"connection", b"close")]}
        elif self._close and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._discard(LINGER_BYTES_MAX, LINGER_SECONDS)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _before_deadline(self) -> Message:
        """The next message; a timer and its cancellation cost a tenth of asyncio.timeout."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        timer = loop.call_at(self._deadline, self._expire, task)
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if self._is_late and task.uncancel() == 0:
                seconds = self._guard.limits.body_seconds_max
                text = f"the body did not arrive within {seconds:g} seconds"
                raise FhirError(Category.REQUEST_TIMEOUT, text) from None
            raise
        finally:
            timer.cancel()

    def _expire(self, task: asyncio.Task[object]) -> None:
        self._is_late = True
        task.cancel()

    async def _discard(self, bytes_max: int, seconds_max: float) -> None:
        """Reads and forgets: what has arrived already with 0 seconds, else until an end, a limit or the time."""
        size = 0
        guard = self._guard
        guard.in_flight -= 1
        try:
            async with asyncio.timeout(seconds_max):
                while not self._complete and size <= bytes_max:
                    message = await self._receive()
                    size += len(message.get("body", b""))
                    self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        except TimeoutError:
            return
        finally:
            guard.in_flight += 1


def _too_large(bytes_max: int) -> FhirError:
    return FhirError(Category.TOO_LARGE, f"the body is larger than {bytes_max} bytes")


async def _refuse(scope: Scope, send: Send, error: FhirError) -> None:
    """Sends the outcome of a refusal."""
    body = outcome_bytes(error.issues)
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    request_id = safe_request_id(given.decode("latin-1")).encode()
    headers = [
        (b"content-type", b"application/fhir+json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id),
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
