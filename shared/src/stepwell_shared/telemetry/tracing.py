"""Traces across services: which piece of work caused which, recorded for the few that are sampled.

https://www.w3.org/TR/trace-context/ ; tracestate and baggage are neither read nor sent on, because anything can be in
them. What is not sampled has no spans; its numbers are drawn when a log line or an event is to name them.
"""

import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from enum import Enum
from random import getrandbits, random
from time import time_ns
from types import TracebackType
from typing import NamedTuple, Self

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1
# Below the ratio a piece of work is recorded. It is no secret, and every request draws it.
chance = random


class Kind(Enum):
    """Which side of which exchange a span is (https://opentelemetry.io/docs/specs/otel/trace/api/#spankind)."""

    INTERNAL = "internal"
    SERVER = "server"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Place(NamedTuple):
    """A span of this or another process, as it is named on the way between them."""

    trace_id: int
    span_id: int
    is_sampled: bool

    @property
    def traceparent(self) -> str:
        """The header that names it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.is_sampled:02x}"


def parsed(traceparent: str | None) -> Place | None:
    """The place that a header names; None for one that is missing or that nobody can read."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None or (found[1] == "00" and found[5]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    return Place(trace_id, span_id, bool(int(found[4], 16) & _SAMPLED)) if trace_id and span_id else None


class Span:
    """A piece of work that is not recorded: all that it has are its numbers, drawn when somebody asks for them.

    `RecordedSpan` does what this omits.
    """

    __slots__ = ("_span_id", "_trace_id")
    is_recorded = False

    def __init__(self, trace_id: int = 0, span_id: int = 0) -> None:
        self._trace_id = trace_id
        self._span_id = span_id

    @property
    def trace_id(self) -> int:
        """The number of everything that has the same cause."""
        if not self._trace_id:
            self._trace_id = _number(128)
        return self._trace_id

    @property
    def span_id(self) -> int:
        """The number of this piece of work."""
        if not self._span_id:
            self._span_id = _number(64)
        return self._span_id

    @property
    def place(self) -> Place:
        """How others name it."""
        return Place(self.trace_id, self.span_id, self.is_recorded)

    def child(self, _name: str, _kind: Kind = Kind.INTERNAL) -> "Span":
        """A part of this work; of what is not recorded, the work itself."""
        return self

    def end(self, error: str = "") -> None:
        """The work is done, or has failed with an error of this kind."""


class RecordedSpan(Span):
    """A piece of work that is recorded: give it attributes that name no person, and end it."""

    __slots__ = ("_record", "attributes", "ended_ns", "error", "kind", "links", "name", "parent_id", "started_ns")
    is_recorded = True

    def __init__(self, place: Place | None, record: Callable[["RecordedSpan"], None], name: str, kind: Kind) -> None:
        super().__init__(0 if place is None else place.trace_id)
        self.parent_id = 0 if place is None else place.span_id
        self.name, self.kind, self.error = name, kind, ""
        self.attributes: dict[str, str | int | float] = {}
        self.links: list[Place] = []
        self.started_ns, self.ended_ns = time_ns(), 0
        self._record = record

    def child(self, name: str, kind: Kind = Kind.INTERNAL) -> "RecordedSpan":
        return RecordedSpan(self.place, self._record, name, kind)

    def end(self, error: str = "") -> None:
        if not self.ended_ns:
            self.ended_ns, self.error = time_ns(), error
            self._record(self)


class Tracer:
    """Begins and goes on with the traces of one process.

    `ratio` of what begins here is recorded; what one of our own services has begun is recorded where that one records
    it. A caller from outside decides only where `callers_decide`: otherwise anybody could have everything recorded.
    Without `record` nothing is.
    """

    def __init__(
        self,
        ratio: float = 0.0,
        record: Callable[[RecordedSpan], None] | None = None,
        *,
        callers_decide: bool = False,
    ) -> None:
        self._record = record
        self._callers_decide = callers_decide
        self.ratio = ratio if record is not None else 0.0

    def begin(self, name: str, traceparent: str | None = None, kind: Kind = Kind.SERVER) -> Span:
        """Work that somebody outside asks for: it goes on with the caller's trace, and may be recorded."""
        place = parsed(traceparent)
        if place is not None and self._callers_decide:
            return self._span(name, place, kind)
        if chance() < self.ratio:
            return self.recorded(name, place, kind)
        return Span() if place is None else Span(place.trace_id)

    def follow(self, name: str, traceparent: str | None, kind: Kind) -> Span:
        """Work that one of our own services caused: recorded where the cause was."""
        place = parsed(traceparent)
        return self.begin(name, None, kind) if place is None else self._span(name, place, kind)

    def gather(self, name: str, causes: Iterable[Place], kind: Kind) -> Span:
        """Work that has several causes, as a trace of its own with a link to each that is recorded."""
        links = [each for each in causes if each.is_sampled]
        if not links or self._record is None:
            return Span()
        span = RecordedSpan(None, self._record, name, kind)
        span.links = links
        return span

    def _span(self, name: str, place: Place, kind: Kind) -> Span:
        return self.recorded(name, place, kind) if place.is_sampled else Span(place.trace_id)

    def recorded(self, name: str, place: Place | None = None, kind: Kind = Kind.SERVER) -> Span:
        """Work that has been chosen to be recorded."""
        if self._record is not None:
            return RecordedSpan(place, self._record, name, kind)
        return Span() if place is None else Span(place.trace_id)


_current: ContextVar[Span | None] = ContextVar("stepwell_span", default=None)


def current() -> Span | None:
    """The work that is being done here and now, if anybody asked for it."""
    return _current.get()


def traceparent_now() -> str | None:
    """What is stored with what follows from this work, so that it goes on with the same trace whenever it is done."""
    span = _current.get()
    return None if span is None else span.place.traceparent


# From now on this is the work that is being done; `leave` with the token that comes back goes back to what was. They
# are the variable's own methods, because every request calls them.
enter, leave = _current.set, _current.reset


class During:
    """`with During(span):` what is done inside belongs to the span, which ends with it."""

    __slots__ = ("_token", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self._token: Token[Span | None] | None = None

    def __enter__(self) -> Self:
        self._token = enter(self.span)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            leave(self._token)
        self.span.end("" if kind is None else kind.__qualname__)


class Part:
    """`with Part("decide"):` a step of what is being done, as a span of its own where that is recorded."""

    __slots__ = ("_during", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._during: During | None = None

    def __enter__(self) -> None:
        span = _current.get()
        if span is not None and span.is_recorded:
            self._during = During(span.child(self._name)).__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._during is not None:
            self._during.__exit__(kind, error, trace)


def _number(bits: int) -> int:
    return getrandbits(bits) or 1
