"""When somebody looks at each open referral, interim offer or message: state beside the Tasks, for one replica."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS
from stepwell_shared.database.pool import Database

# Beyond this a queue is simply long.
WAITS_COUNTED_MAX = 10_000


class Due(NamedTuple):
    """A Task that has waited long enough in a state."""

    tenant: str
    task_id: str
    state: str
    step: int


def timer_effect(
    task_id: str,
    state: str,
    due_at: datetime | None,
    *,
    step: int = 0,
    told: tuple[datetime | None, bool] | None = None,
) -> Effect:
    """Sets the timer of a Task in the unit of work that changes the Task; without a time it is settled. `told` is what
    somebody who waits was promised: the day, where one could be given, and whether it is within the longest wait."""
    promised_by, keepable = (None, None) if told is None else told
    return Effect("referral_timer", (task_id, state, step, due_at, promised_by, keepable))


async def claim_due(database: Database, tenants: Sequence[str], now: datetime) -> list[Due]:
    """What is due, the longest due first; no other replica gets it for a while."""
    statement = "SELECT * FROM claim_referral_timers($1, $2, $3, $4)"
    rows = await database.fetch(statement, list(tenants), now, LEASE_SECONDS, CLAIMED_MAX)
    return [Due(row["tenant"], row["task_id"], row["state"], row["step"]) for row in rows]


class Waits(NamedTuple):
    """How many wait for care, how many of them past the promised day, and how many beyond the longest wait."""

    waiting: int
    overdue: int
    unkeepable: int


async def count_waits(database: Database, tenants: Sequence[str], now: datetime) -> Waits:
    """Those of all these tenants together; in each, counting stops at `WAITS_COUNTED_MAX`."""
    found = Waits(0, 0, 0)
    for tenant in tenants:
        async with database.transaction(tenant) as connection:
            row = await connection.fetchrow(_WAITS, now, WAITS_COUNTED_MAX)
        found = Waits(*(before + more for before, more in zip(found, row, strict=True)))
    return found


# The partial index `referral_timer_promise` holds those who wait and nobody else.
_WAITS = """SELECT count(*), count(*) FILTER (WHERE promised_by < $1), count(*) FILTER (WHERE NOT keepable) FROM (
  SELECT promised_by, keepable FROM referral_timer
    WHERE tenant = current_setting('stepwell.tenant') AND keepable IS NOT NULL LIMIT $2) AS waiting"""
