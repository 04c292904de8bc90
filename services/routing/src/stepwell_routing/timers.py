"""When each review, booster and resume check is due: state beside the Tasks, worked on by one replica at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS
from stepwell_shared.database.pool import Database

REVIEW, BOOSTER, RESUME_CHECK = "review", "booster", "resume-check"
EVIDENCE = "evidence"
"""Something was brought that a decision follows from; `task_id` is the version of the resource, and no Task."""


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


async def forget_settled(database: Database, tenant: str, most: int) -> int:
    """Forgets marks of evidence that was decided on, so many at most; how many those were."""
    (row,) = await database.fetch("SELECT forget_settled_evidence($1, $2) AS many", tenant, most)
    return int(row["many"])
