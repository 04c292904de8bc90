"""What uvicorn leaves open: heads without end, connections on which no request comes, and crowds of new clients.

`serve` runs an application with a protocol and a server of our own; the application's guard begins where the head of a
request is complete.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.outcome import Category, FhirError, outcome_bytes
from stepwell_shared.fhir.wire import in_two
from stepwell_shared.marks import BODY_IS_HERE, WHOLE_ANSWER
from stepwell_shared.unheard import Gate, Unheard

HEAD_BYTES_MAX = 65_536
HEAD_SECONDS_MAX = 10.0
# How long a request that is under way when the server closes may take: as long as a statement may.
STOP_SECONDS_MAX = 30
ACCEPTED_PER_TURN_MAX = 128
STARTUP_FAILED = 3  # as uvicorn exits
# Said with every answer: it is what its Content-Type says, https://fetch.spec.whatwg.org/#x-content-type-options-header.
# And where clients come by https: they shall come no other way (RFC 6797; two years, as browsers' own lists ask for).
SAID_ALWAYS = (("x-content-type-options", "nosniff"),)
SAID_BY_HTTPS = (("strict-transport-security", "max-age=63072000; includeSubDomains"),)
# What may not stand in a header (RFC 9110 section 5.5).
_CONTROLS = bytes({*range(32), 127} - {9})
_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class Standing(ServerState):
    """What uvicorn's connections share, and whether the server is about to go."""

    is_leaving = False
    gate: Gate | None = None
    _said: tuple[list[tuple[bytes, bytes]], bytes] = [], b""

    @property
    def said_always(self) -> bytes:
        """The lines that are in every head. uvicorn makes its list of them anew once a second, with the date."""
        if self._said[0] is not self.default_headers:
            lines = (b"%b: %b\r\n" % each for each in self.default_headers)
            self._said = self.default_headers, b"".join(lines)
        return self._said[1]


class JoinedAnswer(RequestResponseCycle):
    """Takes an answer as one message too, and sends it in one piece.

    uvicorn writes head and body apart and uvloop sends each at once: two system calls, a quarter of what a read costs.
    """

    standing: Standing
    scope: Any

    async def send(self, message: Any) -> None:
        """Leaves to uvicorn what is no whole answer, and where the connection ends or its client does not listen."""
        if message["type"] != WHOLE_ANSWER:
            await super().send(message)
            return
        status, headers, body = message["status"], message["headers"], message["body"]
        if self.keep_alive and not (self.flow.write_paused or self.disconnected or self.response_started):
            self._send_whole(status, headers, body)
        else:
            for each in in_two(status, headers, body):
                await super().send(each)  # type: ignore[arg-type]  # uvicorn has a type for each kind of message

    def _send_whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        lines = _lines(headers)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        self.transport.write(b"%b%b%b\r\n%b" % (STATUS_LINE[status], self.standing.said_always, lines, body))
        self.on_response()


def _lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent. Raises RuntimeError, as uvicorn does, when one holds what would end its line."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1")
    if len(text) - len(text.translate(None, _CONTROLS)) != len(b"\r\n") * len(headers):
        raise RuntimeError("Invalid HTTP header value.")
    return text


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose next request head is too long or too slow, and says so in FHIR."""

    _head_bytes = 0
    _in_head = False
    _was_refused = False
    _head_timer: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None
    # nothing has come since the last answer, which was sent at that time of the loop
    _is_idle, _idle_since = False, 0.0
    server_state: Standing
    cycle: JoinedAnswer
    scope: Any  # uvicorn's type of it knows no marks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self._is_idle = False
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._is_idle = False
        super().data_received(data)
        if self.transport.is_closing():
            self._unwatch()
        elif self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._turn_away(FhirError(Category.HEADERS_TOO_LARGE, "the head of the request is too long"))
            else:
                self._watch()
        elif self.cycle is None or self.cycle.response_complete:
            self._watch()  # bytes between requests must not keep a connection for ever
        elif isinstance(self.cycle, Unheard):
            self._watch()
        elif self._head_timer is not None:
            self._unwatch()

    def on_response_complete(self) -> None:
        """As uvicorn's, but that one timer looks whether a connection is idle, instead of one after each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._is_idle, self._idle_since = True, self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        self._idle_timer = None
        if self._is_idle:
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self._idle_timer = self.loop.call_later(left, self._look_whether_idle)
            else:
                self.timeout_keep_alive_handler()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        gate = self.server_state.gate
        if gate is not None:
            if gate.is_narrow() and self._is_refused(gate):
                return
            gate.enter()
        self._enter()

    def _enter(self) -> None:
        """Lets the application answer."""
        self.scope[WHOLE_ANSWER] = True
        super().on_headers_complete()
        if self.cycle is not None:
            # uvicorn makes it and takes no other; nothing of it has run yet
            self.cycle.__class__ = JoinedAnswer
            self.cycle.standing = self.server_state
        if self.server_state.is_leaving and self.cycle is not None:
            self.cycle.keep_alive = False  # the answer says so, and the next request goes to somebody else

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if not self.cycle.more_body:
            self.cycle.scope[BODY_IS_HERE] = len(self.cycle.body)

    def _is_refused(self, gate: Gate) -> bool:
        """Whether this request is answered here, or looked at here once its body is there.

        What is no ordinary request of a client that listens is left to the application's guard.
        """
        if (
            self.server_state.is_leaving
            or self.expect_100_continue
            or self.flow.write_paused
            or not (self.cycle is None or self.cycle.response_complete)
            or self.parser.should_upgrade()
        ):
            return False
        method = self.parser.get_method()
        refusal = gate.refusal(method, self.url, self.headers)
        if refusal is None:
            return False
        self.scope["method"] = method.decode("ascii")
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        unheard = Unheard(self.scope, refusal, keep_alive=keep_alive, heard=self._look_again)
        self.cycle = unheard  # type: ignore[assignment]  # as much of a cycle as uvicorn uses while a body arrives
        return True

    def _look_again(self, unheard: Unheard) -> None:
        """Refuses what has arrived, or lets it in: it cannot wait, or it is so long that the guard sees to it."""
        refusal, body = unheard.refusal, unheard.body
        if unheard.more_body:
            if not refusal.wants_body:
                body.clear()
            elif len(body) > HIGH_WATER_LIMIT:
                self._enter_late(unheard)
        elif refusal.wants_body and refusal.admits(unheard.scope, bytes(body)):
            self._enter_late(unheard)
        else:
            unheard.response_complete = self._was_refused = True
            said_always = self.server_state.said_always
            self.transport.write(refusal.answer(unheard.scope, said_always, keep_alive=unheard.keep_alive))
            if not unheard.keep_alive:
                self.transport.close()

    def _enter_late(self, unheard: Unheard) -> None:
        self.cycle = None  # type: ignore[assignment]  # as before the first request
        self._enter()
        self.cycle.body, self.cycle.more_body = unheard.body, unheard.more_body
        self.cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for what is no HTTP; its words go out as an outcome."""
        self._turn_away(FhirError(Category.INVALID, msg))

    def _watch(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS_MAX, self._give_up)

    def _unwatch(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._in_head or (isinstance(self.cycle, Unheard) and not self.cycle.response_complete):
            text = f"the head of the request did not arrive within {HEAD_SECONDS_MAX:g} seconds"
            self._turn_away(FhirError(Category.REQUEST_TIMEOUT, text))
        elif self._was_refused:
            self._was_refused = False  # it is in use: a timer for each refusal would be a tenth of what that costs
            self._watch()
        else:
            self.transport.close()

    def _turn_away(self, error: FhirError) -> None:
        """Writes the outcome and closes. Half of an answer that was begun is not followed by another one."""
        self._unwatch()
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            is_silent = not self.cycle.response_started and not self.pipeline
            self.cycle.disconnected = True  # nobody hears what it may still say
        else:
            is_silent = True
        if is_silent:
            body = outcome_bytes(error.issues)
            head = b"HTTP/1.1 %d %b\r\ncontent-type: application/fhir+json\r\ncontent-length: %d\r\n"
            head = head % (error.status, _REASONS[error.status], len(body))
            self.transport.write(b"%bx-request-id: %b\r\nconnection: close\r\n\r\n%b" % (head, new_id().encode(), body))
        self.transport.close()


class EagerServer(uvicorn.Server):
    """Takes all connections that wait, many in each turn of the event loop.

    libuv takes one in a turn (since 1.45). A busy loop turns a few dozen times a second, so that of a crowd of new
    clients most would wait in the kernel, where nobody turns them away and no deadline ends them.

    Told to stop, it takes what still comes for `drain_seconds`, for balancers need a while until they send it no more;
    `leaving` is called at once, so that who asks whether it is ready is told.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain_seconds: float = 0.0,
        leaving: Callable[[], None] = lambda: None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(config)
        self.server_state: Standing = Standing()
        self._drain_seconds, self._leaving = drain_seconds, leaving
        self._leaves_at: float | None = None
        self.server_state.gate = gate
        self._listeners: tuple[socket.socket, ...] = ()
        self._connecting: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens as uvicorn does, and beside it on the same sockets."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        listening = [each for server in self.servers for each in server.sockets]
        self._listeners = tuple(socket.socket(fileno=os.dup(each.fileno())) for each in listening)
        for each in self._listeners:
            each.setblocking(False)
            loop.add_reader(each.fileno(), self._accept, each)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to leave; a second signal, or Ctrl-C, ends the waiting."""
        if sig == signal.SIGINT or not self._drain_seconds or self._leaves_at is not None:
            super().handle_exit(sig, frame)
        else:
            self._leaves_at = time.monotonic() + self._drain_seconds
            self.server_state.is_leaving = True
            self._leaving()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to close."""
        if self._leaves_at is not None and time.monotonic() >= self._leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, then does as uvicorn does."""
        for each in self._listeners:
            asyncio.get_running_loop().remove_reader(each.fileno())
            each.close()
        self._listeners = ()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        await super().shutdown(sockets)

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTED_PER_TURN_MAX):
            try:
                client, _address = listener.accept()
            except ConnectionAbortedError:
                continue  # it went away while it waited
            except OSError:
                return  # nobody waits, or no file is free: then libuv turns clients away
            client.setblocking(False)
            if client.family in {socket.AF_INET, socket.AF_INET6}:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._connect(client))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, client: socket.socket) -> None:
        protocol = partial(BoundedProtocol, self.config, self.server_state, self.lifespan.state)
        await asyncio.get_running_loop().connect_accepted_socket(protocol, client)


def serve(application: ASGIApp, *, host: str, port: int, is_https: bool = False, drain_seconds: float = 0.0) -> None:
    """Runs the application until the process is told to stop. Exits with 3 when it cannot start.

    `is_https` says whether clients reach it by https alone, so that browsers may be told to come no other way. Told to
    stop, it calls the application's `leave`, if there is one, and goes on for `drain_seconds`.
    """
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[*SAID_ALWAYS, *(SAID_BY_HTTPS if is_https else ())],
        proxy_headers=False,  # nothing here asks who the client is by its address
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
    )
    leaving, gate = getattr(application, "leave", lambda: None), getattr(application, "gate", None)
    server = EagerServer(config, drain_seconds, leaving, gate)
    with suppress(KeyboardInterrupt):  # uvicorn has stopped by then, and passes the signal on
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILED)
