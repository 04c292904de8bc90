"""How facts of care, and the rows that figures are counted from, are kept.

`care_fact` and `care_person` are written in the commit of what they come from; `care_mark` says whose counted rows
(`care_referral`, `care_contact`, `care_course`, `care_step`) are to be made anew. docs/measures.md says what each
column means.
"""

from datetime import date, datetime
from typing import Any, ClassVar

import sqlalchemy
from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Date, Double, Index, Integer, Text, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN, TENANT
from stepwell_shared.database.table_functions import array_parameters, insert_columns, names_of, unnested

from stepwell_measurement.rules.care_record import Kind

C_TEXT: Any = Text(collation="C")


class CareFactRow(SQLModel, table=True):
    """One fact as its newest version has it, but for when a referral was asked and begun, which is told once."""

    __tablename__: ClassVar[str] = "care_fact"

    tenant: str = Field(sa_column=text_column(key=True))
    person: str = Field(sa_column=text_column(key=True))
    kind: str = Field(sa_column=text_column(key=True))
    source: str = Field(sa_column=text_column(key=True))
    version: int = Field(sa_type=Integer)
    status: str = Field(sa_column=text_column())
    at: datetime | None = Field(sa_column=moment_column(optional=True))
    begun_at: datetime | None = Field(sa_column=moment_column(optional=True))
    ended_at: datetime | None = Field(sa_column=moment_column(optional=True))
    what: str | None = Field(sa_column=text_column(optional=True))
    about: str | None = Field(sa_column=text_column(optional=True))
    path: str | None = Field(sa_column=text_column(optional=True))
    amount: float | None = Field(sa_type=Double)


class CarePersonRow(SQLModel, table=True):
    """Where a registered person belongs, as the copy of their Patient says; `version` is screening's.

    `attended` are the days on which they came to an appointment, in order; made anew with the counted rows.
    """

    __tablename__: ClassVar[str] = "care_person"

    tenant: str = Field(sa_column=text_column(key=True))
    person: str = Field(sa_column=text_column(key=True))
    version: int = Field(sa_type=Integer)
    active: bool = Field(sa_type=Boolean)
    practice: str = Field(sa_column=text_column())
    born: date | None = Field(sa_type=Date)
    sex: str = Field(sa_column=text_column())
    language: str = Field(sa_column=text_column())
    ethnicity: str = Field(sa_column=text_column())
    deprivation: str = Field(sa_column=text_column())
    rurality: str = Field(sa_column=text_column())
    attended: list[date] = Field(sa_column=Column(ARRAY(Date), nullable=False, server_default=text("'{}'")))


class CareMarkRow(SQLModel, table=True):
    """Somebody whose counted rows are to be made anew; `number` is the transaction that last said so."""

    __tablename__: ClassVar[str] = "care_mark"

    tenant: str = Field(sa_column=text_column(key=True))
    person: str = Field(sa_column=text_column(key=True))
    number: int = Field(sa_type=BigInteger)


class _Counted(SQLModel):
    """Who a counted row is about and where they belong: the first columns of each table that figures come from."""

    tenant: str = Field(sa_type=C_TEXT, primary_key=True)
    person: str = Field(sa_type=C_TEXT, primary_key=True)
    item: str = Field(sa_type=C_TEXT, primary_key=True)
    practice: str = Field(sa_type=C_TEXT)
    age: str = Field(sa_type=C_TEXT)
    sex: str = Field(sa_type=C_TEXT)
    language: str = Field(sa_type=C_TEXT)
    ethnicity: str = Field(sa_type=C_TEXT)
    deprivation: str = Field(sa_type=C_TEXT)
    rurality: str = Field(sa_type=C_TEXT)
    tier: str = Field(sa_type=C_TEXT)
    pathway: str = Field(sa_type=C_TEXT)


class CareReferralRow(_Counted, table=True):
    """One need for care that somebody was referred with: when it was asked, met for the first and the second time."""

    __tablename__: ClassVar[str] = "care_referral"
    __table_args__ = (Index("care_referral_asked", "tenant", "asked_on"),)

    asked_on: date = Field(sa_type=Date)
    begun_on: date | None = Field(sa_type=Date)
    second_on: date | None = Field(sa_type=Date)
    left_on: date | None = Field(sa_type=Date)


class CareContactRow(_Counted, table=True):
    """One appointment that is over, and what became of it."""

    __tablename__: ClassVar[str] = "care_contact"
    __table_args__ = (Index("care_contact_held", "tenant", "held_on"),)

    held_on: date = Field(sa_type=Date)
    attendance: str = Field(sa_type=C_TEXT)


class CareCourseRow(_Counted, table=True):
    """One episode of care and what became of the person in it; null where that is not known."""

    __tablename__: ClassVar[str] = "care_course"
    __table_args__ = (Index("care_course_ended", "tenant", "ended_on"),)

    started_on: date = Field(sa_type=Date)
    ended_on: date | None = Field(sa_type=Date)
    contacts: int = Field(sa_type=Integer)
    case_at_start: bool | None = Field(sa_type=Boolean)
    recovery: bool | None = Field(sa_type=Boolean)
    reliable_improvement: bool | None = Field(sa_type=Boolean)
    reliable_deterioration: bool | None = Field(sa_type=Boolean)
    reliable_recovery: bool | None = Field(sa_type=Boolean)
    mood_case: bool | None = Field(sa_type=Boolean)
    mood_response: bool | None = Field(sa_type=Boolean)
    mood_remission: bool | None = Field(sa_type=Boolean)
    anxiety_case: bool | None = Field(sa_type=Boolean)
    anxiety_response: bool | None = Field(sa_type=Boolean)
    anxiety_remission: bool | None = Field(sa_type=Boolean)
    function_better: bool | None = Field(sa_type=Boolean)
    satisfaction: float | None = Field(sa_type=Double)
    cost: float | None = Field(sa_type=Double)
    use_before: int = Field(sa_type=Integer)
    use_after: int = Field(sa_type=Integer)


class CareStepRow(_Counted, table=True):
    """One stay in a tier: from when to when, and which way the person went on."""

    __tablename__: ClassVar[str] = "care_step"
    __table_args__ = (Index("care_step_entered", "tenant", "entered_on"),)

    entered_on: date = Field(sa_type=Date)
    left_on: date | None = Field(sa_type=Date)
    move: str | None = Field(sa_type=C_TEXT)


TABLES: tuple[type[SQLModel], ...] = (
    CareFactRow,
    CarePersonRow,
    CareMarkRow,
    CareReferralRow,
    CareContactRow,
    CareCourseRow,
    CareStepRow,
)


def table_of(row: Any) -> sqlalchemy.Table:
    """The SQLAlchemy table of a row class."""
    found: sqlalchemy.Table = row.__table__
    return found


_FACT, _PERSON = insert_columns(table_of(CareFactRow)), insert_columns(table_of(CarePersonRow))
# The newest version says how a fact stands. When a referral was asked and when its care began is what any version told
# first: later ones speak of what happened since.
_NEWEST = [c.name for c in _FACT if c.name not in {"person", "kind", "source", "version", "at", "begun_at"}]

_SET_FACT = f"""CREATE OR REPLACE FUNCTION insert_care_fact({array_parameters(_FACT)}) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  INSERT INTO care_fact AS c ({TENANT}, {", ".join(c.name for c in _FACT)})
    SELECT {TENANT}_in, {names_of("u", _FACT)} FROM {unnested(_FACT)}
    ON CONFLICT ({TENANT}, person, kind, source) DO UPDATE SET
    {", ".join(f"{n} = CASE WHEN c.version < excluded.version THEN excluded.{n} ELSE c.{n} END" for n in _NEWEST)},
    at = CASE WHEN c.kind = '{Kind.REFERRAL}' THEN LEAST(c.at, excluded.at)
      WHEN c.version < excluded.version THEN excluded.at ELSE c.at END,
    begun_at = LEAST(c.begun_at, excluded.begun_at),
    version = GREATEST(c.version, excluded.version)
    WHERE c.version <> excluded.version;
  INSERT INTO care_mark ({TENANT}, person, number)
    SELECT DISTINCT {TENANT}_in, u.person, pg_current_xact_id()::text::bigint FROM unnest(person_in) AS u(person)
    ORDER BY u.person
    ON CONFLICT ({TENANT}, person) DO UPDATE SET number = excluded.number;
END $function$"""

_SET_PERSON = f"""CREATE OR REPLACE FUNCTION insert_care_person({array_parameters(_PERSON)}) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  INSERT INTO care_person AS c ({TENANT}, {", ".join(c.name for c in _PERSON)})
    SELECT {TENANT}_in, {names_of("u", _PERSON)} FROM {unnested(_PERSON)}
    ON CONFLICT ({TENANT}, person) DO UPDATE SET
    {", ".join(f"{c.name} = excluded.{c.name}" for c in _PERSON if c.name != "person")}
    WHERE c.version < excluded.version;
  PERFORM mark_care({TENANT}_in, person_in);
END $function$"""

# Who has no care that we know of needs no rows: what a score costs is one look into an index. A commit that does not
# see the first fact of a person is one that had begun before it; marks are therefore worked on only once all
# transactions have ended that ran when the mark was first seen.
_MARK = f"""CREATE OR REPLACE FUNCTION mark_care({TENANT}_in text, person_in text[]) RETURNS void
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  INSERT INTO care_mark ({TENANT}, person, number)
    SELECT {TENANT}_in, p.person, pg_current_xact_id()::text::bigint
    FROM (SELECT DISTINCT u.person FROM unnest(person_in) AS u(person)) AS p
    WHERE (SELECT true FROM care_fact AS f WHERE f.{TENANT} = {TENANT}_in AND f.person = p.person LIMIT 1)
    ORDER BY p.person
    ON CONFLICT ({TENANT}, person) DO UPDATE SET number = excluded.number;
END $function$"""

_MARKS = f"""CREATE OR REPLACE FUNCTION care_marks({TENANT}_in text, most_in integer)
RETURNS TABLE (person text, number bigint, ended_below bigint, begun_below bigint)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  RETURN QUERY SELECT m.person, m.number, pg_snapshot_xmin(s.now)::text::bigint, pg_snapshot_xmax(s.now)::text::bigint
    FROM care_mark AS m, (SELECT pg_current_snapshot() AS now) AS s
    WHERE m.{TENANT} = {TENANT}_in ORDER BY m.person LIMIT most_in;
END $function$"""

# Who was marked again since is left to who looks next.
_SETTLE = f"""CREATE OR REPLACE FUNCTION settle_care({TENANT}_in text, person_in text[], number_in bigint[])
RETURNS TABLE (settled text) LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  FOR i IN 1 .. cardinality(person_in) LOOP
    RETURN QUERY DELETE FROM care_mark AS m
      WHERE m.{TENANT} = {TENANT}_in AND m.person = person_in[i] AND m.number = number_in[i] RETURNING m.person;
  END LOOP;
END $function$"""


def _of_people(table: str) -> str:
    return f"""CREATE OR REPLACE FUNCTION {table}_of({TENANT}_in text, person_in text[])
RETURNS SETOF {table} LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  RETURN QUERY SELECT t.* FROM unnest(person_in) AS u(person)
    JOIN {table} AS t ON t.{TENANT} = {TENANT}_in AND t.person = u.person;
END $function$"""


FUNCTIONS = (
    _MARK,
    _SET_FACT,
    _SET_PERSON,
    _MARKS,
    _SETTLE,
    *(_of_people(table) for table in ("care_fact", "care_person", "trajectory")),
)
