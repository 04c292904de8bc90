"""Promises of numbered cells: a key has one cell, however it comes about, and each number is found where it stands."""

import pytest
from stepwell_measurement.rules.numbering import EVERYBODY, Cells, Key, Lines, Places, Table

WOMEN, MEN, NORTH = (frozenset({pair}) for pair in (("sex", "f"), ("sex", "m"), ("practice", "north")))


def test_a_number_is_found_in_all_sequences_in_which_it_stands() -> None:
    places = Places([(2, 0), (), (0, 3), (0,)], numbers_count=5)
    assert [list(places.of(number)) for number in range(5)] == [[0, 2, 3], [], [0], [2], []]
    assert list(places.of(70)) == []
    assert list(Places([], numbers_count=0).of(0)) == []


def test_cells_of_two_tables_are_one_where_they_count_the_same_people() -> None:
    """Of everybody by sex and by practice, and of the people of a practice by sex."""
    cells = Cells()
    lines = Lines(cells)
    first = lines.of(Table(EVERYBODY, (WOMEN, MEN), (NORTH,), ((3,), (4,))))
    second = lines.of(Table(NORTH, (WOMEN, MEN), (EVERYBODY,), ((3,), (4,))))
    assert (len(first), len(second)) == (3, 3)
    counts: dict[Key, int] = {cells.key(number): count for number, count in enumerate(cells.counts)}
    assert counts == {WOMEN: 3, MEN: 4, NORTH: 7, EVERYBODY: 7, WOMEN | NORTH: 3, MEN | NORTH: 4}
    assert all(cells.number(key) == number for number, key in enumerate(counts))
    assert cells.in_order(cells.number(WOMEN | NORTH)) == [("practice", "north"), ("sex", "f")]


def test_a_line_that_is_in_two_tables_is_kept_once() -> None:
    cells = Cells()
    lines = Lines(cells)
    whole = lines.of(Table(EVERYBODY, (NORTH,), (WOMEN, MEN), ((3, 4),)))
    own = lines.of(Table(NORTH, (EVERYBODY,), (WOMEN, MEN), ((3, 4),)))
    assert whole[0] == own[0] == own[1]
    assert len(lines.lines) == 2
    with pytest.raises(ValueError, match="differ on a cell"):
        lines.of(Table(NORTH, (EVERYBODY,), (WOMEN, MEN), ((3, 5),)))
