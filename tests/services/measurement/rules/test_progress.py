"""Promises of progress: a stall needs enough measures over enough time, and a way that was expected says when not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from stepwell_measurement import data
from stepwell_measurement.rules.progress import Expectation, Track, is_stalled, track_of
from stepwell_measurement.rules.reliable_change import Score, classify

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PHQ9 = data.trajectory_parameters()["44261-6"]
PHQ15 = data.trajectory_parameters()["70273-8"]
TSK11 = data.trajectory_parameters()["tsk-11"]
PSEQ = data.trajectory_parameters()["pseq"]
# Made up for the tests: 4 + 0.7 x baseline - 2 x ln(measure), and 3 points to either side.
EXPECTED = Expectation(Decimal(4), Decimal("0.7"), Decimal(-2), Decimal(3), 500, "Made up.")


def scores(*values: int, days: int = 21) -> list[Score]:
    return [
        Score(Decimal(value), AT + timedelta(days=days * place), False, f"Observation/o{place}")
        for place, value in enumerate(values)
    ]


def stalled(*values: int, days: int = 21) -> bool | None:
    return is_stalled(PHQ9.change, PHQ9.progress, scores(*values, days=days))


def track(*values: int, days: int = 28, expectation: Expectation | None = None) -> Track:
    found = scores(*values, days=days)
    result = classify(PHQ9.change, found[0], found[-1])
    return track_of(
        *(PHQ9.change, PHQ9.progress, found), result=result, was_case=found[0].value >= 10, expectation=expectation
    )


def test_no_stall_is_told_from_too_few_measures_too_little_time_or_an_unknown_threshold() -> None:
    assert stalled(15, 15) is None
    assert stalled(15, 15, 15, days=20) is None
    assert is_stalled(PHQ15.change, PHQ15.progress, scores(15, 15, 15)) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [((15, 15, 15), True), ((15, 10, 14), True), ((15, 9, 14), False), ((15, 12, 18), False), ((15, 12, 17), True)],
)
def test_a_stall_is_less_than_a_reliable_change_from_best_to_worst(values: tuple[int, ...], expected: bool) -> None:
    assert stalled(*values) is expected


def test_a_strict_threshold_is_still_a_stall_at_the_threshold_itself() -> None:
    strict = replace(PHQ9.change, inclusive=False)
    assert is_stalled(strict, PHQ9.progress, scores(15, 9, 14)) is True
    assert is_stalled(strict, PHQ9.progress, scores(15, 8, 14)) is False
    assert is_stalled(TSK11.change, TSK11.progress, scores(30, 23, 30)) is True
    assert is_stalled(TSK11.change, TSK11.progress, scores(30, 22, 30)) is False


def test_only_the_last_measures_count_and_measuring_often_hides_no_stall() -> None:
    assert stalled(24, 15, 15, 15) is True
    assert stalled(24, 15, 15, 15, 15, 15, 15, 15, days=7) is True
    assert stalled(24, 15, 15, 15, 15, 15, 15, days=7) is False


@pytest.mark.parametrize(
    ("values", "days", "expected"),
    [
        ((16, 16), 55, Track.TOO_EARLY),
        ((16, 16), 56, Track.NOT_ON_TRACK),
        ((16, 11), 56, Track.NOT_ON_TRACK),
        ((16, 10), 56, Track.ON_TRACK),
        ((16, 10), 7, Track.ON_TRACK),
        ((9, 9), 56, Track.NOT_APPLICABLE),
        ((10, 10), 56, Track.NOT_ON_TRACK),
    ],
)
def test_without_a_band_a_reliable_improvement_is_expected_by_week_eight(
    values: tuple[int, ...], days: int, expected: Track
) -> None:
    assert track(*values, days=days) is expected


def test_without_a_threshold_no_way_is_expected() -> None:
    found = scores(20, 20, 20, 20)
    result = classify(PHQ15.change, found[0], found[-1])
    found_track = track_of(PHQ15.change, PHQ15.progress, found, result=result, was_case=None)
    assert found_track is Track.NOT_APPLICABLE


def test_the_expected_score_follows_the_baseline_and_the_logarithm_of_the_measure() -> None:
    assert EXPECTED.at(Decimal(20), 1) == 18
    assert EXPECTED.at(Decimal(20), 3).quantize(Decimal("0.0001")) == Decimal("15.8028")


@pytest.mark.parametrize(
    ("last", "expected"), [(19, Track.NOT_ON_TRACK), (18, Track.ON_TRACK), (20, Track.NOT_ON_TRACK)]
)
def test_with_a_band_what_is_worse_than_its_far_end_is_not_on_track(last: int, expected: Track) -> None:
    # Expected at measure 3 from a baseline of 20: 15.80, so that the band ends at 18.80.
    assert track(20, 20, last, days=7, expectation=EXPECTED) is expected


def test_a_band_from_too_few_people_is_not_used() -> None:
    few = replace(EXPECTED, people=499)
    assert track(20, 20, 20, days=7, expectation=few) is Track.TOO_EARLY


def test_where_higher_is_better_the_band_is_left_downwards() -> None:
    change = replace(PHQ9.change, higher_is_worse=False)
    for last, expected in ((12, Track.NOT_ON_TRACK), (13, Track.ON_TRACK)):
        found = scores(20, 20, last, days=7)
        result = replace(classify(PHQ9.change, found[0], found[0]))
        at = track_of(change, PHQ9.progress, found, result=result, was_case=True, expectation=EXPECTED)
        assert at is expected
