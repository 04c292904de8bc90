"""When each person is asked again, what is known that decides it, and what waits: state beside the FHIR resources.

Two write it, each its own columns: what is heard (`facts`, guarded by `changes`) and the loop that asks (`progress`,
guarded by `version`). Whatever is heard makes the row due at once.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS
from stepwell_shared.database.pool import Database


@dataclass(frozen=True)
class Facts:
    """What was heard of a person; times are ISO 8601.

    `request` is the ServiceRequest that says the tier. `courses` has the last known change of each instrument, and
    since when. `prompted` is when somebody last asked for a form at a session or contact.
    """

    since: str = ""
    tier: str = ""
    policy: str = ""
    review: str = ""
    request: str = ""
    intent: str = ""
    is_ended: bool = False
    courses: dict[str, list[str]] = field(default_factory=dict)
    pace: str = "usual"
    until: str = ""
    prompted: str = ""
    wanted: str = ""
    wanted_measures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Progress:
    """What was asked. `task` is the Task that waits for `questionnaire`, `follow_up` the one that tells the care team;
    `asked` is when each form was last asked for, `answered_prompt` the last occasion that a form was made for."""

    ordinal: int = 0
    task: str = ""
    questionnaire: str = ""
    asked_at: str = ""
    due_at: str = ""
    is_reminded: bool = False
    is_overdue: bool = False
    follow_up: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    last_unprompted: str = ""
    answered_prompt: str = ""


class Schedule(NamedTuple):
    """A person's row as it was read; `changes` 0 is one that does not exist yet."""

    facts: Facts
    progress: Progress
    changes: int
    version: int


class Due(NamedTuple):
    """A person for whom something is to be looked at."""

    tenant: str
    subject: str


class KeptResponse(NamedTuple):
    """A finished response of a person: its own address and its body."""

    id: str
    body: bytes


class Record(NamedTuple):
    """What a person's schedule rests on: open safety Tasks, and the first and last finished response to each form."""

    safety_open: int
    responses: list[KeptResponse]


NEW = Schedule(Facts(), Progress(), 0, 0)


async def read_schedule(database: Database, tenant: str, subject: str) -> Schedule:
    """A person's schedule; `NEW` for who has none."""
    rows = await database.fetch("SELECT * FROM read_measurement_schedule($1, $2)", tenant, subject)
    if not rows:
        return NEW
    row = rows[0]
    return Schedule(
        Facts(**json.loads(row["facts"])), Progress(**json.loads(row["progress"])), row["changes"], row["version"]
    )


async def keep_facts(database: Database, tenant: str, subject: str, facts: Facts, changes: int) -> bool:
    """Keeps what was heard, and makes the row due; False when somebody else was first (`changes` is not as read)."""
    statement = "SELECT set_measurement_facts($1, $2, $3, $4, $5) AS kept"
    rows = await database.fetch(statement, tenant, subject, _dumped(facts), _dumped(Progress()), changes)
    return bool(rows[0]["kept"])


def progress_effect(subject: str, schedule: Schedule, progress: Progress, next_at: datetime | None) -> Effect:
    """What was asked, and when to look again, in the unit of work that asks. Another was first: WriteConflictError."""
    values = (subject, _dumped(progress), bool(progress.task), next_at, schedule.changes, schedule.version)
    return Effect("measurement_schedule", values)


async def claim_schedules(database: Database, tenants: Sequence[str], now: datetime) -> list[Due]:
    """The people for whom something is due, the longest due first; no other replica gets them for a while."""
    statement = "SELECT * FROM claim_measurement_schedules($1, $2, $3, $4)"
    rows = await database.fetch(statement, list(tenants), now, LEASE_SECONDS, CLAIMED_MAX)
    return [Due(row["tenant"], row["subject"]) for row in rows]


async def waiting_schedules(database: Database, tenant: str, subjects: Sequence[str] | None) -> list[Due]:
    """Those of these people (None: of all) who are asked for a form."""
    given = None if subjects is None else list(subjects)
    rows = await database.fetch("SELECT * FROM waiting_measurement_schedules($1, $2)", tenant, given)
    return [Due(tenant, row["subject"]) for row in rows]


async def read_record(database: Database, tenant: str, subject: str) -> Record:
    """What a person's schedule rests on, as it is stored now."""
    rows = await database.fetch("SELECT * FROM read_measurement_record($1, $2)", tenant, subject)
    return Record(rows[0]["safety_open"], [KeptResponse(row["id"], row["body"]) for row in rows if row["id"]])


def _dumped(state: Facts | Progress) -> str:
    """Without what is as it is by default: a column of JSON that stays short."""
    given: dict[str, Any] = asdict(state)
    return json.dumps({name: value for name, value in given.items() if value}, sort_keys=True)
