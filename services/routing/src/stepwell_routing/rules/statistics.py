"""Shares with their intervals, differences between groups, and how long a queue lets people wait. Pure arithmetic."""

from collections.abc import Sequence
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
    share = count / total
    centre = 2 * count + z * z
    spread = z * sqrt(z * z + 4 * count * (1 - share))
    scale = 2 * (total + z * z)
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return Interval(share, 0.0 if count == 0 else low, 1.0 if count == total else high)


def newcombe(one: Group, other: Group, z: float = Z95) -> Interval:
    """The difference of two independent shares, one minus other, with its hybrid score interval.

    Method 10 of Newcombe 1998, Stat Med 17:873. Raises ValueError as `wilson` does.
    """
    first, second = wilson(one, z), wilson(other, z)
    difference = first.estimate - second.estimate
    below = sqrt((first.estimate - first.low) ** 2 + (second.high - second.estimate) ** 2)
    above = sqrt((first.high - first.estimate) ** 2 + (second.estimate - second.low) ** 2)
    return Interval(difference, difference - below, difference + above)


def pooled_difference(pairs: Sequence[tuple[Group, Group]], z: float = Z95) -> Interval | None:
    """The Mantel-Haenszel difference of shares, one minus other, over layers of equal severity.

    Greenland and Robins 1985, Biometrics 41:55, with the variance of Sato 1989, Biometrics 45:1323 (comment). None
    when no layer has somebody of both groups.
    """
    weights = difference = skew = noise = 0.0
    for one, other in pairs:
        both = one.total + other.total
        if not one.total or not other.total:
            continue
        weights += one.total * other.total / both
        difference += (one.having * other.total - other.having * one.total) / both
        skew += (
            one.total**2 * other.having
            - other.total**2 * one.having
            + one.total * other.total * (other.total - one.total) / 2
        ) / both**2
        noise += (one.having * (other.total - other.having) + other.having * (one.total - one.having)) / (2 * both)
    if not weights:
        return None
    estimate = difference / weights
    spread = z * sqrt(max(estimate * skew + noise, 0.0)) / weights
    return Interval(estimate, max(estimate - spread, -1.0), min(estimate + spread, 1.0))


class Capacity(NamedTuple):
    """What one step can take: people who can begin in a week, and people who wait already."""

    starts_per_week: float
    waiting: int = 0


class Queue(NamedTuple):
    """How a step fares: use of its places (None without any), how many wait and how long, at the end of each week.

    A wait is in weeks, of somebody who comes then; None where nobody ever begins.
    """

    use: float | None
    waiting: tuple[float, ...]
    wait_weeks: tuple[float | None, ...]


def queue(arrivals_per_week: float, capacity: Capacity, weeks: int) -> Queue:
    """What waits follow from steady arrivals.

    A stated simplification: whoever comes waits for those before (first come, first served), arrivals and starts flow
    evenly, so the line grows or shrinks by their difference. Where there is room, chance alone still makes people
    wait: the steady mean of a queue with random (Poisson) arrivals and even starts, M/D/1, use / (2 * starts *
    (1 - use)) (Pollaczek 1930; Khinchine 1932). The longer of the two counts. M/D/1 is one server: for a step with
    many parallel places it overstates the wait that chance alone makes.
    """
    starts = capacity.starts_per_week
    use = arrivals_per_week / starts if starts > 0 else None
    by_chance = use / (2 * starts * (1 - use)) if use is not None and use < 1 else 0.0
    line, waiting, waits = float(capacity.waiting), [], []
    for _ in range(weeks):
        line = max(0.0, line + arrivals_per_week - starts)
        waiting.append(line)
        waits.append(max(line / starts, by_chance) if starts > 0 else (None if line or arrivals_per_week else 0.0))
    return Queue(use, tuple(waiting), tuple(waits))
