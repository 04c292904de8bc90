"""How the timers of open referrals, interim offers and messages are kept."""

from datetime import datetime
from typing import ClassVar

import sqlalchemy
from sqlalchemy import Boolean, Column, Index, Integer, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.leases import claim_function
from stepwell_shared.database.table_functions import timer_function


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
