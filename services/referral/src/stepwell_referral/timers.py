"""When somebody looks at each open referral, interim offer or message: state beside the Tasks, for one replica."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

import sqlalchemy
from sqlalchemy import Boolean, Column, Index, Integer, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS, claim_function, timer_function
from stepwell_shared.database.pool import Database

# Beyond this a queue is simply long.
WAITS_COUNTED_MAX = 10_000


class ReferralTimer(SQLModel, table=True):
    """When an open Task is looked at next. `state` is the status that it waits in, `step` counts who was told of it
    already; without `due_at` it is settled. While somebody waits it also says by when a place was promised, where a day
    could be given, and whether the longest wait of their class can be kept."""

    __tablename__: ClassVar[str] = "referral_timer"
    __table_args__ = (
        Index("referral_timer_due", "tenant", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "referral_timer_promise", "tenant", "promised_by", "task_id", postgresql_where=text("keepable IS NOT NULL")
        ),
    )

    tenant: str = Field(sa_column=text_column(key=True))
    task_id: str = Field(sa_column=text_column(key=True))
    state: str = Field(sa_column=text_column())
    step: int = Field(sa_column=Column(Integer, nullable=False))
    due_at: datetime | None = Field(sa_column=moment_column(optional=True))
    promised_by: datetime | None = Field(sa_column=moment_column(optional=True))
    keepable: bool | None = Field(sa_column=Column(Boolean, nullable=True))
    lease_until: datetime = Field(sa_column=lease_column())


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


def _table() -> sqlalchemy.Table:
    return ReferralTimer.metadata.tables[str(ReferralTimer.__tablename__)]


TABLES = (ReferralTimer,)
FUNCTIONS = (
    timer_function(_table(), "task_id"),
    claim_function(
        "claim_referral_timers",
        table="referral_timer",
        key="task_id",
        due="due_at",
        columns="tenant text, task_id text, state text, step integer",
    ),
)
