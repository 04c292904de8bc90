"""When reports are due and late, and which of them make up a longer time."""

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_measurement.data.region import default_schedule, schedule_from
from stepwell_measurement.rules.region import (
    MONTH,
    QUARTER,
    Part,
    Schedule,
    State,
    newest_part,
    part_named,
    parts_due,
    state_of,
    tiled,
)

QUARTERS = Schedule(QUARTER, wait_days=14, late_days=7)
MONTHS = Schedule(MONTH, wait_days=5, late_days=7)
THIRD = Part("2026-Q3", date(2026, 7, 1), date(2026, 9, 30))
DAYS = st.dates(date(2026, 1, 1), date(2026, 1, 12))


@pytest.mark.parametrize("said", [[], "month", {"every": "week"}, {"waitDays": -1}, {"lateDays": True}, {"due": 3}])
def test_a_schedule_that_cannot_be_is_refused(said: Any) -> None:
    with pytest.raises(ValueError, match="regionFigures"):
        schedule_from(said)


def test_a_site_says_what_differs_from_what_ships() -> None:
    ships = default_schedule()
    assert schedule_from({"every": "month"}) == Schedule(MONTH, ships.wait_days, ships.late_days)


@pytest.mark.parametrize("name", ["2026", "2026-Q5", "2026-13", "2026-00", "x-Q1", "0000-01", "2026-Q1-1", "9999-Q4"])
def test_what_names_no_part_of_a_year_is_none(name: str) -> None:
    assert part_named(name) is None


@pytest.mark.parametrize(
    ("schedule", "today", "names"),
    [
        (QUARTERS, date(2026, 10, 13), ["2026-Q1", "2026-Q2"]),
        (QUARTERS, date(2026, 10, 14), ["2026-Q1", "2026-Q2", "2026-Q3"]),
        (MONTHS, date(2026, 10, 4), ["2025-11", "2025-12", *(f"2026-0{each}" for each in range(1, 9))]),
    ],
)  # fmt: skip
def test_whole_parts_are_due_some_days_after_they_end(schedule: Schedule, today: date, names: list[str]) -> None:
    due = parts_due(schedule, date(2025, 11, 1), date(2026, 9, 30), today)
    assert [each.name for each in due] == names
    assert due == [part_named(name) for name in names]


def test_the_newest_part_is_the_last_that_is_over() -> None:
    assert newest_part(QUARTERS, date(2026, 10, 1)) == THIRD
    assert newest_part(MONTHS, date(2026, 10, 31)).name == "2026-09"


@pytest.mark.parametrize(
    ("today", "is_there", "has_tally", "state"),
    [
        (date(2026, 10, 21), False, False, State.AWAITED),
        (date(2026, 10, 22), False, False, State.LATE),
        (date(2026, 10, 22), True, False, State.KEPT_BACK),
        (date(2026, 10, 22), True, True, State.COUNTED),
    ],
)
def test_a_report_is_awaited_until_it_is_late(today: date, is_there: bool, has_tally: bool, state: State) -> None:
    assert state_of(QUARTERS, THIRD, today, is_there=is_there, has_tally=has_tally) is state


@given(st.lists(st.tuples(DAYS, DAYS), max_size=12), DAYS, DAYS)
def test_a_time_is_made_up_of_periods_without_gap_or_overlap_or_not_at_all(
    periods: list[tuple[date, date]], start: date, end: date
) -> None:
    found = tiled(periods, start, end)
    if found:
        assert set(found) <= set(periods)
        assert (found[0][0], found[-1][1]) == (start, end)
        assert all((after[0] - before[1]).days == 1 for before, after in pairwise(found))
    elif (start, end) in periods and start <= end:
        pytest.fail("one of them is all of it")
