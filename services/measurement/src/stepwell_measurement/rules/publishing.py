"""What may be published of several tables about the same people, so that no small count can be worked out from all.

Each table alone is looked after by `measures.suppression`. Tables that share cells (the people of a practice, by month
and by outcome) are looked after in turns: what one keeps back all keep back, until none asks for more. A last look
solves everything that is published as one system of equations; while a small count still follows, the smallest one
that it follows from is kept back as well: one near it, as those far away are many and would have to go one by one.
Cell suppression in linked tables: Hundepool and others 2012, Statistical Disclosure Control, chapter 4.
"""

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import TypeVar

from stepwell_measurement.rules.elimination import PRIME, System, Terms, terms
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW, Hiding
from stepwell_measurement.rules.numbering import Cells, Key, Lines, Places, Table

Named = TypeVar("Named", bound=Hashable)
"""What cells are called: by their keys, or by numbers."""

Equation = tuple[Key, ...]
"""Cells of which the last one has as many people as all others together."""

_SMALL, _KEPT_BACK = 1, 2
# Tables of more lines than these are few.
_LARGE_MIN = 64


class Published(Mapping[Key, int | None]):
    """The count of each cell of all tables, totals among them; None where it is kept back."""

    def __init__(self, cells: Cells, state: Sequence[int]) -> None:
        self._cells, self._state = cells, state

    def __getitem__(self, key: Key) -> int | None:
        number = self._cells.number(key)
        return None if self._state[number] == _KEPT_BACK else self._cells.counts[number]

    def __iter__(self) -> Iterator[Key]:
        return map(self._cells.key, range(len(self._cells)))

    def __len__(self) -> int:
        return len(self._cells)


def published(tables: Iterable[Table], below: int = SMALL_BELOW) -> Published:
    """What may be published of tables, which are looked at once, one after the other.

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
    return [*map(tuple, keys), *zip(*keys, strict=True)]


def worked_out(
    told: Iterable[tuple[Named, ...]],
    unknown: Collection[Named],
    sought: Collection[Named] | None = None,
) -> dict[Named, set[Named]]:
    """The unknown cells that a linear system determines (those sought alone), when every other cell is known: each with
    the known ones that it follows from. Equations are told as by `equations`."""
    numbers = {key: number for number, key in enumerate(unknown)}
    different: dict[Terms, tuple[Named, ...]] = {}
    for equation in told:
        row: dict[int, int] = {}
        for key, sign in _signed(equation):
            if (number := numbers.get(key)) is not None:
                row[number] = row.get(number, 0) + sign
        if left := terms(row):
            different.setdefault(left, equation)
    asked = {numbers[key] for key in (unknown if sought is None else sought) if key in numbers}
    system, equations_told = System(list(different)), list(different.values())
    del different
    names = list(numbers)
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


def _signed(equation: tuple[Named, ...]) -> Iterator[tuple[Named, int]]:
    return zip(equation, chain(repeat(1, len(equation) - 1), (-1,)), strict=True)


class _Laid:
    """The tables side by side: what is kept back of them, and in which of them it is."""

    def __init__(self, tables: Iterable[Table], below: int) -> None:
        self._cells = Cells()
        numbered = Lines(self._cells)
        self._tables = [numbered.of(table) for table in tables]
        self._lines, self._counts = numbered.lines, self._cells.counts
        self._below = below
        self._lines_of = Places(self._lines, len(self._cells))
        self._tables_of = Places(self._tables, len(self._lines))
        self._small = [cell for cell, count in enumerate(self._counts) if 0 < count < below]
        self._state = bytearray(len(self._cells))
        for cell in self._small:
            self._state[cell] = _SMALL
        # Tables that have something to look after, and what has been looked after in each of them.
        self._changed = {place for cell in self._small for place in self._places(cell)}
        self._safe: dict[int, bytearray] = {}
        # Large tables are worked on where they are until none asks for more, small ones are made anew when they change.
        self._large: dict[int, Hiding] = {}

    def shown(self) -> Published:
        """The counts; None where they are kept back."""
        return Published(self._cells, self._state)

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
            for cell in sorted(self._looked_after(place), key=self._cells.in_order):
                for other in self._hide(cell):
                    if not is_waiting[other]:
                        is_waiting[other] = True
                        waiting.append(other)
        self._large.clear()

    def given_away(self) -> set[int]:
        """Of what small counts still follow from when everything published is one system of equations: the smallest."""
        kept_back = [cell for cell, state in enumerate(self._state) if state == _KEPT_BACK]
        found = worked_out(self._equations(), kept_back, self._small)
        # A count of 0 is told of everything, and nobody is in it.
        known_of = [[cell for cell in known if self._counts[cell]] for known in found.values()]
        return {min(known, key=lambda cell: (self._counts[cell], self._cells.in_order(cell))) for known in known_of}

    def _equations(self) -> Iterator[tuple[int, ...]]:
        """What the totals say of what is kept back."""
        state, told = self._state, bytearray(len(self._lines))
        for table in self._tables:
            rows = [self._lines[number] for number in table]
            new = [line for number, line in zip(table, rows, strict=True) if not told[number]]
            for number in table:
                told[number] = True
            for line in (*new, *zip(*rows, strict=True)):
                if _KEPT_BACK in map(state.__getitem__, line):
                    yield line

    def _places(self, cell: int) -> list[int]:
        """The tables of a cell, in order."""
        return sorted({place for line in self._lines_of.of(cell) for place in self._tables_of.of(line)})

    def _hide(self, cell: int) -> list[int]:
        """Keeps a cell back, and says which tables this changes."""
        self._state[cell] = _KEPT_BACK
        places = self._places(cell)
        self._changed.update(places)
        return places

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
