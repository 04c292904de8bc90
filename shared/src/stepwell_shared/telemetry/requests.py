"""Requests as they are seen from outside: how many, how long, with what success, and the span of those recorded.

Labels are an interaction and a resource type that we serve: never an address, which can name a person.
"""

from time import perf_counter
from types import TracebackType
from typing import Self

from stepwell_shared.telemetry.metrics import Metrics
from stepwell_shared.telemetry.tracing import RecordedSpan, Span, Tracer, chance, enter

_CLASSES = tuple(f"{number}xx" for number in range(6))
_FAULT = 500


class Watch:
    """What every request of a process passes; without anything given it is all forgotten."""

    def __init__(self, metrics: Metrics | None = None, tracer: Tracer | None = None) -> None:
        self.tracer = tracer or Tracer()
        self.timings = (metrics or Metrics()).timings(
            "stepwell_request_seconds",
            "Time from the first look at a request to the end of its answer",
            ("interaction", "resource_type", "status"),
        )

    def request(self, interaction: str, resource_type: str, traceparent: str | None) -> "Seen":
        """A request of somebody outside, from now on: `with watch.request(...) as seen`, and tell `seen` the status."""
        return Seen(self, interaction, resource_type, traceparent)


class Seen(Span):
    """One request while it is answered. A status that nobody sets is a fault.

    It is its own span unless it is recorded or goes on with a trace, as few do; and here no call is made that can be
    left out: what every request pays is a few microseconds, of which a call is a good part.
    """

    __slots__ = ("_interaction", "_resource_type", "_span", "_started", "_watch", "status")

    def __init__(self, watch: Watch, interaction: str, resource_type: str, traceparent: str | None) -> None:
        self._trace_id = self._span_id = 0
        self.status = _FAULT
        self._watch = watch
        self._interaction = interaction
        self._resource_type = resource_type
        self._span: Span | None = None
        if traceparent is not None:
            self._span = watch.tracer.begin("", traceparent)
        elif chance() < watch.tracer.ratio:
            self._span = watch.tracer.recorded("")
        enter(self._span or self)
        self._started = perf_counter()

    def __enter__(self) -> Self:
        return self

    def follow(self, span: Span) -> None:
        """It turned out that this is part of work that one of our own services began: it goes on with that."""
        self._span = span
        enter(span)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.done()
        enter(None)

    def done(self) -> None:
        """The answer is sent, or nobody can send it. Unlike the end of `with` this leaves the task in the request's
        trace: it is for a task that ends with the request."""
        seconds = perf_counter() - self._started
        self._watch.timings.add((self._interaction, self._resource_type, _CLASSES[self.status // 100]), seconds)
        if isinstance(self._span, RecordedSpan):
            self._describe(self._span, self.status)

    def _describe(self, span: RecordedSpan, status: int) -> None:
        span.name = span.name or f"{self._interaction} {self._resource_type}".rstrip()
        span.attributes |= {
            "stepwell.interaction": self._interaction,
            "stepwell.resource_type": self._resource_type,
            "http.response.status_code": status,
        }
        span.end(str(status) if status >= _FAULT else "")
