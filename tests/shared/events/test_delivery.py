"""Delivery over real PostgreSQL and HTTP: nothing lost, nothing renumbered, in order, to the right tenant alone."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import Database
from stepwell_shared.events.outbox import OutboxNotifier
from stepwell_shared.events.sender import DeliveryPolicy

from tests.shared.events.conftest import TENANTS, Start, Subscribe, as_owner_of_rows
from tests.shared.events.subscriber import (
    ALERTS,
    BASE_URL,
    SCORES,
    Subscriber,
    Told,
    announce,
    refusal,
    scored,
    write,
)
from tests.support.waiting import until

A, B = TENANTS
STATE = "SELECT * FROM subscription_state"
EVENTS = "SELECT * FROM subscription_event ORDER BY event_number"
NO_LISTEN = DeliveryPolicy(poll_seconds=60, lease_seconds=2.0)


async def test_another_tenants_subscription_never_gets_an_event(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async with Subscriber().up() as other:
        await subscribe(subscriber, A)
        await subscribe(other, B)
        await start()
        await announce(database, A, scored("a1", "p1"))
        await announce(database, B, scored("b1", "p1"))
        assert await subscriber.heard(1) == [(1, "a1")]
        assert await other.heard(1) == [(1, "b1")]
        await asyncio.sleep(0.2)
        assert [t.headers["authorization"] for t in subscriber.told] == [f"Bearer token-of-{A}"]
        assert [t.headers["authorization"] for t in other.told] == [f"Bearer token-of-{B}"]


async def test_another_topics_events_are_not_sent_and_take_no_number(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber, topic=SCORES)
    await start()
    await announce(database, A, scored("r1", "p1"), scored("t1", "p1", topic=ALERTS), scored("r2", "p1"))
    assert await subscriber.heard(2) == [(1, "r1"), (2, "r2")]


async def test_an_event_that_commits_late_is_neither_skipped_nor_overtaken(
    urls: DatabaseUrls, database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber)
    slow = await asyncpg.connect(urls.runtime)
    try:
        transaction = slow.transaction()
        await transaction.start()
        await write(slow, A, scored("slow", "p1"))
        await announce(database, A, scored("quick", "p2"))
        await start()
        await asyncio.sleep(0.3)
        assert subscriber.events == []
        await transaction.commit()
        assert await subscriber.heard(2) == [(1, "slow"), (2, "quick")]
    finally:
        await slow.close()


async def test_a_transaction_that_rolls_back_leaves_no_event_and_no_gap(
    urls: DatabaseUrls, database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber)
    failing = await asyncpg.connect(urls.runtime)
    try:
        transaction = failing.transaction()
        await transaction.start()
        await write(failing, A, scored("never", "p1"))
        await announce(database, A, scored("r1", "p2"))
        await transaction.rollback()
    finally:
        await failing.close()
    await start()
    assert await subscriber.heard(1) == [(1, "r1")]


class DyingDatabase(Database):
    """Loses its connection whenever the result of a send is to be recorded."""

    async def fetch(self, statement: str, *arguments: Any, **given: Any) -> list[asyncpg.Record]:
        if "settle_events" in statement:
            raise ConnectionResetError
        return await super().fetch(statement, *arguments, **given)


async def test_a_deliverer_that_dies_between_answer_and_cursor_leads_to_the_same_numbers_again(
    urls: DatabaseUrls, database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber)
    await announce(database, A, scored("r1", "p1"), scored("r2", "p2"))
    async with DyingDatabase.open(urls.runtime) as dying:
        delivery = await start("replica-dying", through=dying)
        assert await subscriber.heard(2) == [(1, "r1"), (2, "r2")]
        await delivery.stop()
        assert await as_owner_of_rows(database, A, EVENTS) == []
    await announce(database, A, scored("r3", "p1"))
    await start("replica-2")
    await until(lambda: (3, "r3") in subscriber.events)
    assert set(subscriber.events) == {(1, "r1"), (2, "r2"), (3, "r3")}
    assert subscriber.events.count((1, "r1")) > 1


async def test_a_deliverer_that_lost_its_lease_cannot_move_the_cursor(
    database: Database, subscriber: Subscriber, subscribe: Subscribe
) -> None:
    subscription_id = await subscribe(subscriber)
    await announce(database, A, scored("r1", "p1"))
    await database.fetch("SELECT * FROM claim_subscriptions($1, $2, $3, $4)", [A], "old", 0.05, 10)
    before = (await as_owner_of_rows(database, A, STATE))[0]
    await asyncio.sleep(0.1)
    assert len(await database.fetch("SELECT * FROM claim_subscriptions($1, $2, $3, $4)", [A], "new", 5.0, 10)) == 1
    cursor = (before["cursor_transaction"], before["cursor_position"])
    settled = await database.fetch(
        "SELECT settle_events($1, $2, $3, $4, $5, $6, $7, 0, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
        *(A, subscription_id, "old", *cursor, cursor[0] + 100, 1),
    )
    assert settled[0][0] is False
    assert (await as_owner_of_rows(database, A, STATE))[0]["cursor_transaction"] == cursor[0]


async def test_two_loops_never_send_for_one_subscription_at_the_same_time(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def slowly(told: Told) -> tuple[int, bytes]:
        await asyncio.sleep(0.02)
        return 200, b""

    subscriber.answering = slowly
    await subscribe(subscriber)
    loops = [await start("replica-1"), await start("replica-2")]
    for n in range(40):
        await announce(database, A, scored(f"r{n}", f"p{n % 7}"))
        loops[n % 2].wake(A)
    heard = await subscriber.heard(40)
    await asyncio.sleep(0.1)
    assert [number for number, _ in heard] == list(range(1, 41))
    assert subscriber.in_flight_max == 1


async def test_a_peer_that_comes_back_gets_everything_in_order(
    database: Database, subscribe: Subscribe, start: Start
) -> None:
    away = Subscriber()
    await subscribe(away)
    delivery = await start()
    for n in range(100):
        await announce(database, A, scored(f"r{n}", f"p{n % 5}"))
    delivery.wake(A)
    async with asyncio.timeout(20):
        while True:
            state = (await as_owner_of_rows(database, A, STATE))[0]
            if state["attempts"] > 0:
                break
            await asyncio.sleep(0.05)
    assert state["last_error"] != ""
    async with away.up():
        heard = await away.heard(100)
        assert heard == [(n + 1, f"r{n}") for n in range(100)]
        assert max(len(told.events) for told in away.told) == 64
    assert (await as_owner_of_rows(database, A, EVENTS))[-1]["event_number"] == 100


@pytest.mark.parametrize("status", [401, 403, 408, 429, 502, 503])
async def test_trouble_with_the_peer_parks_nothing(
    status: int, database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def away(told: Told) -> tuple[int, bytes]:
        return status, refusal(told)[1]

    subscriber.answering = away
    await subscribe(subscriber)
    await announce(database, A, *(scored(f"r{n}", f"p{n}") for n in range(3)))
    await start()
    await until(lambda: len(subscriber.told) >= 4)
    assert await as_owner_of_rows(database, A, EVENTS) == []
    state = (await as_owner_of_rows(database, A, STATE))[0]
    assert state["last_error"] == f"HTTP {status}"
    subscriber.answering = subscriber.accept
    subscriber.told.clear()
    assert await subscriber.heard(3) == [(1, "r0"), (2, "r1"), (3, "r2")]


async def test_a_refused_event_is_parked_with_its_reason_while_the_others_go_on(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def picky(told: Told) -> tuple[int, bytes]:
        return refusal(told) if "poison" in told.body.decode() else (200, b"")

    subscriber.answering = picky
    await subscribe(subscriber)
    await announce(
        database,
        A,
        scored("r1", "p1"),
        scored("poison", "p2"),
        scored("r3", "p2"),
        scored("r4", "p1"),
        scored("r5", "p3"),
    )
    await start()

    def singles() -> list[tuple[int, str]]:
        return [told.events[0] for told in subscriber.told if len(told.events) == 1]

    await until(lambda: (3, "r3") in singles())
    # One by one: the others at once, the same patient's next event only when the poison is out of the way.
    assert singles() == [(1, "r1"), (2, "poison"), (4, "r4"), (5, "r5"), (2, "poison"), (3, "r3")]
    await announce(database, A, scored("r6", "p2"))
    assert (await subscriber.heard(12))[-1] == (6, "r6")
    await asyncio.sleep(0.1)
    rows = await as_owner_of_rows(database, A, EVENTS)
    assert [(r["event_number"], r["status"]) for r in rows] == [
        *((1, "sent"), (2, "parked"), (3, "sent"), (4, "sent"), (5, "sent"), (6, "sent"))
    ]
    assert rows[1]["reason"] == "HTTP 422 business-rule: no"
    assert rows[1]["attempts"] == 2


async def test_a_refusal_that_names_no_event_never_parks(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def moved(told: Told) -> tuple[int, bytes]:
        return 404, b"<html>not here</html>"

    subscriber.answering = moved
    await subscribe(subscriber)
    await announce(database, A, *(scored(f"r{n}", f"p{n}") for n in range(3)))
    await start()
    await until(lambda: len(subscriber.told) >= 8)
    assert "parked" not in {r["status"] for r in await as_owner_of_rows(database, A, EVENTS)}
    subscriber.answering = subscriber.accept
    subscriber.told.clear()
    assert sorted(await subscriber.heard(3)) == [(1, "r0"), (2, "r1"), (3, "r2")]


async def test_a_fault_over_one_event_holds_back_its_patient_only(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def faulty(told: Told) -> tuple[int, bytes]:
        return (500, b"") if "poison" in told.body.decode() else (200, b"")

    subscriber.answering = faulty
    await subscribe(subscriber)
    await start()
    await announce(database, A, scored("poison", "p1"))
    await subscriber.heard(1)
    await announce(database, A, scored("r2", "p1"), scored("r3", "p2"))
    await until(lambda: (3, "r3") in subscriber.events)
    await until(lambda: subscriber.events.count((1, "poison")) > 4)
    assert (2, "r2") not in subscriber.events
    subscriber.answering = subscriber.accept
    await until(lambda: (2, "r2") in subscriber.events)
    rows = await as_owner_of_rows(database, A, EVENTS)
    assert [r["event_number"] for r in rows] == [1, 2, 3]


async def test_numbers_have_no_gap_whatever_happened(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    calls = 0

    async def moody(told: Told) -> tuple[int, bytes]:
        nonlocal calls
        calls += 1
        if "poison" in told.body.decode():
            return refusal(told)
        return (503, b"") if calls % 5 == 0 else (200, b"")

    subscriber.answering = moody
    await subscribe(subscriber)
    delivery = await start()
    for n in range(60):
        await announce(database, A, scored(f"poison{n}" if n % 20 == 5 else f"r{n}", f"p{n % 11}"))
        delivery.wake(A)
    rows = await all_settled(database, 60)
    assert [r["event_number"] for r in rows] == list(range(1, 61))
    assert [r["focus"].rpartition("/")[2] for r in rows if r["status"] == "parked"] == [
        "poison5",
        "poison25",
        "poison45",
    ]
    focus_of = dict(subscriber.events)
    assert all(focus_of[number] == focus for number, focus in subscriber.events)


async def all_settled(database: Database, count: int) -> list[asyncpg.Record]:
    """The numbers, once there are so many and none waits."""
    async with asyncio.timeout(20):
        while True:
            rows = await as_owner_of_rows(database, A, EVENTS)
            if len(rows) == count and {row["status"] for row in rows} <= {"sent", "parked"}:
                return rows
            await asyncio.sleep(0.05)


async def test_a_large_backlog_is_cut_by_bytes_too(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber)
    body = json.dumps({"resourceType": "QuestionnaireResponse", "id": "r", "note": "x" * 40_000}).encode()
    await announce(database, A, *(scored(f"r{n}", "p1", body=body) for n in range(30)))
    await start()
    assert len(await subscriber.heard(30)) == 30
    assert max(len(told.body) for told in subscriber.told) < 600_000


async def test_stored_bytes_arrive_as_they_were_written(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber)
    body = b'{"resourceType":"QuestionnaireResponse","id":"r1", "valueDecimal": 72.50}'
    await announce(database, A, scored("r1", "p1", body=body))
    await start()
    await subscriber.heard(1)
    assert body in subscriber.told[0].body


async def test_a_waker_in_another_process_is_heard_by_notify(
    urls: DatabaseUrls, database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber)
    await start("replica-1", listen_url=urls.runtime, policy=NO_LISTEN)
    notifier = OutboxNotifier(database, "replica-2")
    await asyncio.sleep(0.3)
    await announce(database, A, scored("r1", "p1"))
    notifier.notify(A, SCORES.canonical)
    notifier.notify(A, SCORES.canonical)
    await notifier.close()
    assert await subscriber.heard(1, seconds=3) == [(1, "r1")]


async def test_an_event_held_back_by_another_transaction_needs_no_second_wake(
    urls: DatabaseUrls, database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber)
    delivery = await start(policy=NO_LISTEN)
    other = await asyncpg.connect(urls.runtime)
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.fetch("SELECT pg_current_xact_id()")
        await announce(database, A, scored("r1", "p1"))
        delivery.wake(A)
        await asyncio.sleep(0.1)
        assert subscriber.events == []
        await transaction.commit()
    finally:
        await other.close()
    assert await subscriber.heard(1, seconds=3) == [(1, "r1")]


async def test_stopping_finishes_the_notification_in_flight_and_gives_the_lease_back(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def slowly(told: Told) -> tuple[int, bytes]:
        await asyncio.sleep(0.3)
        return 200, b""

    subscriber.answering = slowly
    await subscribe(subscriber)
    await announce(database, A, scored("r1", "p1"))
    delivery = await start()
    await subscriber.heard(1)
    await delivery.stop()
    assert [r["status"] for r in await as_owner_of_rows(database, A, EVENTS)] == ["sent"]
    assert (await as_owner_of_rows(database, A, STATE))[0]["lease_owner"] == ""


async def test_the_address_of_a_subscription_is_absolute(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    subscription_id = await subscribe(subscriber)
    await announce(database, A, scored("r1", "p1"))
    await start()
    await subscriber.heard(1)
    entry = subscriber.told[0].bundle["entry"][0]
    assert (
        entry["resource"]["parameter"][0]["valueReference"]["reference"] == f"{BASE_URL}/Subscription/{subscription_id}"
    )
