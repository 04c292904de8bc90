"""How people answered proposals: a row for each acceptance and override, so that rates can be counted. About nobody.

A row names the proposal that it is about and the rules that led to it, never the person.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database

ACCEPTED, LESS, MORE = "accepted", "overridden-less", "overridden-more"


class Answer(NamedTuple):
    """How one proposal was answered."""

    answer: str
    policy: str
    rules: tuple[str, ...]
    reason: str
    site: str


def answer_effect(
    proposal: str, at: datetime, answer: str, policy: str, rules: Collection[str], *, reason: str = "", site: str = ""
) -> Effect:
    """The row of one answer, in the unit of work of what it leads to."""
    return Effect("proposal_answer", (proposal, at, answer, policy, " ".join(sorted(rules)), reason, site))


async def read_answers(database: Database, tenant: str, start: datetime, end: datetime) -> list[Answer]:
    """The answers of a period; its end is not in it."""
    rows = await database.fetch("SELECT * FROM read_proposal_answers($1, $2, $3)", tenant, start, end)
    return [
        Answer(row["answer"], row["policy"], tuple(row["rules"].split()), row["reason"], row["site"]) for row in rows
    ]
