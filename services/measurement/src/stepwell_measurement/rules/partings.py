"""How a measure divides the people that it is about into parts, and the tables that its counts make: what adds up in
what is published of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stepwell_measurement.rules.measures.figures import Kind, Measure, Tally, added, cells
from stepwell_measurement.rules.publishing import Key, Table

MONTH, QUARTER, TIER, PRACTICE = "month", "quarter", "tier", "practice"
PERIOD, BEFORE_PERIOD = frozenset({("period", "this")}), frozenset({("period", "before")})
NOBODY_APART: Key = frozenset()

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


@dataclass(frozen=True)
class Parting:
    """Into which parts a measure divides people; `name` is what others that know the same of them call it too, and `of`
    what marks these people among others, `within` those of the first half, where others are between the two."""

    measure: Measure
    name: str
    of: Key = NOBODY_APART
    within: Key = NOBODY_APART

    def parts(self) -> list[Key]:
        """What is added to the key of a group for each of its `cells`, in their order."""
        keys = []
        for half, of in zip(halves(self.measure, {}), ("yes", "no"), strict=True):
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
            months, tiers = sides(counts)
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
        counted = [halves(self.measure, tally) for _, tally in in_order]
        yield Table(period, rows, tuple(self.parts()), tuple((*known, *others) for known, others in counted))
        if len(self.parts()) == 2:
            return
        columns = (key_of(self.name, "yes"), key_of(self.name, "no"))
        yield Table(period, rows, columns, tuple((sum(known), sum(others)) for known, others in counted))
        for side, of in enumerate(("yes", "no")):
            within = self._within(of, len(counted[0][side]))
            if len(within) > 1:
                yield Table(period | key_of(self.name, of), rows, within, tuple(each[side] for each in counted))


def halves(measure: Measure, tally: Tally) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The cells of a group: those of whom it is known (or for whom it is over), and the others."""
    found = cells(measure, tally)
    if measure.kind is Kind.WAITS:
        limits = len(measure.within_days) + 1
        return found[:limits], found[limits:]
    if measure.kind is Kind.SHARE and not measure.criteria.followed:
        return found[:1], found[1:]
    return found[:-1], found[-1:]


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
