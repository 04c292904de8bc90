"""What a person can choose from: the ways that the proposed step offers, and lesser ones that safety allows. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from stepwell_routing.rules.effects import INTENSITY
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.safety_floor import safety_floor
from stepwell_routing.rules.steps import Step
from stepwell_routing.rules.tiers import Option


class Menu(NamedTuple):
    """The proposed step with what it offers, and the lower steps with what each of them does, by code."""

    step: Step
    options: Sequence[Option]
    lower: Mapping[str, Sequence[Option]]


def menu_of(policy: Policy, fired: Collection[str], step_code: str, offered: Collection[str]) -> Menu:
    """The menu of a request for this step that these rules led to; `offered` are the options that it names, if any.

    What a rule took off the menu is not offered on a lower step either. A phase of a progress ladder is not chosen:
    it has no lower ones. Raises ValueError for a step that the policy does not have.
    """
    step = next((each for each in policy.steps if each.code == step_code), None)
    if step is None:
        raise ValueError("the policy has no such step")
    excluded = {option for rule in policy.rules if rule.code in fired for option in rule.excluded_options}
    named = [policy.options[code] for code in offered if code in policy.options]
    lowest = max(safety_floor(policy, fired), 1)
    ranks = range(lowest, step.rank) if policy.kind == INTENSITY else range(0)
    return Menu(
        step,
        named or _without(step.offering.options, excluded),
        {policy.steps[rank - 1].code: _without(policy.steps[rank - 1].offering.options, excluded) for rank in ranks},
    )


def _without(options: Sequence[Option], excluded: Collection[str]) -> list[Option]:
    return [each for each in options if each.code not in excluded]
