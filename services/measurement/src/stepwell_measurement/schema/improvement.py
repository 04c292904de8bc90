"""How suggestions, and every version of a board's decisions, are kept."""

from datetime import date
from typing import ClassVar

from sqlalchemy import Boolean, Date, Integer
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import text_column
from stepwell_shared.database.functions import APPEND_ONLY, TENANT
from stepwell_shared.database.table_functions import array_parameters, insert_columns, names_of, unnested


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
TABLES: tuple[type[SQLModel], ...] = (BoardDecisionRow, SuggestionRow)

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
