"""What policies in shadow decided beside the decisions that were made: a row for each, in the same commit.

It is about nobody: a row has steps and rule codes, and an id that is derived from the decision's, which cannot be read
from it. After a while it is forgotten (`data/course.json`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database

from stepwell_routing.rules.shadowing import Compared, Shadow

HELD = "held"


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
