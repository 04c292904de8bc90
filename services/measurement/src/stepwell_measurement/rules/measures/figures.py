"""The figures of a Measure out of what was counted: counts that can be added, so that pooled is the same as together.

A tally has whole numbers and sums alone. Whoever has the tallies of parts has that of the whole by adding them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from math import sqrt
from typing import NamedTuple

from stepwell_shared.proportions import Z95, Group, Interval, share_of

from stepwell_measurement.rules.measures.utilisation import Change, Exposure, before_and_after, cost_per
from stepwell_measurement.rules.measures.waits import Waits, WaitsOfDay, summarise

Tally = Mapping[str, Decimal]
"""What was counted of one group, by name. The names depend on the kind; `waits` has one for each state and day."""

ELIGIBLE, FOLLOWED, HAVING = "eligible", "followed", "having"
SUM, SQUARES, BEFORE, AFTER = "sum", "squares", "before", "after"
BEGUN, WAITING, LEFT = "begun", "waiting", "left"
_STATES = (BEGUN, WAITING, LEFT)


class Kind(StrEnum):
    """How a Measure is counted."""

    SHARE = "share"
    WAITS = "waits"
    MEAN = "mean"
    COST = "cost"
    USE = "use"


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a Measure counts, as expressions over the columns of a counted row; empty ones say nothing."""

    table: str
    on: str
    eligible: str
    followed: str = ""
    having: str = ""
    value: str = ""
    start: str = ""
    end: str = ""
    left: str = ""
    before: str = ""
    after: str = ""


class Among(NamedTuple):
    """Parts that by definition do not overlap and are among those of one cell of a Measure (`of`); `left` says who of
    it is in none of them. A part is a cell of a Measure, or what is left of another such whole.

    The cells are `eligible`; `followed` and `missing`, of whom it is known or not; `having` and `not`.
    """

    of: str
    parts: tuple[str, ...]
    left: str


@dataclass(frozen=True, slots=True)
class Measure:
    """One Measure as it ships. `notation` is increase, decrease, or empty where neither is better by itself;
    `dimensions` are what it can be stratified by; `within_days` the limits of waits; `days` the time before and after;
    `among` who of other Measures is among its people by definition.
    """

    id: str
    title: str
    purpose: str
    kind: Kind
    criteria: Criteria
    denominator: str
    numerator: str
    notation: str
    source: str
    version: str
    date: str
    dimensions: tuple[str, ...]
    within_days: tuple[int, ...] = ()
    unit: str = ""
    days: int = 0
    among: tuple[Among, ...] = ()


class Figure(NamedTuple):
    """What is said of one group. None where nobody is there to say it of, or where it may not be said.

    `score` is the share, median wait (days), mean, or ratio of use; `followed` those of the eligible with a known
    outcome, and `lowest` and `highest` the share if none, or all, of the others had it.
    """

    eligible: int | None
    followed: int | None
    having: int | None
    score: Interval | None
    completeness: Interval | None = None
    lowest: float | None = None
    highest: float | None = None
    waits: Waits | None = None
    use: Change | None = None
    cost: Decimal | None = None
    is_withheld: bool = False


def added(tallies: Iterable[Tally]) -> Tally:
    """The tally of all of them together."""
    found: dict[str, Decimal] = {}
    for tally in tallies:
        for name, count in tally.items():
            found[name] = found.get(name, Decimal(0)) + count
    return found


def is_tally(measure: Measure, tally: Tally) -> bool:
    """Whether this is what is counted for the Measure: known names, and parts that are no more than the whole."""
    if any(not count.is_finite() or count < 0 for name, count in tally.items() if name != SUM):
        return False
    if measure.kind is Kind.WAITS:
        names = (name.partition(" ") for name in tally)
        return all(state in _STATES and days.isascii() and days.isdecimal() for state, _, days in names)
    eligible, followed, having = (tally.get(name, Decimal(0)) for name in (ELIGIBLE, FOLLOWED, HAVING))
    known = {ELIGIBLE, FOLLOWED, HAVING, SUM, SQUARES, BEFORE, AFTER}
    return tally.keys() <= known and having <= followed <= eligible


def nobody_counted(measure: Measure) -> Tally:
    """The tally of who has counted and found nobody."""
    return {wait_name(BEGUN, 0) if measure.kind is Kind.WAITS else ELIGIBLE: Decimal(0)}


def wait_name(state: str, days: int) -> str:
    """The name in a tally of those in this state after so many days."""
    return f"{state} {days}"


def waits_in(tally: Tally) -> list[WaitsOfDay]:
    """The waits of a tally by day."""
    by_day: dict[int, list[int]] = {}
    for name, count in tally.items():
        state, _, days = name.partition(" ")
        if days:
            by_day.setdefault(int(days), [0, 0, 0])[_STATES.index(state)] += int(count)
    return [WaitsOfDay(days, *counts) for days, counts in sorted(by_day.items())]


def cells(measure: Measure, tally: Tally) -> tuple[int, ...]:
    """The people of a group in parts that do not overlap: what must not be small where it is published."""
    if measure.kind is Kind.WAITS:
        return _wait_cells(measure, tally)
    eligible, followed, having = (int(tally.get(name, 0)) for name in (ELIGIBLE, FOLLOWED, HAVING))
    if measure.kind in {Kind.MEAN, Kind.USE}:
        return (followed, eligible - followed)
    return (having, followed - having, eligible - followed)


def _wait_cells(measure: Measure, tally: Tally) -> tuple[int, ...]:
    """By state, and by the limits that the published shares are about."""
    begun, waiting = ([0] * (len(measure.within_days) + 1) for _ in (BEGUN, WAITING))
    left = 0
    for name, count in tally.items():
        state, _, days = name.partition(" ")
        if state == LEFT:
            left += int(count)
        elif days:
            place = bisect_left(measure.within_days, int(days))
            (begun if state == BEGUN else waiting)[place] += int(count)
    return (*begun, *waiting, left)


def figure(measure: Measure, tally: Tally) -> Figure:
    """What is said of a group, as it was counted."""
    eligible, followed, having = (int(tally.get(name, 0)) for name in (ELIGIBLE, FOLLOWED, HAVING))
    complete = share_of(Group(followed, eligible))
    match measure.kind:
        case Kind.SHARE:
            bounds = (having / eligible, (having + eligible - followed) / eligible) if eligible else (None, None)
            return Figure(eligible, followed, having, share_of(Group(having, followed)), complete, *bounds)
        case Kind.WAITS:
            return _waits(measure, tally)
        case Kind.MEAN:
            return Figure(eligible, followed, None, _mean(tally, followed), complete)
        case Kind.COST:
            return Figure(eligible, followed, having, None, complete, cost=_cost(tally, having))
        case Kind.USE:
            return _use(measure, tally, followed)


def _waits(measure: Measure, tally: Tally) -> Figure:
    found = summarise(waits_in(tally), targets_days=measure.within_days)
    middle = found.percentiles_days[0.5]
    score = None if middle is None else Interval(middle, middle, middle)
    return Figure(found.people, found.people, found.begun, score, waits=found)


def _mean(tally: Tally, count: int) -> Interval | None:
    """The mean with the interval of the normal distribution; with one value alone there is no interval to give."""
    if not count:
        return None
    mean = float(tally[SUM]) / count
    if count == 1:
        return Interval(mean, mean, mean)
    variance = max(0.0, (float(tally[SQUARES]) - count * mean * mean) / (count - 1))
    reach = Z95 * sqrt(variance / count)
    return Interval(mean, mean - reach, mean + reach)


def _cost(tally: Tally, outcomes: int) -> Decimal | None:
    total = tally.get(SUM, Decimal(0)).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    return cost_per(total, outcomes)


def _use(measure: Measure, tally: Tally, people: int) -> Figure:
    if not people:
        return Figure(0, 0, None, None)
    days = float(people * measure.days)
    change = before_and_after(
        Exposure(int(tally.get(BEFORE, 0)), days), Exposure(int(tally.get(AFTER, 0)), days)
    )  # fmt: skip
    return Figure(people, people, None, change.ratio, use=change)


def shown(measure: Measure, tally: Tally, visible: tuple[bool, ...], total_is_visible: bool) -> Figure:
    """What may be said of a group: `visible` says it of each of its `cells`, then of their sum.

    A rate is said when everything that it is made of is.
    """
    if measure.kind is Kind.WAITS and not (all(visible) and total_is_visible):
        people = int(sum(tally.values())) if total_is_visible else None
        return Figure(people, people, None, None, is_withheld=True)
    whole = figure(measure, tally)
    if all(visible) and total_is_visible and not _tells_of_few(tally):
        return whole
    if all(visible) and total_is_visible:
        return whole._replace(having=None, score=None, use=None, is_withheld=True)
    *parts, missing = visible
    followed_is_visible = all(parts) or (missing and total_is_visible)
    return Figure(
        whole.eligible if total_is_visible else None,
        whole.followed if followed_is_visible else None,
        whole.having if parts[0] and measure.kind not in {Kind.MEAN, Kind.USE} else None,
        whole.score if all(parts) else None,
        whole.completeness if followed_is_visible and total_is_visible else None,
        cost=whole.cost if all(parts) else None,
        use=whole.use if all(parts) and total_is_visible and not _tells_of_few(tally) else None,
        is_withheld=True,
    )


def _tells_of_few(tally: Tally, below: int = 5) -> bool:
    """Whether events are so few that each may be somebody's."""
    return any(0 < tally.get(name, 0) < below for name in (BEFORE, AFTER))
