"""Measures about the same people, and about people within others: what is published of them is decided together, so
that no page gives away what another one keeps back."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import permutations

from stepwell_measurement.rules.measures.figures import ELIGIBLE, FOLLOWED, Criteria, Kind, Measure, Tally, cells
from stepwell_measurement.rules.partings import MONTH, NOBODY_APART, Counts, Parting, Tallies, halves, key_of
from stepwell_measurement.rules.publishing import Key, Table

_AMONG = Measure("", "", "", Kind.MEAN, Criteria("", "", ""), "", "", "", "", "", "", ())


def tables_of(counted: Sequence[tuple[Measure, Counts]]) -> list[Table]:
    """Everything that adds up in what `sheets_of` publishes of measures about the same people: what an attacker has."""
    found = [*partings(counted), *_within_others(counted)]
    return [table for parting, counts in found for table in parting.tables(counts)]


def parts_of(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, list[Key]]:
    """What is added to the key of a group for each of the `cells` of a measure, by its id."""
    return {each.measure.id: [each.of | part for part in each.parts()] for each, _ in partings(counted)}


def population_of(measure: Measure) -> str:
    """What tells apart of which rows people are counted: measures of one are about the same people, or some of them."""
    return f"{measure.criteria.table}/{measure.criteria.on}"


def partings(counted: Sequence[tuple[Measure, Counts]]) -> list[tuple[Parting, Counts]]:
    """How each measure divides the people that it is about, who are a part of those of others."""
    names = _alike(counted)
    outer = {each.criteria.eligible: _members(each, counted, names) for each, _ in counted}
    found = []
    for measure, counts in counted:
        eligible = measure.criteria.eligible
        marks = [mark for criterion, mark in outer.items() if eligible == criterion or _is_within(eligible, criterion)]
        found.append((Parting(measure, names[measure.id], NOBODY_APART.union(*marks)), counts))
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


def _is_within(some: str, others: str) -> bool:
    """Whether who is counted by one criterion is counted by another one too, as it only adds to it."""
    return some.startswith(f"{others} AND ")


def _within_others(counted: Sequence[tuple[Measure, Counts]]) -> Iterator[tuple[Parting, Counts]]:
    """People within others, and who of the others is not among them: nobody sees these told, but a difference is."""
    first = {each.measure.criteria.eligible: (each, counts) for each, counts in reversed(partings(counted))}
    for (_, (some, inner)), (_, (others, outer)) in permutations(first.items(), 2):
        if _is_within(some.measure.criteria.eligible, others.measure.criteria.eligible):
            ((mark, _),) = _members(some.measure, counted, _alike(counted))
            yield Parting(_AMONG, mark, others.of, some.of), _among(others.measure, outer, some.measure, inner)


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


def _alike(counted: Sequence[tuple[Measure, Counts]]) -> dict[str, str]:
    """What two measures know alike everywhere (the outcome of the same people, who has begun) has one name: it is one
    cell of both, so that neither gives away what the other keeps back."""
    known: dict[tuple[str, tuple[tuple[str, str, int], ...]], str] = {}
    names: dict[str, str] = {}
    for measure, counts in counted:
        everywhere = {"": {"": counts.whole}, MONTH: counts.months, **counts.by}
        known_half = tuple(
            (dimension, value, sum(halves(measure, tally)[0]))
            for dimension, tallies in sorted(everywhere.items())
            for value, tally in sorted(tallies.items())
        )
        names[measure.id] = known.setdefault((measure.criteria.eligible, known_half), measure.id)
    return names
