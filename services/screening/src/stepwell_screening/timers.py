"""When each safety Task is due for what, and who is on call: state beside the FHIR resources."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS
from stepwell_shared.database.pool import Database


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
