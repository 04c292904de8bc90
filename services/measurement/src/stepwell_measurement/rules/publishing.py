"""What may be published of several tables about the same people, so that no small count can be worked out from all.

Each table alone is looked after by `measures.suppression`. Tables that share cells (the people of a practice, by month
and by outcome) are looked after in turns: what one keeps back all keep back, until none asks for more. A last look
solves everything that is published as one system of equations; while a small count still follows, the smallest one
that it follows from is kept back as well.
Cell suppression in linked tables: Hundepool and others 2012, Statistical Disclosure Control, chapter 4.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
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
    laid = _Laid(tables, counts)
    kept_back = laid.together(set(), below)
    # A count of 0 is told of everything, and nobody is in it.
    there = [(tuple(filter(counts.get, cells)), total) for table in tables for cells, total in equations(table)]
    small = {key for key, count in counts.items() if 0 < count < below}
    while found := _followed(worked_out(there, {key for key in kept_back if counts[key]}), small):
        less = {min(known, key=lambda key: (counts[key], sorted(key))) for known in found}
        kept_back = laid.together(kept_back | less, below)
    return {key: None if key in kept_back else count for key, count in counts.items()}


def _followed(found: Mapping[Key, Collection[Key]], small: Collection[Key]) -> list[Collection[Key]]:
    """From what small counts follow."""
    return [known for key, known in found.items() if key in small]


def equations(table: Table) -> list[Equation]:
    """What its totals say: each row and each column adds up."""
    keys = table.keys()
    lines = [*keys, *(list(column) for column in zip(*keys, strict=True))]
    return [(tuple(line[:-1]), line[-1]) for line in lines]


def worked_out(told: Iterable[Equation], unknown: Collection[Key]) -> dict[Key, set[Key]]:
    """The unknown cells that a linear system determines, when every other cell is known: each with the known ones that
    it follows from.

    Gauss and Jordan, modulo a large prime: an unknown is determined when it stands alone in a row of the reduced form.
    """
    system = _Reduced(unknown)
    for cells, total in told:
        row: dict[Key, int] = {}
        for key, sign in (*((cell, 1) for cell in cells), (total, -1)):
            row[key] = (row.get(key, 0) + sign) % _PRIME
        system.add({key: value for key, value in row.items() if value})
    return system.determined()


class _Reduced:
    """A system of equations in its reduced form: each unknown that is a pivot stands in one row alone."""

    def __init__(self, unknown: Collection[Key]) -> None:
        self._rows: dict[Key, dict[Key, int]] = {}
        # In which rows, by their pivots, an unknown stands: most stand in few.
        self._standing: dict[Key, dict[Key, None]] = {key: {} for key in sorted(unknown, key=sorted)}

    def determined(self) -> dict[Key, set[Key]]:
        """The unknowns that stand alone, with the known ones of their row."""
        known = {pivot: {key for key in row if key != pivot} for pivot, row in self._rows.items()}
        return {pivot: others for pivot, others in known.items() if not others & self._standing.keys()}

    def add(self, row: dict[Key, int]) -> None:
        """One more equation."""
        for pivot in [key for key in row if key in self._rows]:
            self._subtract(row, self._rows[pivot], row[pivot])
        unknown = [key for key in row if key in self._standing]
        if not unknown:
            return
        pivot = min(unknown, key=lambda key: len(self._standing[key]))
        inverse = pow(row[pivot], -1, _PRIME)
        row = {key: value * inverse % _PRIME for key, value in row.items()}
        for other in list(self._standing[pivot]):
            self._subtract(self._rows[other], row, self._rows[other][pivot], other)
        self._rows[pivot] = row
        for key in row.keys() & self._standing.keys():
            self._standing[key][pivot] = None

    def _subtract(self, row: dict[Key, int], other: Mapping[Key, int], times: int, of: Key | None = None) -> None:
        for key, value in other.items():
            left = (row.get(key, 0) - times * value) % _PRIME
            if left:
                row[key] = left
            else:
                row.pop(key, None)
            if of is not None and key in self._standing:
                if left:
                    self._standing[key][of] = None
                else:
                    self._standing[key].pop(of, None)


class _Laid:
    """The tables with the keys of their cells, and in which of them each is."""

    def __init__(self, tables: Sequence[Table], counts: Mapping[Key, int]) -> None:
        same = {key: key for key in counts}  # one object for each: they are compared often
        self._counts = counts
        self._keys = [[[same[key] for key in line] for line in grid] for grid in map(Table.keys, tables)]
        self._wholes = [table.whole() for table in tables]
        self._tables_of: dict[Key, list[int]] = {}
        for place, keys in enumerate(self._keys):
            for key in {key for line in keys for key in line}:
                self._tables_of.setdefault(key, []).append(place)

    def together(self, kept_back: Set[Key], below: int) -> set[Key]:
        """What every table keeps back beside this, and with it what the others then have to."""
        found = set(kept_back)
        waiting = dict.fromkeys(range(len(self._keys)))
        while waiting:
            place = next(iter(waiting))
            del waiting[place]
            keys = self._keys[place]
            also: set[Cell] = {
                (at, column) for at, line in enumerate(keys) for column, key in enumerate(line) if key in found
            }
            blank = {keys[at][column] for at, column in blanks(self._wholes[place], below, also)}
            for key in sorted(blank - found, key=sorted):
                found.add(key)
                waiting.update(dict.fromkeys(self._tables_of[key]))
        return found
