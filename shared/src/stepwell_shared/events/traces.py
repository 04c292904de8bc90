"""Traces across a delivery: each event goes on with the trace of the work that caused it, as its outbox row keeps it.

A notification with one event carries it as `traceparent`. One with several names the trace of each in a header of our
own, between our own services; the request itself then is a trace of its own with links to those.
"""

from collections.abc import Mapping, Sequence

from stepwell_shared.events.answers import Answer, Verdict
from stepwell_shared.events.progress import Numbered, Subscription
from stepwell_shared.telemetry.tracing import Kind, RecordedSpan, Span, Tracer, parsed

TRACEPARENT = "traceparent"
# Event numbers with their traces: `12=00-...-01, 13=00-...-00`.
EVENT_TRACES = "stepwell-event-traces"
# Beyond this a header of them would be larger than servers take: those that are not recorded are left out.
NAMED_MAX = 128


class Publishing:
    """One notification on its way: a span for each event whose trace is recorded."""

    def __init__(self, tracer: Tracer, subscription: Subscription, numbered: Sequence[Numbered]) -> None:
        self._spans: list[RecordedSpan] = []
        self._traces: dict[int, str] = {}
        for each in numbered:
            traceparent = each.event.traceparent
            place = parsed(traceparent)
            if traceparent is None or place is None:
                continue
            if place.is_sampled:
                span = tracer.follow(f"publish {_name(subscription.topic)}", traceparent, Kind.PRODUCER)
                if isinstance(span, RecordedSpan):
                    traceparent = span.place.traceparent
                    span.attributes |= {
                        "messaging.destination.name": _name(subscription.topic),
                        "messaging.batch.message_count": len(numbered),
                        "stepwell.attempt": 1 + each.tried + subscription.attempts,
                    }
                    self._spans.append(span)
            self._traces[each.number] = traceparent
        self._named = self._headers(len(numbered), is_ours=subscription.internal)

    @property
    def headers(self) -> Mapping[str, str]:
        """What tells the receiver where each event comes from."""
        return self._named

    def end(self, answer: Answer | None) -> None:
        """The receiver has answered, or nobody knows what it did."""
        error = "" if answer is not None and answer.verdict is Verdict.DELIVERED else "not delivered"
        for span in self._spans:
            span.end(error)

    def _headers(self, events_count: int, *, is_ours: bool) -> dict[str, str]:
        if not self._traces:
            return {}
        if events_count == 1 or not is_ours:
            (first, *others) = self._traces.values()
            is_one = not others and events_count == 1
            return {TRACEPARENT: first} if is_one else {}
        named = {n: each for n, each in self._traces.items() if len(self._traces) <= NAMED_MAX or each.endswith("1")}
        return {EVENT_TRACES: ",".join(f"{n}={each}" for n, each in list(named.items())[:NAMED_MAX])} if named else {}


class Arrived:
    """A notification of one of our own services: the span of the request, and of what is done with each event."""

    def __init__(self, tracer: Tracer, headers: Mapping[str, str]) -> None:
        self._tracer = tracer
        self._traces = _told(headers.get(EVENT_TRACES, ""))
        self._only = headers.get(TRACEPARENT) if not self._traces else None
        if self._traces:
            places = [place for place in map(parsed, self._traces.values()) if place is not None]
            self.request = tracer.gather("notify", places, Kind.SERVER)
        else:
            self.request = tracer.follow("notify", self._only, Kind.SERVER)

    def processing(self, topic: str, number: int) -> Span:
        """What is done with one event, in the trace that caused it."""
        name, own = f"process {_name(topic)}", self._traces.get(number)
        if own is None:
            return self.request.child(name, Kind.CONSUMER)
        span = self._tracer.follow(name, own, Kind.CONSUMER)
        if isinstance(span, RecordedSpan) and self.request.is_recorded:
            span.links.append(self.request.place)
        return span


def _told(header: str) -> dict[int, str]:
    pairs = (each.strip().partition("=") for each in header.split(",")) if header else ()
    return {int(number): trace for number, _, trace in list(pairs)[:NAMED_MAX] if number.isdecimal()}


def _name(topic: str) -> str:
    return topic.rpartition("/")[2]
