"""What a policy in shadow would have decided, beside a decision that was made: the step, and which rules differ."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from stepwell_routing.rules.decisions import Decision
from stepwell_routing.rules.disclosure import partition, regrouped, rounded
from stepwell_routing.rules.evidence import Evidence, environment_of
from stepwell_routing.rules.places import settle
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.simulation import (
    Beside,
    Frame,
    Mix,
    Report,
    SafetyPromises,
    Tally,
    broken_promises,
    published,
)
from stepwell_routing.rules.stepping import holding, step_rests

SAME, UP, DOWN, OTHER = "same", "up", "down", "other"
"""Where the shadow leads, counted on its own ladder; other for a step that its ladder does not have."""


class Shadow(NamedTuple):
    """One decision of a policy in shadow. `rules` are the codes that fired in one of the two alone: with + in the
    shadow, with - in the decision that was made. `broken` are safety rules whose promise it does not keep."""

    step: str
    move: str
    is_held: bool
    broken: tuple[str, ...]
    rules: tuple[str, ...]


class Compared(NamedTuple):
    """How often decisions compared alike."""

    present_step: str
    shadow: Shadow
    decisions: int


def shadow_of(policy: Policy, promises: SafetyPromises, evidence: Evidence, now: datetime, made: Decision) -> Shadow:
    """What this policy would have decided on the same; without its words, which nobody reads.

    Raises TypeError for a value of another kind than the policy declares.
    """
    environment, _ = environment_of(policy, evidence, now)
    run, target, *_ = settle(policy, evidence, environment, now)
    step, present = policy.steps[target.rank - 1], policy.step_of(made.step.code)
    is_held = not run.never_waits and bool(holding(run) or step_rests(run))
    would, did = {rule.code for rule in run.fired}, {rule.code for rule in made.fired}
    return Shadow(
        step=step.code,
        move=OTHER if present is None else _move(present.rank, step.rank),
        is_held=is_held,
        broken=broken_promises(policy, promises, run, evidence.risk, target.rank),
        rules=(*(f"+{code}" for code in sorted(would - did)), *(f"-{code}" for code in sorted(did - would))),
    )


def compared(rows: Iterable[Compared], shadow: Policy, present: Policy, frame: Frame) -> Report | None:
    """What is published of decisions made beside each other; small groups are merged. None for too few."""
    tally, moves, rules = Tally(), Counter[str](), Counter[str]()
    for row in rows:
        tally.people += row.decisions
        tally.proposed[row.shadow.step] += row.decisions
        tally.present[row.present_step] += row.decisions
        tally.moves[row.present_step, row.shadow.step] += row.decisions
        moves[row.shadow.move] += row.decisions
        for code in row.shadow.broken:
            tally.broken[code] += row.decisions
        for code in row.shadow.rules:
            rules[code] += row.decisions
    report = published(tally, shadow, present, frame)
    groups = partition({name: moves[name] for name in (SAME, UP, DOWN, OTHER) if moves[name]}, frame.small_below)
    if report is None or groups is None:
        return None
    mixes = (
        Mix(labels, rounded(people, frame.round_to))
        for labels, people in zip(groups, regrouped(moves, groups), strict=True)
    )
    often = ((code, rounded(many, frame.round_to)) for code, many in rules.most_common() if many >= frame.small_below)
    return replace(report, beside=Beside(tuple(mixes), tuple(often)))


def _move(present: int, proposed: int) -> str:
    return SAME if present == proposed else UP if proposed > present else DOWN
