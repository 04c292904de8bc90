"""The curve of a wait as it may be published: in steps of several people, so that no step is somebody's day."""

from collections.abc import Sequence
from itertools import pairwise

from stepwell_measurement.rules.measures.figures import Measure, Tally, waits_in
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW
from stepwell_measurement.rules.measures.waits import WaitsOfDay, survival


def curve(measure: Measure, tally: Tally, below: int = SMALL_BELOW) -> tuple[tuple[int, float], ...]:
    """The share for whom a wait is over, by day: points so far apart that between two of them it ended for `below`
    people at least, also between a point and a limit that a share is published for."""
    waits = waits_in(tally)
    shares = {step.days: 1 - step.share_waiting for step in survival(waits)}
    bounds = (-1, *measure.within_days, max((each.days for each in waits), default=0))
    days: list[int] = []
    for after, until in pairwise(bounds):
        days += _days_apart([each for each in waits if after < each.days <= until and each.begun], below)
    return tuple((day, round(shares[day], 4)) for day in days)


def _days_apart(waits: Sequence[WaitsOfDay], below: int) -> list[int]:
    days, begun = [], 0
    for each in waits:
        begun += each.begun
        if begun >= below:
            days.append(each.days)
            begun = 0
    return [*days[:-1], waits[-1].days] if days else []
