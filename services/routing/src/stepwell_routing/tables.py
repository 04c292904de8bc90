"""What routing knows of each person: evidence as it came in, beside the decisions that are FHIR resources."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from sqlalchemy import BigInteger, Column, Identity, Index, Integer
from sqlmodel import Field, SQLModel
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN, Effect
from stepwell_shared.database.pool import Database

RISK = "risk"
# What people and safety Tasks say, and what happened on the way; none of these is a score.
RED_FLAG, MANUAL_TRIAGE, RELIABLE = "red-flag", "manual-triage", "reliable-change/"
STEP, ATTENDED, MISSED = "course/step", "course/attended", "course/missed"
HOLD, EXIT, BOOSTER, AGREED = "course/hold", "course/exit", "course/booster", "course/agreed/"
BOOSTER_DATED = "course/booster-dated"
"""A booster in the step: the value is when it is due, and none once it has taken place or was cancelled."""
# What runs beside the step, by kind and what it is; the value is the id of its request, or `open`.
BESIDE = "course/beside/"
# What was answered, under the name that policies use; the outcome of a decision; and what the services around know.
SAID, OUTCOME = "said/", "course/outcome"
BORN, SEX, WAIT_UNTIL = "person/birth-date", "person/sex", "referral/wait-until"
SITE, PLACE = "place/site", "place/weekly-starts"
CONDITION, MEDICINE = "condition/", "medicine/"
PLACES = "HealthcareService"
"""Not a person: the subject under which the rows of all places of a tenant are kept."""


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


class Known(NamedTuple):
    """One row of evidence, in the order of the table's insertable columns without the subject."""

    name: str
    value: str | None
    observed_at: datetime
    reference: str
    source_version: int


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


def evidence_effect(subject: str, known: Known) -> Effect:
    """The row that keeps one thing in the unit of work of the decision that it leads to."""
    return Effect("evidence", (subject, *known))


def evidence_reader(database: Database) -> Coalescer[list[Known]]:
    """Reads what is known of a person; group is (tenant,), key is the subject. Those who ask at once share a call."""

    async def fetch(group: tuple[str, ...], subjects: Sequence[str]) -> Mapping[str, list[Known]]:
        found: dict[str, list[Known]] = {subject: [] for subject in subjects}
        for row in await database.fetch("SELECT * FROM read_evidence($1, $2)", group[0], subjects):
            subject, *rest = row
            found[subject].append(Known(*rest))
        return found

    return Coalescer(fetch)


def knowledge_reader(database: Database, told: Callable[[str, int], None]) -> Coalescer[list[Known]]:
    """The same; `told` hears before each answer how many steps the tenant's policies have taken, by tenant."""

    async def fetch(group: tuple[str, ...], subjects: Sequence[str]) -> Mapping[str, list[Known]]:
        found: dict[str, list[Known]] = {subject: [] for subject in subjects}
        for row in await database.fetch("SELECT * FROM read_knowledge($1, $2)", group[0], subjects):
            subject, *rest = row
            if subject:
                found[subject].append(Known(*rest))
            else:
                told(group[0], int(row["value"]))
        return found

    return Coalescer(fetch)
