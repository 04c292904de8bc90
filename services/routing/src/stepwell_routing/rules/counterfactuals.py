"""What would have to be different for another step: one value at a time, at the thresholds the policy names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from stepwell_routing.rules.decisions import Decision
from stepwell_routing.rules.evidence import Evidence, environment_of
from stepwell_routing.rules.evidence_names import base_of, known
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.series import Measure
from stepwell_routing.rules.stepping import evaluate, target_of

GIVEN = frozenset({"step", "agreement", "person", "place", "risk"})
"""Groups of evidence that nobody would wish to be otherwise: where care stands, who somebody is, and safety."""
DIFFERENCES = frozenset({"change", "change_from_best"})


class Counterfactual(NamedTuple):
    """With `instead` in place of `value` for this one piece of evidence, the step would be `tier_code`."""

    name: str
    value: int
    instead: int
    tier_code: str


def counterfactuals(policy: Policy, evidence: Evidence, now: datetime, decision: Decision) -> list[Counterfactual]:
    """For every fresh whole number and flag in use, the nearest lower and higher value that gives another step.

    What follows from a measure, such as its change, follows from the other value too.
    """
    fresh, _ = environment_of(policy, evidence, now)
    limits = _limits(policy, fresh)
    return [
        found
        for name in sorted(set(limits) & set(fresh) & set(evidence.values))
        for candidates in _candidates(fresh[name], limits[name])
        if (found := _first_change(policy, evidence, now, decision, name, candidates)) is not None
    ]


def _limits(policy: Policy, fresh: Mapping[str, Scalar]) -> dict[str, set[int]]:
    """The values at which each declared name, or its change, reaches what it is compared with; flags have none."""
    found: dict[str, set[int]] = {}
    for rule in policy.rules:
        for name in rule.expression.names if rule.expression else ():
            listed = known(base_of(name)[0])
            if listed is not None and listed.group not in GIVEN:
                found.setdefault(base_of(name)[0], set())
        for threshold in rule.expression.thresholds if rule.expression else ():
            base, suffix = base_of(threshold.name)
            present, changed = fresh.get(base), fresh.get(threshold.name)
            if base not in found or not isinstance(present, int):
                continue
            if suffix is None:
                found[base].add(int(threshold.constant))
            elif suffix in DIFFERENCES and isinstance(changed, int):
                found[base].add(present - changed + int(threshold.constant))
    return found


def _candidates(value: Scalar, limits: set[int]) -> Iterator[Sequence[int]]:
    """Values at and beside each threshold: those below the present value, nearest first, then those above."""
    if isinstance(value, bool):
        yield (not value,)
    elif isinstance(value, int):
        candidates = {limit + offset for limit in limits for offset in (-1, 0, 1)}
        yield sorted((candidate for candidate in candidates if candidate < value), reverse=True)
        yield sorted(candidate for candidate in candidates if candidate > value)


def _first_change(
    policy: Policy, evidence: Evidence, now: datetime, decision: Decision, name: str, candidates: Sequence[int]
) -> Counterfactual | None:
    present, listed = evidence.values[name], known(name)
    for candidate in candidates:
        if listed is not None and listed.minimum is not None and candidate < listed.minimum:
            continue
        if listed is not None and listed.maximum is not None and candidate > listed.maximum:
            continue
        values = {**evidence.values, name: present._replace(value=candidate)}
        other = replace(evidence, values=values, courses=_with_latest(evidence.courses, name, candidate))
        environment, _ = environment_of(policy, other, now)
        step = policy.steps[target_of(policy, evaluate(policy, environment)).rank - 1]
        if step.code != decision.step.code:
            return Counterfactual(name, int(present.value), candidate, step.code)
    return None


def _with_latest(courses: Mapping[str, Sequence[Measure]], name: str, value: int) -> Mapping[str, Sequence[Measure]]:
    measures = courses.get(name)
    if not measures:
        return courses
    return {**courses, name: (*measures[:-1], measures[-1]._replace(value=value))}
