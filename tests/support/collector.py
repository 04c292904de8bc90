"""A collector of traces: takes OTLP over HTTP as any collector does, and keeps the spans for tests to look at.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
"""

import gzip
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATH = "/v1/traces"


@dataclass(frozen=True)
class Seen:
    """One span as it arrived; ids are lower-case hex, `parent_id` is empty for the root."""

    service: str
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    started_ns: int
    ended_ns: int
    is_error: bool
    attributes: dict[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()


class Collector:
    """Listens on a free port of 127.0.0.1 from when it is made until it is closed. One that keeps nothing is quick."""

    def __init__(self, *, keeps: bool = True) -> None:
        self._keeps = keeps
        self.spans: list[Seen] = []
        self.bodies: list[bytes] = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where services send their traces."""
        return f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def trace(self, trace_id: str) -> list[Seen]:
        """The spans of one trace that are here, in the order of their beginning."""
        with self._arrived:
            return sorted((each for each in self.spans if each.trace_id == trace_id), key=lambda each: each.started_ns)

    def wait_for(
        self, trace_id: str, is_complete: Callable[[Sequence[Seen]], bool], seconds_max: float = 60.0
    ) -> list[Seen]:
        """The spans of one trace once they are complete, or whatever is here when nobody can wait longer."""
        with self._arrived:
            self._arrived.wait_for(lambda: is_complete(self.trace(trace_id)), seconds_max)
        return self.trace(trace_id)

    def close(self) -> None:
        """Nobody listens any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, body: bytes) -> None:
        if not self._keeps:
            return
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            Seen(
                service=_attributes(resource.resource.attributes).get("service.name", ""),
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                name=span.name,
                kind=span.kind,
                started_ns=span.start_time_unix_nano,
                ended_ns=span.end_time_unix_nano,
                is_error=span.status.code == 2,
                attributes=_attributes(span.attributes),
                links=tuple(link.trace_id.hex() for link in span.links),
            )
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._arrived:
            self.bodies.append(body)
            self.spans += spans
            self._arrived.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                is_ours = self.path == PATH and self.headers["Content-Type"] == "application/x-protobuf"
                if is_ours:
                    take(body)
                self.send_response(200 if is_ours else 400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
                """Says nothing."""

        return Handler


def _attributes(pairs: Sequence[object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        value = pair.value  # type: ignore[attr-defined]  # protobuf classes are made at run time
        kind = value.WhichOneof("value")
        found[pair.key] = str(getattr(value, kind)) if kind else ""  # type: ignore[attr-defined]  # the same
    return found
