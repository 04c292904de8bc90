"""Numbers that never came are asked for and handled; those that are known or gone at the sender are not asked twice."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from stepwell_shared.database.pool import Database
from stepwell_shared.events.catch_up import CatchUp, CatchUpPolicy
from stepwell_shared.events.notification import Addressee, NumberedEvent, notification
from stepwell_shared.events.receiver import Receiver
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.http_client import http_client

from tests.shared.events.conftest import TENANTS, as_owner_of_rows
from tests.shared.events.subscriber import RECORDED, SCORES, Subscriber, entries_of, scored
from tests.shared.events.test_receiver import Handled

A, B = TENANTS
NUMBERS = "SELECT event_number, status FROM received_event ORDER BY event_number"


class Publisher(Subscriber):
    """A sender that answers `$events` from what it still has."""

    def __init__(self) -> None:
        super().__init__()
        self.has: dict[int, tuple[str, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.authorizations: list[str] = []
        self.status = 200
        self.page = 100
        self.speaks_for = ""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/screening/fhir"

    @property
    def subscription(self) -> str:
        return f"{self.base_url}/Subscription/s1"

    def bundle(self, numbers: list[int], kind: str) -> bytes:
        addressee = Addressee(self.speaks_for or self.subscription, SCORES.canonical, "active", "full-resource")
        events = [NumberedEvent(n, RECORDED, entries_of(scored(*self.has[n]))) for n in numbers]
        return notification(addressee, kind, events, events_total=9, sent=RECORDED)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        query = parse_qs(scope["query_string"].decode())
        since, until = query["eventsSinceNumber"][0], query["eventsUntilNumber"][0]
        self.asked.append((since, until))
        self.authorizations += [v.decode() for k, v in scope["headers"] if k == b"authorization"]
        numbers = [n for n in sorted(self.has) if int(since) <= n <= int(until)][: self.page]
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.bundle(numbers, "query-event")})


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    async with Publisher().up() as listening:
        assert isinstance(listening, Publisher)
        yield listening


@asynccontextmanager
async def catching_up(
    database: Database, handled: Handled, publisher: Publisher
) -> AsyncIterator[tuple[Receiver, CatchUp]]:
    receiver = Receiver({SCORES.canonical: handled}, database, lambda sender, told: True)

    async def tenants() -> tuple[str, ...]:
        return TENANTS

    async def token(tenant: str) -> str:
        return f"token-of-{tenant}"

    async with http_client() as client:
        yield (
            receiver,
            CatchUp(
                database,
                client,
                receiver,
                tenants=tenants,
                token=token,
                may_ask=lambda url: url.startswith(publisher.base_url),
                policy=CatchUpPolicy(grace_seconds=0.0, retry_seconds=3600.0),
            ),
        )


async def statuses(database: Database) -> dict[int, str]:
    return {row["event_number"]: row["status"] for row in await as_owner_of_rows(database, A, NUMBERS)}


async def test_a_receiver_that_missed_numbers_asks_for_them_and_handles_each_once(
    database: Database, publisher: Publisher
) -> None:
    publisher.has = {n: (f"r{n}", f"p{n % 2}") for n in range(1, 8)}
    publisher.page = 2
    handled = Handled()
    async with catching_up(database, handled, publisher) as (receiver, catch_up):
        for number in (1, 4, 7):
            await receiver.receive(A, "screening", publisher.bundle([number], "event-notification"))
        assert receiver.gap.is_set()
        assert await statuses(database) == {
            1: "received",
            4: "received",
            7: "received",
            **dict.fromkeys((2, 3, 5, 6), "missing"),
        }
        await catch_up.ask(TENANTS)
        await catch_up.ask(TENANTS)
    assert await statuses(database) == dict.fromkeys(range(1, 8), "received")
    assert sorted(number for number, _ in handled.calls) == list(range(1, 8))
    assert publisher.asked == [("2", "6"), ("4", "6"), ("6", "6")]
    assert set(publisher.authorizations) == {f"Bearer token-of-{A}"}


async def test_a_number_that_was_refused_or_failed_here_is_known_and_no_gap(
    database: Database, publisher: Publisher
) -> None:
    publisher.has = {n: (f"r{n}", f"p{n}") for n in range(1, 5)}
    handled = Handled()
    handled.failures = {2: FhirError(Category.BUSINESS_RULE, "no"), 3: FhirError(Category.UNAVAILABLE, "later")}
    async with catching_up(database, handled, publisher) as (receiver, catch_up):
        for number in (1, 2, 3, 4):
            try:
                await receiver.receive(A, "screening", publisher.bundle([number], "event-notification"))
            except FhirError:
                continue
        assert not receiver.gap.is_set()
        await catch_up.ask(TENANTS)
    assert publisher.asked == []
    assert await statuses(database) == {1: "received", 2: "refused", 3: "waiting", 4: "received"}


async def test_what_its_sender_does_not_have_any_more_is_noted_as_gone(
    database: Database, publisher: Publisher
) -> None:
    publisher.has = {4: ("r4", "p1"), 6: ("r6", "p1")}
    handled = Handled()
    async with catching_up(database, handled, publisher) as (receiver, catch_up):
        publisher.has[2] = ("r2", "p1")
        await receiver.receive(A, "screening", publisher.bundle([2], "event-notification"))
        del publisher.has[2]
        await receiver.receive(A, "screening", publisher.bundle([6], "event-notification"))
        await catch_up.ask(TENANTS)
        await catch_up.ask(TENANTS)
    assert await statuses(database) == {1: "gone", 2: "received", 3: "gone", 4: "received", 5: "gone", 6: "received"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda publisher: setattr(publisher, "status", 403),
        lambda publisher: setattr(publisher, "speaks_for", f"{publisher.base_url}/Subscription/other"),
    ],
)
async def test_a_sender_that_does_not_answer_well_is_left_alone_and_nothing_is_given_up(
    spoil: Callable[[Publisher], None], database: Database, publisher: Publisher
) -> None:
    publisher.has = {n: (f"r{n}", "p1") for n in range(1, 4)}
    handled = Handled()
    async with catching_up(database, handled, publisher) as (receiver, catch_up):
        await receiver.receive(A, "screening", publisher.bundle([3], "event-notification"))
        spoil(publisher)
        await catch_up.ask(TENANTS)
        await catch_up.ask(TENANTS)
    assert len(publisher.asked) == 1
    assert await statuses(database) == {1: "missing", 2: "missing", 3: "received"}


async def test_nobody_but_a_known_sender_is_asked(database: Database, publisher: Publisher) -> None:
    publisher.has = {3: ("r3", "p1")}
    publisher.speaks_for = "http://127.0.0.1:1/fhir/Subscription/s1"
    handled = Handled()
    async with catching_up(database, handled, publisher) as (receiver, catch_up):
        await receiver.receive(A, "screening", publisher.bundle([3], "event-notification"))
        await catch_up.ask(TENANTS)
    assert publisher.asked == []
    assert await statuses(database) == {1: "missing", 2: "missing", 3: "received"}
