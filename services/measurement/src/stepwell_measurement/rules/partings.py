"""How a measure divides the people that it is about into parts, and the tables that its counts make: what adds up in
what is published of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stepwell_measurement.rules.measures.figures import AFTER, BEFORE, ELIGIBLE, Kind, Measure, Tally, added, cells
from stepwell_measurement.rules.numbering import Key, Table

MONTH, QUARTER, TIER, PRACTICE = "month", "quarter", "tier", "practice"
PERIOD, BEFORE_PERIOD = frozenset({("period", "this")}), frozenset({("period", "before")})
NOBODY_APART: Key = frozenset()
EVENTS: Key = frozenset({("counted", "events")})

Tallies = Mapping[str, Tally]
"""What was counted of each group of one dimension."""


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

    def groupings(self) -> Iterator[tuple[Key, str, Tallies]]:
        """Everybody, and each dimension by which people are told apart, with who they are a part of."""
        yield PERIOD, "", {"": self.whole}
        # The months of each quarter make it up, and the quarters the period.
        for quarter, months in self.months_of_quarters().items():
            yield PERIOD | key_of(QUARTER, quarter), MONTH, months
        for dimension, tallies in {QUARTER: self.quarters(), **self.by}.items():
            if tallies:
                yield PERIOD, dimension, tallies
        # Quarters by practice: each quarter by its practices, and each practice by its quarters.
        own: dict[str, dict[str, Tally]] = {}
        for quarter, tallies in self.practices.items():
            yield PERIOD | key_of(QUARTER, quarter), PRACTICE, tallies
            for practice, tally in tallies.items():
                own.setdefault(practice, {})[quarter] = tally
        for practice, quarters in own.items():
            yield PERIOD | key_of(PRACTICE, practice), QUARTER, quarters
        if self.before:
            yield BEFORE_PERIOD, MONTH, self.before

    def groups(self) -> dict[Key, Tally]:
        """What was counted of each group, however it is told apart."""
        return {
            of | row: tally
            for of, dimension, tallies in self.groupings()
            for row, (_, tally) in zip(rows_of(dimension, tallies), sorted(tallies.items()), strict=True)
        }


@dataclass(frozen=True)
class Parting:
    """Into which parts a measure divides people; `name` is what others that know the same of them call it too, `of`
    what marks these people among others, and `within` what else marks those of its halves and parts, by their names."""

    measure: Measure
    name: str
    of: Key = NOBODY_APART
    within: Mapping[str, Key] = field(default_factory=dict)

    def parts(self) -> list[Key]:
        """What is added to the key of a group for each of its `cells`, in their order."""
        return [half | part for half, parts in self._sides() for part in parts]

    def _sides(self) -> list[tuple[Key, tuple[Key, ...]]]:
        """What marks each half, and the parts of it; one part alone is that half."""
        found = []
        names = zip(("yes", "no"), half_names(self.measure), part_names(self.measure), strict=True)
        for side, half, several in names:
            parts = tuple(
                key_of(f"{self.measure.id} {side}", str(place)) | self.within.get(name, NOBODY_APART)
                for place, name in enumerate(several)
            )
            marked = key_of(self.name, side) | self.within.get(half, NOBODY_APART)
            found.append((marked, parts if len(parts) > 1 else (NOBODY_APART,)))
        return found

    def events(self) -> tuple[Key, ...]:
        """What is added to the key of a group for the events of its people, before and after."""
        return tuple(EVENTS | key_of("when", each) for each in (BEFORE, AFTER)) if self.measure.kind is Kind.USE else ()

    def tables(self, counts: Counts) -> Iterator[Table]:
        """Each dimension by the parts, as a whole and half by half; and by events, each of which may be somebody's."""
        for of, dimension, tallies in counts.groupings():
            rows, in_order = rows_of(dimension, tallies), [each for _, each in sorted(tallies.items())]
            yield from self._of(of | self.of, rows, in_order)
            if events := self.events():
                told = tuple(tuple(int(each.get(name, 0)) for name in (BEFORE, AFTER)) for each in in_order)
                yield Table(of | self.of | EVENTS, rows, events, told)
        if counts.mix:
            months, tiers = sides(counts)
            rows, columns = (tuple(key_of(MONTH, each) for each in months), tuple(key_of(TIER, each) for each in tiers))
            inner = tuple(tuple(counts.mix.get((month, tier), 0) for tier in tiers) for month in months)
            yield Table(PERIOD | self.of, rows, columns, inner)

    def _of(self, of: Key, rows: tuple[Key, ...], tallies: Sequence[Tally]) -> Iterator[Table]:
        counted = [halves(self.measure, tally) for tally in tallies]
        yield Table(of, rows, tuple(self.parts()), tuple((*known, *others) for known, others in counted))
        if len(self.parts()) == 2:
            return
        columns = tuple(half for half, _ in self._sides())
        yield Table(of, rows, columns, tuple((sum(known), sum(others)) for known, others in counted))
        for side, (half, parts) in enumerate(self._sides()):
            if len(parts) > 1:
                yield Table(of | half, rows, parts, tuple(each[side] for each in counted))


def halves(measure: Measure, tally: Tally) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The cells of a group: those of whom it is known (or for whom it is over), and the others."""
    found = cells(measure, tally)
    if measure.kind is Kind.WAITS:
        limits = len(measure.within_days) + 1
        return found[:limits], found[limits:]
    if measure.kind is Kind.SHARE and not measure.criteria.followed:
        return found[:1], found[1:]
    return found[:-1], found[-1:]


def half_names(measure: Measure) -> tuple[str, str]:
    """What the two halves are called: those of whom it is known and the others, or those who have it and the others."""
    return (
        ("having", "not") if measure.kind is Kind.SHARE and not measure.criteria.followed else ("followed", "missing")
    )


def part_names(measure: Measure) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the cells within each half are called; empty where nothing is said of them by name."""
    known, others = halves(measure, {})
    named = ("having", "not") if measure.criteria.having and len(known) > 1 else ("",) * len(known)
    return named, ("",) * len(others)


def people_in(measure: Measure, cell: str, tally: Tally) -> int:
    """How many people are in a cell of a group, by the name of a half or a part; `eligible` are all."""
    known, others = halves(measure, tally)
    named = dict(zip(part_names(measure)[0], known, strict=True))
    named |= dict(zip(half_names(measure), (sum(known), sum(others)), strict=True))
    return {**named, ELIGIBLE: sum(known) + sum(others)}[cell]


def rows_of(dimension: str, tallies: Tallies) -> tuple[Key, ...]:
    """The keys of the groups of a dimension in order; everybody is of none."""
    return tuple(key_of(dimension, value) if dimension else NOBODY_APART for value in sorted(tallies))


def key_of(name: str, value: str) -> Key:
    """Who belongs to a group of a dimension; who belongs to a month belongs to its quarter."""
    return frozenset({(name, value), (QUARTER, quarter_of(value))} if name == MONTH else {(name, value)})


def quarter_of(month: str) -> str:
    """The quarter of a month such as 2026-05: 2026-Q2."""
    year, _, number = month.partition("-")
    return f"{year}-Q{(int(number) + 2) // 3}"


def sides(counts: Counts) -> tuple[list[str], list[str]]:
    """The months and the tiers by which people are told apart at once."""
    return sorted({month for month, _ in counts.mix}), sorted({tier for _, tier in counts.mix})
