"""Which cells of a table may be published, so that no small count can be read off or worked out from the totals.

A table with its totals is a circulation: every cell flows from its row to its column, every total flows back. A cell
can be worked out exactly when no other circulation agrees with what is published, so around each small cell a cycle
of blank ones is opened (Kelly, Golden and Assad 1992, Networks 22:397). Rates of a blank cell are blank as well.

What this keeps from a reader: sums, differences and bounds. Who runs this very choice over all tables that could have
been published can, in tables of very few people, still rule some out: merge such groups before they are counted.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from heapq import nsmallest
from itertools import pairwise, permutations
from math import inf

SMALL_BELOW = 5
"""A count of 1 to 4 is not published: the default of the national reports, as clinical.md has it."""

Cell = tuple[int, int]
"""Row and column. The last of each is the total."""

_Hops = dict[tuple[int, int], list[tuple[int, int]]]
"""By the column that is left and the one that is reached: cost and row of the cheapest ways."""


def suppressed(counts: Sequence[Sequence[int]], below: int = SMALL_BELOW) -> tuple[tuple[int | None, ...], ...]:
    """The table with a total in the last column and a last row of totals; None where a count is not published.

    Every small count (1 to `below` - 1), totals included, and the cheapest others (by people, totals last) with which
    it could be `below` or more. A count of 0 is always published, so that a reader who knows these rules knows that a
    blank is at least 1, and that is allowed for. Protects one table: figures that share people with it must be cells
    or sums of published cells of it. Raises ValueError for a table without a cell, of uneven rows or negative counts.
    """
    if not counts or not counts[0] or any(len(row) != len(counts[0]) or min(row) < 0 for row in counts):
        raise ValueError("a table has rows of equal length with counts of people")
    table = [(*row, sum(row)) for row in counts]
    table.append(tuple(map(sum, zip(*table, strict=True))))
    blank = blanks(table, below)
    return tuple(
        tuple(None if (at, place) in blank else count for place, count in enumerate(row))
        for at, row in enumerate(table)
    )


def blanks(table: Sequence[Sequence[int]], below: int = SMALL_BELOW, also: Set[Cell] = frozenset()) -> frozenset[Cell]:
    """The cells that `suppressed` blanks, of a table that has its totals already.

    `also` are cells that another table keeps back: nor can they be worked out from this one (by one at least).
    """
    values = {(at, place): count for at, row in enumerate(table) for place, count in enumerate(row)}
    small = sorted((count, cell) for cell, count in values.items() if 0 < count < below or (cell in also and count))
    ways = _Ways(values)
    for _, cell in small:
        ways.open(cell)
    for count, cell in small:
        for each in ways.cheapest_cycle(cell, max(1, below - count)):
            ways.open(each)
    return frozenset(ways.blank)


class _Ways:
    """How a table can be crossed: from column to column over a row, by two cells, which costs what blanking them does.

    A cell flows from its row to its column, the total of a row or of a column the other way, the total of all as a
    cell does; it can grow without end, and shrink to one.
    """

    def __init__(self, values: Mapping[Cell, int]) -> None:
        self._rows, self._columns = max(values)
        people = values[self._rows, self._columns]
        self._values = values
        self._cost = {
            cell: count + people * ((cell[0] == self._rows) + (cell[1] == self._columns))  # a total is blanked last
            for cell, count in values.items()
        }
        rows, columns = range(self._rows + 1), range(self._columns + 1)
        self._of_people = [[row for row in rows if values[row, column]] for column in columns]
        self.blank: set[Cell] = set()
        self._hops: dict[int, _Hops] = {}

    def open(self, cell: Cell) -> None:
        """Blanks a cell: from now on its way costs nothing."""
        if cell in self.blank:
            return
        self.blank.add(cell)
        self._cost[cell] = 0
        row, column = cell
        for rise, hops in self._hops.items():
            for other in range(self._columns + 1):
                self._offer(hops, rise, row, (column, other))
                self._offer(hops, rise, row, (other, column))

    def cheapest_cycle(self, small: Cell, rise: int) -> set[Cell]:
        """The cells by which this one can rise so far: the cheapest way from where it flows to, back to where it is
        from.

        There always is one: over the totals, which can rise without end. Dijkstra 1959, Numer Math 1:269, over the
        columns, which are few.
        """
        row, column = small
        others = [each for each in range(self._columns + 1) if each != column]
        if self._flows_to_column(small):
            ends = {each: self._cost[row, each] for each in others if self._can_enter((row, each), rise)}
            way = self._way({column: 0}, ends, row, rise)
            return {*self._crossed(way), (row, way[-1][1])}
        starts = {each: self._cost[row, each] for each in others if self._can_leave((row, each), rise)}
        way = self._way(starts, {column: 0}, row, rise)
        return {*self._crossed(way), (row, way[0][1])}

    def _way(self, starts: Mapping[int, int], ends: Mapping[int, int], past: int, rise: int) -> list[tuple[int, int]]:
        """The cheapest way over the columns that avoids one row: each column with the row that led to it."""
        hops = self._hops_for(rise)
        least, before = dict(starts), dict[int, tuple[int, int]]()
        left, enough = set(range(self._columns + 1)), inf
        while near := left & least.keys():
            nearest = min(near, key=lambda column: (least[column], column))
            if least[nearest] > enough:
                break  # whatever is reached from here on is dearer
            left.remove(nearest)
            enough = min(enough, least[nearest] + ends.get(nearest, inf))
            for column in left:
                found = _past(hops[nearest, column], past)
                if found is not None and least[nearest] + found[0] < least.get(column, inf):
                    least[column], before[column] = least[nearest] + found[0], (nearest, found[1])
        reached = [column for column in ends if column in least]
        if not reached:
            raise AssertionError("the totals of a table close every cycle")
        column = min(reached, key=lambda each: (least[each] + ends[each], each))
        way = []
        while column in before:
            previous, row = before[column]
            way.append((row, column))
            column = previous
        return [(past, column), *reversed(way)]

    def _crossed(self, way: Sequence[tuple[int, int]]) -> Iterator[Cell]:
        for (_, column), (row, following) in pairwise(way):
            yield row, column
            yield row, following

    def _hops_for(self, rise: int) -> _Hops:
        """The two cheapest rows from each column to each other one: cost and row."""
        if rise not in self._hops:
            columns = range(self._columns + 1)
            coming, going = (
                [{row: self._cost[row, at] for row in self._of_people[at] if may((row, at), rise)} for at in columns]
                for may in (self._can_enter, self._can_leave)
            )
            self._hops[rise] = {
                (come, go): nsmallest(2, _together(coming[come], going[go])) for come, go in permutations(columns, 2)
            }
        return self._hops[rise]

    def _offer(self, hops: _Hops, rise: int, row: int, pair: tuple[int, int]) -> None:
        come, go = (row, pair[0]), (row, pair[1])
        if come == go or not (self._can_enter(come, rise) and self._can_leave(go, rise)):
            return
        found, known = (self._cost[come] + self._cost[go], row), hops[pair]
        if len(known) < 2 or found <= known[1]:  # a row that is known has become cheaper, never dearer
            hops[pair] = sorted([*(each for each in known if each[1] != row), found])[:2]

    def _flows_to_column(self, cell: Cell) -> bool:
        return (cell[0] == self._rows) == (cell[1] == self._columns)

    def _can_enter(self, cell: Cell, rise: int) -> bool:
        """Whether a cell can change by so much from its column to its row; one of nobody cannot change."""
        count = self._values[cell]
        return count > 0 and (not self._flows_to_column(cell) or count > rise)

    def _can_leave(self, cell: Cell, rise: int) -> bool:
        count = self._values[cell]
        return count > 0 and (self._flows_to_column(cell) or count > rise)


def _together(coming: Mapping[int, int], going: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Cost and row of every row that can be crossed, out of the cost of either half by row."""
    fewer, others = sorted((coming, going), key=len)
    return ((cost + others[row], row) for row, cost in fewer.items() if row in others)


def _past(ways: Sequence[tuple[int, int]], row: int) -> tuple[int, int] | None:
    """The cheapest of the two ways that does not use this row."""
    if ways and ways[0][1] == row:
        ways = ways[1:]
    return ways[0] if ways else None
