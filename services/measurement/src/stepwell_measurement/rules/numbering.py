"""The cells of tables by number. A region of thousands of practices has hundreds of thousands of them, most of them in
several tables: what is known of each is kept once, and what they are called as few small numbers."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

Key = frozenset[tuple[str, str]]
"""Which people are counted: pairs of what tells them apart and a value. Two tables share the cells of one key."""

Name = tuple[int, ...]
"""A key as the numbers of its pairs, smallest first: a sixth of the memory that the key takes."""

EVERYBODY: Key = frozenset()
NOT_COUNTED = -1


class Table(NamedTuple):
    """Counts of people (`of`), told apart by rows and columns; a row's and a column's total are cells as well."""

    of: Key
    rows: tuple[Key, ...]
    columns: tuple[Key, ...]
    counts: tuple[tuple[int, ...], ...]

    def keys(self) -> list[list[Key]]:
        """The keys of all cells, a column and a row of totals last."""
        rows, columns = (*self.rows, EVERYBODY), (*self.columns, EVERYBODY)
        return [[self.of | row | column for column in columns] for row in rows]

    def whole(self) -> list[list[int]]:
        """The counts with their totals, in the order of `keys`."""
        table = [[*row, sum(row)] for row in self.counts]
        return [*table, [sum(column) for column in zip(*table, strict=True)]]

    def cells(self) -> Iterator[tuple[Key, int]]:
        """Each cell with its count, totals among them."""
        for keys, row in zip(self.keys(), self.whole(), strict=True):
            yield from zip(keys, row, strict=True)


class Names:
    """The pairs of keys by number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._pairs: list[tuple[str, str]] = []

    def of(self, key: Key) -> Name:
        """The name of a key; pairs that are new get a number."""
        for pair in key:
            if pair not in self._numbers:
                self._numbers[pair] = len(self._pairs)
                self._pairs.append(pair)
        return self.known(key)

    def known(self, key: Key) -> Name:
        """The name of a key. Raises KeyError when a pair of it has no number."""
        return tuple(sorted([self._numbers[pair] for pair in key]))

    def pairs(self, name: Name) -> list[tuple[str, str]]:
        """The pairs of a key, in order: the same one whatever their numbers are."""
        return sorted([self._pairs[number] for number in name])


class Places:
    """In which of many sequences a number stands. Two arrays: a list for each number would take ten times as much."""

    def __init__(self, sequences: Sequence[Sequence[int]], numbers_count: int) -> None:
        many = array("I", [0]) * (numbers_count + 1)
        for each in sequences:
            for number in each:
                many[number + 1] += 1
        self._starts = array("I", accumulate(many))
        self._places = array("I", [0]) * self._starts[-1]
        free = self._starts[:]
        for place, each in enumerate(sequences):
            for number in each:
                self._places[free[number]] = place
                free[number] += 1

    def of(self, number: int) -> Sequence[int]:
        """The places of the sequences in which it stands, in order."""
        start, end = (self._starts[min(each, len(self._starts) - 1)] for each in (number, number + 1))
        return self._places[start:end]


class Cells:
    """All cells, with their counts and their names."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._names = Names()
        self._numbers: dict[Name, int] = {}
        self._listed: list[Name] = []

    def __len__(self) -> int:
        return len(self.counts)

    def number(self, key: Key) -> int:
        """The number of a cell. Raises KeyError where there is none."""
        return self._numbers[self._names.known(key)]

    def key(self, number: int) -> Key:
        return frozenset(self.in_order(number))

    def in_order(self, number: int) -> list[tuple[str, str]]:
        """What a cell is ordered by, among others."""
        return self._names.pairs(self._listed[number])

    def name(self, key: Key) -> Name:
        return self._names.of(key)

    def named(self, name: Name) -> int:
        """The number of the cell of this name; it gets one if it has none."""
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self.counts)
            self._listed.append(name)
            self.counts.append(NOT_COUNTED)
        return found


class Lines:
    """The lines of tables, each the numbers of its cells, total last. Most lines are in several tables."""

    def __init__(self, cells: Cells) -> None:
        self.lines: list[tuple[int, ...]] = []
        self._cells = cells
        self._columns: dict[tuple[Key, ...], int] = {}
        self._known: dict[tuple[int, int], int] = {}

    def of(self, table: Table) -> tuple[int, ...]:
        """The lines of a table by number. Raises ValueError when a cell has another count than in another table."""
        cells, keys = self._cells, (*table.columns, EVERYBODY)
        shape = self._columns.setdefault(keys, len(self._columns))
        columns = [cells.name(key) for key in keys]
        people = cells.name(table.of)
        totals = map(sum, zip(*table.counts, strict=True))
        found = []
        for row, counts in zip((*table.rows, EVERYBODY), (*table.counts, totals), strict=True):
            name, whole = _union(people, cells.name(row)), [*counts]
            whole.append(sum(whole))
            known = (cells.named(name), shape)
            number = self._known.get(known)
            if number is None:
                number = self._known[known] = len(self.lines)
                self.lines.append(tuple([cells.named(_union(name, column)) for column in columns]))
            self._count(self.lines[number], whole)
            found.append(number)
        return tuple(found)

    def _count(self, line: tuple[int, ...], whole: list[int]) -> None:
        told = self._cells.counts
        if [told[cell] for cell in line] == whole:
            return
        for cell, count in zip(line, whole, strict=True):
            if told[cell] not in {count, NOT_COUNTED}:
                raise ValueError("two tables about the same people differ on a cell that both have")
            told[cell] = count


def _union(name: Name, other: Name) -> Name:
    return tuple(sorted({*name, *other})) if other else name
