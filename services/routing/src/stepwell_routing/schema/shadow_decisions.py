"""How decisions in shadow are kept for a while, and forgotten."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN


class ShadowDecision(SQLModel, table=True):
    """One decision of a version in shadow, beside one of the version in force (`present_...`).

    `move` is where the step lies on the shadow's ladder: same, up, down or other. `hold` is empty or `held`. `broken`
    and `rules` are codes with a blank between them; those of `rules` fired in one of the two alone.
    """

    __tablename__: ClassVar[str] = "shadow_decision"
    __table_args__ = (Index("shadow_decision_at", "tenant", "policy", "decided_at"),)

    tenant: str = Field(sa_column=text_column(key=True))
    id: str = Field(sa_column=text_column(key=True))
    policy: str = Field(sa_column=text_column())
    present_policy: str = Field(sa_column=text_column())
    site: str = Field(sa_column=text_column())
    decided_at: datetime = Field(sa_column=moment_column())
    present_step: str = Field(sa_column=text_column())
    step: str = Field(sa_column=text_column())
    move: str = Field(sa_column=text_column())
    hold: str = Field(sa_column=text_column())
    broken: str = Field(sa_column=text_column())
    rules: str = Field(sa_column=text_column())


READ_SHADOWS = f"""CREATE OR REPLACE FUNCTION read_shadow_decisions(
  tenant_in text, policy_in text, start_in timestamptz, end_in timestamptz
) RETURNS TABLE (present_step text, step text, move text, hold text, broken text, rules text, decisions bigint)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT s.present_step, s.step, s.move, s.hold, s.broken, s.rules, count(*) FROM shadow_decision AS s
    WHERE s.tenant = tenant_in AND s.policy = policy_in AND s.decided_at >= start_in AND s.decided_at < end_in
    GROUP BY s.present_step, s.step, s.move, s.hold, s.broken, s.rules;
END $function$"""

FORGET_SHADOWS = f"""CREATE OR REPLACE FUNCTION forget_shadow_decisions(
  tenant_in text, before_in timestamptz, most_in integer
) RETURNS bigint LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
DECLARE
  old_id text;
  forgotten bigint := 0;
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  FOR old_id IN SELECT s.id FROM shadow_decision AS s WHERE s.tenant = tenant_in AND s.decided_at < before_in
    LIMIT most_in FOR UPDATE SKIP LOCKED
  LOOP
    DELETE FROM shadow_decision AS s WHERE s.tenant = tenant_in AND s.id = old_id;
    forgotten := forgotten + 1;
  END LOOP;
  RETURN forgotten;
END $function$"""

TABLES = (ShadowDecision,)
FUNCTIONS = (READ_SHADOWS, FORGET_SHADOWS)
