"""Promises of interim support: something for everybody who waits, and nothing unguided while safety is open."""

import pytest
from stepwell_referral import data
from stepwell_referral.rules.interim import choose_interim

OFFERS = data.interim_offers()
TIERS = ["tier-1", "tier-2", "tier-3", "tier-4"]


def test_an_unknown_tier_gets_no_invented_offer() -> None:
    decision = choose_interim("tier-9", OFFERS)
    assert (decision.outcome, decision.rule, decision.offer) == ("none", "INTERIM-NONE", None)


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_unguided_is_offered_while_a_safety_item_is_open(tier: str) -> None:
    decision = choose_interim(tier, OFFERS, safety_open=True)
    assert decision.offer is not None
    assert not decision.offer.unguided


def test_open_safety_replaces_self_help_by_a_person_and_says_why() -> None:
    decision = choose_interim("tier-1", OFFERS, safety_open=True)
    assert decision.offer is not None
    assert (decision.offer.code, decision.rule) == ("named-contact", "INTERIM-GUIDED")
    assert "safety" in decision.reason


@pytest.mark.parametrize(
    ("tier", "code"),
    [
        ("tier-1", "self-help-material"),
        ("tier-2", "psychoeducation-group"),
        ("tier-3", "brief-intervention"),
        ("tier-4", "named-contact"),
    ],
)
def test_every_tier_has_its_support_while_waiting(tier: str, code: str) -> None:
    decision = choose_interim(tier, OFFERS)
    assert decision.offer is not None
    assert (decision.outcome, decision.offer.code, decision.rule) == ("offered", code, "INTERIM-FIRST")
