"""How the clients, cards and feedback of CDS Hooks are kept. No row names a patient."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN

# How long a card and its feedback count. A product default: a year of rates, and a month to compare it with.
KEPT_DAYS = 400


class CdsClient(SQLModel, table=True):
    """A registered EHR: the `iss` that it signs with, and the tenant that it is answered from.

    One issuer may act for several organisations, told apart by the claim `tenant` of its tokens (`organisation`, empty
    without one). `patient_system` is the identifier system by which its patients are known here; null when its
    Patients have the ids that they have in Stepwell.
    It has no column `tenant`: the row is what says which tenant a call belongs to.
    """

    __tablename__: ClassVar[str] = "cds_client"

    issuer: str = Field(sa_column=text_column(key=True))
    organisation: str = Field(sa_column=text_column(key=True))
    serves: str = Field(sa_column=text_column())
    jwks: str | None = Field(sa_column=text_column(optional=True))
    jwks_url: str | None = Field(sa_column=text_column(optional=True))
    patient_system: str | None = Field(sa_column=text_column(optional=True))
    app_url: str | None = Field(sa_column=text_column(optional=True))
    created_at: datetime = Field(sa_column=moment_column())


class CdsCard(SQLModel, table=True):
    """One card that was sent: of which service, by which rule, to which client. Never about whom."""

    __tablename__: ClassVar[str] = "cds_card"
    __table_args__ = (Index("cds_card_issued", "tenant", "issued_at"),)

    tenant: str = Field(sa_column=text_column(key=True))
    id: str = Field(sa_column=text_column(key=True))
    service: str = Field(sa_column=text_column())
    rule: str = Field(sa_column=text_column())
    issuer: str = Field(sa_column=text_column())
    issued_at: datetime = Field(sa_column=moment_column())


class CdsFeedback(SQLModel, table=True):
    """What a clinician did with a card; said again it is the same row. A comment that comes with it is not kept."""

    __tablename__: ClassVar[str] = "cds_feedback"

    tenant: str = Field(sa_column=text_column(key=True))
    card: str = Field(sa_column=text_column(key=True))
    outcome: str = Field(sa_column=text_column())
    reason: str = Field(sa_column=text_column())
    given_at: datetime = Field(sa_column=moment_column())
    received_at: datetime = Field(sa_column=moment_column())


TABLES = (CdsClient, CdsCard, CdsFeedback)

_ADMIT = f"""CREATE OR REPLACE FUNCTION admit_cds_call(
  tenant_in text, client_in text, digest_in bytea, expires_in timestamptz, now_in timestamptz
) RETURNS boolean LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  DELETE FROM assertion_seen AS a WHERE a.tenant = tenant_in AND (a.client_id, a.jti_digest) IN (
    SELECT s.client_id, s.jti_digest FROM assertion_seen AS s
    WHERE s.tenant = tenant_in AND s.expires_at < now_in LIMIT 20 FOR UPDATE SKIP LOCKED);
  INSERT INTO assertion_seen (tenant, client_id, jti_digest, expires_at)
    VALUES (tenant_in, client_in, digest_in, expires_in) ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $function$"""

_PATIENTS = f"""CREATE OR REPLACE FUNCTION patients_identified(tenant_in text, system_in text, value_in text)
RETURNS TABLE (patient text) LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT DISTINCT i.id FROM fhir_patient_index AS i
    WHERE i.tenant = tenant_in AND i.parameter = 'identifier' AND i.code = value_in AND i.system = system_in LIMIT 2;
END $function$"""

_SHOWN = f"""CREATE OR REPLACE FUNCTION cds_cards_shown(tenant_in text, card_in text[])
RETURNS TABLE (card text, service text, rule text) LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT c.id, c.service, c.rule FROM cds_card AS c WHERE c.tenant = tenant_in AND c.id = ANY(card_in);
END $function$"""

# Repeats and late arrivals: what was said last about a card counts, however often it is sent. Old rows go now.
_FEEDBACK = f"""CREATE OR REPLACE FUNCTION keep_cds_feedback(
  tenant_in text, card_in text[], outcome_in text[], reason_in text[], given_in timestamptz[], now_in timestamptz
) RETURNS void LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  INSERT INTO cds_feedback (tenant, card, outcome, reason, given_at, received_at)
    SELECT DISTINCT ON (u.card) tenant_in, u.card, u.outcome, u.reason, u.given_at, now_in
    FROM unnest(card_in, outcome_in, reason_in, given_in) AS u(card, outcome, reason, given_at)
    ORDER BY u.card, u.given_at DESC
  ON CONFLICT (tenant, card) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason,
    given_at = excluded.given_at, received_at = excluded.received_at WHERE cds_feedback.given_at < excluded.given_at;
  WITH old AS (DELETE FROM cds_card AS c WHERE c.tenant = tenant_in AND c.id IN (
      SELECT o.id FROM cds_card AS o
      WHERE o.tenant = tenant_in AND o.issued_at < now_in - interval '{KEPT_DAYS} days' LIMIT 1000)
    RETURNING c.id)
  DELETE FROM cds_feedback AS f USING old WHERE f.tenant = tenant_in AND f.card = old.id;
END $function$"""

_RATES = f"""CREATE OR REPLACE FUNCTION cds_rates(tenant_in text, since_in timestamptz)
RETURNS TABLE (service text, rule text, outcome text, reason text, cards bigint)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT c.service, c.rule, coalesce(f.outcome, ''), coalesce(f.reason, ''), count(*)
    FROM cds_card AS c LEFT JOIN cds_feedback AS f ON f.tenant = c.tenant AND f.card = c.id
    WHERE c.tenant = tenant_in AND c.issued_at >= since_in GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
END $function$"""

FUNCTIONS = (_ADMIT, _PATIENTS, _SHOWN, _FEEDBACK, _RATES)
