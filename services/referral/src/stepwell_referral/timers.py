"""When somebody looks at each open referral, interim offer or message: state beside the Tasks, for one replica."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

import sqlalchemy
from sqlalchemy import Column, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field, SQLModel
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS, claim_function, timer_function
from stepwell_shared.database.pool import Database


def _text(*, key: bool = False) -> Column[str]:
    return Column(Text(collation="C"), primary_key=key, nullable=False)


class ReferralTimer(SQLModel, table=True):
    """When an open Task is looked at next. `state` is the status that it waits in, `step` counts who was told of it
    already; without `due_at` it is settled."""

    __tablename__: ClassVar[str] = "referral_timer"
    __table_args__ = (Index("referral_timer_due", "tenant", "due_at", postgresql_where=text("due_at IS NOT NULL")),)

    tenant: str = Field(sa_column=_text(key=True))
    task_id: str = Field(sa_column=_text(key=True))
    state: str = Field(sa_column=_text())
    step: int = Field(sa_column=Column(Integer, nullable=False))
    due_at: datetime | None = Field(sa_column=Column(TIMESTAMP(timezone=True), nullable=True))
    lease_until: datetime = Field(
        sa_column=Column(TIMESTAMP(timezone=True), nullable=False, server_default=text("'-infinity'"))
    )


class Due(NamedTuple):
    """A Task that has waited long enough in a state."""

    tenant: str
    task_id: str
    state: str
    step: int


def timer_effect(task_id: str, state: str, due_at: datetime | None, *, step: int = 0) -> Effect:
    """Sets the timer of a Task in the unit of work that changes the Task; without a time it is settled."""
    return Effect("referral_timer", (task_id, state, step, due_at))


async def claim_due(database: Database, tenants: Sequence[str], now: datetime) -> list[Due]:
    """What is due, the longest due first; no other replica gets it for a while."""
    statement = "SELECT * FROM claim_referral_timers($1, $2, $3, $4)"
    rows = await database.fetch(statement, list(tenants), now, LEASE_SECONDS, CLAIMED_MAX)
    return [Due(row["tenant"], row["task_id"], row["state"], row["step"]) for row in rows]


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
