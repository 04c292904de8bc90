"""How the timers of reviews, boosters and resume checks are kept."""

from datetime import datetime
from typing import ClassVar

import sqlalchemy
from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN
from stepwell_shared.database.leases import claim_function
from stepwell_shared.database.table_functions import timer_function

from stepwell_routing.timers import EVIDENCE


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


def _table() -> sqlalchemy.Table:
    return CourseTimer.metadata.tables[str(CourseTimer.__tablename__)]


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
