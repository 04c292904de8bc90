"""What may be published of several tables about the same people, so that no small count can be worked out from all.

Each table alone is looked after by `measures.suppression`. Tables that share cells (the people of a practice, by month
and by outcome) are looked after in turns: what one keeps back all keep back, until none asks for more. A last look
solves everything that is published as one system of equations; tables that still give something away are left out.
Cell suppression in linked tables: Hundepool and others 2012, Statistical Disclosure Control, chapter 4.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from stepwell_measurement.rules.measures.suppression import SMALL_BELOW, Cell, blanks

Key = frozenset[tuple[str, str]]
"""Which people are counted: pairs of what tells them apart and a value. Two tables share the cells of one key."""

# A prime so large that no equation of counts is true of it by chance.
_PRIME = (1 << 61) - 1


class Table(NamedTuple):
    """Counts of people (`of`), told apart by rows and columns; a row's and a column's total are cells as well."""

    of: Key
    rows: tuple[Key, ...]
    columns: tuple[Key, ...]
    counts: tuple[tuple[int, ...], ...]

    def keys(self) -> list[list[Key]]:
        """The keys of all cells, a column and a row of totals last."""
        rows, columns = (*self.rows, frozenset[tuple[str, str]]()), (*self.columns, frozenset[tuple[str, str]]())
        return [[self.of | row | column for column in columns] for row in rows]

    def whole(self) -> list[list[int]]:
        """The counts with their totals, in the order of `keys`."""
        table = [[*row, sum(row)] for row in self.counts]
        return [*table, [sum(column) for column in zip(*table, strict=True)]]

    def cells(self) -> Iterator[tuple[Key, int]]:
        """Each cell with its count, totals among them."""
        for keys, row in zip(self.keys(), self.whole(), strict=True):
            yield from zip(keys, row, strict=True)

    def inner(self) -> set[Key]:
        """The cells that are no totals."""
        return {key for keys in self.keys()[:-1] for key in keys[:-1]}


Equation = tuple[tuple[Key, ...], Key]
"""Cells whose counts add up to that of the last one."""


def published(tables: Sequence[Table], below: int = SMALL_BELOW) -> dict[Key, int | None]:
    """The count of each cell of all tables, totals among them; None where it is kept back.

    Raises ValueError when two tables differ on a cell that both have: they are not about the same people then.
    """
    counts: dict[Key, int] = {}
    for table in tables:
        for key, count in table.cells():
            if counts.setdefault(key, count) != count:
                raise ValueError("two tables about the same people differ on a cell that both have")
    kept_back = _together(tables, below)
    told = [equation for table in tables for equation in equations(table)]
    left = list(tables)
    while left and (found := worked_out(told, {key for key in kept_back if counts[key]})):
        telling = max(left, key=lambda table: len(found & table.inner()))
        left.remove(telling)
        kept_back |= telling.inner()
    return {key: None if key in kept_back else count for key, count in counts.items()}


def equations(table: Table) -> list[Equation]:
    """What its totals say: each row and each column adds up."""
    keys = table.keys()
    lines = [*keys, *(list(column) for column in zip(*keys, strict=True))]
    return [(tuple(line[:-1]), line[-1]) for line in lines]


def worked_out(told: Iterable[Equation], unknown: Collection[Key]) -> set[Key]:
    """The unknown cells that a linear system determines, when every other cell is known.

    Gauss and Jordan, modulo a large prime: an unknown is determined when it stands alone in a row of the reduced form.
    """
    order = {key: place for place, key in enumerate(sorted(unknown, key=sorted))}
    reduced: dict[int, dict[int, int]] = {}
    for cells, total in told:
        row: dict[int, int] = {}
        for key, sign in (*((cell, 1) for cell in cells), (total, -1)):
            if key in order:
                row[order[key]] = (row.get(order[key], 0) + sign) % _PRIME
        _add(reduced, {place: value for place, value in row.items() if value})
    alone = {pivot for pivot, row in reduced.items() if len(row) == 1}
    return {key for key, place in order.items() if place in alone}


def _add(reduced: dict[int, dict[int, int]], row: dict[int, int]) -> None:
    """One more equation, and the reduced form kept: each pivot stands in one row alone."""
    for pivot in [place for place in row if place in reduced]:
        _subtract(row, reduced[pivot], row[pivot])
    if not row:
        return
    pivot = min(row)
    inverse = pow(row[pivot], -1, _PRIME)
    row = {place: value * inverse % _PRIME for place, value in row.items()}
    for other in reduced.values():
        if pivot in other:
            _subtract(other, row, other[pivot])
    reduced[pivot] = row


def _subtract(row: dict[int, int], other: Mapping[int, int], times: int) -> None:
    for place, value in other.items():
        left = (row.get(place, 0) - times * value) % _PRIME
        if left:
            row[place] = left
        else:
            row.pop(place, None)


def _together(tables: Sequence[Table], below: int) -> set[Key]:
    """What every table keeps back, and with it what the others then have to."""
    kept_back: set[Key] = set()
    found = -1
    while found != len(kept_back):
        found = len(kept_back)
        for table in tables:
            keys = table.keys()
            also: set[Cell] = {
                (at, place) for at, line in enumerate(keys) for place, key in enumerate(line) if key in kept_back
            }
            kept_back |= {keys[at][place] for at, place in blanks(table.whole(), below, also)}
    return kept_back
