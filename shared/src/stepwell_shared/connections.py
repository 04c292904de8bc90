"""What uvicorn leaves open: request heads without end, and connections on which no request ever comes.

A protocol for `uvicorn.run(http=...)`; the application's own guard begins where the head of a request is complete.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stepwell_shared.fhir.identifiers import new_id
from stepwell_shared.fhir.outcome import Category, FhirError, outcome_bytes

HEAD_BYTES_MAX = 65_536
HEAD_SECONDS_MAX = 10.0
_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose next request head is too long or too slow, and says so in FHIR."""

    _head_bytes = 0
    _in_head = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
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
        elif self._head_timer is not None:
            self._unwatch()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

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
        if self._in_head:
            text = f"the head of the request did not arrive within {HEAD_SECONDS_MAX:g} seconds"
            self._turn_away(FhirError(Category.REQUEST_TIMEOUT, text))
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
