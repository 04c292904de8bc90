"""How evidence is kept, and all that is known of a person read in one call."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import BigInteger, Column, Identity, Index, Integer
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN


class EvidenceRow(SQLModel, table=True):
    """One thing that came to be known: a score by its code, or where a RiskAssessment stands (name `risk`).

    The newest `source_version` of a reference counts; a `value` of null says that it was withdrawn.
    """

    __tablename__: ClassVar[str] = "evidence"
    __table_args__ = (Index("evidence_of_subject", "tenant", "subject", "name"),)

    tenant: str = Field(sa_column=text_column(key=True))
    position: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    subject: str = Field(sa_column=text_column())
    name: str = Field(sa_column=text_column())
    value: str | None = Field(sa_column=text_column(optional=True))
    observed_at: datetime = Field(sa_column=moment_column())
    reference: str = Field(sa_column=text_column())
    source_version: int = Field(sa_column=Column(Integer, nullable=False))


READ_EVIDENCE = f"""CREATE OR REPLACE FUNCTION read_evidence(tenant_in text, subject_in text[])
RETURNS TABLE (
  subject text, name text, value text, observed_at timestamptz, reference text, source_version integer
)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT DISTINCT ON (e.subject, e.name, e.reference)
      e.subject, e.name, e.value, e.observed_at, e.reference, e.source_version
    FROM evidence AS e WHERE e.tenant = tenant_in AND e.subject = ANY(subject_in)
    ORDER BY e.subject, e.name, e.reference, e.source_version DESC, e.position DESC;
END $function$"""

# A row about nobody says how much the tenant has published, so that whoever decides knows the policy in force without
# asking twice.
READ_KNOWLEDGE = f"""CREATE OR REPLACE FUNCTION read_knowledge(tenant_in text, subject_in text[])
RETURNS TABLE (
  subject text, name text, value text, observed_at timestamptz, reference text, source_version integer
)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT DISTINCT ON (e.subject, e.name, e.reference)
      e.subject, e.name, e.value, e.observed_at, e.reference, e.source_version
    FROM evidence AS e WHERE e.tenant = tenant_in AND e.subject = ANY(subject_in)
    ORDER BY e.subject, e.name, e.reference, e.source_version DESC, e.position DESC;
  RETURN QUERY SELECT ''::text, ''::text, count(*)::text, now(), ''::text, 0
    FROM policy_step AS s WHERE s.tenant = tenant_in;
END $function$"""
