"""Promises of waits from a calendar: what makes them longer, how they are corrected, and what is shown of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from stepwell_referral import data
from stepwell_referral.rules.forecast import (
    Pace,
    attended_share,
    begun_probability,
    calibration,
    days_until,
    forecast,
    working_probability,
)
from stepwell_referral.rules.waits import promise

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARAMETERS = data.pace_parameters()
CALENDAR = tuple((NOW + timedelta(days=day), 2) for day in range(1, 57))
PACE = Pace(CALENDAR, CALENDAR[-1][0], weekly_starts=14)


def upper(pace: Pace, ahead: int, overtaking: float = 0, probability: float = 0.9) -> int | None:
    return days_until(pace, ahead, overtaking, NOW, probability, horizon_days=3650)


def told(pace: Pace, priority: str = "routine", **queue: int) -> tuple[str, int | None, int | None]:
    found = promise(queue, pace.weekly_starts, priority, NOW, data.urgency_classes(), pace)
    return found.rule, found.median_days, found.upper_days


def test_a_service_without_places_promises_nothing() -> None:
    empty = Pace((), NOW, weekly_starts=0)
    assert told(empty) == ("WAIT-NO-CAPACITY", None, None)
    assert upper(replace(PACE, weekly_starts=0), 500) is None


def test_when_more_urgent_people_come_than_can_begin_no_date_is_given() -> None:
    pace = replace(PACE, arrivals_weekly={"urgent": 20.0})
    assert told(pace, routine=30)[0] == "WAIT-NO-CAPACITY"
    assert told(pace, "urgent")[0] == "WAIT-WITHIN-LIMIT"


def test_a_calendar_without_chance_is_promised_to_the_day() -> None:
    assert [upper(PACE, ahead) for ahead in (0, 1, 2, 9)] == [1, 1, 2, 5]


def test_a_free_day_later_is_not_promised_earlier() -> None:
    later = Pace(((NOW + timedelta(days=20), 1),), NOW + timedelta(days=30), weekly_starts=7)
    assert upper(later, 0) == 20


def test_missed_appointments_and_more_urgent_people_make_the_wait_longer_and_leaving_makes_it_shorter() -> None:
    plain = upper(PACE, 40) or 0
    assert (upper(replace(PACE, attended_share=0.7), 40) or 0) > plain
    assert (upper(PACE, 40, overtaking=4) or 0) > plain
    assert (upper(replace(PACE, leaving_weekly=0.1), 40) or 0) < plain


def test_figures_that_rest_on_little_make_the_bound_more_careful() -> None:
    known = replace(PACE, attended_share=0.8)
    assert (upper(replace(known, attended_of=20), 40) or 0) > (upper(replace(known, attended_of=2000), 40) or 0)
    rare = replace(known, arrivals_weeks=2)
    assert (upper(rare, 40, overtaking=3) or 0) > (upper(known, 40, overtaking=3) or 0)


def test_who_has_an_appointment_already_does_not_stand_in_the_way() -> None:
    booked = replace(PACE, booked={"routine": 20})
    assert (told(PACE, routine=20)[2] or 0) > (told(booked, routine=20)[2] or 0) == 1


def test_the_bound_is_never_before_the_median() -> None:
    rule, median, bound = told(replace(PACE, attended_share=0.7, upper_probability={"routine": 0.4}), routine=30)
    assert rule == "WAIT-WITHIN-LIMIT"
    assert median == bound


def test_after_the_calendar_the_weekly_starts_count() -> None:
    assert upper(PACE, 111) == 56
    assert 56 < (upper(PACE, 140) or 0) < 100


def test_the_probability_of_having_begun_grows_with_places() -> None:
    pace = replace(PACE, attended_share=0.8)
    found = [begun_probability(pace, 10, 1, 14, places) for places in range(40)]
    assert found == sorted(found)
    assert (found[0] < 0.01, found[-1] > 0.99) == (True, True)


def test_the_no_show_rate_of_a_service_begins_at_the_prior_and_follows_what_happens() -> None:
    assert attended_share(0, 0, PARAMETERS) == pytest.approx(1 - PARAMETERS.no_show_prior_share)
    assert attended_share(500, 500, PARAMETERS) == pytest.approx(0.5, abs=0.01)


def test_broken_promises_make_the_next_ones_more_careful_within_bounds() -> None:
    assert working_probability([], PARAMETERS) == 0.9
    assert working_probability([False, False], PARAMETERS) > 0.93
    assert working_probability([False] * 500, PARAMETERS) == PARAMETERS.probability_most
    assert working_probability([True] * 500, PARAMETERS) == PARAMETERS.probability_least
    assert working_probability(([True] * 9 + [False]) * 20, PARAMETERS) == pytest.approx(0.9, abs=0.02)


def test_calibration_is_by_service_and_month_and_hides_small_cells() -> None:
    outcomes = [("a", "2026-10", number > 0) for number in range(10)] + [("a", "2026-11", False)] * 4
    first, second = calibration(outcomes, people_least=5)
    assert (first.settled, first.kept, first.share) == (10, 9, 0.9)
    assert (second.settled, second.kept, second.share) == (4, None, None)


def test_a_forecast_with_numbers_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="one capacity for each week"):
        forecast([NOW], [], 1, 0, attended=1, weeks_allowed=4, upper_quantile=int)


def test_a_forecast_says_in_which_week_capacity_falls_short() -> None:
    starts = [NOW + timedelta(weeks=week) for week in range(4)]
    found = forecast(starts, [5, 5, 0, 5], 6, 8, attended=0.8, weeks_allowed=4, upper_quantile=lambda mean: 10)
    assert [(week.capacity, week.waiting) for week in found] == [(4, 10), (4, 12), (0, 18), (4, 20)]
    assert [week.rule for week in found] == ["FORECAST-ENOUGH", "FORECAST-ENOUGH", "FORECAST-SHORT", "FORECAST-SHORT"]
    assert {(week.demand, week.demand_upper) for week in found} == {(6, 10)}
