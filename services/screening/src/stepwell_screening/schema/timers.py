"""How the timers of safety Tasks and who is on call are kept."""

from datetime import datetime
from typing import ClassVar

import sqlalchemy
from sqlalchemy import Column, Index, Integer, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.leases import claim_function
from stepwell_shared.database.table_functions import timer_function


class SafetyTimer(SQLModel, table=True):
    """When somebody must be told next of one safety Task. Without `due_at` the Task is settled.

    `step` counts how often it has escalated. A replica that works on a row holds it until `lease_until`, by the
    clock of the database; the version of the Task decides, should two replicas hold it.
    """

    __tablename__: ClassVar[str] = "safety_timer"
    __table_args__ = (Index("safety_timer_due", "tenant", "due_at", postgresql_where=text("due_at IS NOT NULL")),)

    tenant: str = Field(sa_column=text_column(key=True))
    task_id: str = Field(sa_column=text_column(key=True))
    kind: str = Field(sa_column=text_column())
    ladder: str = Field(sa_column=text_column())
    step: int = Field(sa_column=Column(Integer, nullable=False))
    due_at: datetime | None = Field(sa_column=moment_column(optional=True))
    deadline: datetime = Field(sa_column=moment_column())
    lease_until: datetime = Field(sa_column=lease_column())


class OnCall(SQLModel, table=True):
    """Who is on call for a tenant's safety alerts, as the site has set it: JSON in the form of `data/oncall.json`."""

    __tablename__: ClassVar[str] = "on_call"

    tenant: str = Field(sa_column=text_column(key=True))
    document: str = Field(sa_column=text_column())
    set_at: datetime = Field(sa_column=moment_column())


def _table(model: type[SQLModel]) -> sqlalchemy.Table:
    return model.metadata.tables[str(model.__tablename__)]


_CLAIM = claim_function(
    "claim_safety_timers",
    table="safety_timer",
    key="task_id",
    due="due_at",
    columns="tenant text, task_id text, kind text, ladder text, step integer, deadline timestamptz",
)

_READ = """CREATE OR REPLACE FUNCTION read_safety_timer(tenant_in text, task_id_in text)
RETURNS TABLE (kind text, ladder text, step integer, deadline timestamptz)
LANGUAGE plpgsql AS $function$
#variable_conflict use_column
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT t.kind, t.ladder, t.step, t.deadline FROM safety_timer AS t
    WHERE t.tenant = tenant_in AND t.task_id = task_id_in;
END $function$"""

_FIGURES = """CREATE OR REPLACE FUNCTION safety_timer_figures(tenants_in text[], now_in timestamptz)
RETURNS TABLE (kind text, open_now bigint, overdue_now bigint)
LANGUAGE plpgsql SET enable_seqscan TO off AS $function$
#variable_conflict use_column
DECLARE tenant_in text;
BEGIN
  FOREACH tenant_in IN ARRAY tenants_in LOOP
    PERFORM set_config('stepwell.tenant', tenant_in, true);
    RETURN QUERY SELECT t.kind, count(*), count(*) FILTER (WHERE t.deadline <= now_in) FROM safety_timer AS t
      WHERE t.tenant = tenant_in AND t.due_at IS NOT NULL GROUP BY t.kind;
  END LOOP;
END $function$"""

_READ_ON_CALL = """CREATE OR REPLACE FUNCTION read_on_call(tenant_in text) RETURNS text
LANGUAGE plpgsql AS $function$
DECLARE found text;
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  SELECT o.document INTO found FROM on_call AS o WHERE o.tenant = tenant_in;
  RETURN found;
END $function$"""

_SET_ON_CALL = """CREATE OR REPLACE FUNCTION set_on_call(tenant_in text, document_in text, now_in timestamptz)
RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  INSERT INTO on_call (tenant, document, set_at) VALUES (tenant_in, document_in, now_in)
    ON CONFLICT (tenant) DO UPDATE SET document = excluded.document, set_at = excluded.set_at;
END $function$"""

TABLES = (SafetyTimer, OnCall)
FUNCTIONS = (timer_function(_table(SafetyTimer), "task_id"), _CLAIM, _READ, _FIGURES, _READ_ON_CALL, _SET_ON_CALL)
