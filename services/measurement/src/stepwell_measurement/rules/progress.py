"""Whether somebody is on the way that was to be expected, or goes on without change: what asks for another look.

Both rest on the scores alone, not on today's date, so that the same scores always say the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from stepwell_measurement.rules.reliable_change import Change, ChangeParameters, ReliableChange, Score, is_reliable


class Track(StrEnum):
    """Whether the last score is where it was to be expected; the codes of the trajectory code system."""

    ON_TRACK = "on-track"
    NOT_ON_TRACK = "not-on-track"
    TOO_EARLY = "too-early"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class ProgressParameters:
    """When no change is a stall, and by when a reliable improvement is expected where no band is known."""

    stall_measures: int
    stall_over: timedelta
    improvement_by: timedelta
    band_people_min: int


@dataclass(frozen=True, slots=True)
class Expectation:
    """The course that others took: score at measure k = intercept + slope x baseline + log_slope x ln(k).

    `interval_points` is how far beyond it the band reaches (half of the 80 % interval, in score points); `people` is
    how many courses it was made from.
    """

    intercept: Decimal
    baseline_slope: Decimal
    log_measure_slope: Decimal
    interval_points: Decimal
    people: int
    source: str

    def at(self, baseline: Decimal, measure: int) -> Decimal:
        """The expected score at the measure with this number; the baseline is number 1."""
        return self.intercept + self.baseline_slope * baseline + self.log_measure_slope * Decimal(measure).ln()


def is_stalled(change: ChangeParameters, progress: ProgressParameters, scores: Sequence[Score]) -> bool | None:
    """Whether the last measures, enough of them over enough time, all lie within what is no reliable change.

    `scores` in order of time. None when there are too few, too close together, or no threshold is known. A course that
    was measured often still spans the time: it is looked at from the newest score that is old enough.
    """
    if change.threshold is None or len(scores) < progress.stall_measures:
        return None
    limit = scores[-1].effective - progress.stall_over
    earlier = [index for index, score in enumerate(scores) if score.effective <= limit]
    if not earlier:
        return None
    start = min(earlier[-1], len(scores) - progress.stall_measures)
    values = [score.value for score in scores[start:]]
    return not is_reliable(change.threshold, max(values) - min(values), inclusive=change.inclusive)


def track_of(
    change: ChangeParameters,
    progress: ProgressParameters,
    scores: Sequence[Score],
    *,
    result: ReliableChange,
    was_case: bool | None,
    expectation: Expectation | None = None,
) -> Track:
    """Where the last score stands against what was to be expected.

    With a band from enough people: worse than its far end is not on track. Without one: no reliable improvement by the
    date on which one is expected. Who was below the cut-off from the start has no such way to go.
    """
    if was_case is False or result.outcome is Change.NOT_AVAILABLE:
        return Track.NOT_APPLICABLE
    baseline, last = scores[0], scores[-1]
    if result.outcome is Change.IMPROVEMENT:
        return Track.ON_TRACK
    if expectation is not None and expectation.people >= progress.band_people_min and len(scores) > 1:
        sign = 1 if change.higher_is_worse else -1
        beyond = sign * (last.value - expectation.at(baseline.value, len(scores)))
        return Track.NOT_ON_TRACK if beyond > expectation.interval_points else Track.ON_TRACK
    if last.effective - baseline.effective < progress.improvement_by:
        return Track.TOO_EARLY
    return Track.NOT_ON_TRACK
