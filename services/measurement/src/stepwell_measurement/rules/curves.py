"""The curve of a wait as it may be published: in steps of several people, so that no step is somebody's day."""

from collections.abc import Sequence
from itertools import pairwise

from stepwell_measurement.rules.measures.figures import Measure, Tally, waits_in
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.measures.waits import survival


def curve(measure: Measure, tally: Tally, below: int = SMALL_BELOW) -> tuple[tuple[int, float], ...]:
    """The share for whom a wait is over, by day: points so far apart that between two of them it ended for `below`
    people at least, also between a point and a limit that a share is published for."""
    waits = waits_in(tally)
    shares = {step.days: 1 - step.share_waiting for step in survival(waits)}
    bounds = (-1, *measure.within_days, max((each.days for each in waits), default=0))
    days: list[int] = []
    for after, until in pairwise(bounds):
        begun = [(each.days, each.begun) for each in waits if after < each.days <= until and each.begun]
        days += [day for day, people in steps(begun, below) if people >= below]
    return tuple((day, round(shares[day], 4)) for day in days)


def steps(counts: Sequence[tuple[int, int]], below: int = SMALL_BELOW) -> list[tuple[int, int]]:
    """Day and people of steps of `below` people at least, out of those of single days; who is left over at the end is
    part of the last one, which is smaller only where it is the only one."""
    found: list[tuple[int, int]] = []
    people = 0
    for days, count in counts:
        people += count
        if people >= below:
            found.append((days, people))
            people = 0
    if people:
        before = found.pop()[1] if found else 0
        found.append((counts[-1][0], before + people))
    return found
