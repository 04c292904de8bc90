"""Where a person stands on one instrument: baseline, best and last score, and what the way between them means.

The same scores in any order, or sent twice, give the same trajectory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from stepwell_measurement.rules.outcome import OutcomeClass, outcome_class
from stepwell_measurement.rules.progress import Expectation, ProgressParameters, Track, is_stalled, track_of
from stepwell_measurement.rules.reliable_change import Change, ChangeParameters, ReliableChange, Score, classify


class Standing(StrEnum):
    """What matters most about a trajectory now, the most urgent first; the codes of the trajectory code system."""

    RELAPSE = "relapse"
    DETERIORATION = "deterioration"
    REMISSION = "remission"
    RECOVERY = "recovery"
    RESPONSE = "response"
    IMPROVEMENT = "improvement"
    STALLED = "stalled"
    NOT_ON_TRACK = "not-on-track"
    NO_RELIABLE_CHANGE = "no-reliable-change"
    FIRST_SCORE = "first-score"
    NOT_AVAILABLE = "not-available"


@dataclass(frozen=True, slots=True)
class TrajectoryParameters:
    """What change, response, remission and caseness mean for one instrument; None where no source gives a number.

    `important_points` is a change that people notice, which may be less than is reliable. `lowest` and `highest` are
    the ends of the scale.
    """

    change: ChangeParameters
    progress: ProgressParameters
    title: str
    domain: str
    lowest: Decimal
    highest: Decimal
    response_drop_fraction: Decimal | None
    remission_below: Decimal | None
    caseness_at_least: Decimal | None
    important_points: Decimal | None = None
    expectation: Expectation | None = None


@dataclass(frozen=True, slots=True)
class Care:
    """When care ended: `ended` are ends after which it began anew, `discharged_at` is the end if it did not."""

    ended: tuple[datetime, ...] = ()
    discharged_at: datetime | None = None


NEVER_ENDED = Care()


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One person and one instrument so far, since care began anew if it once ended.

    The two reliable changes are of the last score, against the baseline and against the best one. `response`,
    `remission` and `case_...` are None where the instrument has no such number (or no response can be told from a
    baseline of zero). `left_out` counts the prorated scores that were not used.
    """

    baseline: Score
    best: Score
    last: Score
    count: int
    change: Decimal
    reliable_change: ReliableChange
    reliable_change_from_best: ReliableChange
    important_change: bool | None
    response: bool | None
    remission: bool | None
    case_at_baseline: bool | None
    case_now: bool | None
    recovery: bool | None
    outcome_class: OutcomeClass | None
    stalled: bool | None
    track: Track
    relapse: bool | None
    left_out: int

    @property
    def deteriorated(self) -> bool:
        """Reliably worse than at the start, or than at best."""
        found = (self.reliable_change.outcome, self.reliable_change_from_best.outcome)
        return Change.DETERIORATION in found

    @property
    def standing(self) -> Standing:
        """What matters most now."""
        return _standing(self)


def trajectory(
    parameters: TrajectoryParameters, scores: Iterable[Score], *, allow_prorated: bool = False, care: Care = NEVER_ENDED
) -> Trajectory | None:
    """The trajectory over these scores of one instrument; None without a usable score.

    Only complete scores are used unless `allow_prorated`. Baseline is the first, last the latest; best is the first
    that nothing betters. A trajectory of one score has itself as baseline and no reliable change. Scores from before
    an end of care after which it began anew are no part of it.
    """
    known = sorted(set(scores), key=_order)
    usable = known if allow_prorated else [score for score in known if not score.prorated]
    if not usable:
        return None
    course = _course(usable, care.ended)
    return _over(parameters, course, care, left_out=len(known) - len(usable), allow_prorated=allow_prorated)


def trajectories(
    parameters: TrajectoryParameters, scores: Iterable[Score], care: Care = NEVER_ENDED, *, since: int = 0
) -> dict[str, Trajectory]:
    """The trajectory as it was at each usable score from place `since` on, by the reference of the score, in order."""
    usable = _usable(scores)
    return {
        usable[place].reference: _over(parameters, _course(usable[: place + 1], care.ended), care)
        for place in range(since, len(usable))
    }


def trajectories_from(
    parameters: TrajectoryParameters,
    before: tuple[Iterable[Score], Care],
    after: tuple[Iterable[Score], Care],
) -> tuple[dict[str, Trajectory], dict[str, Trajectory]]:
    """The trajectories before and after a change of scores or of care, at the scores that it can touch.

    What was the same up to a score is the same at that score: a score that comes last touches itself alone.
    """
    (old_scores, old_care), (new_scores, new_care) = before, after
    old, new = _usable(old_scores), _usable(new_scores)
    same = 0
    if old_care == new_care:
        pairs = zip(old, new, strict=False)
        same = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(old), len(new)))
    return (
        trajectories(parameters, old, old_care, since=same),
        trajectories(parameters, new, new_care, since=same),
    )


def said(path: Trajectory | None) -> str | None:
    """All that subscribers are told of a trajectory, as one text: the same text says nothing new.

    None while there is nothing to compare with.
    """
    if path is None or path.count == 1:
        return None
    facts = {
        "response": path.response,
        "remission": path.remission,
        "recovery": path.recovery,
        "stalled": path.stalled,
        "not-on-track": path.track is Track.NOT_ON_TRACK,
        "deterioration-from-best": path.reliable_change_from_best.outcome is Change.DETERIORATION,
        "relapse": path.relapse,
    }
    return ",".join([path.reliable_change.outcome.value, *(name for name, holds in facts.items() if holds)])


def _usable(scores: Iterable[Score]) -> list[Score]:
    return sorted({score for score in scores if not score.prorated}, key=_order)


def _course(usable: Sequence[Score], ended: Sequence[datetime]) -> Sequence[Score]:
    """The scores since the last end of care before the latest score after which care began anew."""
    ends = [each for each in ended if each < usable[-1].effective]
    return [score for score in usable if score.effective > max(ends)] if ends else usable


def _over(
    parameters: TrajectoryParameters,
    scores: Sequence[Score],
    care: Care,
    *,
    left_out: int = 0,
    allow_prorated: bool = False,
) -> Trajectory:
    """The trajectory over the scores of one course, which are there and in order of time."""
    baseline, last = scores[0], scores[-1]
    sign = 1 if parameters.change.higher_is_worse else -1
    best = min(scores, key=lambda score: sign * score.value)
    result = classify(parameters.change, baseline, last, allow_prorated=allow_prorated)
    was_case, is_case = _case(parameters, baseline), _case(parameters, last)
    return Trajectory(
        baseline=baseline,
        best=best,
        last=last,
        count=len(scores),
        change=last.value - baseline.value,
        reliable_change=result,
        reliable_change_from_best=classify(parameters.change, best, last, allow_prorated=allow_prorated),
        important_change=_important(parameters, baseline, last),
        response=_response(parameters, baseline, last),
        remission=None if parameters.remission_below is None else last.value < parameters.remission_below,
        case_at_baseline=was_case,
        case_now=is_case,
        recovery=None if was_case is None or is_case is None else was_case and not is_case,
        outcome_class=outcome_class(result.outcome, was_case, is_case) if len(scores) > 1 else None,
        stalled=is_stalled(parameters.change, parameters.progress, scores),
        track=track_of(
            *(parameters.change, parameters.progress, scores),
            result=result,
            was_case=was_case,
            expectation=parameters.expectation,
        ),
        relapse=_relapse(parameters, scores, care.discharged_at),
        left_out=left_out,
    )


def _order(score: Score) -> tuple[object, ...]:
    # Two scores of one moment need an order too, or the result would depend on how they arrived.
    return (score.effective, score.reference, score.value, score.prorated)


def _response(parameters: TrajectoryParameters, baseline: Score, last: Score) -> bool | None:
    """At least the given fraction below baseline; a symptom measure only (higher is worse)."""
    fraction = parameters.response_drop_fraction
    if fraction is None or not parameters.change.higher_is_worse or baseline.value <= 0:
        return None
    return last.value <= baseline.value * (1 - fraction)


def _important(parameters: TrajectoryParameters, baseline: Score, last: Score) -> bool | None:
    """Whether it is better by as much as people notice."""
    if parameters.important_points is None:
        return None
    better = baseline.value - last.value if parameters.change.higher_is_worse else last.value - baseline.value
    return better >= parameters.important_points


def _case(parameters: TrajectoryParameters, score: Score) -> bool | None:
    return None if parameters.caseness_at_least is None else score.value >= parameters.caseness_at_least


def _relapse(parameters: TrajectoryParameters, scores: Sequence[Score], discharged_at: datetime | None) -> bool | None:
    """After care has ended: across the cut-off again, or reliably worse than at the last score before its end."""
    before = [score for score in scores if discharged_at is not None and score.effective <= discharged_at]
    if not before or before[-1] == scores[-1]:
        return None
    at_end, last = before[-1], scores[-1]
    if _case(parameters, last) and _case(parameters, at_end) is False:
        return True
    return classify(parameters.change, at_end, last).outcome is Change.DETERIORATION


def _standing(found: Trajectory) -> Standing:
    if found.relapse:
        return Standing.RELAPSE
    if found.deteriorated:
        return Standing.DETERIORATION
    if found.count == 1:
        return Standing.FIRST_SCORE
    if found.reliable_change.outcome is Change.NOT_AVAILABLE:
        return Standing.RESPONSE if found.response else Standing.NOT_AVAILABLE
    well = (
        (Standing.REMISSION, found.remission and found.case_at_baseline is not False),
        (Standing.RECOVERY, found.recovery and found.reliable_change.outcome is Change.IMPROVEMENT),
        (Standing.RESPONSE, found.response and found.reliable_change.outcome is Change.IMPROVEMENT),
        (Standing.IMPROVEMENT, found.reliable_change.outcome is Change.IMPROVEMENT),
        (Standing.STALLED, found.stalled and found.case_now is not False),
        (Standing.NOT_ON_TRACK, found.track is Track.NOT_ON_TRACK),
    )
    return next((standing for standing, holds in well if holds), Standing.NO_RELIABLE_CHANGE)
