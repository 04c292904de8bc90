"""When each safety Task is due for what, and who is on call: state beside the FHIR resources."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import sqlalchemy
from sqlalchemy import Column, Index, Integer, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS, claim_function, timer_function
from stepwell_shared.database.pool import Database


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


class Timer(NamedTuple):
    """How one safety Task escalates: its kind, its ladder, how many steps it has taken, and its deadline."""

    kind: str
    ladder: str
    step: int
    deadline: datetime


class Due(NamedTuple):
    """A safety Task for which something is due."""

    tenant: str
    task_id: str
    timer: Timer


class Figure(NamedTuple):
    """How many safety Tasks of a kind are open, and how many of them are past their deadline."""

    kind: str
    open: int
    overdue: int


def timer_effect(task_id: str, timer: Timer, due_at: datetime | None) -> Effect:
    """Sets the timer of a safety Task in the unit of work that changes the Task; without a time it is settled."""
    return Effect("safety_timer", (task_id, timer.kind, timer.ladder, timer.step, due_at, timer.deadline))


async def claim_due(database: Database, tenants: Sequence[str], now: datetime) -> list[Due]:
    """The Tasks for which something is due, the longest due first; no other replica gets them for a while."""
    statement = "SELECT * FROM claim_safety_timers($1, $2, $3, $4)"
    rows = await database.fetch(statement, list(tenants), now, LEASE_SECONDS, CLAIMED_MAX)
    return [Due(row["tenant"], row["task_id"], _timer(row)) for row in rows]


async def timer_of(database: Database, tenant: str, task_id: str) -> Timer | None:
    """The timer of a safety Task; None for one that never escalates."""
    rows = await database.fetch("SELECT * FROM read_safety_timer($1, $2)", tenant, task_id)
    return _timer(rows[0]) if rows else None


def _timer(row: Any) -> Timer:
    return Timer(row["kind"], row["ladder"], row["step"], row["deadline"])


async def safety_figures(database: Database, tenants: Sequence[str], now: datetime) -> list[Figure]:
    """Open and overdue safety Tasks by kind, of all these tenants together."""
    rows = await database.fetch("SELECT * FROM safety_timer_figures($1, $2)", list(tenants), now)
    found: dict[str, Figure] = {}
    for row in rows:
        before = found.get(row["kind"], Figure(row["kind"], 0, 0))
        found[row["kind"]] = Figure(row["kind"], before.open + row["open_now"], before.overdue + row["overdue_now"])
    return list(found.values())


async def on_call_document(database: Database, tenant: str) -> str | None:
    """What the site has set; None where the default that ships holds."""
    rows = await database.fetch("SELECT read_on_call($1) AS document", tenant)
    document: str | None = rows[0]["document"]
    return document


async def set_on_call(database: Database, tenant: str, document: str, now: datetime) -> None:
    """Keeps what the site has set, from now on."""
    await database.fetch("SELECT set_on_call($1, $2, $3)", tenant, document, now)


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
