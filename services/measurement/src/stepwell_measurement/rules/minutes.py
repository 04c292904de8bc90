"""Decisions of a board: what was said, what was done about it, how that stands, and which a report tells of."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

STANDINGS = ("planned", "under-way", "done", "not-possible")
"""How a decision stands. The first two are open: a report goes on telling of them."""

OPEN = STANDINGS[:2]
TEXT_MIN, TEXT_MAX = 3, 2000
"""Letters of each text: a product default, enough for a paragraph."""


class Decision(NamedTuple):
    """One decision as its newest version has it. `measure` and `suggestion` are what it is about, or empty."""

    id: str
    version: int
    said: str
    done: str
    decided_on: date
    standing: str
    language: str
    measure: str = ""
    suggestion: str = ""
    is_public: bool = False


def told_in(decisions: Iterable[Decision], start: date, end: date, *, public_only: bool) -> list[Decision]:
    """The decisions that a report from `start` to `end` tells of: those of that time, and the earlier ones that are
    open still; the newest first."""
    told = [
        each
        for each in decisions
        if each.decided_on <= end
        and (each.decided_on >= start or each.standing in OPEN)
        and (each.is_public or not public_only)
    ]
    return sorted(told, key=lambda each: (each.decided_on, each.id), reverse=True)
