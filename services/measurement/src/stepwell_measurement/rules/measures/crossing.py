"""How a table with its totals can be crossed: from column to column over a row, by a cell of either column.

A cell flows from its row to its column, the total of a row or of a column the other way, the total of all as a cell
does; it can grow without end, and shrink to one.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence, Set
from itertools import pairwise
from math import inf

Cell = tuple[int, int]
"""Row and column. The last of each is the total."""

_Way = tuple[float, int]
"""What it costs to get from one column to another, and over which row."""
_NO_WAY: _Way = (inf, -1)

_Costs = MutableSequence[int]
"""What each row costs, by its place; _CLOSED is one that cannot be crossed there. Tables may have thousands of rows."""
_CLOSED = -1


class Crossings:
    """How far the blank cells of a table lead, where each can change by so much."""

    def __init__(self, cells: Iterable[tuple[int, int, int]]) -> None:
        """The row of each cell, and the bit of its column where the row can be entered by it, and where left."""
        self._sides: dict[int, tuple[int, int]] = {}
        for row, enter, leave in cells:
            entered, left = self.sides(row)
            self._sides[row] = entered | enter, left | leave
        # Rows are many, and alike: by their sides, how many there are.
        self._alike = Counter(self._sides.values())

    def open(self, row: int, enter: int, leave: int) -> None:
        """One more blank cell."""
        entered, left = before = self.sides(row)
        self._alike[before] -= 1
        self._sides[row] = after = entered | enter, left | leave
        self._alike[after] += 1

    def sides(self, row: int) -> tuple[int, int]:
        """From which columns a row can be entered, and to which it can be left: a bit for each."""
        return self._sides.get(row, (0, 0))

    def lead(self, starts: int, aims: int, past: int) -> bool:
        """Whether one of these columns leads to one of those, over rows but this one."""
        own, reached = self._sides.get(past), starts
        others = [sides for sides, many in self._alike.items() if many > (sides == own)]
        while True:
            before = reached
            for enter, leave in others:
                if enter & reached:
                    reached |= leave
            if reached & aims:
                return True
            if reached == before:
                return False


class Ways:
    """What it costs to cross a table: the people of the cells that are blanked for it, totals last."""

    def __init__(self, table: Sequence[Sequence[int]], blank: Set[Cell]) -> None:
        """Whoever adds to the blank cells says it by `open`."""
        self._rows, self._columns = len(table) - 1, len(table[0]) - 1
        self._people = table[-1][-1]
        self._table = table
        self._blank = blank
        # By how much it has to rise: what it costs to come to a row from a column, and to go from it to one; and the
        # two cheapest ways from one column to another.
        self._coming: dict[tuple[int, int], _Costs] = {}
        self._going: dict[tuple[int, int], _Costs] = {}
        self._hops: dict[tuple[int, int, int], tuple[_Way, _Way]] = {}

    def open(self, cell: Cell) -> None:
        """One more blank cell: from now on its way costs nothing."""
        row, column = cell
        for known in (self._coming, self._going):
            for (_, of), costs in known.items():
                if of == column and costs[row] != _CLOSED:
                    costs[row] = 0
        for rise, come, go in self._hops:
            if column in (come, go):
                self._offer(rise, come, go, row)

    def _offer(self, rise: int, come: int, go: int, row: int) -> None:
        coming, going = self._coming[rise, come][row], self._going[rise, go][row]
        if _CLOSED in (coming, going):
            return
        first, second = self._hops[rise, come, go]
        found = (coming + going, row)
        if first[1] == row or found < first:  # a row that is known has become cheaper, never dearer
            self._hops[rise, come, go] = found, second if first[1] == row else first
        elif second[1] == row or found < second:
            self._hops[rise, come, go] = first, found

    def cheapest_cycle(self, small: Cell, rise: int) -> set[Cell]:
        """The cells by which this one can rise so far: the cheapest way from where it flows to, back to where it is
        from.

        There always is one: over the totals, which can rise without end. Dijkstra 1959, Numer Math 1:269, over the
        columns, which are few.
        """
        row, column = small
        others = [each for each in range(self._columns + 1) if each != column]
        if self._flows_to_column(row, column):
            come = self._come
            ends = {each: cost for each in others if (cost := come(rise, each)[row]) != _CLOSED}
            way = self._way({column: 0}, ends, row, rise)
            return {*_crossed(way), (row, way[-1][1])}
        go = self._go
        starts = {each: cost for each in others if (cost := go(rise, each)[row]) != _CLOSED}
        way = self._way(starts, {column: 0}, row, rise)
        return {*_crossed(way), (row, way[0][1])}

    def _way(self, starts: Mapping[int, int], ends: Mapping[int, int], past: int, rise: int) -> list[tuple[int, int]]:
        """The cheapest way over the columns that avoids one row: each column with the row that led to it."""
        least: dict[int, float] = dict(starts)
        before: dict[int, tuple[int, int]] = {}
        left, enough = set(range(self._columns + 1)), inf
        while near := [(least[column], column) for column in left if column in least]:
            cost, nearest = min(near)
            if cost > enough:
                break  # whatever is reached from here on is dearer
            left.remove(nearest)
            enough = min(enough, cost + ends.get(nearest, inf))
            for column in left:
                first, second = self._hop(rise, nearest, column)
                found, row = second if first[1] == past else first
                if cost + found < least.get(column, inf):
                    least[column], before[column] = cost + found, (nearest, row)
        reached = [(least[column] + end, column) for column, end in ends.items() if column in least]
        if not reached:
            raise AssertionError("the totals of a table close every cycle")
        _, column = min(reached)
        way = []
        while column in before:
            previous, row = before[column]
            way.append((row, column))
            column = previous
        return [(past, column), *reversed(way)]

    def _hop(self, rise: int, come: int, go: int) -> tuple[_Way, _Way]:
        """The two cheapest rows from a column to another one: cost and row."""
        found = self._hops.get((rise, come, go))
        if found is None:
            found = self._hops[rise, come, go] = _two_cheapest(self._come(rise, come), self._go(rise, go))
        return found

    def _come(self, rise: int, column: int) -> _Costs:
        """What each row costs where it is entered from a column; one of nobody cannot be."""
        if (rise, column) not in self._coming:
            self._coming[rise, column] = self._costs(rise, column, is_coming=True)
        return self._coming[rise, column]

    def _go(self, rise: int, column: int) -> _Costs:
        """What each row costs where it is left to a column."""
        if (rise, column) not in self._going:
            self._going[rise, column] = self._costs(rise, column, is_coming=False)
        return self._going[rise, column]

    def _costs(self, rise: int, column: int, *, is_coming: bool) -> _Costs:
        """What it costs to blank the cell of each row; one that is crossed against its flow shrinks, and has to have
        enough for it."""
        found = array("q")
        for row, counts in enumerate(self._table):
            count = counts[column]
            if not count or (count <= rise and self._flows_to_column(row, column) is is_coming):
                found.append(_CLOSED)
            elif (row, column) in self._blank:
                found.append(0)
            else:
                totals = (row == self._rows) + (column == self._columns)
                found.append(count + self._people * totals)
        return found

    def _flows_to_column(self, row: int, column: int) -> bool:
        return (row == self._rows) == (column == self._columns)


def _crossed(way: Sequence[tuple[int, int]]) -> Iterator[Cell]:
    for (_, column), (row, following) in pairwise(way):
        yield row, column
        yield row, following


def _two_cheapest(coming: _Costs, going: _Costs) -> tuple[_Way, _Way]:
    """The two cheapest rows that can be crossed, out of the cost of either half by row."""
    first = second = _NO_WAY
    for row, (cost, other) in enumerate(zip(coming, going, strict=True)):
        if _CLOSED not in (cost, other) and (found := (cost + other, row)) < second:
            first, second = (found, first) if found < first else (first, found)
    return first, second
