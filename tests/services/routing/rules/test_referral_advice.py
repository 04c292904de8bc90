"""Promises of the check of a referral: on each of the five ladders, against the order of its own steps."""

from datetime import UTC, datetime

import pytest
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.cards import referral_advice
from stepwell_routing.rules.care_view import CareView, Step, ladder_of
from stepwell_routing.rules.draft_orders import Referral
from stepwell_routing.rules.policies import Policy

NOW = datetime(2026, 11, 22, tzinfo=UTC)
POLICIES = active_policies()


def advised(policy: Policy, target: str, referred: str | None) -> list[str]:
    """The rules that speak when this step is referred to and that one is proposed."""
    step = policy.step_of(target)
    assert step is not None
    proposal = Step(target, step.rank, {"en": target}, NOW, NOW, is_proposal=True, is_held=False)
    view = CareView(True, False, False, proposal, None, [])
    return [each.rule for each in referral_advice(view, [Referral({}, referred)], ladder_of(policy))]


@pytest.mark.parametrize("pathway", sorted(POLICIES))
def test_every_pair_of_steps_is_compared_in_the_order_of_its_ladder(pathway: str) -> None:
    policy = POLICIES[pathway]
    kinds = {step.code: step.kind for step in policy.steps}
    for target in policy.steps:
        for other in policy.steps:
            found = advised(policy, target.code, other.code)
            if other.rank == target.rank:
                assert found == []
            elif {kinds[target.code], kinds[other.code]} == {"intensity"}:
                assert found == ["referral-below" if other.rank < target.rank else "referral-above"]
            else:
                assert found == ["referral-other-step"]
        assert advised(policy, target.code, target.tier_code) == []
        assert advised(policy, target.code, None) == ["referral-without-step"]
        assert advised(policy, target.code, "a step of another ladder") == ["referral-without-step"]


def test_phases_of_pain_rehabilitation_are_never_less_or_more() -> None:
    assert advised(POLICIES["chronic-pain-rehabilitation"], "pain-p2a", "pain-p1") == ["referral-other-step"]
