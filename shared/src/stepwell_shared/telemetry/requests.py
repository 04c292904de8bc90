"""Requests as they are seen from outside: how many, how long, with what success, and the span of those recorded.

Labels are an interaction and a resource type that we serve: never an address, which can name a person.
"""

from contextvars import Token
from time import perf_counter
from types import TracebackType
from typing import Self

from stepwell_shared.telemetry.metrics import Metrics, Timings
from stepwell_shared.telemetry.tracing import RecordedSpan, Span, Tracer, enter, leave

_CLASSES = tuple(f"{number}xx" for number in range(6))
_FAULT = 500


class Watch:
    """What every request of a process passes; without anything given it is all forgotten."""

    def __init__(self, metrics: Metrics | None = None, tracer: Tracer | None = None) -> None:
        self.tracer = tracer or Tracer()
        self._timings = (metrics or Metrics()).timings(
            "stepwell_request_seconds",
            "Time from the first look at a request to the end of its answer",
            ("interaction", "resource_type", "status"),
        )

    def request(self, interaction: str, resource_type: str, traceparent: str | None) -> "Seen":
        """A request of somebody outside: `with watch.request(...) as seen`, and tell `seen` the status."""
        return Seen(self._timings, self.tracer.begin("", traceparent), interaction, resource_type)


class Seen:
    """One request while it is answered. A status that nobody sets is a fault."""

    __slots__ = ("_interaction", "_resource_type", "_span", "_started", "_timings", "_token", "status")

    def __init__(self, timings: Timings, span: Span, interaction: str, resource_type: str) -> None:
        self.status = _FAULT
        self._timings = timings
        self._span = span
        self._interaction = interaction
        self._resource_type = resource_type
        self._started = perf_counter()
        self._token: Token[Span | None] | None = None

    def __enter__(self) -> Self:
        self._token = enter(self._span)
        return self

    def follow(self, span: Span) -> None:
        """It turned out that this is part of work that one of our own services began: it goes on with that."""
        if self._token is not None:
            leave(self._token)
        self._span, self._token = span, enter(span)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        seconds = perf_counter() - self._started
        status = self.status
        self._timings.add((self._interaction, self._resource_type, _CLASSES[status // 100]), seconds)
        if self._token is not None:
            leave(self._token)
        if isinstance(self._span, RecordedSpan):
            self._describe(self._span, status)

    def _describe(self, span: RecordedSpan, status: int) -> None:
        span.name = span.name or f"{self._interaction} {self._resource_type}".rstrip()
        span.attributes |= {
            "stepwell.interaction": self._interaction,
            "stepwell.resource_type": self._resource_type,
            "http.response.status_code": status,
        }
        span.end(str(status) if status >= _FAULT else "")
