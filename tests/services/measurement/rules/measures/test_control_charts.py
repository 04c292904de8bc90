"""Limits are those of the textbooks' examples; a signal is a point outside them or a run on one side."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.rules.measures.control_charts import Count, Signal, p_chart, u_chart, xmr_chart

# Montgomery, Introduction to Statistical Quality Control, section on the fraction nonconforming: orange juice cans,
# 30 samples of 50, 347 nonconforming.
JUICE = (12, 15, 8, 10, 4, 7, 16, 9, 14, 10, 5, 6, 17, 12, 22, 8, 10, 5, 13, 11, 20, 18, 24, 15, 9, 12, 7, 13, 9, 6)
CANS = [Count(each, 50) for each in JUICE]
# NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.2: flow rates of ten batches.
FLOW_RATES = (49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1)


@pytest.mark.parametrize("period", [Count(1, 0), Count(-1, 5), Count(6, 5)])
def test_a_share_of_nobody_or_of_more_than_all_is_refused(period: Count) -> None:
    with pytest.raises(ValueError, match="somebody in it"):
        p_chart([Count(1, 9), period])


def test_a_chart_without_exposure_or_movement_is_refused() -> None:
    for periods in ([], [Count(0, 0)], [Count(3, 2), Count(1, 0)], [Count(3, 2), Count(-1, 2)]):
        with pytest.raises(ValueError, match="somebody in"):
            u_chart(periods)
    with pytest.raises(ValueError, match="two values"):
        xmr_chart([4.0])


def test_limits_of_shares_are_those_of_montgomerys_orange_juice() -> None:
    points = p_chart(CANS)
    assert sum(JUICE) == 347
    assert {(round(p.centre, 4), round(p.low, 4), round(p.high, 4)) for p in points} == {(0.2313, 0.0524, 0.4102)}
    assert [place for place, point in enumerate(points, 1) if Signal.OUTSIDE in point.signals] == [15, 23]


def test_limits_from_a_baseline_are_those_that_montgomery_revises_to() -> None:
    points = p_chart(CANS, baseline=[each for place, each in enumerate(CANS, 1) if place not in {15, 23}])
    assert {(round(p.centre, 4), round(p.low, 4), round(p.high, 4)) for p in points} == {(0.2150, 0.0407, 0.3893)}
    assert [place for place, point in enumerate(points, 1) if Signal.OUTSIDE in point.signals] == [15, 21, 23]


def test_limits_by_exposure_are_those_of_montgomerys_dyed_cloth() -> None:
    # Ten rolls, in units of 50 square metres; 153 faults in 107.5 units, printed as 1.42 and used so.
    units = (10, 8, 13, 10, 9.5, 10, 12, 10.5, 12, 12.5)
    faults = (14, 12, 20, 11, 7, 10, 21, 16, 19, 23)
    points = u_chart([Count(*each) for each in zip(faults, units, strict=True)], baseline=[Count(142, 100)])
    assert round(sum(faults) / sum(units), 2) == 1.42
    assert [(round(point.low, 2), round(point.high, 2)) for point in points] == [
        (0.29, 2.55), (0.16, 2.68), (0.43, 2.41), (0.29, 2.55), (0.26, 2.58), (0.29, 2.55), (0.39, 2.45), (0.32, 2.52),
        (0.39, 2.45), (0.41, 2.43),
    ]  # fmt: skip
    assert not any(point.signals for point in points)


def test_limits_of_single_values_are_those_of_the_nist_handbook() -> None:
    points = xmr_chart(FLOW_RATES)
    assert {(round(p.centre, 2), round(p.low, 4), round(p.high, 4)) for p in points} == {(50.81, 45.8159, 55.8041)}
    assert not any(point.signals for point in points)


@pytest.mark.parametrize(
    ("values", "shifted"),
    [
        ([1.0] * 7 + [-1.0], []),
        ([1.0] * 8 + [-1.0], [0, 1, 2, 3, 4, 5, 6, 7]),
        ([-1.0, *[1.0] * 9], [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        # A point on the centre neither ends a run nor counts in it.
        ([1.0] * 4 + [0.0] + [1.0] * 3 + [-1.0], []),
        ([1.0] * 4 + [0.0] + [1.0] * 4 + [-1.0], [0, 1, 2, 3, 5, 6, 7, 8]),
    ],
)
def test_eight_in_a_row_on_one_side_are_a_shift(values: list[float], shifted: list[int]) -> None:
    points = xmr_chart(values, baseline=[-2.0, 2.0])
    assert [place for place, point in enumerate(points) if point.signals == (Signal.SHIFT,)] == shifted


def test_a_point_on_a_limit_is_not_outside_and_a_shorter_run_can_be_asked_for() -> None:
    low, high = xmr_chart([0.0], baseline=[-1.128, 1.128])[0][2:4]
    assert [point.signals for point in xmr_chart([low, high, high + 1e-9], baseline=[-1.128, 1.128])] == [
        (), (), (Signal.OUTSIDE,),
    ]  # fmt: skip
    assert all(Signal.SHIFT in point.signals for point in xmr_chart([1.0] * 3, [-2.0, 2.0], run_length=3))


def test_a_late_period_neither_hides_in_nor_moves_the_limits_of_the_baseline() -> None:
    before = [Count(10, 100)] * 6
    points = p_chart([*before, Count(60, 100)], baseline=before)
    assert points[:6] == p_chart(before)
    assert points[6].signals == (Signal.OUTSIDE,)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 80).flatmap(lambda n: st.builds(Count, st.integers(0, n), st.just(n))), min_size=1))
def test_shares_stay_between_nought_and_one_and_larger_periods_have_narrower_limits(periods: list[Count]) -> None:
    points = sorted(zip(periods, p_chart(periods), strict=True), key=lambda each: each[0].exposure)
    assert all(0 <= point.low <= point.centre <= point.high <= 1 for _, point in points)
    widths = [point.high - point.low for _, point in points]
    assert widths == sorted(widths, reverse=True)


@settings(max_examples=40)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30), st.integers(-100, 100))
def test_where_zero_lies_changes_no_signal(values: list[int], moved: int) -> None:
    plain = xmr_chart([2.0 * value for value in values], baseline=[0.0, 1.128])
    shifted = xmr_chart([2.0 * value + moved for value in values], baseline=[0.0 + moved, 1.128 + moved])
    assert [point.signals for point in plain] == [point.signals for point in shifted]
