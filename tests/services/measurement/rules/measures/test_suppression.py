"""Nothing that is kept back can be worked out: not from the totals, not from bounds on what a blank may be."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.rules.measures.crossing import Cell
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW, suppressed

Published = tuple[tuple[int | None, ...], ...]
COUNTS = st.one_of(st.integers(0, 7), st.integers(0, 90))
TABLES = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: st.lists(st.lists(COUNTS, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0])
)


def with_totals(counts: list[list[int]]) -> list[list[int]]:
    table = [[*row, sum(row)] for row in counts]
    return [*table, [sum(column) for column in zip(*table, strict=True)]]


def blank_cells(published: Published) -> list[Cell]:
    return [(at, place) for at, row in enumerate(published) for place, count in enumerate(row) if count is None]


def equations(published: Published) -> list[list[Fraction]]:
    """What the totals say of the blank cells: each row and each column is its cells less its total, which is nought."""
    lines = [[(at, place) for place in range(len(published[0]))] for at in range(len(published))]
    lines += [list(line) for line in zip(*lines, strict=True)]
    blank = blank_cells(published)
    return [[Fraction((cell in line) * (-1 if cell == line[-1] else 1)) for cell in blank] for line in lines]


def solved(rows: list[list[Fraction]]) -> set[int]:
    """The unknowns that a linear system determines: Gauss and Jordan leave each of them alone in a row."""
    rows, rank = [list(row) for row in rows], 0
    for column in range(len(rows[0])):
        pivot = next((at for at in range(rank, len(rows)) if rows[at][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        rows[rank] = [value / rows[rank][column] for value in rows[rank]]
        for at, row in enumerate(rows):
            if at != rank and row[column]:
                rows[at] = [value - row[column] * own for value, own in zip(row, rows[rank], strict=True)]
        rank += 1
    return {row.index(Fraction(1)) for row in rows[:rank] if sum(map(bool, row)) == 1}


def every_table(rows: int, columns: int, people: int) -> Iterator[list[list[int]]]:
    for flat in product(range(people + 1), repeat=rows * columns):
        if sum(flat) == people:
            yield [list(flat[at * columns : (at + 1) * columns]) for at in range(rows)]


def agrees(table: list[list[int]], published: Published) -> bool:
    return all(
        shown == count if shown is not None else count > 0
        for row, true in zip(published, table, strict=True)
        for shown, count in zip(row, true, strict=True)
    )


@pytest.mark.parametrize("counts", [[], [[]], [[1, 2], [3]], [[4, -1]]])
def test_what_is_no_table_of_people_is_refused(counts: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="table"):
        suppressed(counts)


def test_the_attack_itself_finds_what_blanking_the_small_count_alone_gives_away() -> None:
    assert solved(equations(((None, 20, 23), (30, 40, 70), (33, 60, 93)))) == {0}
    assert solved(equations(((None, None, 23), (30, 40, 70), (33, 60, 93)))) == {0, 1}
    assert solved(equations(((None, None, 23), (None, None, 70), (33, 60, 93)))) == set()


def test_a_table_without_small_counts_is_published_whole_with_its_noughts() -> None:
    assert suppressed([[0, 20], [5, 40]]) == ((0, 20, 20), (5, 40, 45), (5, 60, 65))


def test_a_small_count_takes_the_cheapest_others_with_it_and_the_totals_stay() -> None:
    assert suppressed([[3, 20, 50], [30, 40, 7], [60, 70, 80]]) == (
        (None, 20, None, 73),
        (None, 40, None, 77),
        (60, 70, 80, 210),
        (93, 130, 137, 360),
    )  # fmt: skip


def test_where_nobody_else_could_hide_a_count_its_totals_go_as_well() -> None:
    assert suppressed([[3]]) == ((None, None), (None, None))
    assert suppressed([[3, 0], [0, 40]]) == ((None, 0, None), (0, 40, 40), (None, 40, None))


def test_two_small_counts_that_could_only_be_one_each_do_not_hide_each_other() -> None:
    assert suppressed([[1, 1, 50], [60, 70, 80]])[0] == (None, None, None, 52)


@settings(max_examples=80)
@given(TABLES)
def test_no_small_count_is_published_and_the_linear_system_determines_no_blank_cell(counts: list[list[int]]) -> None:
    published, true = suppressed(counts), with_totals(counts)
    for row, true_row in zip(published, true, strict=True):
        for shown, count in zip(row, true_row, strict=True):
            assert shown in {None, count}
            assert shown is None or not 0 < shown < SMALL_BELOW
            assert count or shown == 0
    if blank_cells(published):
        assert solved(equations(published)) == set()


@pytest.mark.parametrize(("rows", "columns", "people"), [(1, 2, 9), (1, 3, 18), (1, 4, 12), (2, 2, 13), (2, 3, 8)])
def test_no_bounds_tell_a_blank_count_or_that_it_is_small(rows: int, columns: int, people: int) -> None:
    # Brute force: every table of so many people that agrees with what is published, where no blank is a nought.
    tables = [(counts, with_totals(counts)) for counts in every_table(rows, columns, people)]
    for published in {suppressed(counts) for counts, _ in tables}:
        if published[-1][-1] is None:
            continue
        agreeing = [table for _, table in tables if agrees(table, published)]
        for at, place in blank_cells(published):
            possible = {table[at][place] for table in agreeing}
            assert len(possible) > 1
            assert max(possible) >= SMALL_BELOW


@settings(max_examples=40)
@given(TABLES)
def test_a_higher_limit_never_publishes_a_smaller_count(counts: list[list[int]]) -> None:
    for below in (1, 3, 11):
        shown = [count for row in suppressed(counts, below) for count in row if count]
        assert all(count >= below for count in shown)
    assert suppressed(counts, 1) == tuple(map(tuple, with_totals(counts)))
