"""What is kept back of tables, decided in the plainest way: every table anew whenever anything of it changed, every
equation over fractions. It takes a minute for what the rules decide in a second, and keeps the same back."""

from collections.abc import Mapping, Sequence, Set
from fractions import Fraction

from stepwell_measurement.rules.measures.suppression import SMALL_BELOW, blanks
from stepwell_measurement.rules.numbering import Key, Table
from stepwell_measurement.rules.publishing import Equation, equations

SHORT_MAX = 12
"""An equation about more cells than these is about cells that are not near each other."""

Row = dict[object, Fraction]
"""Coefficients of unknown cells, and of the equations (by number) that a row is made of."""


def kept_back_plainly(tables: Sequence[Table]) -> tuple[set[Key], int]:
    """The cells of which nothing is published, and how often more had to be kept back as small counts followed."""
    counts = {key: count for each in tables for key, count in each.cells()}
    told = list(dict.fromkeys(equation for each in tables for equation in equations(each)))
    found, rounds = looked_at_anew(tables, set()), 0
    while less := _given_away(told, counts, found):
        found, rounds = looked_at_anew(tables, found | less), rounds + 1
    return found, rounds


def looked_at_anew(tables: Sequence[Table], also: Set[Key]) -> set[Key]:
    """What all tables keep back beside these, when each is looked at as a whole, again whenever a cell of it is kept
    back."""
    places: dict[Key, list[int]] = {}
    for place, table in enumerate(tables):
        for key, _ in table.cells():
            places.setdefault(key, []).append(place)
    found = set(also)
    waiting = list(range(len(tables)))
    while waiting:
        keys, whole = tables[waiting[0]].keys(), tables[waiting.pop(0)].whole()
        hidden = {(at, column) for at, line in enumerate(keys) for column, key in enumerate(line) if key in found}
        blank = {keys[at][column] for at, column in blanks(whole, SMALL_BELOW, hidden)}
        for key in sorted(blank - found, key=sorted):
            found.add(key)
            waiting += [place for place in dict.fromkeys(places[key]) if place not in waiting]
    return found


def _given_away(told: Sequence[Equation], counts: Mapping[Key, int], unknown: Set[Key]) -> set[Key]:
    """The smallest of the counts from which each small one follows."""
    left = [(equation, _left(equation, unknown)) for equation in told]
    short = [each for each in left if 0 < len(each[1]) <= SHORT_MAX]
    everything, near_by = _Basis(left), dict[Key, _Basis]()
    found = set()
    for key in unknown:
        if not 0 < counts[key] < SMALL_BELOW or everything.giving(key) is None:
            continue
        if key not in near_by:
            near = {key}
            while more := {each for _, row in short if not near.isdisjoint(row) for each in row} - near:
                near |= more
            near_by |= dict.fromkeys(near, _Basis([each for each in short if not near.isdisjoint(each[1])]))
        known: dict[Key, Fraction] = {}
        for equation, times in near_by[key].giving(key) or everything.giving(key) or ():
            for cell, sign in _signed(equation):
                known[cell] = known.get(cell, Fraction(0)) + sign * times
        from_these = [cell for cell, times in known.items() if times and cell not in unknown and counts[cell]]
        found.add(min(from_these, key=lambda cell: (counts[cell], sorted(cell))))
    return found


def _signed(equation: Equation) -> list[tuple[Key, int]]:
    return [*((cell, 1) for cell in equation[:-1]), (equation[-1], -1)]


def _left(equation: Equation, unknown: Set[Key]) -> dict[Key, int]:
    row: dict[Key, int] = {}
    for cell, sign in _signed(equation):
        if cell in unknown:
            row[cell] = row.get(cell, 0) + sign
    return {cell: times for cell, times in row.items() if times}


class _Basis:
    """Equations of which none follows from the others: the shortest first."""

    def __init__(self, told: Sequence[tuple[Equation, Mapping[Key, int]]]) -> None:
        self._told = [equation for equation, _ in told]
        self._pivots: dict[object, Row] = {}
        for number, (_, cells) in sorted(enumerate(told), key=lambda each: len(each[1][1])):
            row = self._reduced({**{cell: Fraction(times) for cell, times in cells.items()}, number: Fraction(1)})
            if pivot := next((each for each in row if isinstance(each, frozenset)), None):
                self._pivots[pivot] = {each: value / row[pivot] for each, value in row.items()}

    def giving(self, key: Key) -> list[tuple[Equation, Fraction]] | None:
        """The equations that give a cell, with how often each is taken; None when they do not."""
        row = self._reduced({key: Fraction(-1)})
        if any(isinstance(each, frozenset) for each in row):
            return None
        return [(self._told[each], value) for each, value in row.items() if isinstance(each, int)]

    def _reduced(self, row: Row) -> Row:
        while pivot := next((each for each in row if each in self._pivots), None):
            times = row[pivot]
            for each, value in self._pivots[pivot].items():
                row[each] = row.get(each, Fraction(0)) - times * value
            row = {each: value for each, value in row.items() if value}
        return row
