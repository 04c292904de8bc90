"""Promises of episodes of care: stretches that overlap are one, and only the last end is a discharge."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from stepwell_measurement.rules.care import Episode, care_of
from stepwell_measurement.rules.trajectory import Care

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def day(number: int) -> datetime:
    return AT + timedelta(days=number)


def episode(start: int, end: int | None = None) -> Episode:
    return Episode(day(start), None if end is None else day(end))


@pytest.mark.parametrize(
    ("episodes", "expected"),
    [
        ([], Care()),
        ([episode(0)], Care()),
        ([episode(0, 5)], Care((), day(5))),
        ([episode(0, 5), episode(9)], Care((day(5),))),
        ([episode(0, 5), episode(9, 20)], Care((day(5),), day(20))),
        ([episode(0, 5), episode(3, 20)], Care((), day(20))),
        ([episode(0, 5), episode(5, 20)], Care((), day(20))),
        ([episode(0, 30), episode(3, 20)], Care((), day(30))),
        ([episode(0), episode(3, 20)], Care()),
        ([episode(0, 5), episode(9, 12), episode(20)], Care((day(5), day(12)))),
    ],
)
def test_care_ends_with_the_last_episode_of_a_stretch(episodes: list[Episode], expected: Care) -> None:
    for order in permutations(episodes):
        assert care_of(order) == expected
