"""Measures about the same people, about people within others, and people of whom one finds what implies what another
finds: what is published of them is decided together, so that no page gives away what another one keeps back."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from math import inf
from typing import NamedTuple

from stepwell_measurement.rules.measures.figures import ELIGIBLE, Measure, Tally
from stepwell_measurement.rules.numbering import Key, Table
from stepwell_measurement.rules.partings import (
    NOBODY_APART,
    Counts,
    Parting,
    half_names,
    halves,
    key_of,
    part_names,
    people_in,
)

Counted = Sequence[tuple[Measure, Counts]]

LEFT = "left"
"""What marks people whom no page counts: who of others is not among some."""

_Who = tuple[str, ...]
"""Which people, of whatever group: a criterion alone, with what is known of them, a cell of a Measure, who is left."""


class _Whole(NamedTuple):
    """People, parts of them that do not overlap, and what marks those who are in none."""

    whole: _Who
    parts: tuple[_Who, ...]
    left: _Who
    mark: Key


def tables_of(counted: Counted) -> list[Table]:
    """Everything that adds up in what `sheets_of` publishes of measures about the same people: what an attacker has.

    Raises ValueError as `People.tables` does.
    """
    return list(People(counted).tables(inf))


def parts_of(counted: Counted) -> dict[str, list[Key]]:
    """What is added to the key of a group for each of the `cells` of a measure, by its id."""
    return {each.measure.id: [each.of | part for part in each.parts()] for each, _ in People(counted).partings()}


def population_of(measure: Measure) -> str:
    """What tells apart of which rows people are counted: measures of one are about the same people, or some of them."""
    return f"{measure.criteria.table}/{measure.criteria.on}"


class People:
    """Who is counted by measures, and who is among whom: by a criterion that only adds to another one, or by what the
    measures say themselves (`among`). People within others bear their mark too, so that all tables speak of one cell.
    """

    def __init__(self, counted: Counted) -> None:
        self._counted = {measure.id: (measure, counts) for measure, counts in counted}
        self._names = _alike(counted)
        self._said = {each.left: (measure, each) for measure, _ in counted for each in measure.among}
        self._marks: dict[_Who, Key] = {}
        self._within: dict[_Who, list[_Who]] = {}
        # In which cell of which measure people are counted.
        self._cells: dict[_Who, tuple[str, str]] = {}
        for measure, _ in counted:
            self._know(measure)
        self._wholes = [*self._by_criteria(), *self._by_definition()]
        for each in self._wholes:
            self._marks[each.left] = each.mark
            for part in (*each.parts, each.left):
                if len(part) == 1:
                    self._marks[part] = key_of(self._name_of(*part), "yes")
                self._within.setdefault(part, []).append(each.whole)

    def partings(self) -> list[tuple[Parting, Counts]]:
        """How each measure divides the people that it is about, who are a part of those of others."""
        found = []
        for measure, counts in self._counted.values():
            names = (*half_names(measure), *filter(None, part_names(measure)[0]))
            within = {name: self._marks_of(self._who(f"{measure.id} {name}")) for name in names}
            of = self._marks_of((measure.criteria.eligible,))
            found.append((Parting(measure, self._names[measure.id], of, within), counts))
        return found

    def tables(self, below: float) -> Iterator[Table]:
        """Everything that adds up in what is published of them; of people within others only what differences smaller
        than `below` add up to, as nobody is shown those and larger ones may be known.

        Raises ValueError when more people are among others than these are: they were not counted at one time.
        """
        for parting, counts in self.partings():
            yield from parting.tables(counts)
        yield from self._differences(below)

    def _differences(self, below: float) -> Iterator[Table]:
        """Of each group, people among others, and who of the others is none of them."""
        people_of = _Headcounts(self._counted, self._cells, self._wholes)
        for each in self._wholes:
            columns = tuple(map(self._marks_of, (*each.parts, each.left)))
            of = self._marks_of(each.whole)
            parts, left = [people_of(part) for part in each.parts], people_of(each.left)
            asked = [left, *(people_of(other.left) for other in self._wholes if each.left in other.parts)]
            for group, people in left.items():
                if people < 0:
                    raise ValueError("there are more people within a group than the group has")
                if any(0 < those.get(group, 0) < below for those in asked):
                    counts = (*(part.get(group, 0) for part in parts), people)
                    yield Table(group | of, (NOBODY_APART,), columns, (counts,))

    def _marks_of(self, who: _Who) -> Key:
        return self._marks.get(who, NOBODY_APART).union(*map(self._marks_of, self._within.get(who, ())))

    def _know(self, measure: Measure) -> None:
        """The people of a measure, its halves, and what parts of these have a name."""

        def tell(cell: str, mark: Key, within: Sequence[_Who]) -> _Who:
            who = self._who(f"{measure.id} {cell}")
            self._marks[who], self._within[who] = mark, list(within)
            self._cells[who] = measure.id, cell
            return who

        everybody = tell(ELIGIBLE, NOBODY_APART, ())
        for side, half, parts in zip(("yes", "no"), half_names(measure), part_names(measure), strict=True):
            those = tell(half, key_of(self._names[measure.id], side), [everybody])
            for place, part in enumerate(parts):
                if part:
                    tell(part, key_of(f"{measure.id} {side}", str(place)), [those])

    def _who(self, part: str) -> _Who:
        """Who is meant by `recovery having`, or by what is said of who is left."""
        name, _, cell = part.partition(" ")
        if part in self._said or name not in self._counted:
            return (LEFT, part)
        measure, _ = self._counted[name]
        if cell == ELIGIBLE:
            return (measure.criteria.eligible,)
        if cell in half_names(measure):
            return (measure.criteria.eligible, self._names[name], cell)
        return (name, cell)

    def _by_criteria(self) -> Iterator[_Whole]:
        """People within others, as a criterion adds to another one; who is not among them may be a cell already."""
        criteria = dict.fromkeys(measure.criteria.eligible for measure, _ in reversed(self._counted.values()))
        for some, others in permutations(criteria, 2):
            if some.startswith(f"{others} AND "):
                name = self._name_of(some)
                mark = key_of(LEFT, some) if name == some else key_of(name, "no")
                yield _Whole((others,), ((some,),), (some, "not among", others), mark)

    def _name_of(self, eligible: str) -> str:
        """What people are called among others: what another measure calls them that finds just them, if any."""
        same = (
            self._names[other.id]
            for other, _ in self._counted.values()
            if not other.criteria.followed and eligible == f"{other.criteria.eligible} AND {other.criteria.having}"
        )
        return next(same, eligible)

    def _by_definition(self) -> Iterator[_Whole]:

        def is_counted(part: str) -> bool:
            _, among = self._said.get(part, (None, None))
            return all(map(is_counted, among.parts)) if among else self._who(part)[0] != LEFT

        for left, (measure, among) in self._said.items():
            whole, parts = self._who(f"{measure.id} {among.of}"), tuple(map(self._who, among.parts))
            if is_counted(left) and whole not in parts:  # everybody known alike: nobody is left
                yield _Whole(whole, parts, (LEFT, left), key_of(LEFT, left))


class _Headcounts:
    """How many people there are in each group: of those who are a cell of a measure, and of who is left of others."""

    def __init__(
        self,
        counted: Mapping[str, tuple[Measure, Counts]],
        cells: Mapping[_Who, tuple[str, str]],
        wholes: Sequence[_Whole],
    ) -> None:
        self._counted, self._cells = counted, cells
        self._wholes = {each.left: each for each in reversed(wholes)}
        self._groups: dict[str, dict[Key, Tally]] = {}
        self._known: dict[_Who, Mapping[Key, int]] = {}

    def __call__(self, who: _Who) -> Mapping[Key, int]:
        found = self._known.get(who)
        if found is None:
            found = self._known[who] = self._told(*self._cells[who]) if who in self._cells else self._left(who)
        return found

    def _told(self, name: str, cell: str) -> Mapping[Key, int]:
        measure, counts = self._counted[name]
        if name not in self._groups:
            self._groups[name] = counts.groups()
        return {group: people_in(measure, cell, tally) for group, tally in self._groups[name].items()}

    def _left(self, who: _Who) -> Mapping[Key, int]:
        parts = [self(part) for part in self._wholes[who].parts]
        return {
            group: people - sum(part.get(group, 0) for part in parts)
            for group, people in self(self._wholes[who].whole).items()
        }


def _alike(counted: Counted) -> dict[str, str]:
    """What two measures know alike everywhere (the outcome of the same people, who has begun) has one name: it is one
    cell of both, so that neither gives away what the other keeps back."""
    known: dict[tuple[str, frozenset[tuple[Key, int]]], str] = {}
    names: dict[str, str] = {}
    for measure, counts in counted:
        known_half = frozenset((group, sum(halves(measure, tally)[0])) for group, tally in counts.groups().items())
        names[measure.id] = known.setdefault((measure.criteria.eligible, known_half), measure.id)
    return names
