"""The figures of a dashboard as they are published, and how they come from what was counted.

All tables of measures about the same people, or about people within others, are published together, so that no page
gives away what another one keeps back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import permutations
from typing import NamedTuple

from stepwell_measurement.rules.curves import curve
from stepwell_measurement.rules.measures.control_charts import Count, Point, p_chart
from stepwell_measurement.rules.measures.figures import (
    ELIGIBLE,
    FOLLOWED,
    Criteria,
    Figure,
    Kind,
    Measure,
    Tally,
    added,
    cells,
    figure,
    shown,
)
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.publishing import Key, Table, published
from stepwell_measurement.rules.tallies import told_tally

BASELINE_MIN = 6
"""So few months before a change set no limits: a product default, as too few points make limits that mean nothing."""

MONTH, QUARTER, TIER, PRACTICE = "month", "quarter", "tier", "practice"
PERIOD, BEFORE_PERIOD = frozenset({("period", "this")}), frozenset({("period", "before")})
NOBODY_APART: Key = frozenset()
_AMONG = Measure("", "", "", Kind.MEAN, Criteria("", "", ""), "", "", "", "", "", "", ())

Tallies = Mapping[str, Tally]
"""What was counted of each group of one dimension."""


class Group(NamedTuple):
    """One group of a dimension, and what is published of it."""

    value: str
    figure: Figure
    # of waits: the share for whom it is over, by day
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


@dataclass(frozen=True)
class Counts:
    """What was counted of a measure: of all in the period, by month of it, in the months before it, by dimension; how
    many people of each month (first) there are at each tier (second); and by quarter of the period and practice."""

    whole: Tally
    months: Tallies = field(default_factory=dict)
    before: Tallies = field(default_factory=dict)
    by: Mapping[str, Tallies] = field(default_factory=dict)
    mix: Mapping[tuple[str, str], int] = field(default_factory=dict)
    practices: Mapping[str, Tallies] = field(default_factory=dict)

    def months_of_quarters(self) -> dict[str, dict[str, Tally]]:
        """The months of the period by their quarter; the first and the last quarter may not be whole."""
        found: dict[str, dict[str, Tally]] = {}
        for month, tally in self.months.items():
            found.setdefault(quarter_of(month), {})[month] = tally
        return found

    def quarters(self) -> dict[str, Tally]:
        """What was counted in each quarter of the period."""
        return {quarter: added(months.values()) for quarter, months in self.months_of_quarters().items()}


def sheets_of(counted: Sequence[tuple[Measure, Counts]], below: int = SMALL_BELOW) -> dict[str, Sheet]:
    """What may be published of measures, by their id. Those about the same people are published together.

    Raises ValueError when what was counted of them is not about the same people.
    """
    found: dict[str, Sheet] = {}
    for population in dict.fromkeys(population_of(measure) for measure, _ in counted):
        together = [each for each in counted if population_of(each[0]) == population]
        partings = _partings(together)
        shared = published(tables_of(together), below)
        for parting, counts in partings:
            found[parting.measure.id] = _sheet(parting, counts, shared, below)
    return found


def tables_of(counted: Sequence[tuple[Measure, Counts]]) -> list[Table]:
    """Everything that adds up in what `sheets_of` publishes of measures about the same people: what an attacker has."""
    partings = [*_partings(counted), *_within_others(counted)]
    return [table for parting, counts in partings for table in parting.tables(counts)]


def parts_of(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, list[Key]]:
    """What is added to the key of a group for each of the `cells` of a measure, by its id."""
    return {each.measure.id: [each.of | part for part in each.parts()] for each, _ in _partings(counted)}


def population_of(measure: Measure) -> str:
    """What tells apart of which rows people are counted: measures of one are about the same people, or some of them."""
    return f"{measure.criteria.table}/{measure.criteria.on}"


def _is_within(some: str, others: str) -> bool:
    """Whether who is counted by one criterion is counted by another one too, as it only adds to it."""
    return some.startswith(f"{others} AND ")


def _partings(counted: Sequence[tuple[Measure, Counts]]) -> list[tuple["_Parting", Counts]]:
    """How each measure divides the people that it is about, who are a part of those of others."""
    names = _alike(counted)
    outer = {each.criteria.eligible: _members(each, counted, names) for each, _ in counted}
    found = []
    for measure, counts in counted:
        eligible = measure.criteria.eligible
        marks = [mark for criterion, mark in outer.items() if eligible == criterion or _is_within(eligible, criterion)]
        found.append((_Parting(measure, names[measure.id], NOBODY_APART.union(*marks)), counts))
    return found


def _members(measure: Measure, counted: Sequence[tuple[Measure, Counts]], names: Mapping[str, str]) -> Key:
    """What marks the people of a measure among others: the cell of another measure that counts just them, if any."""
    eligible = measure.criteria.eligible
    if not any(_is_within(eligible, other.criteria.eligible) for other, _ in counted):
        return NOBODY_APART
    same = (
        names[other.id]
        for other, _ in counted
        if not other.criteria.followed and eligible == f"{other.criteria.eligible} AND {other.criteria.having}"
    )
    return key_of(next(same, eligible), "yes")


def _within_others(counted: Sequence[tuple[Measure, Counts]]) -> Iterator[tuple["_Parting", Counts]]:
    """People within others, and who of the others is not among them: nobody sees these told, but a difference is."""
    first = {each.measure.criteria.eligible: (each, counts) for each, counts in reversed(_partings(counted))}
    for (_, (some, inner)), (_, (others, outer)) in permutations(first.items(), 2):
        if _is_within(some.measure.criteria.eligible, others.measure.criteria.eligible):
            ((mark, _),) = _members(some.measure, counted, _alike(counted))
            yield _Parting(_AMONG, mark, others.of, some.of), _among(others.measure, outer, some.measure, inner)


def _among(measure: Measure, outer: Counts, inner_measure: Measure, inner: Counts) -> Counts:
    """Of each group of the outer people, how many are among the inner ones. Raises ValueError where more are."""

    def tally(whole: Tally, part: Tally) -> Tally:
        people, those = sum(cells(measure, whole)), sum(cells(inner_measure, part))
        if those > people:
            raise ValueError("there are more people within a group than the group has")
        return {ELIGIBLE: Decimal(people), FOLLOWED: Decimal(those)}

    def each(wholes: Tallies, parts: Tallies) -> Tallies:
        return {value: tally(whole, parts.get(value, {})) for value, whole in wholes.items()}

    def nested(wholes: Mapping[str, Tallies], parts: Mapping[str, Tallies]) -> dict[str, Tallies]:
        return {name: each(tallies, parts.get(name, {})) for name, tallies in wholes.items()}

    return Counts(
        tally(outer.whole, inner.whole),
        each(outer.months, inner.months),
        each(outer.before, inner.before),
        nested({name: tallies for name, tallies in outer.by.items() if name in inner.by}, inner.by),
        practices=nested(outer.practices, inner.practices),
    )


def _sheet(parting: "_Parting", counts: Counts, shared: Mapping[Key, int | None], below: int) -> Sheet:
    measure, period, before = parting.measure, PERIOD | parting.of, BEFORE_PERIOD | parting.of

    def group(of: Key, value: str, tally: Tally) -> Group:
        parts = tuple(shared[of | part] is not None for part in parting.parts())
        found = _shown(measure, tally, parts, is_visible=shared[of] is not None)
        return Group(value, found, curve(measure, tally, below) if found.waits is not None else ())

    def groups(of: Key, dimension: str, tallies: Tallies) -> tuple[Group, ...]:
        return tuple(group(of | key_of(dimension, value), value, tally) for value, tally in sorted(tallies.items()))

    def plain(of: Key, dimension: str, tallies: Tallies) -> tuple[Group, ...]:
        return tuple(each._replace(curve=()) for each in groups(of, dimension, tallies))

    def told(parts: tuple[Group, ...], tallies: Tallies) -> tuple[Group, ...]:
        return tuple(each._replace(tally=told_tally(measure, tallies[each.value], each.figure)) for each in parts)

    within = told(groups(period, MONTH, counts.months), counts.months)
    months = groups(before, MONTH, counts.before) + within
    by = {name: groups(period, name, tallies) for name, tallies in counts.by.items()}
    quarters = told(plain(period, QUARTER, counts.quarters()), counts.quarters())
    practices = {
        quarter: plain(period | key_of(QUARTER, quarter), PRACTICE, tallies)
        for quarter, tallies in counts.practices.items()
    }
    return Sheet(group(period, "", counts.whole), months, by, _mix(counts, shared, period), quarters, practices)


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
    months, tiers = _sides(counts)
    rows = [
        Mixed(month, tuple(shared[period | key_of(MONTH, month) | key_of(TIER, tier)] for tier in tiers))
        for month in months
    ]
    return Mix(tuple(tiers), tuple(rows))


def _sides(counts: Counts) -> tuple[list[str], list[str]]:
    return sorted({month for month, _ in counts.mix}), sorted({tier for _, tier in counts.mix})


def key_of(name: str, value: str) -> Key:
    """Who belongs to a group of a dimension; who belongs to a month belongs to its quarter."""
    return frozenset({(name, value), (QUARTER, quarter_of(value))} if name == MONTH else {(name, value)})


def quarter_of(month: str) -> str:
    """The quarter of a month such as 2026-05: 2026-Q2."""
    year, _, number = month.partition("-")
    return f"{year}-Q{(int(number) + 2) // 3}"


def _alike(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, str]:
    """What two measures know alike everywhere (the outcome of the same people, who has begun) has one name: it is one
    cell of both, so that neither gives away what the other keeps back."""
    known: dict[tuple[str, tuple[tuple[str, str, int], ...]], str] = {}
    names: dict[str, str] = {}
    for measure, counts in counted:
        everywhere = {"": {"": counts.whole}, MONTH: counts.months, **counts.by}
        halves = tuple(
            (dimension, value, sum(_halves(measure, tally)[0]))
            for dimension, tallies in sorted(everywhere.items())
            for value, tally in sorted(tallies.items())
        )
        names[measure.id] = known.setdefault((measure.criteria.eligible, halves), measure.id)
    return names


def _halves(measure: Measure, tally: Tally) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The cells of a group: those of whom it is known (or for whom it is over), and the others."""
    found = cells(measure, tally)
    if measure.kind is Kind.WAITS:
        limits = len(measure.within_days) + 1
        return found[:limits], found[limits:]
    if measure.kind is Kind.SHARE and not measure.criteria.followed:
        return found[:1], found[1:]
    return found[:-1], found[-1:]


@dataclass(frozen=True)
class _Parting:
    """Into which parts a measure divides people; `name` is what others that know the same of them call it too, and `of`
    what marks these people among others, `within` those of the first half, where others are between the two."""

    measure: Measure
    name: str
    of: Key = NOBODY_APART
    within: Key = NOBODY_APART

    def parts(self) -> list[Key]:
        """What is added to the key of a group for each of its `cells`, in their order."""
        keys = []
        for half, of in zip(_halves(self.measure, {}), ("yes", "no"), strict=True):
            within = self.within if of == "yes" else NOBODY_APART
            keys += [key_of(self.name, of) | within | part for part in self._within(of, len(half))]
        return keys

    def _within(self, of: str, many: int) -> tuple[Key, ...]:
        """The parts of one half; one part alone is that half."""
        if many == 1:
            return (NOBODY_APART,)
        return tuple(key_of(f"{self.measure.id} {of}", str(place)) for place in range(many))

    def tables(self, counts: Counts) -> Iterator[Table]:
        """Each dimension by the parts, as a whole and half by half."""
        period, before = PERIOD | self.of, BEFORE_PERIOD | self.of
        yield from self._of(period, "", {"": counts.whole})
        # The months of each quarter make it up, and the quarters the period.
        for quarter, within in counts.months_of_quarters().items():
            yield from self._of(period | key_of(QUARTER, quarter), MONTH, within)
        for dimension, tallies in {QUARTER: counts.quarters(), **counts.by}.items():
            yield from self._of(period, dimension, tallies)
        yield from self._practices(counts, period)
        yield from self._of(before, MONTH, counts.before)
        if counts.mix:
            months, tiers = _sides(counts)
            rows, columns = (tuple(key_of(MONTH, each) for each in months), tuple(key_of(TIER, each) for each in tiers))
            inner = tuple(tuple(counts.mix.get((month, tier), 0) for tier in tiers) for month in months)
            yield Table(period, rows, columns, inner)

    def _practices(self, counts: Counts, period: Key) -> Iterator[Table]:
        """Quarters by practice: each quarter by its practices, and each practice by its quarters."""
        own: dict[str, dict[str, Tally]] = {}
        for quarter, tallies in counts.practices.items():
            yield from self._of(period | key_of(QUARTER, quarter), PRACTICE, tallies)
            for practice, tally in tallies.items():
                own.setdefault(practice, {})[quarter] = tally
        for practice, quarters in own.items():
            yield from self._of(period | key_of(PRACTICE, practice), QUARTER, quarters)

    def _of(self, period: Key, dimension: str, tallies: Tallies) -> Iterator[Table]:
        if not tallies:
            return
        in_order = sorted(tallies.items())
        rows = tuple(key_of(dimension, value) if dimension else NOBODY_APART for value, _ in in_order)
        halves = [_halves(self.measure, tally) for _, tally in in_order]
        yield Table(period, rows, tuple(self.parts()), tuple((*known, *others) for known, others in halves))
        if len(self.parts()) == 2:
            return
        columns = (key_of(self.name, "yes"), key_of(self.name, "no"))
        yield Table(period, rows, columns, tuple((sum(known), sum(others)) for known, others in halves))
        for side, of in enumerate(("yes", "no")):
            within = self._within(of, len(halves[0][side]))
            if len(within) > 1:
                yield Table(period | key_of(self.name, of), rows, within, tuple(each[side] for each in halves))


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
