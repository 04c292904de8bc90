"""What a long queue and a dead subscriber cost: no more per event than a short queue, and the others nothing."""

import asyncio
from time import monotonic

from stepwell_shared.database.pool import Database
from stepwell_shared.events.sender import DeliveryPolicy

from tests.shared.events.conftest import TENANTS, Start, Subscribe, as_owner_of_rows
from tests.shared.events.subscriber import Subscriber, Told, announce, scored
from tests.support.waiting import until

A, _ = TENANTS
POLICY = DeliveryPolicy(poll_seconds=0.05, lease_seconds=5.0)
TRIES_MAX = 8


async def announce_many(database: Database, first: int, count: int) -> None:
    """Many events in one statement, so that the backlog is there at once."""
    effects = [scored(f"r{n}", f"p{n % 500}") for n in range(first, first + count)]
    columns = [list(column) for column in zip(*(effect.values for effect in effects), strict=True)]
    await database.fetch("SELECT insert_outbox($1, $2, $3, $4, $5, $6, $7)", A, *columns)


class Counter(Subscriber):
    """Counts events without keeping them."""

    count = 0

    async def counting(self, told: Told) -> tuple[int, bytes]:
        self.count += told.body.count(b'"event-number"')
        self.told.clear()
        return 200, b""


async def drained_seconds(database: Database, start: Start, counter: Counter, count: int) -> float:
    """How long it takes to deliver a backlog of so many events."""
    counter.count = 0
    await announce_many(database, 0, count)
    began = monotonic()
    delivery = await start()
    await until(lambda: counter.count >= count, seconds=120)
    seconds = monotonic() - began
    await delivery.stop()
    assert counter.count == count
    return seconds


async def test_a_backlog_of_20000_costs_no_more_per_event_than_one_of_2000(
    database: Database, subscribe: Subscribe, start: Start
) -> None:
    counter = Counter()
    counter.answering = counter.counting
    async with counter.up():
        await subscribe(counter)
        short = await drained_seconds(database, start, counter, 2_000)
        long = await drained_seconds(database, start, counter, 20_000)
    # Ten times as many take ten times as long; a plan that reads or sorts the whole queue for each batch, or that is
    # compiled for each batch, takes a hundred times. Half a second is for the start and a busy machine.
    assert long < 25 * short + 0.5, f"{short:.2f} s for 2,000 but {long:.2f} s for 20,000"
    (last,) = await as_owner_of_rows(database, A, "SELECT max(event_number) AS number FROM subscription_event")
    assert last["number"] == 22_000


async def test_a_subscriber_that_never_answers_slows_neither_the_others_nor_the_writes(
    database: Database, subscriber: Subscriber, subscribe: Subscribe, start: Start
) -> None:
    async def hang(_told: Told) -> tuple[int, bytes]:
        await asyncio.sleep(3600)
        return 200, b""

    await subscribe(subscriber)
    delivery = await start(policy=POLICY)

    async def written_and_heard(first: int) -> tuple[float, float]:
        """Seconds to write 300 events one after another, and until the last of them is heard."""
        began = monotonic()
        for n in range(first, first + 300):
            await announce(database, A, scored(f"r{n}", f"p{n}"))
            delivery.wake(A)
        written = monotonic() - began
        await until(lambda: len(subscriber.events) >= first + 300)
        return written, monotonic() - began

    def is_as_fast(found: list[tuple[float, float]]) -> bool:
        best = zip(map(min, zip(*alone, strict=True)), map(min, zip(*found, strict=True)), strict=True)
        return all(after < 2 * before + 0.3 for before, after in best)

    await written_and_heard(0)  # warms everything up
    alone = [await written_and_heard(300), await written_and_heard(600)]
    async with Subscriber().up() as dead:
        dead.answering = hang
        for n in range(20):
            await subscribe(dead, name=f"dead-{n}")
        await announce(database, A, scored("r-dead", "p"))
        delivery.wake(A)
        await until(lambda: len(dead.told) == 20)
        subscriber.told.clear()
        beside = [await written_and_heard(0)]
        while not is_as_fast(beside) and len(beside) < TRIES_MAX:  # somebody else may have been at work here
            beside.append(await written_and_heard(300 * len(beside)))
        await delivery.stop()
    assert is_as_fast(beside), f"{alone} s alone, {beside} s beside 20 dead subscribers"
