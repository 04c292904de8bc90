"""Recorded spans go to a collector over OTLP/HTTP, from a thread of their own: no request waits for it.

While the collector is away spans are dropped and counted. https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from threading import Thread

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from stepwell_shared.telemetry.metrics import Metrics
from stepwell_shared.telemetry.tracing import Kind, Place, RecordedSpan

QUEUE_MAX = 4096
BATCH_MAX = 256
WAIT_MILLISECONDS = 1000
POST_SECONDS_MAX = 5.0
# So long a process that stops waits for its last spans to be taken.
STOP_SECONDS = 2.0

_KINDS = {each: SpanKind[each.name] for each in Kind}
_SCOPE = InstrumentationScope("stepwell")


class Outgoing:
    """Spans on their way out of this process: how many were sent, how many were dropped or refused."""

    def __init__(self, exporter: SpanExporter, resource: Resource, queue_max: int = QUEUE_MAX) -> None:
        self.sent = self.lost = self._recorded = self._done = 0
        self._queue_max = queue_max
        self._exporter = exporter
        self._resource = resource
        self._processor: SpanProcessor = BatchSpanProcessor(
            _Counted(exporter, self._exported),
            max_queue_size=queue_max,
            max_export_batch_size=min(BATCH_MAX, queue_max),
            schedule_delay_millis=WAIT_MILLISECONDS,
        )

    def record(self, span: RecordedSpan) -> None:
        """Hands over one span that has ended; never waits."""
        if self._recorded - self._done >= self._queue_max:
            self.lost += 1
            return
        self._recorded += 1
        self._processor.on_end(_readable(span, self._resource))

    def _exported(self, count: int, *, is_sent: bool) -> None:
        self._done += count
        if is_sent:
            self.sent += count
        else:
            self.lost += count

    async def close(self) -> None:
        """Sends what is left, as long as the collector takes it soon."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._processor.shutdown()
            with suppress(RuntimeError):  # the loop did not wait so long
                loop.call_soon_threadsafe(closed.set)

        # A thread that nobody waits for at the end of the process: the collector may never answer.
        Thread(target=close, daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await closed.wait()


class _Counted(SpanExporter):
    """Says of each batch whether it arrived."""

    def __init__(self, exporter: SpanExporter, exported: Callable[..., None]) -> None:
        self._exporter = exporter
        self._exported = exported

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._exported(len(spans), is_sent=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


@asynccontextmanager
async def exporting(endpoint: str, service: str, metrics: Metrics) -> AsyncIterator[Callable[[RecordedSpan], None]]:
    """What takes recorded spans while the context lasts, and sends them to this URL (`.../v1/traces`)."""
    # It loads protobuf and an HTTP client that nothing else of a service needs.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  only where spans are sent
        OTLPSpanExporter,
    )

    resource = Resource.create(
        {
            "service.name": service,
            "service.namespace": "stepwell",
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
    )
    outgoing = Outgoing(OTLPSpanExporter(endpoint=endpoint, timeout=POST_SECONDS_MAX), resource)
    metrics.watch(
        "stepwell_trace_spans_total",
        "Recorded spans that the collector took, and those that were dropped",
        ("outcome",),
        lambda: [(("sent",), outgoing.sent), (("lost",), outgoing.lost)],
    )
    try:
        yield outgoing.record
    finally:
        await outgoing.close()


def _readable(span: RecordedSpan, resource: Resource) -> ReadableSpan:
    """The span as the exporter's library knows it."""
    parent = Place(span.trace_id, span.parent_id, True) if span.parent_id else None
    attributes = {**span.attributes, "error.type": span.error} if span.error else span.attributes
    return ReadableSpan(
        name=span.name,
        context=_context(span.place, is_remote=False),
        parent=None if parent is None else _context(parent, is_remote=span.kind is not Kind.INTERNAL),
        resource=resource,
        attributes=attributes,
        links=[Link(_context(each, is_remote=True)) for each in span.links],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR) if span.error else Status(StatusCode.UNSET),
        start_time=span.started_ns,
        end_time=span.ended_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(place: Place, *, is_remote: bool) -> SpanContext:
    return SpanContext(place.trace_id, place.span_id, is_remote, TraceFlags(TraceFlags.SAMPLED))
