"""What may be told of a group as a tally: only what its published figure says too, so that others can add it up.

Nothing of a group of which anything is kept back. Waits are told in steps of five people: each step on the day of its
last one, never across a limit that a share is published for, as the curves of the dashboards are.
"""

from decimal import Decimal
from itertools import pairwise

from stepwell_measurement.rules.curves import steps
from stepwell_measurement.rules.measures.figures import (
    AFTER,
    BEFORE,
    BEGUN,
    ELIGIBLE,
    FOLLOWED,
    HAVING,
    LEFT,
    SQUARES,
    SUM,
    WAITING,
    Figure,
    Kind,
    Measure,
    Tally,
    cells,
    wait_name,
    waits_in,
)
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW

_NAMES = {
    Kind.SHARE: (ELIGIBLE, FOLLOWED, HAVING),
    Kind.MEAN: (ELIGIBLE, FOLLOWED, SUM, SQUARES),
    Kind.COST: (ELIGIBLE, FOLLOWED, HAVING, SUM),
    Kind.USE: (ELIGIBLE, FOLLOWED, BEFORE, AFTER),
}


def told_tally(measure: Measure, tally: Tally, found: Figure, below: int = SMALL_BELOW) -> Tally | None:
    """The tally of a group that goes with its published figure; None where anything of it is kept back."""
    if found.is_withheld:
        return None
    told = _stepped(measure, tally, below) if measure.kind is Kind.WAITS else _named(measure, tally)
    return None if tells_of_few(measure, told, below) else told


def tells_of_few(measure: Measure, tally: Tally, below: int = SMALL_BELOW) -> bool:
    """Whether any number of people in a tally, or any part of them, is a small one."""
    if measure.kind is Kind.WAITS:
        return any(0 < count < below for count in tally.values())
    events = [int(tally.get(name, 0)) for name in (BEFORE, AFTER)] if measure.kind is Kind.USE else []
    return any(0 < count < below for count in (*cells(measure, tally), *events))


def _named(measure: Measure, tally: Tally) -> Tally:
    return {name: tally.get(name, Decimal(0)) for name in _NAMES[measure.kind]}


def _stepped(measure: Measure, tally: Tally, below: int) -> Tally:
    waits = waits_in(tally)
    last = max([*measure.within_days, *(each.days for each in waits)], default=0)
    limits = (-1, *measure.within_days, last)
    told: dict[str, Decimal] = {}
    for place, (state, bounds) in enumerate(((BEGUN, limits), (WAITING, limits), (LEFT, (-1, last))), 1):
        for after, until in pairwise(bounds):
            counts = [(each.days, each[place]) for each in waits if after < each.days <= until and each[place]]
            told |= {wait_name(state, days): Decimal(count) for days, count in steps(counts, below)}
    return told or {wait_name(BEGUN, 0): Decimal(0)}
