"""When each review, booster and resume check is due: state beside the Tasks, worked on by one replica at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

import sqlalchemy
from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN, Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS, claim_function, timer_function
from stepwell_shared.database.pool import Database

REVIEW, BOOSTER, RESUME_CHECK = "review", "booster", "resume-check"
EVIDENCE = "evidence"
"""Something was brought that a decision follows from; `task_id` is the version of the resource, and no Task."""


class CourseTimer(SQLModel, table=True):
    """When a Task of a person's course is due. Without `due_at` it is settled; `subject` names the person."""

    __tablename__: ClassVar[str] = "course_timer"
    __table_args__ = (Index("course_timer_due", "tenant", "due_at", postgresql_where=text("due_at IS NOT NULL")),)

    tenant: str = Field(sa_column=text_column(key=True))
    task_id: str = Field(sa_column=text_column(key=True))
    kind: str = Field(sa_column=text_column())
    subject: str = Field(sa_column=text_column())
    due_at: datetime | None = Field(sa_column=moment_column(optional=True))
    lease_until: datetime = Field(sa_column=lease_column())


class Due(NamedTuple):
    """A Task of somebody's course that is due."""

    tenant: str
    task_id: str
    kind: str
    subject: str


def timer_effect(task_id: str, kind: str, subject: str, due_at: datetime | None) -> Effect:
    """Sets the timer of a Task in the unit of work that changes the Task; without a time it is settled."""
    return Effect("course_timer", (task_id, kind, subject, due_at))


async def claim_due(database: Database, tenants: Sequence[str], now: datetime) -> list[Due]:
    """What is due, the longest due first; no other replica gets it for a while."""
    statement = "SELECT * FROM claim_course_timers($1, $2, $3, $4)"
    rows = await database.fetch(statement, list(tenants), now, LEASE_SECONDS, CLAIMED_MAX)
    return [Due(row["tenant"], row["task_id"], row["kind"], row["subject"]) for row in rows]


def _table() -> sqlalchemy.Table:
    return CourseTimer.metadata.tables[str(CourseTimer.__tablename__)]


async def forget_settled(database: Database, tenant: str, most: int) -> int:
    """Forgets marks of evidence that was decided on, so many at most; how many those were."""
    (row,) = await database.fetch("SELECT forget_settled_evidence($1, $2) AS many", tenant, most)
    return int(row["many"])


# Marks of evidence are keyed by versions of resources and nothing else is, so that the key finds them.
_FORGET_SETTLED = f"""CREATE OR REPLACE FUNCTION forget_settled_evidence(tenant_in text, most_in integer)
RETURNS bigint LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
DECLARE
  settled text;
  forgotten bigint := 0;
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  FOR settled IN SELECT t.task_id FROM course_timer AS t
    WHERE t.tenant = tenant_in AND t.due_at IS NULL AND t.kind = '{EVIDENCE}'
      AND (t.task_id LIKE 'Condition/%' OR t.task_id LIKE 'MedicationStatement/%')
    LIMIT most_in FOR UPDATE SKIP LOCKED
  LOOP
    DELETE FROM course_timer AS t WHERE t.tenant = tenant_in AND t.task_id = settled AND t.due_at IS NULL;
    forgotten := forgotten + 1;
  END LOOP;
  RETURN forgotten;
END $function$"""

TABLES = (CourseTimer,)
FUNCTIONS = (
    _FORGET_SETTLED,
    timer_function(_table(), "task_id"),
    claim_function(
        "claim_course_timers",
        table="course_timer",
        key="task_id",
        due="due_at",
        columns="tenant text, task_id text, kind text, subject text",
    ),
)
