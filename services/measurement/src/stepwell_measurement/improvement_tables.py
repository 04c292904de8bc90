"""What people suggest, and what a board decides about it: decisions keep every version, suggestions name nobody."""

from datetime import date
from typing import ClassVar, NamedTuple

from sqlalchemy import Boolean, Date, Integer
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import text_column
from stepwell_shared.database.functions import APPEND_ONLY
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


async def newest_decisions(database: Database, tenant: str) -> list[Decision]:
    """Every decision of a tenant as its newest version has it."""
    async with database.transaction(tenant) as connection:
        rows = await connection.fetch(_NEWEST, tenant)
    return [Decision(*row) for row in rows]
