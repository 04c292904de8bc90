"""What would have given another tier."""

from typing import Any

from stepwell_routing.rules.counterfactuals import Counterfactual, counterfactuals
from stepwell_routing.rules.decisions import decide

from tests.services.routing.rules.shipped import NOW, POLICY, evidence


def _for(**values: Any) -> list[Counterfactual]:
    known = evidence(**values)
    return counterfactuals(POLICY, known, NOW, decide(POLICY, known, NOW))


def test_a_score_at_its_threshold_would_be_a_tier_lower_one_point_below() -> None:
    assert _for(phq9=16) == [Counterfactual("phq9", 16, 15, "tier-2")]


def test_both_directions_are_named() -> None:
    assert _for(phq9=12) == [Counterfactual("phq9", 12, 9, "tier-1"), Counterfactual("phq9", 12, 16, "tier-3")]


def test_what_two_domains_did_together_is_undone_by_either() -> None:
    assert _for(phq9=11, gad7=9) == [
        Counterfactual("gad7", 9, 7, "tier-2"),
        Counterfactual("phq9", 11, 9, "tier-2"),
    ]
