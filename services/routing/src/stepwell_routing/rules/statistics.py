"""Differences between groups over layers, and how long a queue lets people wait. Pure arithmetic."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from stepwell_shared.proportions import Z95, Group, Interval


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
