"""What would have to be different for another tier: one value at a time, at the thresholds the policy names."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from stepwell_routing.rules.decisions import Decision, Evidence, decide
from stepwell_routing.rules.policies import Policy


class Counterfactual(NamedTuple):
    """With `instead` in place of `value` for this one piece of evidence, the tier would be `tier_code`."""

    name: str
    value: int
    instead: int
    tier_code: str


def counterfactuals(policy: Policy, evidence: Evidence, now: datetime, decision: Decision) -> list[Counterfactual]:
    """For every whole-numbered value in use, the nearest lower and higher value that gives another tier, if any."""
    names = sorted({name for rule in decision.fired for name, _ in rule.seen} & set(evidence.values))
    return [
        found
        for name in names
        for candidates in _candidates(policy, evidence, name)
        if (found := _first_change(policy, evidence, now, decision, name, candidates)) is not None
    ]


def _candidates(policy: Policy, evidence: Evidence, name: str) -> Iterator[list[int]]:
    """Values at and beside each threshold: those below the present value, nearest first, then those above."""
    value = evidence.values[name].value
    if isinstance(value, bool) or not isinstance(value, int):
        return
    expressions = [rule.expression for rule in policy.rules if rule.expression]
    limits = {int(t.constant) for expression in expressions for t in expression.thresholds if t.name == name}
    candidates = {limit + offset for limit in limits for offset in (-1, 0, 1)}
    yield sorted((candidate for candidate in candidates if candidate < value), reverse=True)
    yield sorted(candidate for candidate in candidates if candidate > value)


def _first_change(
    policy: Policy, evidence: Evidence, now: datetime, decision: Decision, name: str, candidates: list[int]
) -> Counterfactual | None:
    known = evidence.values[name]
    for candidate in candidates:
        values = {**evidence.values, name: known._replace(value=candidate)}
        other = decide(policy, replace(evidence, values=values), now)
        if other.tier.code != decision.tier.code:
            return Counterfactual(name, int(known.value), candidate, other.tier.code)
    return None
