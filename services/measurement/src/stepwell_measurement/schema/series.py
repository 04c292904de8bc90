"""How series of scores and episodes of care are kept, one row each."""

from datetime import datetime
from typing import ClassVar

import sqlalchemy
from sqlalchemy import Boolean, Column, Double, Integer
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN, TENANT, VERSION_CONFLICT
from stepwell_shared.database.table_functions import array_parameters, insert_columns, names_of, unnested


def _number() -> Column[float]:
    return Column(Double, nullable=True)


def _flag() -> Column[bool]:
    return Column(Boolean, nullable=True)


class TrajectoryRow(SQLModel, table=True):
    """Where one person stands on one instrument, kept true in the commit of each score; cohorts are counted from it.

    `number` grows by one with each change, so that of two writers who saw the same row one looks again. `series` is
    the exact truth (rules/compact.py); the columns follow from it and from the episodes of care, as floats for sums.
    Null where it is not known or the instrument has no such number; all but the key, where no score stands any more.
    `told` is what subscribers know. `measures` is null in a row that an earlier release left: its `series` then names
    Observations, and the next score brings it up to date. docs/trajectories.md says what each column means.
    """

    __tablename__: ClassVar[str] = "trajectory"

    tenant: str = Field(sa_column=text_column(key=True))
    person: str = Field(sa_column=text_column(key=True))
    code: str = Field(sa_column=text_column(key=True))
    number: int = Field(sa_column=Column(Integer, nullable=False))
    recorded: datetime = Field(sa_column=moment_column())
    told: str | None = Field(sa_column=text_column(optional=True))
    series: str = Field(sa_column=text_column())
    measures: int | None = Field(sa_column=Column(Integer, nullable=True))
    left_out: int | None = Field(sa_column=Column(Integer, nullable=True))
    standing: str | None = Field(sa_column=text_column(optional=True))
    baseline_at: datetime | None = Field(sa_column=moment_column(optional=True))
    baseline: float | None = Field(sa_column=_number())
    best: float | None = Field(sa_column=_number())
    last_at: datetime | None = Field(sa_column=moment_column(optional=True))
    last: float | None = Field(sa_column=_number())
    reliable_change: str | None = Field(sa_column=text_column(optional=True))
    outcome_class: str | None = Field(sa_column=text_column(optional=True))
    track: str | None = Field(sa_column=text_column(optional=True))
    case_at_baseline: bool | None = Field(sa_column=_flag())
    case_now: bool | None = Field(sa_column=_flag())
    response: bool | None = Field(sa_column=_flag())
    remission: bool | None = Field(sa_column=_flag())
    recovery: bool | None = Field(sa_column=_flag())
    important_change: bool | None = Field(sa_column=_flag())
    stalled: bool | None = Field(sa_column=_flag())
    deteriorated: bool | None = Field(sa_column=_flag())
    relapse: bool | None = Field(sa_column=_flag())


class CareEpisodeRow(SQLModel, table=True):
    """One episode of care as routing told of it last; `version` is that of routing's EpisodeOfCare."""

    __tablename__: ClassVar[str] = "care_episode"

    tenant: str = Field(sa_column=text_column(key=True))
    person: str = Field(sa_column=text_column(key=True))
    episode: str = Field(sa_column=text_column(key=True))
    version: int = Field(sa_column=Column(Integer, nullable=False))
    started_at: datetime = Field(sa_column=moment_column())
    ended_at: datetime | None = Field(sa_column=moment_column(optional=True))


_TRAJECTORY: sqlalchemy.Table = TrajectoryRow.__table__  # type: ignore[attr-defined]  # SQLModel sets it
_EPISODE: sqlalchemy.Table = CareEpisodeRow.__table__  # type: ignore[attr-defined]  # SQLModel sets it
_COLUMNS = insert_columns(_TRAJECTORY)
_KEY = ("person", "code")

# As `mark_care` (care_tables.py), which would cost more to call than this costs.
_MARK_CARE = f"""INSERT INTO care_mark ({TENANT}, person, number)
    SELECT {TENANT}_in, p.person, pg_current_xact_id()::text::bigint
    FROM (SELECT DISTINCT u.person FROM unnest(person_in) AS u(person)) AS p
    WHERE (SELECT true FROM care_fact AS f WHERE f.{TENANT} = {TENANT}_in AND f.person = p.person LIMIT 1)
    ORDER BY p.person
    ON CONFLICT ({TENANT}, person) DO UPDATE SET number = excluded.number;"""

# Each row is looked up by its key: joined with the arrays, the plan may read all rows of a tenant while there are no
# statistics.
_SET_TRAJECTORY = f"""CREATE OR REPLACE FUNCTION insert_trajectory({array_parameters(_COLUMNS)}) RETURNS void
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
DECLARE added bigint;
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  INSERT INTO trajectory ({TENANT}, {", ".join(c.name for c in _COLUMNS)})
    SELECT {TENANT}_in, {names_of("u", _COLUMNS)} FROM {unnested(_COLUMNS)} WHERE u.number = 1;
  GET DIAGNOSTICS added = ROW_COUNT;
  IF added = cardinality(person_in) THEN
    {_MARK_CARE}
    RETURN;
  END IF;
  FOR i IN 1 .. cardinality(person_in) LOOP
    CONTINUE WHEN number_in[i] = 1;
    UPDATE trajectory AS t SET {", ".join(f"{c.name} = {c.name}_in[i]" for c in _COLUMNS if c.name not in _KEY)}
      WHERE t.{TENANT} = {TENANT}_in AND t.person = person_in[i] AND t.code = code_in[i]
        AND t.number = number_in[i] - 1;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = '{VERSION_CONFLICT}', MESSAGE = 'another score of a series was stored first';
    END IF;
  END LOOP;
  {_MARK_CARE}
END $function$"""

# Of two versions of an episode the newer stays, whichever came first.
_SET_EPISODE = f"""CREATE OR REPLACE FUNCTION insert_care_episode({array_parameters(insert_columns(_EPISODE))})
RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  INSERT INTO care_episode AS c ({TENANT}, {", ".join(c.name for c in insert_columns(_EPISODE))})
    SELECT {TENANT}_in, {names_of("u", insert_columns(_EPISODE))} FROM {unnested(insert_columns(_EPISODE))}
    ON CONFLICT ({TENANT}, person, episode) DO UPDATE
    SET version = excluded.version, started_at = excluded.started_at, ended_at = excluded.ended_at
    WHERE c.version < excluded.version;
END $function$"""

# A series that an earlier release or an import has left has a row that says so; it is read from the Observations.
# `|| ''` keeps to the index by person: that by code leads through everybody's scores, and looks as good while there are
# no statistics. LIMIT 1 and OFFSET 0 keep the look-ups in this order (person, then code, then body) even then;
# joined freely, 500 persons with three scores each took 1,600 ms instead of 30.
_READ_SERIES = f"""CREATE OR REPLACE FUNCTION read_trajectories(
  tenant_in text, person_in text[], system_in text[], code_in text[])
RETURNS TABLE (person text, code text, number integer, told text, series text, started_at timestamptz[],
  ended_at timestamptz[], version integer, body bytea)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT k.person, k.code, t.number, t.told, CASE WHEN t.measures IS NOT NULL THEN t.series END,
      c.started_at, c.ended_at, NULL::integer, NULL::bytea
    FROM unnest(person_in, code_in) AS k(person, code)
    LEFT JOIN LATERAL (
      SELECT r.number, r.told, r.series, r.measures FROM trajectory AS r
      WHERE r.tenant = tenant_in AND r.person = k.person AND r.code = k.code OFFSET 0
    ) AS t ON true
    CROSS JOIN LATERAL (
      SELECT array_agg(e.started_at) AS started_at, array_agg(e.ended_at) AS ended_at FROM care_episode AS e
      WHERE e.tenant = tenant_in AND e.person = k.person
    ) AS c;
  RETURN QUERY SELECT k.person, k.code, NULL::integer, NULL::text, NULL::text, NULL::timestamptz[],
      NULL::timestamptz[], o.version, o.body
    FROM unnest(person_in, system_in, code_in) AS k(person, system, code)
    CROSS JOIN LATERAL (
      SELECT r.series FROM trajectory AS r
      WHERE r.tenant = tenant_in AND r.person = k.person AND r.code = k.code AND r.measures IS NULL OFFSET 0
    ) AS t
    CROSS JOIN LATERAL (
      SELECT p.id FROM fhir_observation AS p WHERE p.tenant = tenant_in AND p.p_patient = k.person
        AND p.p_code || '' = k.code AND p.p_code_system = k.system
      UNION
      SELECT p.id FROM fhir_observation AS p WHERE p.tenant = tenant_in AND p.p_patient = k.person
        AND p.p_code || '' IS NULL
        AND (SELECT true FROM fhir_observation_index AS i WHERE i.tenant = tenant_in AND i.id = p.id
          AND i.parameter = 'code' AND i.system = k.system AND i.code = k.code LIMIT 1)
      UNION
      SELECT s.id FROM jsonb_array_elements_text(t.series::jsonb) AS s(id)
    ) AS member
    CROSS JOIN LATERAL (
      SELECT f.id, f.version, f.body FROM fhir_observation AS f
      WHERE f.tenant = tenant_in AND f.id = member.id AND f.body IS NOT NULL OFFSET 0
    ) AS o;
END $function$"""

_OF_PERSON = f"""CREATE OR REPLACE FUNCTION trajectory_codes(tenant_in text, person_in text)
RETURNS TABLE (code text) LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT t.code FROM trajectory AS t WHERE t.tenant = tenant_in AND t.person = person_in ORDER BY t.code;
END $function$"""

_EPISODES = f"""CREATE OR REPLACE FUNCTION care_episodes(tenant_in text, person_in text)
RETURNS TABLE (episode text, version integer, started_at timestamptz, ended_at timestamptz)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT c.episode, c.version, c.started_at, c.ended_at FROM care_episode AS c
    WHERE c.tenant = tenant_in AND c.person = person_in;
END $function$"""

# Those with one coding stand in columns, those with several in index rows.
_OBSERVED = f"""CREATE OR REPLACE FUNCTION observed_codes(tenant_in text, person_in text)
RETURNS TABLE (system text, code text) LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT DISTINCT coalesce(o.p_code_system, ''), o.p_code FROM fhir_observation AS o
    WHERE o.tenant = tenant_in AND o.p_patient = person_in AND o.p_code || '' IS NOT NULL AND o.body IS NOT NULL
  UNION SELECT DISTINCT i.system, i.code FROM fhir_observation AS o
    CROSS JOIN LATERAL (
      SELECT r.system, r.code FROM fhir_observation_index AS r
      WHERE r.tenant = tenant_in AND r.id = o.id AND r.parameter = 'code' OFFSET 0
    ) AS i
    WHERE o.tenant = tenant_in AND o.p_patient = person_in AND o.p_code || '' IS NULL AND o.body IS NOT NULL
  ORDER BY 1, 2;
END $function$"""

TABLES = (TrajectoryRow, CareEpisodeRow)
FUNCTIONS = (_SET_TRAJECTORY, _SET_EPISODE, _READ_SERIES, _OF_PERSON, _EPISODES, _OBSERVED)
