"""Promises of reliable change: published examples reproduced, strict stays strict, unknown stays unknown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_measurement import data
from stepwell_measurement.rules.reliable_change import (
    Change,
    ChangeParameters,
    ReliableChange,
    Score,
    classify,
    cut_off_a,
    cut_off_b,
    cut_off_c,
    reliable_change_index,
    shown,
    standard_error_of_difference,
    standard_error_of_measurement,
    threshold_from_error,
    threshold_from_reliability,
)

AT = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)
PHQ9 = data.change_parameter_sets("phq-9")["nhs-talking-therapies"]
GAD7 = data.change_parameter_sets("gad-7")["nhs-talking-therapies"]
GAD7_INDEX = data.change_parameter_sets("gad-7")["bischoff-2020"]
PHQ15 = data.trajectory_parameters()["70273-8"].change

points = st.integers(0, 27).map(Decimal)


def score(value: str | Decimal, *, prorated: bool = False, days: int = 0) -> Score:
    return Score(Decimal(value), AT + timedelta(days=days), prorated)


def change(
    parameters: ChangeParameters, baseline: str | Decimal, current: str | Decimal, **options: bool
) -> ReliableChange:
    return classify(parameters, score(baseline), score(current, days=28), **options)


def hundredths(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))


@pytest.mark.parametrize(
    ("deviation", "reliability"), [("0", "0.8"), ("-1", "0.8"), ("7.5", "1"), ("7.5", "1.2"), ("7.5", "-0.1")]
)
def test_parameters_that_cannot_be_are_refused(deviation: str, reliability: str) -> None:
    with pytest.raises(ValueError, match="reliability"):
        standard_error_of_measurement(Decimal(deviation), Decimal(reliability))


def test_without_a_sourced_threshold_reliable_change_is_not_available_and_says_why() -> None:
    result = change(PHQ15, "24", "4")
    assert (result.outcome, result.rule) == (Change.NOT_AVAILABLE, "RC-NO-PARAMETERS")
    assert result.change == -20
    assert result.threshold is None
    assert "PHQ-15" in result.reason


@pytest.mark.parametrize(("baseline_prorated", "current_prorated"), [(True, False), (False, True), (True, True)])
def test_a_prorated_score_gives_no_reliable_change(baseline_prorated: bool, current_prorated: bool) -> None:
    baseline, current = score("20", prorated=baseline_prorated), score("4", prorated=current_prorated)
    result = classify(PHQ9, baseline, current)
    assert (result.outcome, result.rule, result.change) == (Change.NOT_AVAILABLE, "RC-PRORATED", None)
    assert classify(PHQ9, baseline, current, allow_prorated=True).outcome is Change.IMPROVEMENT


def test_the_example_of_jacobson_and_truax_is_reproduced() -> None:
    # 1991: SD 7.5, r .80, pre 32.5, post 47.5 give S_E 3.35, S_diff 4.74, RC 3.16.
    error = standard_error_of_measurement(Decimal("7.5"), Decimal("0.80"))
    difference = standard_error_of_difference(error)
    assert hundredths(error) == Decimal("3.35")
    assert hundredths(difference) == Decimal("4.74")
    assert hundredths(reliable_change_index(Decimal("32.5"), Decimal("47.5"), difference)) == Decimal("3.16")
    # Means 40 and 60, both SD 7.5, give cut-off c = 50.
    assert cut_off_c(Decimal(40), Decimal("7.5"), Decimal(60), Decimal("7.5")) == 50


def test_the_published_threshold_of_the_tsk_11_follows_from_its_standard_error() -> None:
    # Woby 2005 (Pain 117:137): SEM 2.54, hence 7.04.
    assert hundredths(threshold_from_error(Decimal("2.54"))) == Decimal("7.04")


def test_thresholds_and_cut_offs_of_published_packages_are_reproduced() -> None:
    # CECPfuns (Evans), test of getRCIfromSDandAlpha: SD 7.5, reliability .8, the normal point not rounded to 1.96.
    exact = threshold_from_reliability(Decimal("7.5"), Decimal("0.8"), Decimal("1.959963984540054235524594"))
    assert exact.quantize(Decimal("1e-13")) == Decimal("9.2969254845684")  # as far as its doubles are exact
    # clinicalsignificance, tests of calc_cutoff and calc_rci, after Jacobson and Truax 1991.
    assert cut_off_a(Decimal(40), Decimal("7.5"), higher_is_worse=False) == 55
    assert cut_off_a(Decimal(40), Decimal("7.5"), higher_is_worse=True) == 25
    assert cut_off_b(Decimal(60), Decimal("7.5"), higher_is_worse=False) == 45
    assert cut_off_b(Decimal(60), Decimal("7.5"), higher_is_worse=True) == 75
    difference = standard_error_of_difference(standard_error_of_measurement(Decimal(5), Decimal("0.80")))
    indices = [hundredths(reliable_change_index(Decimal(0), Decimal(each), difference)) for each in (-8, -4, 0, 4, 8)]
    assert indices == [Decimal(each) for each in ("-2.53", "-1.26", "0.00", "1.26", "2.53")]


def test_a_computed_threshold_is_shown_to_hundredths_and_decides_unrounded() -> None:
    tsk11 = data.change_parameter_sets("tsk-11")["woby-2005"]
    assert tsk11.threshold is not None
    assert (shown(tsk11.threshold), tsk11.inclusive) == (Decimal("7.04"), False)
    assert change(tsk11, "30", "23").outcome is Change.NONE
    result = change(tsk11, "30", "22")
    assert result.outcome is Change.IMPROVEMENT
    assert "more than 7.04 (woby-2005)" in result.reason
    assert shown(Decimal(6)) == Decimal(6)


def test_the_cut_off_lies_nearer_to_the_population_with_less_spread() -> None:
    assert cut_off_c(Decimal(20), Decimal(5), Decimal(5), Decimal(5)) == Decimal("12.5")
    assert cut_off_c(Decimal(20), Decimal(6), Decimal(5), Decimal(3)) == 10


@pytest.mark.parametrize(
    ("parameters", "baseline", "current", "outcome"),
    [
        (PHQ9, "16", "11", Change.NONE),
        (PHQ9, "16", "10", Change.IMPROVEMENT),
        (PHQ9, "10", "15", Change.NONE),
        (PHQ9, "10", "16", Change.DETERIORATION),
        (PHQ9, "10", "10", Change.NONE),
        (GAD7, "12", "9", Change.NONE),
        (GAD7, "12", "8", Change.IMPROVEMENT),
        (GAD7, "8", "12", Change.DETERIORATION),
        (GAD7_INDEX, "12", "7", Change.NONE),
        (GAD7_INDEX, "12", "6", Change.IMPROVEMENT),
        (GAD7_INDEX, "6", "12", Change.DETERIORATION),
    ],
)
def test_the_shipped_thresholds_decide_at_their_boundary(
    parameters: ChangeParameters, baseline: str, current: str, outcome: Change
) -> None:
    assert change(parameters, baseline, current).outcome is outcome


def test_an_inclusive_threshold_counts_and_a_strict_one_must_be_exceeded() -> None:
    strict = replace(PHQ9, inclusive=False)
    assert change(PHQ9, "16", "10").outcome is Change.IMPROVEMENT
    assert change(strict, "16", "10").outcome is Change.NONE
    assert change(strict, "16", "9").outcome is Change.IMPROVEMENT
    assert (PHQ9.inclusive, GAD7.inclusive, GAD7_INDEX.inclusive) == (True, True, False)


def test_where_higher_is_better_a_rise_is_an_improvement() -> None:
    better = replace(PHQ9, higher_is_worse=False)
    assert change(better, "10", "16").outcome is Change.IMPROVEMENT
    assert change(better, "16", "10").outcome is Change.DETERIORATION


def test_the_decision_names_its_rule_its_numbers_and_its_parameters() -> None:
    result = change(PHQ9, "16", "10")
    assert result.rule == "RC-IMPROVEMENT"
    assert result.reason == "The score changed by -6; reliable is at least 6 (nhs-talking-therapies)."
    assert (result.change, result.threshold, result.inclusive) == (Decimal(-6), Decimal(6), True)


@given(points, points)
def test_the_mirrored_change_has_the_mirrored_outcome(first: Decimal, second: Decimal) -> None:
    mirror = {Change.IMPROVEMENT: Change.DETERIORATION, Change.DETERIORATION: Change.IMPROVEMENT}
    forth, back = change(PHQ9, first, second), change(PHQ9, second, first)
    assert back.outcome is mirror.get(forth.outcome, Change.NONE)
    assert back.change == -(forth.change or 0)


@given(points, st.lists(points, min_size=2, max_size=2))
def test_a_larger_fall_is_never_a_worse_outcome(baseline: Decimal, currents: list[Decimal]) -> None:
    order = [Change.DETERIORATION, Change.NONE, Change.IMPROVEMENT]
    low, high = sorted(currents)
    assert order.index(change(PHQ9, baseline, low).outcome) >= order.index(change(PHQ9, baseline, high).outcome)


@given(st.decimals("0.1", "30", places=2), st.decimals("0", "0.99", places=2), st.decimals("0", "0.99", places=2))
def test_a_more_reliable_measure_needs_less_change(deviation: Decimal, one: Decimal, other: Decimal) -> None:
    less, more = sorted([one, other])
    assert threshold_from_reliability(deviation, more) <= threshold_from_reliability(deviation, less)
