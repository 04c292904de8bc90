"""Around delivery: heartbeats, the status that readers see, switching off and on, retention, and the figures."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from stepwell_shared.database.pool import Database
from stepwell_shared.events.sender import DeliveryPolicy
from stepwell_shared.events.standing import Standing, figures, resolve_parked, standing, unsent
from stepwell_shared.events.subscriptions import state_of
from stepwell_shared.events.upkeep import Upkeep, UpkeepPolicy

from tests.shared.events.conftest import TENANTS, Start, Subscribe, as_owner_of_rows, rows_once
from tests.shared.events.subscriber import RECORDED, Subscriber, Told, announce, refusal, scored, write
from tests.shared.events.test_delivery import all_settled
from tests.shared.events.test_subscriptions import STATE, asking, subscription
from tests.support.waiting import until

A, B = TENANTS
OUTBOX = "SELECT position FROM outbox ORDER BY position"
NUMBERS = "SELECT event_number, status FROM subscription_event ORDER BY event_number"
# RECORDED lies in the past of these clocks by this much.
DAYS = timedelta(days=1)


class Shown:
    """What an Upkeep wrote into Subscriptions."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, str]] = []

    async def __call__(self, tenant: str, subscription_id: str, status: str, error: str) -> None:
        self.calls.append((tenant, subscription_id, status, error))


def upkeep(database: Database, shown: Shown | None = None, **policy: Any) -> Upkeep:
    async def tenants() -> tuple[str, ...]:
        return TENANTS

    return Upkeep(
        database,
        tenants=tenants,
        show=shown or Shown(),
        clock=lambda: RECORDED + DAYS,
        policy=UpkeepPolicy(**policy),
    )


async def requested(database: Database, subscriber: Subscriber, **changes: Any) -> None:
    await write(database, A, state_of(subscription(endpoint=subscriber.url, **changes)).effect())


async def status_is(database: Database, status: str) -> None:
    await rows_once(database, A, STATE, lambda rows: rows[0]["status"] == status)


async def age(database: Database, days: float) -> None:
    """Makes everything that was announced older."""
    async with database.transaction(A) as connection:
        for table, column in (
            ("outbox", "recorded"),
            ("subscription_event", "recorded"),
            ("received_event", "received_at"),
        ):
            await connection.execute(
                f"UPDATE {table} SET {column} = now() - make_interval(secs => $1)", days * 86_400.0
            )


async def swept(keeping: Upkeep, rows: int, seconds: float = 60) -> None:
    """Sweeps until so many rows are gone: what a transaction anywhere in the cluster may still see stays until then."""
    removed = await keeping.sweep(TENANTS)
    async with asyncio.timeout(seconds):
        while removed < rows:
            await asyncio.sleep(0.02)
            removed += await keeping.sweep(TENANTS)
    assert removed == rows


async def test_a_silent_subscription_gets_heartbeats_and_only_if_it_asked(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    async with Subscriber().up() as other:
        await requested(database, subscriber, extension=[asking("heartbeat-period", 1)])
        await write(database, A, state_of({**subscription(endpoint=other.url), "id": "s2"}).effect())
        await start()
        await until(lambda: [t.value("type") for t in subscriber.told] == ["handshake", "heartbeat", "heartbeat"])
        assert [told.value("type") for told in other.told] == ["handshake"]
        heartbeat = subscriber.told[1]
        assert (heartbeat.value("events-since-subscription-start"), heartbeat.events) == ("0", [])


async def test_an_unanswered_heartbeat_is_an_error_until_one_is_answered(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    async def away(told: Told) -> tuple[int, bytes]:
        return (200, b"") if told.value("type") == "handshake" else (503, b"")

    subscriber.answering = away
    await requested(database, subscriber, extension=[asking("heartbeat-period", 1)])
    changed: list[str] = []
    await start(changed=changed.append)
    await status_is(database, "error")
    subscriber.answering = subscriber.accept
    await status_is(database, "active")
    assert changed == [A, A, A]


async def test_every_change_of_status_is_shown_once(database: Database, subscriber: Subscriber, start: Start) -> None:
    shown = Shown()
    keeping = upkeep(database, shown)
    await requested(database, subscriber, end="2999-01-01T00:00:00Z")
    await keeping.show(TENANTS)
    await keeping.show(TENANTS)
    assert shown.calls == [(A, "s1", "requested", "")]
    await start()
    await until(lambda: len(subscriber.told) == 1)
    await asyncio.sleep(0.2)
    await keeping.show(TENANTS)
    async with database.transaction(A) as connection:
        await connection.execute("UPDATE subscription_state SET ends_at = now()")
    await keeping.show(TENANTS)
    assert [call[2] for call in shown.calls] == ["requested", "active", "off"]


async def test_what_happened_while_a_subscription_was_off_is_not_sent(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    await requested(database, subscriber)
    delivery = await start()
    await announce(database, A, scored("r1", "p1"))
    delivery.wake(A)
    await subscriber.heard(1)
    await all_settled(database, 1)
    await requested(database, subscriber, status="off")
    await announce(database, A, scored("r2", "p1"))
    # An event counts as past once no transaction of the whole server is older: other tests run on it too.
    await until_all_is_past(database)
    await requested(database, subscriber)
    await announce(database, A, scored("r3", "p1"))
    delivery.wake(A)
    assert await subscriber.heard(2) == [(1, "r1"), (2, "r3")]


async def until_all_is_past(database: Database) -> None:
    newest = "SELECT max(transaction) < pg_snapshot_xmin(pg_current_snapshot()) FROM outbox"
    for _ in range(1500):
        async with database.transaction(A) as connection:
            if await connection.fetchval(newest):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("an older transaction stays open")


async def test_what_was_still_owed_when_a_subscription_went_off_is_parked_and_can_be_replayed(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    async def faulty(told: Told) -> tuple[int, bytes]:
        return (500, b"") if "poison" in told.body.decode() else (200, b"")

    subscriber.answering = faulty
    await requested(database, subscriber)
    await start()
    await announce(database, A, scored("poison", "p1"), scored("r2", "p2"))
    await rows_once(database, A, NUMBERS, lambda rows: [row["status"] for row in rows] == ["waiting", "sent"])
    await requested(database, subscriber, status="off")
    await requested(database, subscriber)
    (parked,) = await unsent(database, A, "s1", "parked", 10)
    assert (parked.number, parked.reason) == (1, "the subscription was off")
    subscriber.answering = subscriber.accept
    subscriber.told.clear()
    assert await resolve_parked(database, A, "s1", [1, 2]) == 1
    assert await subscriber.heard(1) == [(1, "poison")]


async def test_a_skipped_event_is_never_sent_and_says_why(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def picky(told: Told) -> tuple[int, bytes]:
        return refusal(told) if "poison" in told.body.decode() else (200, b"")

    subscriber.answering = picky
    id_ = await subscribe(subscriber)
    await start()
    await announce(database, A, scored("poison", "p1"))
    await all_settled(database, 1)
    assert await resolve_parked(database, A, id_, None, skip_reason="entered in error") == 1
    assert await resolve_parked(database, A, id_, None) == 0
    (skipped,) = await unsent(database, A, id_, "skipped", 10)
    assert skipped.reason == "entered in error"
    assert (await standing(database, [A]))[0].parked == 0
    assert await unsent(database, B, id_, "skipped", 10) == []


async def test_a_sweep_never_removes_what_somebody_is_still_owed(
    database: Database, subscriber: Subscriber, away: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def picky(told: Told) -> tuple[int, bytes]:
        return refusal(told) if "poison" in told.body.decode() else (200, b"")

    subscriber.answering = picky
    await subscribe(subscriber)
    await subscribe(away, name="away")
    await announce(database, A, scored("r1", "p1"), scored("poison", "p2"), scored("r3", "p2"))
    await start()
    await all_settled(database, 3)
    await age(database, days=20)
    keeping = upkeep(database, retention_days=14)
    await keeping.sweep(TENANTS)
    assert len(await as_owner_of_rows(database, A, OUTBOX)) == 3
    async with away.up():
        await until(lambda: len(away.events) >= 3)
        await rows_once(database, A, NUMBERS, lambda rows: len(rows) == 4)
        await age(database, days=20)
        await keeping.sweep(TENANTS)
    rows = await as_owner_of_rows(database, A, NUMBERS)
    assert [(r["event_number"], r["status"]) for r in rows] == [(2, "parked")]
    assert len(await as_owner_of_rows(database, A, OUTBOX)) == 1
    state = await as_owner_of_rows(database, A, STATE)
    assert {row["next_event_number"] for row in state} == {4}


async def test_what_is_young_stays_and_a_topic_without_subscribers_is_not_kept_for_ever(
    database: Database, subscriber: Subscriber, subscribe: Subscribe
) -> None:
    keeping = upkeep(database, retention_days=14)
    await announce(database, A, scored("r1", "p1"))
    await age(database, days=13)
    await keeping.sweep(TENANTS)
    assert len(await as_owner_of_rows(database, A, OUTBOX)) == 1
    await age(database, days=15)
    await swept(keeping, 1)


async def test_a_subscriber_outside_that_is_silent_for_too_long_is_switched_off_and_told_why(
    database: Database, away: Subscriber, start: Start
) -> None:
    await requested(database, away)
    await announce(database, A, scored("r1", "p1"))
    await start(policy=DeliveryPolicy(poll_seconds=0.05, lease_seconds=1.0))
    await rows_once(database, A, STATE, lambda rows: rows[0]["attempts"] > 0)
    keeping = upkeep(database, give_up_days=45)
    await age(database, days=44)
    await keeping.sweep(TENANTS)
    assert (await as_owner_of_rows(database, A, STATE))[0]["status"] != "off"
    await age(database, days=46)
    await keeping.sweep(TENANTS)
    state = (await as_owner_of_rows(database, A, STATE))[0]
    assert (state["status"], state["last_error"]) == ("off", "given up: no answer for 45 days")


async def test_a_peer_of_our_own_is_never_given_up(
    database: Database, away: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(away)
    await announce(database, A, scored("r1", "p1"))
    await start()
    await status_is(database, "error")
    await age(database, days=4000)
    await upkeep(database).sweep(TENANTS)
    assert (await as_owner_of_rows(database, A, STATE))[0]["status"] == "error"
    assert len(await as_owner_of_rows(database, A, OUTBOX)) == 1


def stood(**changes: Any) -> Standing:
    values: dict[str, Any] = {
        "tenant": A,
        "subscription_id": "s",
        "topic": "t",
        "endpoint": "e",
        "content": "id-only",
        "internal": True,
        "status": "active",
        "next_event_number": 1,
        "attempts": 0,
        "next_attempt_at": RECORDED,
        "last_error": "",
        "oldest": None,
        "waiting": 0,
        "parked": 0,
    }
    return Standing(**{**values, **changes})


def test_the_figures_are_those_of_the_worst_subscription_and_the_sums_of_all() -> None:
    found = figures(
        [
            stood(oldest=RECORDED, waiting=2),
            stood(oldest=RECORDED - timedelta(seconds=30), parked=3, status="error"),
            stood(parked=1),
        ],
        RECORDED + timedelta(seconds=10),
    )
    assert found.metrics() == {
        "stepwell_outbox_age_seconds": 40.0,
        "stepwell_events_waiting": 2,
        "stepwell_events_parked": 4,
        "stepwell_subscriptions_in_error": 1,
    }
    assert figures([stood()], RECORDED).outbox_age_seconds == 0
    assert figures([stood(oldest=RECORDED + DAYS)], RECORDED).outbox_age_seconds == 0


async def test_an_outbox_that_is_too_old_is_warned_about(
    database: Database, away: Subscriber, subscribe: Subscribe, caplog: pytest.LogCaptureFixture
) -> None:
    keeping = upkeep(database, age_warning_seconds=3600.0)
    await subscribe(away)
    caplog.set_level(logging.WARNING)
    assert (await keeping.watch(TENANTS)).outbox_age_seconds == 0
    assert caplog.messages == []
    await announce(database, A, scored("r1", "p1"))
    found = await keeping.watch(TENANTS)
    assert found.outbox_age_seconds == DAYS.total_seconds()
    assert caplog.messages == ["the oldest event that was not delivered is 86400 s old"]


async def test_upkeep_goes_on_when_the_database_was_away(database: Database, subscriber: Subscriber) -> None:
    class Reluctant(Shown):
        failures = 1

        async def __call__(self, tenant: str, subscription_id: str, status: str, error: str) -> None:
            if self.failures:
                self.failures -= 1
                raise ConnectionResetError
            await super().__call__(tenant, subscription_id, status, error)

    shown = Reluctant()
    keeping = upkeep(database, shown, poll_seconds=0.05)
    running = asyncio.create_task(keeping.run())
    await requested(database, subscriber)
    keeping.wake(A)
    await until(lambda: len(shown.calls) == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
