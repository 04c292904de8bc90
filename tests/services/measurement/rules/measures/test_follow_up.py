"""Beside every rate stands how many were followed up, and what the missing could make of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_measurement.rules.measures.follow_up import followed_rate
from stepwell_shared.proportions import Group, wilson


@pytest.mark.parametrize("counts", [(-1, 2, 3), (3, 2, 3), (1, 4, 3)])
def test_an_outcome_of_somebody_who_was_not_followed_up_is_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="part of"):
        followed_rate(*counts)


def test_without_anybody_followed_up_there_is_no_rate_and_everything_is_possible() -> None:
    found = followed_rate(0, 0, 8)
    assert found.rate is None
    assert found.completeness == wilson(Group(0, 8))
    assert (found.lowest, found.highest) == (0.0, 1.0)


def test_without_anybody_eligible_nothing_is_said() -> None:
    assert followed_rate(0, 0, 0) == (None, None, 0, 0, None, None)


def test_a_rate_of_those_followed_up_stands_beside_how_many_they_are() -> None:
    # By hand: 30 of 60 improved, 60 of 80 were measured again; if none or all of the other 20 improved, 30 or 50 of 80.
    found = followed_rate(30, 60, 80)
    assert (found.rate, found.completeness) == (wilson(Group(30, 60)), wilson(Group(60, 80)))
    assert (found.lowest, found.highest) == (0.375, 0.625)


@settings(max_examples=40)
@given(st.tuples(*[st.integers(0, 60)] * 3).map(sorted), st.integers(0, 60))
def test_whatever_the_missing_turn_out_to_be_the_rate_of_all_lies_within_the_bounds(
    counts: list[int], turned_out: int
) -> None:
    having, followed, eligible = counts
    found = followed_rate(having, followed, eligible)
    if found.lowest is not None and found.highest is not None:
        truth = (having + min(turned_out, eligible - followed)) / eligible
        assert found.lowest <= truth <= found.highest
    assert (found.lowest == found.highest) == (followed == eligible)
