"""How matching reads the directory, a person and the queues: in one call each."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel
from stepwell_shared.canonical import code_system
from stepwell_shared.database.columns import text_column
from stepwell_shared.database.functions import INDEXED_PLAN

from stepwell_referral.rules.transitions import WAITING

# The types of which the directory is made.
DIRECTORY_TYPES = ("HealthcareService", "Location", "Practitioner", "PractitionerRole")


class DirectoryRevisionRow(SQLModel, table=True):
    """How often a tenant's directory has changed, by whichever replica, and what changed last."""

    __tablename__: ClassVar[str] = "directory_revision"

    tenant: str = Field(sa_column=text_column(key=True))
    changed: str = Field(sa_column=text_column())
    revision: int = Field(sa_column=Column(BigInteger, server_default="1", nullable=False))


# An effect that counts: rows are inserted by `insert_<table>` functions, and this one has a row already.
COUNT_REVISION = """CREATE OR REPLACE FUNCTION insert_directory_revision(tenant_in text, changed_in text[]) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  INSERT INTO directory_revision AS r (tenant, changed, revision)
    VALUES (tenant_in, changed_in[array_upper(changed_in, 1)], 1)
    ON CONFLICT (tenant) DO UPDATE SET changed = excluded.changed, revision = r.revision + 1;
END $function$"""

READ_PERSON = f"""CREATE OR REPLACE FUNCTION read_person(tenant_in text, subject_in text[], questionnaire_in text)
RETURNS TABLE (subject text, patient bytea, form bytea, revision bigint)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT s.subject,
      (SELECT p.body FROM fhir_patient AS p WHERE p.tenant = tenant_in AND 'Patient/' || p.id = s.subject
        AND p.id = substr(s.subject, 9)),
      (SELECT q.body FROM fhir_questionnaireresponse AS q WHERE q.tenant = tenant_in AND q.p_patient = s.subject
        AND q.p_questionnaire >= questionnaire_in AND q.p_questionnaire < questionnaire_in || '}}'
        AND q.p_status IN ('completed', 'amended') AND q.body IS NOT NULL
        ORDER BY q.p_authored_low DESC LIMIT 1),
      coalesce((SELECT r.revision FROM directory_revision AS r WHERE r.tenant = tenant_in), 0)
    FROM unnest(subject_in) AS s(subject);
END $function$"""

_STAFF_FORMS = (
    " UNION ALL SELECT 'QuestionnaireResponse' AS resource_type, d.id, d.version, d.body"
    " FROM fhir_questionnaireresponse AS d WHERE d.tenant = tenant_in AND d.body IS NOT NULL"
    " AND d.p_subject >= 'Practitioner' AND d.p_subject < 'Practitioner|'"
)
# Meetings of staff about their work: an appointment type of ours.
_SUPERVISION = (
    " UNION ALL SELECT 'Appointment' AS resource_type, d.id, d.version, d.body FROM fhir_appointment_index AS i"
    " JOIN fhir_appointment AS d ON d.tenant = tenant_in AND d.id = i.id AND d.body IS NOT NULL"
    " WHERE i.tenant = tenant_in AND i.parameter = 'appointment-type' AND i.code = 'supervision'"
    f" AND i.system = '{code_system('appointment-kind')}'"
)
_DIRECTORY = (
    " UNION ALL ".join(
        f"SELECT '{name}' AS resource_type, d.id, d.version, d.body FROM fhir_{name.lower()} AS d"
        " WHERE d.tenant = tenant_in AND d.body IS NOT NULL"
        for name in DIRECTORY_TYPES
    )
    + _STAFF_FORMS
    + _SUPERVISION
)
# Revision before content: what is committed in between is read again next time.
READ_DIRECTORY = f"""CREATE OR REPLACE FUNCTION read_directory(tenant_in text, known_in text[])
RETURNS TABLE (resource_type text, id text, version integer, body bytea)
LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT '' AS resource_type, '' AS id,
      coalesce((SELECT r.revision FROM directory_revision AS r WHERE r.tenant = tenant_in), 0)::integer, NULL::bytea;
  RETURN QUERY SELECT d.resource_type, d.id, d.version,
      CASE WHEN k.known IS NULL THEN d.body END
    FROM ({_DIRECTORY}) AS d
    LEFT JOIN unnest(known_in) AS k(known) ON k.known = d.resource_type || '/' || d.id || '/' || d.version;
END $function$"""

READ_QUEUES = f"""CREATE OR REPLACE FUNCTION read_queues(tenant_in text, place_in text[])
RETURNS TABLE (place text, waiting text)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT k.place, coalesce(queue.waiting, '{{}}')::text
    FROM unnest(place_in) AS k(place)
    CROSS JOIN LATERAL (
      SELECT jsonb_object_agg(w.priority, w.people) AS waiting FROM (
        SELECT coalesce(t.p_priority, 'routine') AS priority, count(*) AS people FROM fhir_task AS t
        WHERE t.tenant = tenant_in AND t.p_owner = 'HealthcareService/' || k.place
          AND t.p_status IN ({", ".join(f"'{status}'" for status in WAITING)})
        GROUP BY 1
      ) AS w
    ) AS queue;
END $function$"""
FUNCTIONS = (COUNT_REVISION, READ_PERSON, READ_DIRECTORY, READ_QUEUES)
