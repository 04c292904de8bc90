"""How the schedules of measurement are kept, and the record that they rest on is read."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Boolean, Column, Index, Integer, text
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import lease_column, moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN, TENANT, VERSION_CONFLICT
from stepwell_shared.database.leases import claim_function


class MeasurementSchedule(SQLModel, table=True):
    """One person's schedule. Without `next_at` nothing is due; `is_waiting` while a form is asked for."""

    __tablename__: ClassVar[str] = "measurement_schedule"
    __table_args__ = (
        Index("measurement_schedule_due", "tenant", "next_at", postgresql_where=text("next_at IS NOT NULL")),
        Index("measurement_schedule_waiting", "tenant", "subject", postgresql_where=text("is_waiting")),
    )

    tenant: str = Field(sa_column=text_column(key=True))
    subject: str = Field(sa_column=text_column(key=True))
    progress: str = Field(sa_column=text_column())
    is_waiting: bool = Field(sa_column=Column(Boolean, nullable=False))
    next_at: datetime | None = Field(sa_column=moment_column(optional=True))
    changes: int = Field(sa_column=Column(Integer, nullable=False))
    version: int = Field(sa_column=Column(Integer, nullable=False))
    facts: str = Field(sa_column=text_column(default="'{}'"))
    lease_until: datetime = Field(sa_column=lease_column())


_SET_PROGRESS = f"""CREATE OR REPLACE FUNCTION insert_measurement_schedule(
  {TENANT}_in text, subject_in text[], progress_in text[], is_waiting_in boolean[], next_at_in timestamptz[],
  changes_in integer[], version_in integer[]
) RETURNS void
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
DECLARE u record;
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  FOR u IN SELECT * FROM unnest(subject_in, progress_in, is_waiting_in, next_at_in, changes_in, version_in)
    AS given(subject, progress, is_waiting, next_at, changes, version)
  LOOP
    UPDATE measurement_schedule AS s
      SET progress = u.progress, is_waiting = u.is_waiting, version = s.version + 1, lease_until = '-infinity',
        next_at = CASE WHEN s.changes = u.changes THEN u.next_at ELSE '-infinity' END
      WHERE s.tenant = {TENANT}_in AND s.subject = u.subject AND s.version = u.version;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'somebody else has written a schedule' USING ERRCODE = '{VERSION_CONFLICT}';
    END IF;
  END LOOP;
END $function$"""

_SET_FACTS = f"""CREATE OR REPLACE FUNCTION set_measurement_facts(
  tenant_in text, subject_in text, facts_in text, progress_in text, changes_in integer
) RETURNS boolean
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  IF changes_in = 0 THEN
    INSERT INTO measurement_schedule (tenant, subject, progress, is_waiting, next_at, changes, version, facts)
      VALUES (tenant_in, subject_in, progress_in, false, '-infinity', 1, 0, facts_in) ON CONFLICT DO NOTHING;
    RETURN FOUND;
  END IF;
  UPDATE measurement_schedule AS s SET facts = facts_in, changes = s.changes + 1, next_at = '-infinity'
    WHERE s.tenant = tenant_in AND s.subject = subject_in AND s.changes = changes_in;
  RETURN FOUND;
END $function$"""

_READ = f"""CREATE OR REPLACE FUNCTION read_measurement_schedule(tenant_in text, subject_in text)
RETURNS TABLE (facts text, progress text, changes integer, version integer)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
#variable_conflict use_column
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT s.facts, s.progress, s.changes, s.version FROM measurement_schedule AS s
    WHERE s.tenant = tenant_in AND s.subject = subject_in;
END $function$"""

_WAITING = f"""CREATE OR REPLACE FUNCTION waiting_measurement_schedules(tenant_in text, subjects_in text[])
RETURNS TABLE (subject text)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
#variable_conflict use_column
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  IF subjects_in IS NULL THEN
    RETURN QUERY SELECT s.subject FROM measurement_schedule AS s WHERE s.tenant = tenant_in AND s.is_waiting;
  ELSE
    RETURN QUERY SELECT s.subject FROM measurement_schedule AS s
      WHERE s.tenant = tenant_in AND s.is_waiting AND s.subject = ANY(subjects_in);
  END IF;
END $function$"""

_RECORD = """CREATE OR REPLACE FUNCTION read_measurement_record(tenant_in text, subject_in text)
RETURNS TABLE (safety_open bigint, id text, body bytea)
LANGUAGE plpgsql SET enable_seqscan TO off AS $function$
#variable_conflict use_column
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY WITH finished AS (
    SELECT r.id, r.body, r.p_authored_low AS authored, split_part(r.p_questionnaire, '|', 1) AS url
    FROM fhir_questionnaireresponse AS r
    WHERE r.tenant = tenant_in AND r.p_patient = subject_in AND r.body IS NOT NULL
      AND r.p_status IN ('completed', 'amended')
  ), ends AS (
    (SELECT DISTINCT ON (f.url) f.id, f.body FROM finished AS f ORDER BY f.url, f.authored, f.id)
    UNION
    (SELECT DISTINCT ON (f.url) f.id, f.body FROM finished AS f ORDER BY f.url, f.authored DESC, f.id DESC)
  ), safety AS (
    SELECT count(*) AS open_now FROM fhir_task AS t
    WHERE t.tenant = tenant_in AND t.p_patient = subject_in AND t.body IS NOT NULL
      AND t.p_status IN ('requested', 'received', 'accepted', 'ready', 'in-progress', 'on-hold')
      AND EXISTS (
        SELECT FROM fhir_task_index AS i WHERE i.tenant = tenant_in AND i.id = t.id AND i.parameter = 'code'
          AND i.code = 'safety'
      )
  )
  SELECT s.open_now, e.id, e.body FROM safety AS s LEFT JOIN ends AS e ON true;
END $function$"""

_CLAIM = claim_function(
    "claim_measurement_schedules",
    table="measurement_schedule",
    key="subject",
    due="next_at",
    columns="tenant text, subject text",
)

TABLES = (MeasurementSchedule,)
FUNCTIONS = (_SET_PROGRESS, _SET_FACTS, _READ, _WAITING, _RECORD, _CLAIM)
