"""Traces: what decides that one is recorded, how it goes on across deliveries, and that nobody waits for collectors."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from stepwell_shared.cli.processes import free_port
from stepwell_shared.events.answers import Answer, Verdict
from stepwell_shared.events.outbox import event
from stepwell_shared.events.progress import Numbered, PendingEvent, Subscription
from stepwell_shared.events.traces import EVENT_TRACES, Arrived, Publishing
from stepwell_shared.telemetry.exporting import Outgoing, exporting
from stepwell_shared.telemetry.metrics import Metrics
from stepwell_shared.telemetry.requests import Watch
from stepwell_shared.telemetry.tracing import (
    During,
    Kind,
    Part,
    Place,
    RecordedSpan,
    Tracer,
    current,
    parsed,
    traceparent_now,
)

from tests.support.collector import Collector

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TOPIC = "https://stepwell.health/fhir/SubscriptionTopic/score-finalized"
SAMPLED = f"00-{1:032x}-{2:016x}-01"
UNSAMPLED = f"00-{3:032x}-{4:016x}-00"


def recording(ratio: float = 0.0, *, callers_decide: bool = False) -> tuple[Tracer, list[RecordedSpan]]:
    spans: list[RecordedSpan] = []
    return Tracer(ratio, spans.append, callers_decide=callers_decide), spans


def subscription(*, internal: bool = True) -> Subscription:
    return Subscription(
        tenant="north",
        subscription_id="s1",
        topic=TOPIC,
        endpoint="http://routing/notifications",
        content="full-resource",
        headers=(),
        filters=(),
        timeout_seconds=None,
        max_count=None,
        internal=internal,
        status="active",
        cursor=(0, 0),
        next_event_number=1,
        attempts=0,
        waiting_due=False,
        held_back=False,
    )


def numbered(*traces: str | None) -> list[Numbered]:
    return [
        Numbered(number, PendingEvent((1, number), "Patient/p", "Task/t", (), trace, NOW))
        for number, trace in enumerate(traces, start=1)
    ]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "00",
        SAMPLED.upper().replace("00-", "0A-"),
        f"ff{SAMPLED[2:]}",
        f"{SAMPLED}-more",
        f"00-{0:032x}-{2:016x}-01",
        f"00-{1:032x}-{0:016x}-01",
        f"{SAMPLED}, {SAMPLED}",
        SAMPLED.replace("1", "\u0661"),
    ],
)
def test_a_header_that_names_no_place_begins_a_new_trace(text: str | None) -> None:
    assert parsed(text) is None
    tracer, _ = recording(1.0)
    assert tracer.begin("read Patient", text).trace_id not in (0, 1)


def test_a_later_version_of_the_header_is_read_as_far_as_it_is_known() -> None:
    assert parsed(f"01{SAMPLED[2:]}-more") == Place(1, 2, True)


def test_a_caller_does_not_decide_that_everything_is_recorded_unless_it_may() -> None:
    tracer, _ = recording(0.0)
    span = tracer.begin("read Patient", SAMPLED)
    assert (span.is_recorded, span.trace_id) == (False, 1)
    tracer, _ = recording(1.0, callers_decide=True)
    assert not tracer.begin("read Patient", UNSAMPLED).is_recorded


def test_what_is_not_recorded_has_no_spans_and_goes_on_under_its_numbers() -> None:
    tracer, spans = recording(0.0)
    span = tracer.begin("create Task")
    with During(span), Part("commit"):
        assert current() is span
        assert traceparent_now() == f"00-{span.trace_id:032x}-{span.span_id:016x}-00"
    assert spans == []
    assert traceparent_now() is None


def test_a_part_is_below_what_it_is_a_part_of_and_says_how_it_failed() -> None:
    tracer, spans = recording(1.0)
    with pytest.raises(ValueError, match="secret"), During(tracer.begin("create Task")) as whole, Part("decide"):
        raise ValueError("secret")
    part, root = spans
    assert (part.name, part.parent_id, part.error) == ("decide", whole.span.span_id, "ValueError")
    assert (root.error, root.parent_id) == ("ValueError", 0)
    assert part.started_ns <= part.ended_ns <= root.ended_ns


def test_an_event_keeps_the_trace_of_what_caused_it_in_its_row() -> None:
    entry = ("https://host/screening/fhir/Task/t", {"resourceType": "Task", "id": "t"})
    tracer, _ = recording(1.0)
    with During(tracer.begin("create Task")) as during:
        caused = event("topic", "Patient/p", "Task/t", [entry], NOW)
    assert caused.values[4] == during.span.place.traceparent
    assert event("topic", "Patient/p", "Task/t", [entry], NOW).values[4] is None


def test_one_event_goes_on_from_its_publication_and_another_attempt_does_so_again() -> None:
    tracer, spans = recording()
    for attempt in (Answer(Verdict.UNAVAILABLE), Answer(Verdict.DELIVERED)):
        publishing = Publishing(tracer, subscription(), numbered(SAMPLED))
        arrived = Arrived(tracer, publishing.headers)
        with During(arrived.processing(TOPIC, 1)):
            pass
        publishing.end(attempt)
    assert [(each.name, each.trace_id, each.error) for each in spans] == [
        ("process score-finalized", 1, ""),
        ("publish score-finalized", 1, "not delivered"),
        ("process score-finalized", 1, ""),
        ("publish score-finalized", 1, ""),
    ]
    assert [each.parent_id for each in spans if each.kind is Kind.PRODUCER] == [2, 2]


def test_many_events_of_one_notification_each_stay_in_their_own_trace_and_the_request_links_to_them() -> None:
    tracer, spans = recording()
    other = f"00-{5:032x}-{6:016x}-01"
    publishing = Publishing(tracer, subscription(), numbered(SAMPLED, UNSAMPLED, None, other))
    arrived = Arrived(tracer, publishing.headers)
    processed = [arrived.processing(TOPIC, number) for number in (1, 2, 4)]
    assert [(each.trace_id, each.is_recorded) for each in processed] == [(1, True), (3, False), (5, True)]
    assert isinstance(arrived.request, RecordedSpan)
    assert arrived.request.trace_id not in (1, 3, 5)
    assert [link.trace_id for link in arrived.request.links] == [1, 5]
    publishing.end(Answer(Verdict.DELIVERED))
    published = {each.trace_id: each.span_id for each in spans}
    assert [each.parent_id for each in processed if isinstance(each, RecordedSpan)] == [published[1], published[5]]


def test_nobody_outside_is_told_more_than_one_trace_and_no_header_grows_without_end() -> None:
    tracer, _ = recording()
    outside = subscription(internal=False)
    assert Publishing(tracer, outside, numbered(UNSAMPLED)).headers == {"traceparent": UNSAMPLED}
    assert Publishing(tracer, outside, numbered(SAMPLED, SAMPLED)).headers == {}
    many = numbered(*[UNSAMPLED] * 400, *[SAMPLED] * 200)
    assert len(Publishing(tracer, subscription(), many).headers[EVENT_TRACES]) < 16_384
    assert Publishing(tracer, subscription(), numbered(None)).headers == {}


@pytest.mark.parametrize("header", ["x", "=", "1", "one=two", f"1={SAMPLED[:-1]}", ",,,", f"-1={SAMPLED}"])
def test_a_header_of_traces_that_nobody_can_read_is_as_good_as_none(header: str) -> None:
    tracer, _ = recording()
    assert not Arrived(tracer, {EVENT_TRACES: header}).processing(TOPIC, 1).is_recorded


def test_a_request_is_named_by_what_it_does_and_fails_by_its_status() -> None:
    tracer, spans = recording(1.0)
    watch = Watch(Metrics("screening"), tracer)
    with watch.request("read", "Patient", None) as seen:
        seen.status = 200
    with pytest.raises(LookupError), watch.request("search-system", "", None):
        raise LookupError
    assert [(each.name, each.error) for each in spans] == [("read Patient", ""), ("search-system", "500")]


async def test_whoever_asks_for_the_numbers_of_an_unrecorded_request_is_told_the_same_and_no_other_has_them() -> None:
    watch, told = Watch(Metrics("screening"), Tracer(0.0)), []

    async def asked() -> str | None:
        return traceparent_now()

    async def request() -> None:
        seen = watch.request("read", "Patient", None)
        told.append(await asyncio.create_task(asked()))
        assert [traceparent_now(), seen.place.traceparent] == told[-1:] * 2
        seen.done()

    for _ in range(2):
        await asyncio.create_task(request())
        assert current() is None
    assert all(parsed(each) is not None for each in told)
    assert told[0] != told[1]


def test_a_request_goes_on_with_the_work_of_another_service_once_it_is_known_to_be_one() -> None:
    tracer, spans = recording(0.0)
    watch = Watch(Metrics("routing"), tracer)
    with watch.request("notify", "Bundle", None) as seen:
        assert traceparent_now() != SAMPLED
        seen.follow(Arrived(tracer, {"traceparent": SAMPLED}).request)
        inside = current()
        seen.status = 200
    assert current() is None
    assert [each for each in spans if each is inside]
    assert (spans[0].trace_id, spans[0].parent_id) == (1, 2)


async def test_spans_reach_a_collector_with_what_they_are() -> None:
    collector, metrics = Collector(), Metrics("screening")
    try:
        async with exporting(collector.endpoint, "screening", metrics) as record:
            tracer = Tracer(1.0, record)
            with During(tracer.begin("create Task")), Part("commit"):
                pass
        part, root = sorted(collector.spans, key=lambda each: each.name)
        assert (part.name, part.parent_id, part.trace_id) == ("commit", root.span_id, root.trace_id)
        assert (root.service, root.parent_id, root.kind) == ("screening", "", 2)
        assert b'stepwell_trace_spans_total{service="screening",outcome="sent"} 2\n' in metrics.text()
    finally:
        collector.close()


async def test_nobody_waits_for_a_collector_that_is_away_and_what_is_dropped_is_counted() -> None:
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{free_port()}/v1/traces", timeout=1)
    outgoing = Outgoing(exporter, Resource({}), queue_max=16)
    tracer = Tracer(1.0, outgoing.record)
    began = monotonic()
    for _ in range(1000):
        tracer.begin("create Task").end()
    assert monotonic() - began < 10
    assert outgoing.lost >= 1000 - 3 * 16
    await asyncio.wait_for(outgoing.close(), timeout=20)
    assert outgoing.sent == 0


def traces_of(spans: Sequence[RecordedSpan]) -> set[int]:
    return {each.trace_id for each in spans}


async def test_work_at_the_same_time_does_not_mix_its_traces() -> None:
    tracer, spans = recording(1.0)

    async def work() -> None:
        with During(tracer.begin("create Task")) as during:
            await asyncio.sleep(0)
            with Part("commit"):
                await asyncio.sleep(0)
            assert current() is during.span

    await asyncio.gather(*(work() for _ in range(8)))
    assert len(traces_of(spans)) == 8
    assert len(spans) == 16
