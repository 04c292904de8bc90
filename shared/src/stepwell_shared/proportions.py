"""Shares with their intervals, and the difference between two groups: pure arithmetic that the rules stand on."""

from math import sqrt
from typing import NamedTuple

Z95 = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution: two-sided 95 % intervals."""


class Interval(NamedTuple):
    """An estimate with its lower and upper limit."""

    estimate: float
    low: float
    high: float


class Group(NamedTuple):
    """How many of a group have what is counted."""

    having: int
    total: int


def wilson(group: Group, z: float = Z95) -> Interval:
    """The share of a group with its score interval.

    Wilson 1927, J Am Stat Assoc 22:209; method 3 of Newcombe 1998, Stat Med 17:857. Raises ValueError for an empty
    group or a count outside of it.
    """
    count, total = group
    if total <= 0 or not 0 <= count <= total:
        raise ValueError("a share needs a count within a group that has somebody in it")
    interval = score_interval(count / total, total, z)
    return Interval(interval.estimate, 0.0 if count == 0 else interval.low, 1.0 if count == total else interval.high)


def score_interval(share: float, people: float, z: float = Z95) -> Interval:
    """The score interval of a share that so many people would have given; they need not be a whole number."""
    count = share * people
    centre = 2 * count + z * z
    spread = z * sqrt(z * z + 4 * count * (1 - share))
    scale = 2 * (people + z * z)
    return Interval(share, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def share_of(group: Group, z: float = Z95) -> Interval | None:
    """The share as `wilson` has it; None when there is nobody to have one. Raises ValueError as `wilson` does."""
    return None if group == (0, 0) else wilson(group, z)


def newcombe(one: Group, other: Group, z: float = Z95) -> Interval:
    """The difference of two independent shares, one minus other, with its hybrid score interval.

    Method 10 of Newcombe 1998, Stat Med 17:873. Raises ValueError as `wilson` does.
    """
    first, second = wilson(one, z), wilson(other, z)
    difference = first.estimate - second.estimate
    below = sqrt((first.estimate - first.low) ** 2 + (second.high - second.estimate) ** 2)
    above = sqrt((first.high - first.estimate) ** 2 + (second.estimate - second.low) ** 2)
    return Interval(difference, difference - below, difference + above)
