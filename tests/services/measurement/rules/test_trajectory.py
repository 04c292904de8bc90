"""Promises of the trajectory: order of arrival and copies do not matter, prorated scores are left out and counted."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_measurement import data
from stepwell_measurement.rules.reliable_change import Change, Score
from stepwell_measurement.rules.trajectory import Care, Standing, Trajectory, trajectories, trajectory

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PHQ9 = data.trajectory_parameters()["44261-6"]
GAD7 = data.trajectory_parameters()["70274-6"]
PHQ15 = data.trajectory_parameters()["70273-8"]
PEG = data.trajectory_parameters()["91147-9"]
WSAS = data.trajectory_parameters()["wsas"]
PSEQ = data.trajectory_parameters()["pseq"]


def scores(*values: int, prorated: tuple[int, ...] = ()) -> list[Score]:
    return [
        Score(Decimal(value), AT + timedelta(weeks=week), week in prorated, f"Observation/o{week}")
        for week, value in enumerate(values)
    ]


def phq9(*values: int, prorated: tuple[int, ...] = ()) -> Trajectory:
    found = trajectory(PHQ9, scores(*values, prorated=prorated))
    assert found is not None
    return found


arrivals = st.lists(
    st.builds(
        Score,
        value=st.integers(0, 27).map(Decimal),
        effective=st.integers(0, 60).map(lambda days: AT + timedelta(days=days)),
        prorated=st.booleans(),
        reference=st.uuids().map(lambda number: f"Observation/{number}"),
    ),
    max_size=10,
)


def test_without_a_score_there_is_no_trajectory() -> None:
    assert trajectory(PHQ9, []) is None


def test_prorated_scores_alone_make_no_trajectory() -> None:
    assert trajectory(PHQ9, scores(20, 10, prorated=(0, 1))) is None
    assert trajectory(PHQ9, scores(20, 10, prorated=(0, 1)), allow_prorated=True) is not None


def test_a_prorated_score_is_left_out_and_counted() -> None:
    found = phq9(25, 20, 3, prorated=(0, 2))
    assert [found.baseline.value, found.last.value] == [20, 20]
    assert found.left_out == 2


def test_one_score_is_a_baseline_without_change() -> None:
    found = phq9(16)
    assert found.baseline == found.best == found.last
    assert found.change == 0
    assert found.reliable_change.outcome is Change.NONE


def test_where_no_number_is_sourced_nothing_is_concluded() -> None:
    found = trajectory(PHQ15, scores(20, 2))
    assert found is not None
    assert (found.remission, found.case_at_baseline, found.case_now) == (None, None, None)
    assert found.reliable_change.outcome is Change.NOT_AVAILABLE
    assert found.response is True


def test_no_response_is_told_from_a_baseline_of_zero() -> None:
    assert phq9(0, 0).response is None


def test_baseline_is_first_last_is_latest_and_best_is_the_first_lowest() -> None:
    found = phq9(18, 9, 12, 9, 16)
    assert [found.baseline.value, found.best.value, found.last.value, found.change] == [18, 9, 16, -2]
    assert found.best.reference == "Observation/o1"


def test_deterioration_from_the_best_score_shows_even_when_the_baseline_hides_it() -> None:
    found = phq9(18, 9, 16)
    assert found.reliable_change.outcome is Change.NONE
    assert found.reliable_change_from_best.outcome is Change.DETERIORATION


def test_response_is_half_the_baseline_or_less() -> None:
    assert phq9(16, 8).response is True
    assert phq9(16, 9).response is False
    assert phq9(15, 8).response is False
    assert phq9(15, 7).response is True


def test_remission_is_below_five() -> None:
    assert phq9(16, 4).remission is True
    assert phq9(16, 5).remission is False
    found = trajectory(GAD7, scores(12, 4))
    assert found is not None
    assert found.remission is True


def test_caseness_is_at_its_cut_off() -> None:
    found = phq9(10, 9)
    assert (found.case_at_baseline, found.case_now) == (True, False)
    anxious = trajectory(GAD7, scores(7, 8))
    assert anxious is not None
    assert (anxious.case_at_baseline, anxious.case_now) == (False, True)


def at_week(week: float) -> datetime:
    return AT + timedelta(weeks=week)


@pytest.mark.parametrize(
    ("values", "standing"),
    [
        ((16,), Standing.FIRST_SCORE),
        ((16, 4), Standing.REMISSION),
        ((16, 5), Standing.RECOVERY),
        ((16, 10, 9), Standing.RECOVERY),
        ((24, 12), Standing.RESPONSE),
        ((24, 13), Standing.IMPROVEMENT),
        ((24, 18), Standing.IMPROVEMENT),
        ((24, 19), Standing.NO_RELIABLE_CHANGE),
        ((24, 22, 22, 22, 22, 22, 22), Standing.STALLED),
        ((24, 24, 24, 24, 24, 24, 14, 19, 19), Standing.NOT_ON_TRACK),
        ((16, 22), Standing.DETERIORATION),
        ((16, 21), Standing.NO_RELIABLE_CHANGE),
        ((16, 4, 9), Standing.RECOVERY),
        ((16, 4, 10), Standing.DETERIORATION),
        ((4, 4), Standing.NO_RELIABLE_CHANGE),
    ],
)
def test_the_most_urgent_is_what_is_said(values: tuple[int, ...], standing: Standing) -> None:
    assert phq9(*values).standing is standing


def test_where_no_threshold_is_known_only_a_response_is_said() -> None:
    for last, standing in ((10, Standing.RESPONSE), (11, Standing.NOT_AVAILABLE)):
        found = trajectory(PHQ15, scores(20, last))
        assert found is not None
        assert found.standing is standing


def test_a_third_less_pain_is_a_response_and_half_is_not_asked() -> None:
    for last, response in ((5, True), (6, False)):
        found = trajectory(PEG, scores(8, last))
        assert found is not None
        assert found.response is response


def test_a_gain_in_function_needs_eight_points_and_is_no_response() -> None:
    for last, outcome in ((12, Change.IMPROVEMENT), (13, Change.NONE)):
        found = trajectory(WSAS, scores(20, last))
        assert found is not None
        assert (found.reliable_change.outcome, found.response) == (outcome, None)


def test_where_higher_is_better_a_rise_is_what_people_notice() -> None:
    for last, important in ((26, False), (27, True)):
        found = trajectory(PSEQ, scores(20, last))
        assert found is not None
        assert found.important_change is important
        assert found.best.value == last


@pytest.mark.parametrize(
    ("values", "relapse"),
    [
        ((18, 8), None),
        ((18, 8, 9), False),
        ((18, 8, 10), True),
        ((18, 3, 9), True),
        ((18, 3, 8), False),
        ((18, 12, 12), False),
        ((18, 12, 18), True),
        ((18, 8, 16, 9), False),
    ],
)
def test_a_relapse_is_across_the_cut_off_again_or_reliably_worse_than_at_the_end_of_care(
    values: tuple[int, ...], relapse: bool | None
) -> None:
    found = trajectory(PHQ9, scores(*values), care=Care(discharged_at=at_week(1)))
    assert found is not None
    assert found.relapse is relapse
    assert (found.standing is Standing.RELAPSE) is (relapse is True)


def test_without_an_end_of_care_or_a_score_before_it_there_is_no_relapse() -> None:
    for care in (Care(), Care(discharged_at=at_week(-1)), Care(discharged_at=at_week(9))):
        found = trajectory(PHQ9, scores(18, 3, 15), care=care)
        assert found is not None
        assert found.relapse is None


def test_care_that_began_anew_has_a_baseline_of_its_own() -> None:
    found = trajectory(PHQ9, scores(20, 4, 15, 9), care=Care(ended=(at_week(1.5),)))
    assert found is not None
    assert [found.baseline.value, found.best.value, found.last.value, found.count] == [15, 9, 9, 2]
    before = trajectory(PHQ9, scores(20, 4), care=Care(ended=(at_week(1.5),)))
    assert before is not None
    assert before.baseline.value == 20


@given(arrivals, st.randoms(), st.lists(st.integers(0, 60), max_size=2))
def test_each_score_has_the_trajectory_that_ended_with_it(
    received: list[Score], chance: Random, ends: list[int]
) -> None:
    care = Care(ended=tuple(AT + timedelta(days=days, hours=12) for days in sorted(ends)))
    shuffled = received + received[:3]
    chance.shuffle(shuffled)
    found = trajectories(PHQ9, shuffled, care)
    usable = sorted(
        (score for score in received if not score.prorated), key=lambda each: (each.effective, each.reference)
    )
    assert list(found) == [score.reference for score in usable]
    for place, score in enumerate(usable):
        assert found[score.reference] == trajectory(PHQ9, usable[: place + 1], care=care)


@given(arrivals, st.randoms())
def test_order_of_arrival_and_copies_never_change_the_result(received: list[Score], chance: Random) -> None:
    shuffled = received + received[:3]
    chance.shuffle(shuffled)
    assert trajectory(PHQ9, shuffled) == trajectory(PHQ9, received)


@given(arrivals)
def test_nothing_is_lost_and_best_bounds_every_score(received: list[Score]) -> None:
    found = trajectory(PHQ9, received, allow_prorated=True)
    assert (found is None) == (not received)
    if found:
        assert found.left_out == 0
        assert found.best.value == min(score.value for score in received)
        assert found.baseline.effective == min(score.effective for score in received)
        assert found.last.effective == max(score.effective for score in received)
