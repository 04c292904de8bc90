"""Which cells of a table may be published, so that no small count can be read off or worked out from the totals.

A table with its totals is a circulation: every cell flows from its row to its column, every total flows back. A cell
can be worked out exactly when no other circulation agrees with what is published, so around each small cell a cycle
of blank ones is opened (Kelly, Golden and Assad 1992, Networks 22:397). Rates of a blank cell are blank as well.

What this keeps from a reader: sums, differences and bounds. Who runs this very choice over all tables that could have
been published can, in tables of very few people, still rule some out: merge such groups before they are counted.
"""

from collections.abc import Mapping, Sequence, Set
from heapq import heappop, heappush
from typing import NamedTuple

SMALL_BELOW = 5
"""A count of 1 to 4 is not published: the default of the national reports, as clinical.md has it."""

Cell = tuple[int, int]
"""Row and column. The last of each is the total."""


class _Arc(NamedTuple):
    """A cell as it can be crossed: to its other end, how much it could change by, and what it costs to blank it."""

    end: int
    cell: Cell
    room: float
    cost: int


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
    blank = {cell for _, cell in small}
    arcs, total = _arcs(values), max(values)
    for count, cell in small:
        blank |= _cheapest_cycle(arcs, blank, cell, _ends(cell, total), max(1, below - count))
    return frozenset(blank)


def _cheapest_cycle(
    arcs: Mapping[int, Sequence[_Arc]], blank: set[Cell], small: Cell, ends: tuple[int, int], rise: int
) -> set[Cell]:
    """The cells by which this one can rise so far: the cheapest way from where it flows to, back to where it is from.

    There always is one: over the totals, which can rise without end. Dijkstra 1959, Numer Math 1:269.
    """
    source, target = ends
    queue: list[tuple[int, int, tuple[Cell, ...]]] = [(0, target, ())]
    reached: set[int] = set()
    while queue:
        cost, node, path = heappop(queue)
        if node == source:
            return set(path)
        if node in reached:
            continue
        reached.add(node)
        for arc in arcs[node]:
            if arc.room >= rise and arc.cell != small and arc.end not in reached:
                further = cost if arc.cell in blank else cost + arc.cost
                heappush(queue, (further, arc.end, (*path, arc.cell)))
    raise AssertionError("the totals of a table close every cycle")


def _arcs(values: Mapping[Cell, int]) -> dict[int, list[_Arc]]:
    total = rows, columns = max(values)
    people = values[total]
    arcs: dict[int, list[_Arc]] = {node: [] for node in range(rows + columns + 2)}
    for cell, count in values.items():
        if not count:
            continue
        start, end = _ends(cell, total)
        cost = count + people * ((cell[0] == rows) + (cell[1] == columns))  # a total is blanked last
        arcs[start].append(_Arc(end, cell, float("inf"), cost))
        arcs[end].append(_Arc(start, cell, count - 1, cost))
    return arcs


def _ends(cell: Cell, total: Cell) -> tuple[int, int]:
    """From which node to which a cell flows: rows come first, columns after them; a total of a row or of a column
    flows the other way, the total of all as a cell does."""
    rows, columns = total
    row, column = cell[0], rows + 1 + cell[1]
    return (column, row) if (cell[0] == rows) != (cell[1] == columns) else (row, column)
