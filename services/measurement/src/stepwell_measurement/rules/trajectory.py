"""Where a person stands on one instrument: baseline, best and last score, and what the way between them means.

The same scores in any order, or sent twice, give the same trajectory.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from stepwell_measurement.rules.reliable_change import ChangeParameters, ReliableChange, Score, classify


@dataclass(frozen=True, slots=True)
class TrajectoryParameters:
    """What change, response, remission and caseness mean for one instrument; None where no source gives a number."""

    change: ChangeParameters
    response_drop_fraction: Decimal
    remission_below: Decimal | None
    caseness_at_least: Decimal | None


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One person and one instrument so far.

    The two reliable changes are of the last score, against the baseline and against the best one. `response`,
    `remission` and `case_...` are None where the instrument has no such number (or no response can be told from a
    baseline of zero). `left_out` counts the prorated scores that were not used.
    """

    baseline: Score
    best: Score
    last: Score
    change: Decimal
    reliable_change: ReliableChange
    reliable_change_from_best: ReliableChange
    response: bool | None
    remission: bool | None
    case_at_baseline: bool | None
    case_now: bool | None
    left_out: int


def trajectory(
    parameters: TrajectoryParameters, scores: Iterable[Score], *, allow_prorated: bool = False
) -> Trajectory | None:
    """The trajectory over these scores of one instrument; None without a usable score.

    Only complete scores are used unless `allow_prorated`. Baseline is the first, last the latest; best is the first
    that nothing betters. A trajectory of one score has itself as baseline and no reliable change.
    """
    known = sorted(set(scores), key=_order)
    usable = known if allow_prorated else [score for score in known if not score.prorated]
    if not usable:
        return None
    baseline, last = usable[0], usable[-1]
    sign = 1 if parameters.change.higher_is_worse else -1
    best = min(usable, key=lambda score: sign * score.value)
    return Trajectory(
        baseline=baseline,
        best=best,
        last=last,
        change=last.value - baseline.value,
        reliable_change=classify(parameters.change, baseline, last, allow_prorated=allow_prorated),
        reliable_change_from_best=classify(parameters.change, best, last, allow_prorated=allow_prorated),
        response=_response(parameters, baseline, last),
        remission=None if parameters.remission_below is None else last.value < parameters.remission_below,
        case_at_baseline=_case(parameters, baseline),
        case_now=_case(parameters, last),
        left_out=len(known) - len(usable),
    )


def _order(score: Score) -> tuple[object, ...]:
    # Two scores of one moment need an order too, or the result would depend on how they arrived.
    return (score.effective, score.reference, score.value, score.prorated)


def _response(parameters: TrajectoryParameters, baseline: Score, last: Score) -> bool | None:
    """At least the given fraction below baseline; a symptom measure only (higher is worse)."""
    if not parameters.change.higher_is_worse or baseline.value <= 0:
        return None
    return last.value <= baseline.value * (1 - parameters.response_drop_fraction)


def _case(parameters: TrajectoryParameters, score: Score) -> bool | None:
    return None if parameters.caseness_at_least is None else score.value >= parameters.caseness_at_least
