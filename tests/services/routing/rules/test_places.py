"""Promises of capacity: it is that of the step that is proposed, with the first proposal, and it moves nobody."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.counterfactuals import counterfactuals
from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, as_record, decide
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.reading import DocumentError

from tests.services.routing.rules import policy_documents as made
from tests.services.routing.rules.shipped import NOW, decided, evidence

POLICIES = active_policies()
WAITING = [name for name, policy in POLICIES.items() if policy.asks_places]


def at(tiers: dict[str, int], *, old: int = 0, policy: Policy | None = None, **values: Any) -> Decision:
    """The decision where so many can begin a week at the places of each tier."""
    observed = NOW - timedelta(days=old)
    places = {tier: EvidenceValue(starts, observed, f"HealthcareService/{tier}") for tier, starts in tiers.items()}
    return decide(policy or POLICIES["stepped-care"], replace(evidence(**values), places=places), NOW)


def fired(decision: Decision) -> set[str]:
    return {rule.code for rule in decision.fired}


@pytest.mark.parametrize("effect", ["advance", "pause", "input", "informed-choice"])
def test_a_policy_in_which_places_could_change_the_step_is_refused(effect: str) -> None:
    parts = {"input": {"discipline": "pharmacy"}, "informed-choice": {"from_": "capacity"}}.get(effect, {})
    stage = "proposal" if effect == "advance" else "preference"
    with pytest.raises(DocumentError, match="may not decide on"):
        made.published(_document("progress", stage, made.rule("PLACES", made.effect(effect, **parts), when=SCARCE)))


@pytest.mark.parametrize("missing", ["keep", "hold"])
def test_nobody_is_kept_or_held_because_places_are_not_known(missing: str) -> None:
    rule = made.rule("PLACES", made.effect("stay"), when=SCARCE, missing=[missing])
    with pytest.raises(DocumentError, match=f"may not decide on {missing}"):
        made.published(_document("intensity", "modifiers", rule))


def test_the_policies_that_ask_for_places_are_those_with_waiting_support() -> None:
    assert WAITING == ["primary-to-specialty", "rural", "stepped-care"]


@pytest.mark.parametrize(("starts", "waits"), [(0, True), (1, False)])
@pytest.mark.parametrize("name", WAITING)
def test_the_first_proposal_at_a_scarce_step_brings_support_for_the_wait(name: str, starts: int, waits: bool) -> None:
    policy = POLICIES[name]
    step = decide(policy, evidence(phq9=16), NOW).step
    found = at({step.tier_code: starts}, policy=policy, phq9=16)
    assert ("WAITING-SUPPORT" in fired(found)) is waits
    assert found.step is step


def test_places_of_another_step_say_nothing() -> None:
    assert "WAITING-SUPPORT" not in fired(at({"tier-1": 0, "tier-4": 0}, phq9=16))


def test_who_has_begun_at_the_step_needs_no_place_and_who_has_not_does() -> None:
    assert "WAITING-SUPPORT" not in fired(at({"tier-3": 0}, step=3, attended=1, phq9=16))
    assert "WAITING-SUPPORT" in fired(at({"tier-3": 0}, step=3, attended=0, phq9=16))
    assert "WAITING-SUPPORT" in fired(at({"tier-3": 0}, step=2, attended=4, phq9=16))


def test_places_that_nobody_has_told_are_unknown_and_never_none() -> None:
    assert "WAITING-SUPPORT" not in fired(at({}, phq9=16))
    assert "WAITING-SUPPORT" not in fired(decided(phq9=16))


def test_what_was_heard_too_long_ago_is_stale() -> None:
    policy = POLICIES["stepped-care"]
    aging = [replace(each, max_age=timedelta(days=7)) if each.name == "capacity" else each for each in policy.inputs]
    policy = replace(policy, inputs=tuple(aging))
    assert "WAITING-SUPPORT" in fired(at({"tier-3": 0}, policy=policy, old=7, phq9=16))
    late = at({"tier-3": 0}, policy=policy, old=8, phq9=16)
    assert ("WAITING-SUPPORT" in fired(late), late.stale) == (False, ("capacity",))


def test_the_places_are_on_record_with_the_decision_and_a_replay_is_the_same() -> None:
    first, second = (at({"tier-2": 9, "tier-3": 0}, phq9=16) for _ in range(2))
    assert as_record(first) == as_record(second)
    assert "HealthcareService/tier-3" in first.references
    assert "HealthcareService/tier-2" not in first.references
    (seen,) = (dict(rule.seen) for rule in first.fired if rule.code == "WAITING-SUPPORT")
    assert seen["capacity"] == 0


def test_what_is_given_outright_goes_before_what_was_heard() -> None:
    assert "WAITING-SUPPORT" in fired(at({"tier-3": 5}, capacity=0, phq9=16))


def test_places_change_no_step_and_no_counterfactual() -> None:
    policy = POLICIES["stepped-care"]
    cases: list[dict[str, Any]] = [{"phq9": 16}, {"phq9": 9, "gad7": 9}, {"phq9": 21, "wsas": 30}]
    for values in cases:
        free, full = evidence(**values), replace(
            evidence(**values), places={f"tier-{rank}": EvidenceValue(0, NOW, "h") for rank in range(1, 5)}
        )  # fmt: skip
        assert decide(policy, free, NOW).step is decide(policy, full, NOW).step
        assert _turned(policy, free) == _turned(policy, full)


SCARCE = "%capacity <= 0"


def _document(kind: str, stage: str, rule: made.Document) -> made.Document:
    steps = [made.step("rural-l1"), made.step("rural-l2")]
    begin = made.effect("enter", step=made.step_of("rural-l1")) if kind == "progress" else FLOOR
    rules = {stage: [rule]}
    rules.setdefault("proposal", []).append(made.rule("BEGIN", begin))
    inputs = [made.evidence_of(name) for name in ("capacity", "step")]
    return made.document(kind, inputs, rules, steps)


FLOOR = made.effect("floor", step=made.step_of("rural-l1"))


def _turned(policy: Policy, known: Evidence) -> list[tuple[str, int, str]]:
    found = counterfactuals(policy, known, NOW, decide(policy, known, NOW))
    return [(each.name, each.instead, each.tier_code) for each in found]
