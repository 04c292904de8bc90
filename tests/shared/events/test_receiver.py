"""The receiving side: who may notify, what a second delivery does, which answers the sender acts upon."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest
from stepwell_shared.database.pool import Database
from stepwell_shared.events.notification import (
    Addressee,
    NumberedEvent,
    ReceivedEvent,
    notification,
    parse_notification,
)
from stepwell_shared.events.outbox import decode_payload
from stepwell_shared.events.receiver import Handler, Receiver, known_senders
from stepwell_shared.fhir.outcome import Category, FhirError

from tests.shared.events.conftest import TENANTS, as_owner_of_rows
from tests.shared.events.subscriber import BASE_URL, RECORDED, SCORES, entries_of, scored

A, B = TENANTS
SUBSCRIPTION_URL = f"{BASE_URL}/Subscription/s1"
RECEIVED = "SELECT * FROM received_event ORDER BY event_number"


def bundle(
    *events: tuple[int, str, str], subscription_url: str = SUBSCRIPTION_URL, kind: str = "event-notification"
) -> bytes:
    """A notification of events given as (number, response id, patient)."""
    addressee = Addressee(subscription_url, SCORES.canonical, "active", "full-resource")
    numbered = [
        NumberedEvent(number, RECORDED, entries_of(scored(response, patient))) for number, response, patient in events
    ]
    return notification(addressee, kind, numbered, events_total=9, sent=RECORDED)


class Handled:
    """A handler that notes what it was given, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []
        self.failures: dict[int, Exception] = {}

    async def __call__(self, event: ReceivedEvent, tenant: str) -> None:
        await asyncio.sleep(0.001 * (10 - event.number % 10))
        if event.number in self.failures:
            raise self.failures[event.number]
        self.calls.append((event.number, tenant))


def receiver(database: Database, handler: Handler) -> Receiver:
    return Receiver({SCORES.canonical: handler}, database, known_senders({"screening": BASE_URL}))


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        (b"", "Bundle"),
        (b"{", "Bundle"),
        (b"[]", "Bundle"),
        (b"\xff", "Bundle"),
        (b"[" * 10_000, "Bundle"),
        (b'{"resourceType":"Patient","type":"history","entry":[]}', "Bundle"),
        (b'{"resourceType":"Bundle","type":"history","entry":[]}', "Bundle"),
        (b'{"resourceType":"Bundle","type":"history","entry":[{"fullUrl":"x"}]}', "Bundle.entry[0].resource"),
        (
            b'{"resourceType":"Bundle","type":"history","entry":[{"resource":{"resourceType":"Patient","parameter":[]}}]}',
            "Bundle.entry[0].resource",
        ),
        (bundle((1, "r1", "p1")).replace(b'"subscription"', b'"subscripton"'), "Bundle.entry[0].resource.parameter"),
        (bundle((1, "r1", "p1")).replace(b"event-notification", b"query-event"), "Bundle.entry[0].resource.parameter"),
        (bundle((1, "r1", "p1")).replace(b'"topic"', b'"tropic"'), "Bundle.entry[0].resource.parameter"),
        (bundle(), "Bundle.entry[0].resource.parameter"),
        (bundle((2, "r1", "p1"), (1, "r2", "p1")), "Bundle.entry[0].resource.parameter"),
        (bundle((0, "r1", "p1")), "Bundle.entry[0].resource.parameter[5].part"),
        (bundle((2**63, "r1", "p1")), "Bundle.entry[0].resource.parameter[5].part"),
        (
            bundle((1, "r1", "p1")).replace(
                b'"valueInstant":"2026-11-21T20:54:00.000Z"', b'"valueInstant":"yesterday"'
            ),
            "Bundle.entry[0].resource.parameter[5].part",
        ),
    ],
)
async def test_a_malformed_notification_is_refused_with_the_place(
    body: bytes, expression: str, database: Database
) -> None:
    handled = Handled()
    with pytest.raises(FhirError) as refused:
        await receiver(database, handled).receive(A, "screening", body)
    assert refused.value.status == 400
    assert [issue.expression for issue in refused.value.issues] == [expression]
    assert handled.calls == []


@pytest.mark.parametrize(
    ("client_id", "subscription_url"),
    [
        ("stranger", SUBSCRIPTION_URL),
        ("screening", "http://elsewhere.test/fhir/Subscription/s1"),
        ("screening", f"{BASE_URL}evil/Subscription/s1"),
    ],
)
async def test_who_may_not_notify_is_refused(client_id: str, subscription_url: str, database: Database) -> None:
    handled = Handled()
    body = bundle((1, "r1", "p1"), subscription_url=subscription_url)
    with pytest.raises(FhirError) as refused:
        await receiver(database, handled).receive(A, client_id, body)
    assert refused.value.status == 403
    assert handled.calls == []


async def test_a_topic_that_nobody_listens_to_is_refused(database: Database) -> None:
    with pytest.raises(FhirError) as refused:
        await Receiver({}, database, known_senders({"screening": BASE_URL})).receive(
            A, "screening", bundle((1, "r", "p"))
        )
    assert refused.value.status == 422


async def test_a_refused_event_is_named_and_stops_only_its_own_patient(database: Database) -> None:
    handled = Handled()
    handled.failures[2] = FhirError(Category.FORBIDDEN, "not for this event")
    with pytest.raises(FhirError) as refused:
        await receiver(database, handled).receive(
            A, "screening", bundle((1, "r1", "p1"), (2, "r2", "p2"), (3, "r3", "p2"), (4, "r4", "p3"))
        )
    # 403 would read as trouble with the sender's token, so the refusal of an event is a 422.
    assert refused.value.status == 422
    assert [(i.expression, i.diagnostics) for i in refused.value.issues] == [
        ("Bundle.entry[2]", "event 2: not for this event")
    ]
    assert sorted(handled.calls) == [(1, A), (4, A)]
    rows = [(r["event_number"], r["status"]) for r in await as_owner_of_rows(database, A, RECEIVED)]
    assert rows == [(1, "received"), (2, "refused"), (3, "waiting"), (4, "received")]


@pytest.mark.parametrize(
    "failure", [ConnectionResetError(), FhirError(Category.UNAVAILABLE, "busy"), asyncpg.AdminShutdownError()]
)
async def test_a_passing_fault_asks_to_be_tried_again(failure: Exception, database: Database) -> None:
    handled = Handled()
    handled.failures[1] = failure
    handled.failures[2] = FhirError(Category.BUSINESS_RULE, "no")
    with pytest.raises(FhirError) as refused:
        await receiver(database, handled).receive(A, "screening", bundle((1, "r1", "p1"), (2, "r2", "p2")))
    assert refused.value.status == 503
    assert refused.value.headers == {"Retry-After": "1"}


async def test_a_defect_in_a_handler_is_not_hidden_and_loses_no_other_event(database: Database) -> None:
    handled = Handled()
    handled.failures[1] = KeyError("defect")
    with pytest.raises(KeyError):
        await receiver(database, handled).receive(A, "screening", bundle((1, "r1", "p1"), (2, "r2", "p2")))
    assert handled.calls == [(2, A)]


async def test_the_same_notification_twice_is_handled_once_for_each_tenant(database: Database) -> None:
    handled = Handled()
    body = bundle((1, "r1", "p1"), (2, "r2", "p2"))
    for tenant in (A, A, B):
        await receiver(database, handled).receive(tenant, "screening", body)
    assert sorted(handled.calls) == [(1, A), (1, B), (2, A), (2, B)]


async def test_a_known_number_with_another_focus_is_not_taken_for_a_copy(database: Database) -> None:
    handled = Handled()
    await receiver(database, handled).receive(A, "screening", bundle((1, "r1", "p1")))
    await receiver(database, handled).receive(A, "screening", bundle((1, "r9", "p1")))
    assert handled.calls == [(1, A), (1, A)]


async def test_one_patients_events_are_handled_in_order(database: Database) -> None:
    handled = Handled()
    await receiver(database, handled).receive(A, "screening", bundle(*((n, f"r{n}", f"p{n % 2}") for n in range(1, 9))))
    order = [number for number, _ in handled.calls]
    assert [n for n in order if n % 2] == [1, 3, 5, 7]
    assert [n for n in order if n % 2 == 0] == [2, 4, 6, 8]


async def test_skipped_numbers_are_on_record_until_they_come(database: Database) -> None:
    handled = Handled()
    await receiver(database, handled).receive(A, "screening", bundle((1, "r1", "p1"), (4, "r4", "p1")))
    rows = await as_owner_of_rows(database, A, RECEIVED)
    assert [(r["event_number"], r["status"]) for r in rows] == [
        *((1, "received"), (2, "missing"), (3, "missing"), (4, "received"))
    ]
    await receiver(database, handled).receive(A, "screening", bundle((3, "r3", "p1")))
    rows = await as_owner_of_rows(database, A, RECEIVED)
    assert [r["event_number"] for r in rows if r["status"] == "missing"] == [2]


async def test_a_handshake_is_answered_without_a_handler(database: Database) -> None:
    handled = Handled()
    await receiver(database, handled).receive(A, "screening", bundle(kind="handshake"))
    assert handled.calls == []


def test_several_versions_of_a_resource_go_to_their_own_events() -> None:
    entries = [
        decode_payload(
            json.dumps(
                [
                    {
                        "fullUrl": f"{BASE_URL}/QuestionnaireResponse/r{n}",
                        "resource": {"resourceType": "X", "id": f"r{n}"},
                    },
                    {"fullUrl": f"{BASE_URL}/Patient/p1", "resource": {"resourceType": "Patient", "id": f"v{n}"}},
                ]
            ).encode()
        )
        for n in (1, 2)
    ]
    events = [NumberedEvent(n, RECORDED + timedelta(seconds=n), entry) for n, entry in enumerate(entries, 1)]
    addressee = Addressee(SUBSCRIPTION_URL, SCORES.canonical, "active", "full-resource")
    parsed = parse_notification(notification(addressee, "event-notification", events, events_total=2, sent=RECORDED))
    assert [e.resources[f"{BASE_URL}/Patient/p1"]["id"] for e in parsed.events] == ["v1", "v2"]
    assert [e.expression for e in parsed.events] == ["Bundle.entry[1]", "Bundle.entry[3]"]
    assert parsed.events[1].timestamp == RECORDED + timedelta(seconds=2)


def test_decimals_survive() -> None:
    body = b'{"resourceType":"QuestionnaireResponse","id":"r1","valueDecimal":72.50}'
    entries = entries_of(scored("r1", "p1", body=body))
    addressee = Addressee(SUBSCRIPTION_URL, SCORES.canonical, "active", "full-resource")
    sent = notification(
        addressee, "event-notification", [NumberedEvent(1, RECORDED, entries)], events_total=1, sent=RECORDED
    )
    (event,) = parse_notification(sent).events
    url = f"{BASE_URL}/QuestionnaireResponse/r1"
    assert event.resources[url]["valueDecimal"] == Decimal("72.50")
    assert str(event.resources[url]["valueDecimal"]) == "72.50"
    assert event.bodies[url] == body
