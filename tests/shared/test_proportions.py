"""Intervals are those of the papers that they come from."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_shared.proportions import Group, Interval, newcombe, score_interval, share_of, wilson

GROUPS = st.integers(1, 500).flatmap(lambda total: st.builds(Group, st.integers(0, total), st.just(total)))


@pytest.mark.parametrize(("having", "total"), [(0, 0), (3, 2), (-1, 5)])
def test_a_share_of_nobody_or_of_more_than_all_is_refused(having: int, total: int) -> None:
    with pytest.raises(ValueError, match="share"):
        wilson(Group(having, total))


def test_nobody_has_no_share_but_a_wrong_count_is_refused_all_the_same() -> None:
    assert share_of(Group(0, 0)) is None
    with pytest.raises(ValueError, match="share"):
        share_of(Group(1, 0))


@pytest.mark.parametrize(
    ("having", "total", "low", "high"),
    # Newcombe 1998, Stat Med 17:857, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_of_newcombes_examples(having: int, total: int, low: float, high: float) -> None:
    interval = wilson(Group(having, total))
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998, Stat Med 17:873, table II, method 10
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_differences_are_those_of_newcombes_examples(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    interval = newcombe(Group(*one), Group(*other))
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@settings(max_examples=40)
@given(GROUPS)
def test_an_interval_holds_its_share_and_mirrors_with_it(group: Group) -> None:
    interval = wilson(group)
    mirrored = wilson(Group(group.total - group.having, group.total))
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((interval.low, interval.high), abs=1e-12)


@settings(max_examples=40)
@given(GROUPS, GROUPS)
def test_swapping_the_groups_mirrors_their_difference(one: Group, other: Group) -> None:
    difference, swapped = newcombe(one, other), newcombe(other, one)
    assert -1 <= difference.low <= difference.estimate <= difference.high <= 1
    assert swapped == pytest.approx(Interval(-difference.estimate, -difference.high, -difference.low), abs=1e-12)


def test_more_people_with_the_same_share_narrow_the_interval() -> None:
    widths = [score_interval(0.3, people).high - score_interval(0.3, people).low for people in (5, 5.5, 50, 5000)]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 4
