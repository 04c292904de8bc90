"""What policies in shadow decided beside the decisions that were made: a row for each, in the same commit.

It is about nobody: a row has steps and rule codes, and an id that is derived from the decision's, which cannot be read
from it. After a while it is forgotten (`data/course.json`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel
from stepwell_shared.database.columns import moment_column, text_column
from stepwell_shared.database.functions import INDEXED_PLAN, Effect
from stepwell_shared.database.pool import Database

from stepwell_routing.rules.shadowing import Compared, Shadow

HELD = "held"


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


def shadow_effect(
    id_: str, policy: str, present_policy: str, site: str, at: datetime, present_step: str, shadow: Shadow
) -> Effect:
    """The row of one decision in shadow, in the unit of work of the decision beside it."""
    found = (shadow.step, shadow.move, HELD if shadow.is_held else "", " ".join(shadow.broken), " ".join(shadow.rules))
    return Effect("shadow_decision", (id_, policy, present_policy, site, at, present_step, *found))


async def read_shadows(database: Database, tenant: str, policy: str, start: datetime, end: datetime) -> list[Compared]:
    """What a version, by `url|version`, decided in shadow in a period; its end is not in it."""
    statement = "SELECT * FROM read_shadow_decisions($1, $2, $3, $4)"
    return [_compared(row) for row in await database.fetch(statement, tenant, policy, start, end)]


async def forget_shadows(database: Database, tenant: str, before: datetime, most: int) -> int:
    """Forgets decisions that were made before a moment, so many at most; how many those were."""
    (row,) = await database.fetch("SELECT forget_shadow_decisions($1, $2, $3) AS many", tenant, before, most)
    return int(row["many"])


def _compared(row: Mapping[str, Any]) -> Compared:
    broken, rules = tuple(row["broken"].split()), tuple(row["rules"].split())
    shadow = Shadow(row["step"], row["move"], bool(row["hold"]), broken, rules)
    return Compared(row["present_step"], shadow, row["decisions"])
