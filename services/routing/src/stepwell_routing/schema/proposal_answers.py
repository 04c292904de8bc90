"""How it is kept how people answered proposals. No row names a person."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import APPEND_ONLY, INDEXED_PLAN


class ProposalAnswer(SQLModel, table=True):
    """One proposal that a clinician accepted, or in whose place they decided for less or for more.

    `reason` is the code of an override, `site` the organization that runs the episode; both empty without one.
    `rules` are the codes of the rules that led to the proposal, with a blank between them.
    """

    __tablename__: ClassVar[str] = "proposal_answer"
    __table_args__ = (
        Index("proposal_answer_at", "tenant", "answered_at"),
        {"info": {APPEND_ONLY: True}},
    )

    tenant: str = Field(sa_column=text_column(key=True))
    proposal: str = Field(sa_column=text_column(key=True))
    answered_at: datetime = Field(sa_column=moment_column())
    answer: str = Field(sa_column=text_column())
    policy: str = Field(sa_column=text_column())
    rules: str = Field(sa_column=text_column())
    reason: str = Field(sa_column=text_column())
    site: str = Field(sa_column=text_column())


READ_ANSWERS = f"""CREATE OR REPLACE FUNCTION read_proposal_answers(
  tenant_in text, start_in timestamptz, end_in timestamptz
) RETURNS TABLE (answer text, policy text, rules text, reason text, site text)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT a.answer, a.policy, a.rules, a.reason, a.site FROM proposal_answer AS a
    WHERE a.tenant = tenant_in AND a.answered_at >= start_in AND a.answered_at < end_in;
END $function$"""

TABLES = (ProposalAnswer,)
FUNCTIONS = (READ_ANSWERS,)
