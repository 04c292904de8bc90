"""What a clinician should know of a person's care at a glance: what waits, what is due, and whether it helps enough.

Pure: where a person stands comes in, findings go out. Every number stands in `Limits`, which is data with its source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from stepwell_routing.rules.effects import INTENSITY
from stepwell_routing.rules.policies import Policy

Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was proposed or accepted: how it is coded, called and dated.

    `since` is when it was proposed or entered, `review_at` when it should be looked at again.
    """

    code: str
    rank: int
    words: Words
    since: datetime
    review_at: datetime
    is_proposal: bool
    is_held: bool


class Rung(NamedTuple):
    """Where a code stands on a ladder: the lowest and the highest rank that it means (a tier may be that of several
    steps), and whether a higher one is more care; on the others a later step is more independence."""

    lowest: int
    highest: int
    is_more_care: bool


@dataclass(frozen=True, slots=True)
class Score:
    """One total of a questionnaire, by its coded name."""

    name: str
    value: Decimal
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeLimit:
    """How far a score moves before it is more than chance: `threshold` points, the threshold itself included."""

    label: str
    threshold: Decimal


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of this module. `slow_after` is how long a step may go on without a change beyond chance."""

    changes: Mapping[str, ChangeLimit]
    slow_after: timedelta


@dataclass(frozen=True, slots=True)
class CareView:
    """Where a person stands: open questions of safety, the steps, and what has been measured, in any order."""

    is_known: bool
    is_safety_open: bool
    has_red_flag: bool
    proposal: Step | None
    plan: Step | None
    scores: Sequence[Score]

    @property
    def target(self) -> Step | None:
        """What care should come to: the open proposal, else the plan."""
        return self.proposal or self.plan


@dataclass(frozen=True, slots=True)
class Track:
    """Why care is not on track: `rule` is `track-worse` or `track-slow`; compared are two scores of one kind."""

    rule: str
    label: str
    latest: Score
    earlier: Score


def due_since(view: CareView) -> datetime | None:
    """Since when questionnaires are due; None while there are none to ask for.

    A review that was answered moves the next one on by the same interval, whether or not the step was written anew.
    """
    step = view.target
    if step is None or not view.scores:
        return None
    newest = max(score.observed_at for score in view.scores)
    return max(step.review_at, newest + (step.review_at - step.since))


def off_track(view: CareView, limits: Limits, now: datetime) -> Track | None:
    """The first score that says that care does not help enough; deterioration comes before too little change.

    Compared is within the step in which care has begun, with what was measured last before it as its baseline. Sources:
    the limits'. A score without a sourced threshold says nothing.
    """
    if view.plan is None:
        return None
    slow = None
    for name, limit in limits.changes.items():
        found = _in_step(view.scores, name, view.plan.since)
        if len(found) < 2:
            continue
        latest, best = found[-1], min(found[:-1], key=lambda score: score.value)
        if latest.value - best.value >= limit.threshold:
            return Track("track-worse", limit.label, latest, best)
        is_late = latest.observed_at >= view.plan.since + limits.slow_after
        if slow is None and is_late and found[0].value - latest.value < limit.threshold:
            slow = Track("track-slow", limit.label, latest, found[0])
    return slow


def ladder_of(policy: Policy) -> dict[str, Rung]:
    """Where each step of the policy stands, by its code; and each tier, by the ranks of the steps given there."""
    found: dict[str, Rung] = {}
    for step in policy.steps:
        is_more_care = step.kind == INTENSITY
        found[step.code] = Rung(step.rank, step.rank, is_more_care)
        if step.tier_code != step.code:
            before = found.get(step.tier_code, Rung(step.rank, step.rank, is_more_care))
            found[step.tier_code] = Rung(before.lowest, step.rank, before.is_more_care and is_more_care)
    return found


def _in_step(scores: Sequence[Score], name: str, since: datetime) -> list[Score]:
    """The scores of a kind from the step's baseline on, the oldest first."""
    ordered = sorted((each for each in scores if each.name == name), key=lambda score: score.observed_at)
    before = [each for each in ordered if each.observed_at <= since]
    return [*before[-1:], *(each for each in ordered if each.observed_at > since)]
