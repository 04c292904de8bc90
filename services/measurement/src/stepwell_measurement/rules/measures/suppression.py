"""Which cells of a table may be published, so that no small count can be read off or worked out from the totals.

A table with its totals is a circulation: every cell flows from its row to its column, every total flows back. A cell
can be worked out exactly when no other circulation agrees with what is published, so around each small cell a cycle
of blank ones is opened (Kelly, Golden and Assad 1992, Networks 22:397). Rates of a blank cell are blank as well.

What this keeps from a reader: sums, differences and bounds. Who runs this very choice over all tables that could have
been published can, in tables of very few people, still rule some out: merge such groups before they are counted.
"""

from collections.abc import Collection, Iterable, Sequence, Set

from stepwell_measurement.rules.measures.crossing import Cell, Crossings, Ways

SMALL_BELOW = 5
"""A count of 1 to 4 is not published: the default of the national reports, as clinical.md has it."""


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
    small = [
        (at, column)
        for at, row in enumerate(table)
        for column, count in enumerate(row)
        if 0 < count < below or (count and (at, column) in also)
    ]
    if not small:
        return frozenset()
    hiding = Hiding(table, small)
    hiding.hide(small, below)
    return frozenset(hiding.blank)


class Hiding:
    """One table, and which of its cells are blank: more and more of them."""

    def __init__(self, table: Sequence[Sequence[int]], blank: Iterable[Cell]) -> None:
        self._table = table
        self._rows, self._columns = len(table) - 1, len(table[0]) - 1
        self._crossings: dict[int, Crossings] = {}
        self._ways: Ways | None = None
        self.blank = set(blank)

    def hide(self, cells: Collection[Cell], below: int) -> None:
        """Blanks cells, and with them others, so that each of these can be `below`, or more by one at least."""
        for cell in cells:
            self._open(cell)
        for count, cell in sorted((self._table[row][column], (row, column)) for row, column in cells):
            rise = max(1, below - count)
            if self._is_hidden(cell, rise):
                continue
            if self._ways is None:
                self._ways = Ways(self._table, self.blank)
            for each in self._ways.cheapest_cycle(cell, rise):
                self._open(each)

    def _open(self, cell: Cell) -> None:
        if cell in self.blank:
            return
        self.blank.add(cell)
        for rise, crossings in self._crossings.items():
            crossings.open(cell[0], *self._sides(cell, rise))
        if self._ways is not None:
            self._ways.open(cell)

    def _is_hidden(self, cell: Cell, rise: int) -> bool:
        """Whether blank cells alone let this one rise so far: its cheapest cycle costs nothing then."""
        crossings = self._crossings.get(rise)
        if crossings is None:
            sides = ((each[0], *self._sides(each, rise)) for each in self.blank)
            crossings = self._crossings[rise] = Crossings(sides)
        row, column = cell
        enter, leave = crossings.sides(row)
        at = 1 << column
        if (row == self._rows) == (column == self._columns):  # it flows to its column
            return crossings.lead(at, enter & ~at, row)
        return crossings.lead(leave & ~at, at, row)

    def _sides(self, cell: Cell, rise: int) -> tuple[int, int]:
        """The bit of a blank cell's column, where its row can be entered by it, and where it can be left."""
        row, column = cell
        bit = 1 << column
        if self._table[row][column] > rise:
            return bit, bit
        return (0, bit) if (row == self._rows) == (column == self._columns) else (bit, 0)
