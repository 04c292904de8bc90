"""Reports say what was counted and no more: figures by hand, small counts that nobody can work out, sums of parts."""

import itertools
import random
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.measures.figures import Figure, Tally, added, cells, figure, is_tally, wait_name
from stepwell_measurement.rules.measures.reports import EVERYBODY, GroupKey, Report, report

SHARE, WAITS, USE = (measures()[name] for name in ("recovery", "waits", "utilisation"))


def share(having: int, followed: int, eligible: int) -> Tally:
    return {"eligible": Decimal(eligible), "followed": Decimal(followed), "having": Decimal(having)}


def of(name: str, tally: Tally) -> tuple[GroupKey, Tally]:
    return GroupKey(None, (name,)), tally


@pytest.mark.parametrize(
    "wrong",
    [
        {"having": Decimal(3), "followed": Decimal(2), "eligible": Decimal(2)},
        {"eligible": Decimal(-1)},
        {"eligible": Decimal("NaN")},
        {"names": Decimal(1)},
    ],
)
def test_what_cannot_have_been_counted_is_no_tally(wrong: Tally) -> None:
    assert not is_tally(SHARE, wrong)
    assert not is_tally(WAITS, {"begun soon": Decimal(1)})
    assert is_tally(SHARE, share(1, 2, 3))
    assert is_tally(WAITS, {"begun 12": Decimal(1)})


def test_a_rate_stands_beside_its_follow_up_and_the_bounds_that_assume_nothing() -> None:
    found = figure(SHARE, share(40, 80, 100))
    assert found.score is not None
    assert found.completeness is not None
    assert (found.score.estimate, found.completeness.estimate) == (0.5, 0.8)
    assert (found.lowest, found.highest) == (0.4, 0.6)


def test_nobody_counted_is_no_rate_of_zero() -> None:
    empty = report(SHARE, {})
    assert empty.whole == Figure(0, 0, 0, None, None, None, None)
    assert empty.rows == ()


def test_what_is_told_of_everybody_alone_has_no_rows() -> None:
    found = report(SHARE, {EVERYBODY: share(10, 20, 20)})
    assert found.rows == ()
    assert found.whole.having == 10


def test_waits_are_small_by_the_limits_that_are_published() -> None:
    tally = {wait_name("begun", days): Decimal(30) for days in (10, 60)}
    assert cells(WAITS, tally) == (30, 30, 0, 0, 0, 0, 0)
    late = {**tally, wait_name("waiting", 200): Decimal(3)}
    assert cells(WAITS, late) == (30, 30, 0, 0, 0, 3, 0)
    found = report(WAITS, {EVERYBODY: late}).whole
    assert (found.waits, found.is_withheld) == (None, True)


def test_few_events_are_not_told_even_of_many_people() -> None:
    people = {"eligible": Decimal(50), "followed": Decimal(50), "before": Decimal(40)}
    assert report(USE, {EVERYBODY: {**people, "after": Decimal(3)}}).whole.use is None
    assert report(USE, {EVERYBODY: {**people, "after": Decimal(5)}}).whole.use is not None


def test_a_series_has_limits_and_a_month_beyond_them_is_a_signal() -> None:
    months = [date(2026, month, 1) for month in range(1, 9)]
    tallies = {GroupKey(month, ()): share(50, 100, 100) for month in months}
    tallies[GroupKey(months[-1], ())] = share(90, 100, 100)
    found = report(SHARE, tallies)
    assert [row.since for row in found.rows] == months
    assert all(row.limits is not None for row in found.rows)
    assert [bool(row.limits and row.limits.signals) for row in found.rows] == [False] * 7 + [True]


def test_limits_come_from_what_is_shown_alone() -> None:
    months = [date(2026, month, 1) for month in (1, 2, 3, 4)]
    tallies = {GroupKey(month, ()): share(50, 100, 100) for month in months}
    tallies[GroupKey(months[1], ())] = share(2, 100, 100)
    found = report(SHARE, tallies)
    known = [row.figure.having for row in found.rows]
    assert None in known
    assert [row.limits is None for row in found.rows] == [having is None for having in known]


def readings(found: Report, names: tuple[str, ...]) -> list[list[tuple[int | None, ...]]]:
    """What a reader sees of each group and of all: having, followed without, not followed, everybody."""
    rows = [row.figure for row in found.rows] + [found.whole]
    assert len(rows) == len(names) + 1
    return [[(each.having, each.followed, each.eligible)] for each in rows]


@pytest.mark.parametrize("seed", range(12))
def test_no_small_count_can_be_worked_out_by_subtraction(seed: int) -> None:
    """A reader who knows every rule still finds at least two tables that give the same report."""
    drawn = random.Random(seed)
    names = ("a", "b", "c")
    groups = [[drawn.choice((0, 1, 2, 3, 6, 9, 20)) for _ in range(3)] for _ in names]
    tallies: dict[GroupKey, Tally] = {}
    for name, (having, without, missing) in zip(names, groups, strict=True):
        tallies.update([of(name, share(having, having + without, having + without + missing))])
    found = report(SHARE, tallies)
    shown = readings(found, names)
    for row, column in itertools.product(range(3), range(3)):
        if 0 < groups[row][column] < 5:
            assert _could_be_another(groups, shown, row, column), (groups, row, column)


def _could_be_another(
    groups: list[list[int]], shown: list[list[tuple[int | None, ...]]], row: int, column: int
) -> bool:
    """Whether moving people between cells leaves everything that is shown as it is, with this cell changed."""
    steps = range(-4, 5)
    for other_row, other_column in itertools.product((0, 1, 2, None), (0, 1, 2, None)):
        if other_row == row or other_column == column:
            continue
        for step in steps:
            if step and _agrees(_moved(groups, (row, column), (other_row, other_column), step), shown):
                return True
    return False


def _moved(
    groups: list[list[int]], cell: tuple[int, int], other: tuple[int | None, int | None], step: int
) -> list[list[int]]:
    moved = [list(each) for each in groups]
    moved[cell[0]][cell[1]] += step
    if other[1] is not None:
        moved[cell[0]][other[1]] -= step
    if other[0] is not None:
        moved[other[0]][cell[1]] -= step
        if other[1] is not None:
            moved[other[0]][other[1]] += step
    return moved


def _agrees(groups: list[list[int]], shown: list[list[tuple[int | None, ...]]]) -> bool:
    if any(count < 0 for group in groups for count in group):
        return False
    table = [*groups, [sum(column) for column in zip(*groups, strict=True)]]
    for (having, without, missing), ((had, followed, eligible),) in zip(table, shown, strict=True):
        facts = ((had, having), (followed, having + without), (eligible, having + without + missing))
        if any(said is not None and said != true for said, true in facts):
            return False
    return True


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.integers(0, 40)] * 3), min_size=1, max_size=6))
def test_what_parts_have_counted_is_the_whole_when_it_is_added_up(parts: list[tuple[int, int, int]]) -> None:
    tallies = [share(a, a + b, a + b + c) for a, b, c in parts]
    whole = share(*(sum(int(each[name]) for each in tallies) for name in ("having", "followed", "eligible")))
    assert added(tallies) == whole
    assert figure(SHARE, added(tallies)) == figure(SHARE, whole)
