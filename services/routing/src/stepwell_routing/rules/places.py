"""How much help can begin at the step that is proposed: known only once the step is, so it is asked last.

Places change what is offered meanwhile and whom a wait is told to, never how much care is proposed: what a rule that
asks for them may do is checked when the policy is published.
"""

from datetime import datetime
from typing import NamedTuple

from stepwell_routing.rules.evidence import Evidence, EvidenceValue
from stepwell_routing.rules.evidence_names import CAPACITY
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.stepping import Run, Target, add_placed, current_rank, evaluate, target_of


class Settled(NamedTuple):
    """What the rules came to, the step they lead to, and the places there as far as the decision could use them."""

    run: Run
    target: Target
    places: EvidenceValue | None
    is_stale: bool


def settle(policy: Policy, evidence: Evidence, environment: dict[str, Scalar], now: datetime) -> Settled:
    """The rules over what is known; those that ask for places last, once the step is known.

    Adds to the environment what the domain floors came to, and the places.
    """
    run = evaluate(policy, environment)
    target = target_of(policy, run)
    if not run.waiting:
        return Settled(run, target, None, is_stale=False)
    places = _places(policy, evidence, environment, target)
    declared = next(item for item in policy.inputs if item.name == CAPACITY)
    is_stale = places is not None and declared.max_age is not None and now - places.observed_at > declared.max_age
    if is_stale:
        places = None
    if places is not None:
        environment[CAPACITY] = places.value
    if add_placed(run):
        target = target_of(policy, run)  # the same step; it may be the best reason to stay there
    return Settled(run, target, places, is_stale=is_stale)


def _places(policy: Policy, evidence: Evidence, environment: dict[str, Scalar], target: Target) -> EvidenceValue | None:
    """Those of the step; none are needed by whoever has begun there, and what is given outright goes first."""
    if not evidence.places or CAPACITY in environment:
        return None
    if target.rank == current_rank(environment) and environment.get("attended", 0):
        return None
    return evidence.places.get(policy.steps[target.rank - 1].tier_code)
