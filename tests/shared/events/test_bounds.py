"""What bounds the outbox, what holds up nobody else, and what is seen of it, without a person in it."""

import asyncio

import asyncpg
import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.pool import Database
from stepwell_shared.events.observing import observe
from stepwell_shared.events.subscriptions import state_of
from stepwell_shared.events.upkeep import Upkeep
from stepwell_shared.telemetry.metrics import Metrics

from tests.shared.events.conftest import TENANTS, Start, Subscribe, as_owner_of_rows, rows_once
from tests.shared.events.subscriber import ALERTS, SCORES, Subscriber, Told, announce, refusal, scored, write
from tests.shared.events.test_subscriptions import subscription
from tests.shared.events.test_upkeep import OUTBOX, Shown, age, requested, swept, upkeep

A, B = TENANTS
STATE = "SELECT status, last_error FROM subscription_state ORDER BY internal, subscription_id"


async def figures_of(keeping: Upkeep) -> list[str]:
    """The samples that are published after a look."""
    metrics = Metrics("screening")
    observe(metrics, keeping)
    await keeping.watch(TENANTS)
    return [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]


def of(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if line.startswith(f"{name}{{")]


async def test_a_silent_subscriber_outside_that_is_too_far_behind_is_switched_off_and_says_why(
    database: Database, away: Subscriber, start: Start
) -> None:
    await requested(database, away)
    await start()
    await rows_once(database, A, "SELECT attempts FROM subscription_state", lambda rows: rows[0]["attempts"] > 0)
    await announce(database, A, *(scored(f"r{n}", f"p{n}") for n in range(3)))
    await upkeep(database, backlog_max=3).sweep(TENANTS)
    assert (await as_owner_of_rows(database, A, STATE))[0]["status"] != "off"
    await upkeep(database, backlog_max=2).sweep(TENANTS)
    (row,) = await as_owner_of_rows(database, A, STATE)
    assert (row["status"], row["last_error"]) == ("off", "given up: no answer, and more than 2 events behind")
    shown = Shown()
    await upkeep(database, shown).show(TENANTS)
    assert [call[2:] for call in shown.calls] == [("off", row["last_error"])]
    await age(database, 30)
    await swept(upkeep(database), 3)
    assert await as_owner_of_rows(database, A, OUTBOX) == []


async def test_a_service_of_ours_is_owed_everything_however_far_behind(
    database: Database, away: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(away)
    await announce(database, A, *(scored(f"r{n}", f"p{n}") for n in range(5)))
    await start()
    await rows_once(database, A, "SELECT attempts FROM subscription_state", lambda rows: rows[0]["attempts"] > 3)
    await age(database, 400)
    await upkeep(database, backlog_max=1, give_up_days=1).sweep(TENANTS)
    assert (await as_owner_of_rows(database, A, STATE))[0]["status"] in ("active", "error")
    assert len(await as_owner_of_rows(database, A, OUTBOX)) == 5


async def test_a_live_subscriber_with_a_large_backlog_is_left_alone(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    await requested(database, subscriber)
    await announce(database, A, *(scored(f"r{n}", f"p{n}") for n in range(5)))
    await upkeep(database, backlog_max=1).sweep(TENANTS)
    assert (await as_owner_of_rows(database, A, STATE))[0]["status"] == "requested"
    await start()
    await subscriber.heard(5)


async def test_age_and_depth_are_those_of_each_subscription(
    database: Database, away: Subscriber, subscribe: Subscribe
) -> None:
    late = await subscribe(away)
    idle = await subscribe(away, topic=ALERTS, name="idle")
    await announce(database, A, scored("r1", "p1"), scored("r2", "p2"))
    lines = await figures_of(upkeep(database))
    labels = {late: SCORES.name, idle: ALERTS.name}
    assert of(lines, "stepwell_outbox_age_seconds") == ['stepwell_outbox_age_seconds{service="screening"} 86400.0']
    owed = {f'tenant="{A}",topic="{labels[late]}",subscription="{late}"}} 2',
            f'tenant="{A}",topic="{labels[idle]}",subscription="{idle}"}} 0'}  # fmt: skip
    assert {line.partition('"screening",')[2] for line in of(lines, "stepwell_delivery_owed")} == owed
    ages = {line.rpartition(" ")[2] for line in of(lines, "stepwell_delivery_age_seconds")}
    assert ages == {"86400.0", "0.0"}
    assert of(lines, "stepwell_subscriptions") == ['stepwell_subscriptions{service="screening",status="active"} 2']


async def test_parked_events_are_counted_without_a_word_about_anybody(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def refuse(told: Told) -> tuple[int, bytes]:
        return refusal(told)

    subscriber.answering = refuse
    id_ = await subscribe(subscriber)
    await announce(database, A, scored("response-7", "person-7"))
    await start()
    parked = "SELECT status FROM subscription_event WHERE status = 'parked'"
    await rows_once(database, A, parked, lambda rows: len(rows) == 1)
    lines = await figures_of(upkeep(database))
    (line,) = of(lines, "stepwell_delivery_parked")
    assert (id_ in line, line.rpartition(" ")[2]) == (True, "1")
    assert not any(word in line for line in lines for word in ("person-7", "response-7", "Patient"))


async def test_figures_say_how_old_they_are(database: Database) -> None:
    keeping = upkeep(database)
    await keeping.watch(TENANTS)
    keeping.looked_at -= 500
    metrics = Metrics("screening")
    observe(metrics, keeping)
    (line,) = of(metrics.text().decode().splitlines(), "stepwell_outbox_watched_seconds")
    assert 500 <= float(line.rpartition(" ")[2]) < 560


async def test_a_tenant_whose_subscription_is_locked_holds_up_no_other(
    urls: DatabaseUrls, database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    await subscribe(subscriber)
    await subscribe(subscriber, tenant=B)
    # announced before the lock is taken: what an open transaction may still put before them is waited for by all
    await announce(database, A, scored("a1", "p1"))
    await announce(database, B, scored("b1", "p1"))
    locking = await asyncpg.connect(urls.runtime)
    try:
        async with locking.transaction():
            await locking.execute("SELECT set_config('stepwell.tenant', $1, true)", A)
            await locking.execute("SELECT FROM subscription_state FOR UPDATE")
            await start()
            assert await subscriber.heard(1, seconds=8) == [(1, "b1")]
            await asyncio.wait_for(upkeep(database).show(TENANTS), 5)
        await subscriber.heard(2)
    finally:
        await locking.close()
    assert {told.headers["authorization"][-1:] for told in subscriber.told} == {"a", "b"}


async def test_a_subscription_that_cannot_be_shown_holds_up_no_other(
    database: Database, subscriber: Subscriber
) -> None:
    class Failing(Shown):
        async def __call__(self, tenant: str, subscription_id: str, status: str, error: str) -> None:
            if tenant == A:
                raise ConnectionResetError
            await super().__call__(tenant, subscription_id, status, error)

    shown = Failing()
    await requested(database, subscriber)
    await write(database, B, state_of(subscription(endpoint=subscriber.url)).effect())
    with pytest.raises(ConnectionResetError):
        await upkeep(database, shown).show(TENANTS)
    assert [call[0] for call in shown.calls] == [B]
