"""What an outcome costs and how much care is used, with the exact intervals of the published tables."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.rules.measures.utilisation import (
    DAYS_PER_YEAR,
    EXACT_UP_TO,
    Exposure,
    before_and_after,
    byar_interval,
    cost_per,
    poisson_interval,
    rate_per_year,
)

EXPOSURES = st.tuples(st.integers(1, 60), st.integers(1, 5000)).map(lambda each: Exposure(*each))


def test_negative_costs_counts_and_times_are_refused() -> None:
    for cost, outcomes in ((Decimal(-1), 2), (Decimal(1), -2)):
        with pytest.raises(ValueError, match="negative"):
            cost_per(cost, outcomes)
    with pytest.raises(ValueError, match="negative"):
        rate_per_year(Exposure(-1, 10))
    with pytest.raises(ValueError, match="time"):
        rate_per_year(Exposure(1, 0))


def test_an_outcome_that_nobody_reached_has_no_cost_rather_than_none_at_all() -> None:
    assert cost_per(Decimal(5000), 0) is None


@pytest.mark.parametrize(
    ("cost", "outcomes", "expected"), [("12000", 8, "1500.00"), ("100", 3, "33.33"), ("0", 4, "0.00")]
)
def test_costs_are_shared_among_the_outcomes(cost: str, outcomes: int, expected: str) -> None:
    assert str(cost_per(Decimal(cost), outcomes)) == expected


@pytest.mark.parametrize(
    ("events", "low", "high"),
    # Garwood 1936, Biometrika 28:437; 25 is GraphPad's worked example of the same method.
    [(0, 0.0, 3.69), (1, 0.03, 5.57), (2, 0.24, 7.22), (5, 1.62, 11.67), (10, 4.80, 18.39), (25, 16.18, 36.90)],
)
def test_intervals_of_counts_are_those_of_the_tables(events: int, low: float, high: float) -> None:
    interval = poisson_interval(events)
    assert (round(interval.low, 2), round(interval.high, 2)) == (low, high)


def test_large_counts_go_on_where_the_exact_interval_ends() -> None:
    exact, approximate = poisson_interval(EXACT_UP_TO), byar_interval(EXACT_UP_TO)
    assert exact == pytest.approx(approximate, rel=1e-4)
    assert poisson_interval(EXACT_UP_TO + 1) == byar_interval(EXACT_UP_TO + 1)


def test_a_rate_is_by_person_year() -> None:
    rate, count = rate_per_year(Exposure(10, 2 * DAYS_PER_YEAR)), poisson_interval(10)
    assert rate == pytest.approx(tuple(each / 2 for each in count))


def test_half_the_visits_in_the_same_time_are_half_the_rate() -> None:
    change = before_and_after(Exposure(40, 1000), Exposure(20, 1000))
    assert change.ratio is not None
    assert change.ratio.estimate == pytest.approx(0.5)
    assert change.ratio.low < 0.5 < change.ratio.high < 1


def test_without_anything_before_there_is_no_ratio_and_without_anything_after_it_is_nought() -> None:
    assert before_and_after(Exposure(0, 100), Exposure(3, 100)).ratio is None
    stopped = before_and_after(Exposure(9, 100), Exposure(0, 100)).ratio
    assert stopped is not None
    assert (stopped.estimate, stopped.low) == (0.0, 0.0)
    assert 0 < stopped.high < 1


@settings(max_examples=40)
@given(EXPOSURES, EXPOSURES)
def test_turning_time_round_turns_the_ratio_over(one: Exposure, other: Exposure) -> None:
    ratio, turned = before_and_after(one, other).ratio, before_and_after(other, one).ratio
    assert ratio is not None
    assert turned is not None
    assert (1 / turned.estimate, 1 / turned.high, 1 / turned.low) == pytest.approx(tuple(ratio))


def test_more_events_move_both_limits_up() -> None:
    intervals = [poisson_interval(events) for events in range(0, 120, 3)]
    assert intervals == sorted(intervals)
    assert [each.low for each in intervals] == sorted(each.low for each in intervals)
    assert all(each.low <= each.estimate < each.high for each in intervals)
