"""What people suggest, and what a board decides about it: decisions keep every version, suggestions name nobody."""

import re
from datetime import date
from typing import NamedTuple

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database

from stepwell_measurement.rules.minutes import Decision

LISTED_MAX = 500
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class Suggestion(NamedTuple):
    """One suggestion as it is read."""

    id: str
    received_on: date
    language: str
    text: str
    status: str


_DECISION = ", ".join(Decision._fields)
_NEWEST = f"""SELECT DISTINCT ON (id) {_DECISION} FROM board_decision WHERE tenant = $1 ORDER BY id, version DESC"""
_SUGGESTION = ", ".join(Suggestion._fields)
_KEPT = f"""SELECT {_SUGGESTION} FROM suggestion WHERE tenant = $1
ORDER BY status <> 'new', received_on DESC, id LIMIT {LISTED_MAX}"""
_NEW = "SELECT count(*) FROM suggestion WHERE tenant = $1 AND status = 'new'"


async def newest_decisions(database: Database, tenant: str) -> list[Decision]:
    """Every decision of a tenant as its newest version has it."""
    async with database.transaction(tenant) as connection:
        rows = await connection.fetch(_NEWEST, tenant)
    return [Decision(*row) for row in rows]


def decision_effect(decision: Decision) -> Effect:
    """A version of a decision; a second one of the same number is refused by the store."""
    return Effect("board_decision", tuple(decision))


async def kept_suggestions(database: Database, tenant: str) -> list[Suggestion]:
    """The suggestions of a tenant, what is new first and then the newest; at most so many as a page lists."""
    async with database.transaction(tenant) as connection:
        rows = await connection.fetch(_KEPT, tenant)
    return [Suggestion(*row) for row in rows]


async def suggestion_of(database: Database, tenant: str, id_: str) -> Suggestion | None:
    """One suggestion; none of an id that no suggestion can have."""
    if not _ID.fullmatch(id_):
        return None
    async with database.transaction(tenant) as connection:
        row = await connection.fetchrow(
            f"SELECT {_SUGGESTION} FROM suggestion WHERE tenant = $1 AND id = $2", tenant, id_
        )
    return None if row is None else Suggestion(*row)


async def unread(database: Database, tenant: str) -> int:
    """How many suggestions nobody has looked at."""
    async with database.transaction(tenant) as connection:
        return int(await connection.fetchval(_NEW, tenant))


def suggestion_effect(suggestion: Suggestion) -> Effect:
    """A new suggestion, or how one stands now."""
    return Effect("suggestion", tuple(suggestion))
