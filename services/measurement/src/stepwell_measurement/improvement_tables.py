"""What people suggest, and what a board decides about it: decisions keep every version, suggestions name nobody."""

import re
from datetime import date
from typing import ClassVar, NamedTuple

from sqlalchemy import Boolean, Date, Integer
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import text_column
from stepwell_shared.database.functions import (
    APPEND_ONLY,
    TENANT,
    Effect,
    array_parameters,
    insert_columns,
    names_of,
    unnested,
)
from stepwell_shared.database.pool import Database

from stepwell_measurement.rules.minutes import Decision


class BoardDecisionRow(SQLModel, table=True):
    """One version of a decision; none is ever changed. Who wrote it, and when, is in the record of accesses."""

    __tablename__: ClassVar[str] = "board_decision"
    __table_args__ = ({"info": {APPEND_ONLY: True}},)

    tenant: str = Field(sa_column=text_column(key=True))
    id: str = Field(sa_column=text_column(key=True))
    version: int = Field(sa_type=Integer, primary_key=True)
    said: str = Field(sa_column=text_column())
    done: str = Field(sa_column=text_column())
    decided_on: date = Field(sa_type=Date)
    standing: str = Field(sa_column=text_column())
    language: str = Field(sa_column=text_column())
    measure: str = Field(sa_column=text_column())
    suggestion: str = Field(sa_column=text_column())
    is_public: bool = Field(sa_type=Boolean)


class SuggestionRow(SQLModel, table=True):
    """One suggestion: the text, its language and the day. Nothing says who wrote it, from where or at what time."""

    __tablename__: ClassVar[str] = "suggestion"

    tenant: str = Field(sa_column=text_column(key=True))
    id: str = Field(sa_column=text_column(key=True))
    received_on: date = Field(sa_type=Date)
    language: str = Field(sa_column=text_column())
    text: str = Field(sa_column=text_column())
    status: str = Field(sa_column=text_column())


_COLUMNS = insert_columns(SQLModel.metadata.tables["suggestion"])
LISTED_MAX = 500
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
TABLES: tuple[type[SQLModel], ...] = (BoardDecisionRow, SuggestionRow)


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

# A suggestion comes once; after that its row says how it stands. What was erased is gone for good.
_SET_SUGGESTION = f"""CREATE OR REPLACE FUNCTION insert_suggestion({array_parameters(_COLUMNS)}) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  INSERT INTO suggestion AS s ({TENANT}, {", ".join(c.name for c in _COLUMNS)})
    SELECT {TENANT}_in, {names_of("u", _COLUMNS)} FROM {unnested(_COLUMNS)}
    ON CONFLICT ({TENANT}, id) DO UPDATE SET status = excluded.status,
      text = CASE WHEN excluded.status = 'erased' THEN '' ELSE s.text END
    WHERE s.status <> 'erased';
END $function$"""
FUNCTIONS = (_SET_SUGGESTION,)


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
