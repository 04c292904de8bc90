"""What may be published of several tables about the same people, so that no small count can be worked out from all.

Each table alone is looked after by `measures.suppression`. Tables that share cells (the people of a practice, by month
and by outcome) are looked after in turns: what one keeps back all keep back, until none asks for more. A last look
solves everything that is published as one system of equations; while a small count still follows, the smallest one
that it follows from is kept back as well: one near it, as those far away are many and would have to go one by one.
Cell suppression in linked tables: Hundepool and others 2012, Statistical Disclosure Control, chapter 4.
"""

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence, Set
from itertools import chain
from typing import NamedTuple, TypeVar

from stepwell_measurement.rules.elimination import PRIME, System
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW, Hiding

Key = frozenset[tuple[str, str]]
"""Which people are counted: pairs of what tells them apart and a value. Two tables share the cells of one key."""

Named = TypeVar("Named", bound=Hashable)
"""What cells are called: by their keys, or by numbers."""

_EVERYBODY: Key = frozenset()
_NOT_COUNTED = -1
_SMALL, _KEPT_BACK = 1, 2
# Tables of more lines than these are few.
_LARGE_MIN = 64


class Table(NamedTuple):
    """Counts of people (`of`), told apart by rows and columns; a row's and a column's total are cells as well."""

    of: Key
    rows: tuple[Key, ...]
    columns: tuple[Key, ...]
    counts: tuple[tuple[int, ...], ...]

    def keys(self) -> list[list[Key]]:
        """The keys of all cells, a column and a row of totals last."""
        rows, columns = (*self.rows, _EVERYBODY), (*self.columns, _EVERYBODY)
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
    laid = _Laid(tables, below)
    laid.keep_back()
    while less := laid.given_away():
        laid.keep_back(less)
    return laid.shown()


def equations(table: Table) -> list[Equation]:
    """What its totals say: each row and each column adds up."""
    keys = table.keys()
    lines = [*keys, *(list(column) for column in zip(*keys, strict=True))]
    return [(tuple(line[:-1]), line[-1]) for line in lines]


def worked_out(
    told: Iterable[tuple[tuple[Named, ...], Named]],
    unknown: Collection[Named],
    sought: Collection[Named] | None = None,
) -> dict[Named, set[Named]]:
    """The unknown cells that a linear system determines (those sought alone), when every other cell is known: each with
    the known ones that it follows from."""
    numbers = {key: number for number, key in enumerate(unknown)}
    different: dict[frozenset[tuple[int, int]], tuple[tuple[Named, ...], Named]] = {}
    for equation in told:
        row: dict[int, int] = {}
        for key, sign in _signed(equation):
            if (number := numbers.get(key)) is not None:
                row[number] = row.get(number, 0) + sign
        if left := frozenset((number, value) for number, value in row.items() if value):
            different.setdefault(left, equation)
    rows = [dict(row) for row in different]
    asked = {numbers[key] for key in (unknown if sought is None else sought) if key in numbers}
    system, equations_told, names = System(rows), list(different.values()), list(numbers)
    found: dict[Named, set[Named]] = {}
    for number in sorted(system.determined() & asked):
        if (taken := system.follows_from(number)) is not None:
            known: dict[Named, int] = {}
            for place, times in taken.items():
                for key, sign in _signed(equations_told[place]):
                    if key not in numbers:
                        known[key] = known.get(key, 0) + sign * times
            found[names[number]] = {key for key, times in known.items() if times % PRIME}
    return found


def _signed(equation: tuple[tuple[Named, ...], Named]) -> Iterator[tuple[Named, int]]:
    cells, total = equation
    for cell in cells:
        yield cell, 1
    yield total, -1


class _Numbered:
    """The cells of tables by number: with their counts, and as the lines of which tables are made, total last. Most
    lines are in several tables."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.counts: list[int] = []
        self.lines: list[tuple[int, ...]] = []
        self._cells: dict[Key, int] = {}
        self._people: dict[Key, int] = {}
        self._known: dict[tuple[int, ...], int] = {}

    def table(self, table: Table) -> tuple[int, ...]:
        """Its lines. Raises ValueError when a cell has another count than in another table."""
        columns = (*table.columns, _EVERYBODY)
        names = [self._people_of(column) for column in columns]
        totals = map(sum, zip(*table.counts, strict=True))
        found = []
        for row, counts in zip((*table.rows, _EVERYBODY), (*table.counts, totals), strict=True):
            of, whole = table.of | row, [*counts]
            whole.append(sum(whole))
            name = (self._people_of(of), *names)
            if (number := self._known.get(name)) is None:
                number = self._known[name] = len(self.lines)
                self.lines.append(tuple(self._cell(of | column) for column in columns))
            self._count(self.lines[number], whole)
            found.append(number)
        return tuple(found)

    def _people_of(self, key: Key) -> int:
        return self._people.setdefault(key, len(self._people))

    def _cell(self, key: Key) -> int:
        found = self._cells.get(key)
        if found is None:
            found = self._cells[key] = len(self.keys)
            self.keys.append(key)
            self.counts.append(_NOT_COUNTED)
        return found

    def _count(self, line: tuple[int, ...], whole: list[int]) -> None:
        if [self.counts[cell] for cell in line] == whole:
            return
        for cell, count in zip(line, whole, strict=True):
            if self.counts[cell] not in {count, _NOT_COUNTED}:
                raise ValueError("two tables about the same people differ on a cell that both have")
            self.counts[cell] = count


class _Laid:
    """The tables side by side: what is kept back of them, and in which of them it is."""

    def __init__(self, tables: Sequence[Table], below: int) -> None:
        numbered = _Numbered()
        self._tables = [numbered.table(table) for table in tables]
        self._keys, self._counts, self._lines = numbered.keys, numbered.counts, numbered.lines
        self._below = below
        self._lines_of: list[list[int]] = [[] for _ in self._keys]
        for number, line in enumerate(self._lines):
            for cell in line:
                self._lines_of[cell].append(number)
        self._tables_of: list[list[int]] = [[] for _ in self._lines]
        for place, table in enumerate(self._tables):
            for number in table:
                self._tables_of[number].append(place)
        self._small = [cell for cell, count in enumerate(self._counts) if 0 < count < below]
        self._state = bytearray(len(self._keys))
        for cell in self._small:
            self._state[cell] = _SMALL
        # Tables that have something to look after, and what has been looked after in each of them.
        self._changed = {place for cell in self._small for place in self._places(cell)}
        self._safe: dict[int, bytearray] = {}
        # Large tables are worked on where they are, small ones are made anew when they change.
        self._large: dict[int, Hiding] = {}

    def shown(self) -> dict[Key, int | None]:
        """The counts; None where they are kept back."""
        counted = zip(self._keys, self._counts, self._state, strict=True)
        return {key: None if state == _KEPT_BACK else count for key, count, state in counted}

    def keep_back(self, cells: Collection[int] = ()) -> None:
        """Keeps these back, and what every table has to beside them, and with it what the others then have to."""
        for cell in cells:
            self._hide(cell)
        waiting = deque(range(len(self._tables)))
        is_waiting = bytearray(b"\1" * len(self._tables))
        while waiting:
            place = waiting.popleft()
            is_waiting[place] = False
            if place not in self._changed:
                continue
            self._changed.remove(place)
            for cell in sorted(self._looked_after(place), key=self._in_order):
                for other in self._hide(cell):
                    if not is_waiting[other]:
                        is_waiting[other] = True
                        waiting.append(other)

    def given_away(self) -> set[int]:
        """Of what small counts still follow from when everything published is one system of equations: the smallest."""
        kept_back = [cell for cell, state in enumerate(self._state) if state == _KEPT_BACK]
        found = worked_out(self._equations(set(kept_back)), kept_back, self._small)
        # A count of 0 is told of everything, and nobody is in it.
        known_of = [[cell for cell in known if self._counts[cell]] for known in found.values()]
        return {min(known, key=lambda cell: (self._counts[cell], self._in_order(cell))) for known in known_of}

    def _equations(self, unknown: Set[int]) -> Iterator[tuple[tuple[int, ...], int]]:
        """What the totals say of what is kept back, once each."""
        lines = ([self._lines[number] for number in table] for table in self._tables)
        different = dict.fromkeys(line for rows in lines for line in (*rows, *zip(*rows, strict=True)))
        return ((line[:-1], line[-1]) for line in different if not unknown.isdisjoint(line))

    def _places(self, cell: int) -> list[int]:
        """The tables of a cell, in order."""
        return sorted({place for line in self._lines_of[cell] for place in self._tables_of[line]})

    def _hide(self, cell: int) -> list[int]:
        """Keeps a cell back, and says which tables this changes."""
        self._state[cell] = _KEPT_BACK
        places = self._places(cell)
        self._changed.update(places)
        return places

    def _in_order(self, cell: int) -> list[tuple[str, str]]:
        return sorted(self._keys[cell])

    def _looked_after(self, place: int) -> set[int]:
        """What else a table keeps back."""
        lines, state = [self._lines[number] for number in self._tables[place]], self._state
        columns = len(lines[0])
        hidden = [at for at, cell in enumerate(chain.from_iterable(lines)) if state[cell]]
        safe = self._safe.setdefault(place, bytearray(columns * len(lines)))
        unsure = [divmod(at, columns) for at in hidden if not safe[at]]
        if not unsure:
            return set()
        for at in hidden:
            safe[at] = True
        hiding = self._large.get(place)
        if hiding is None:
            table = [[self._counts[cell] for cell in line] for line in lines]
            hiding = Hiding(table, (divmod(at, columns) for at in hidden))
            if len(lines) > _LARGE_MIN:
                self._large[place] = hiding
        hiding.hide(unsure, self._below)
        return {cell for row, column in hiding.blank if state[cell := lines[row][column]] != _KEPT_BACK}
