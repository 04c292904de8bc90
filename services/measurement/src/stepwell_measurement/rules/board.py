"""The figures of a dashboard as they are published, and how they come from what was counted.

All tables of measures about the same people, or about people within others, are published together, so that no page
gives away what another one keeps back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from stepwell_measurement.rules.curves import curve
from stepwell_measurement.rules.measures.control_charts import Count, Point, p_chart
from stepwell_measurement.rules.measures.figures import Figure, Kind, Measure, Tally, figure, shown
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.nesting import People, population_of
from stepwell_measurement.rules.numbering import Key
from stepwell_measurement.rules.partings import (
    BEFORE_PERIOD,
    MONTH,
    PERIOD,
    PRACTICE,
    QUARTER,
    TIER,
    Counts,
    Parting,
    Tallies,
    key_of,
    sides,
)
from stepwell_measurement.rules.publishing import published
from stepwell_measurement.rules.tallies import told_tally

BASELINE_MIN = 6
"""So few months before a change set no limits: a product default, as too few points make limits that mean nothing."""


class Group(NamedTuple):
    """One group of a dimension, and what is published of it."""

    value: str
    figure: Figure
    # of waits: the share for whom it is over, by day; of several tiers, or of everybody
    curve: tuple[tuple[int, float], ...] = ()
    # of a month or quarter of the period: what others may add up; None where anything is kept back
    tally: Tally | None = None


class Mixed(NamedTuple):
    """How many people each part of a whole has; None is kept back."""

    value: str
    parts: tuple[int | None, ...]

    @property
    def shares(self) -> tuple[float | None, ...]:
        """The share of each part; of none where one is kept back."""
        known = [each for each in self.parts if each is not None]
        total = sum(known)
        if len(known) < len(self.parts) or not total:
            return (None,) * len(self.parts)
        return tuple(each / total for each in known)


@dataclass(frozen=True)
class Mix:
    """How the people of each month divide into parts, such as tiers."""

    parts: tuple[str, ...]
    rows: tuple[Mixed, ...]


@dataclass(frozen=True)
class Sheet:
    """All that is published of one measure: of everybody, month by month, and by the groups of each dimension."""

    all: Group
    months: tuple[Group, ...] = ()
    by: Mapping[str, tuple[Group, ...]] = field(default_factory=dict)
    mix: Mix | None = None
    # of the period: by quarter, and by quarter and practice
    quarters: tuple[Group, ...] = ()
    practices: Mapping[str, tuple[Group, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """All figures of one tenant's pages, by the id of the Measure."""

    start: date
    end: date
    made_at: datetime
    sheets: Mapping[str, Sheet] = field(default_factory=dict)


def sheets_of(counted: Sequence[tuple[Measure, Counts]], below: int = SMALL_BELOW) -> dict[str, Sheet]:
    """What may be published of measures, by their id. Those about the same people are published together.

    Raises ValueError when what was counted of them is not about the same people.
    """
    found: dict[str, Sheet] = {}
    for population in dict.fromkeys(population_of(measure) for measure, _ in counted):
        together = [each for each in counted if population_of(each[0]) == population]
        people = People(together)
        shared = published(people.tables(below), below)
        for parting, counts in people.partings():
            found[parting.measure.id] = _sheet(parting, counts, shared, below)
    return found


def _sheet(parting: Parting, counts: Counts, shared: Mapping[Key, int | None], below: int) -> Sheet:
    measure, period, before = parting.measure, PERIOD | parting.of, BEFORE_PERIOD | parting.of

    def group(of: Key, value: str, tally: Tally) -> Group:
        parts = tuple(shared[of | part] is not None for part in parting.parts())
        found = _shown(measure, tally, parts, is_visible=shared[of] is not None)
        if any(shared[of | each] is None for each in parting.events()):
            found = found._replace(score=None, use=None, is_withheld=True)
        return Group(value, found)

    def groups(of: Key, dimension: str, tallies: Tallies) -> tuple[Group, ...]:
        return tuple(group(of | key_of(dimension, value), value, tally) for value, tally in sorted(tallies.items()))

    def curved(each: Group, tally: Tally) -> Group:
        return each._replace(curve=curve(measure, tally, below)) if each.figure.waits is not None else each

    def told(parts: tuple[Group, ...], tallies: Tallies) -> tuple[Group, ...]:
        return tuple(each._replace(tally=told_tally(measure, tallies[each.value], each.figure)) for each in parts)

    within = told(groups(period, MONTH, counts.months), counts.months)
    months = groups(before, MONTH, counts.before) + within
    by = {name: groups(period, name, tallies) for name, tallies in counts.by.items()}
    everybody = group(period, "", counts.whole)
    # Day by day, of several tiers or of everybody: with both, who waited how long in the smallest tier is left over.
    tiers = tuple(curved(each, counts.by[TIER][each.value]) for each in by.get(TIER, ()))
    if sum(bool(each.curve) for each in tiers) > 1:
        by[TIER] = tiers
    else:
        everybody = curved(everybody, counts.whole)
    quarters = told(groups(period, QUARTER, counts.quarters()), counts.quarters())
    practices = {
        quarter: groups(period | key_of(QUARTER, quarter), PRACTICE, tallies)
        for quarter, tallies in counts.practices.items()
    }
    return Sheet(everybody, months, by, _mix(counts, shared, period), quarters, practices)


def _shown(measure: Measure, tally: Tally, parts: tuple[bool, ...], *, is_visible: bool) -> Figure:
    """What is published of a group. Of waits of which it may not be said who waits still, what they were is said."""
    found = shown(measure, tally, parts, is_visible)
    limits = len(measure.within_days) + 1
    if measure.kind is not Kind.WAITS or found.waits is not None or not (is_visible and all(parts[:limits])):
        return found
    whole = figure(measure, tally)
    if whole.waits is None:
        return found
    targets = tuple(each._replace(waiting_longer=0) for each in whole.waits.targets)
    waits = whole.waits._replace(waiting=0, left=0, share_waiting=None, targets=targets)
    return found._replace(score=whole.score, having=whole.having, waits=waits)


def _mix(counts: Counts, shared: Mapping[Key, int | None], period: Key) -> Mix | None:
    if not counts.mix:
        return None
    months, tiers = sides(counts)
    rows = [
        Mixed(month, tuple(shared[period | key_of(MONTH, month) | key_of(TIER, tier)] for tier in tiers))
        for month in months
    ]
    return Mix(tuple(tiers), tuple(rows))


def charted(groups: Sequence[Group], since: str = "") -> list[Point | None] | None:
    """A control chart of the shares of months; None for a month of which none is published.

    With `since` the months before it set the centre and the limits. None altogether when too few months can.
    """
    counts = {each.value: count for each in groups if (count := _count(each.figure)) is not None}
    basis = [count for month, count in counts.items() if not since or month < since]
    if len(basis) < BASELINE_MIN:
        return None
    points = dict(zip(counts, p_chart(list(counts.values()), basis), strict=True))
    return [points.get(each.value) for each in groups]


def _count(figure: Figure) -> Count | None:
    if figure.score is None or figure.having is None or not figure.followed:
        return None
    return Count(figure.having, figure.followed)
