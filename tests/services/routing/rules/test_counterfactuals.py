"""What would have given another tier."""

from typing import Any

from stepwell_routing.rules.counterfactuals import Counterfactual, counterfactuals
from stepwell_routing.rules.decisions import Evidence, EvidenceValue, decide

from tests.services.routing.rules import test_intensity_ladders as intensity
from tests.services.routing.rules import test_progress_ladders as progress
from tests.services.routing.rules.policy_documents import course
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


def test_another_latest_value_is_another_change() -> None:
    values = {"step": EvidenceValue(2, NOW, "x"), "phq9": EvidenceValue(14, NOW, "x")}
    known = Evidence(values, courses={"phq9": course((14, 8), (0, 14))})
    found = counterfactuals(intensity.POLICY, known, NOW, decide(intensity.POLICY, known, NOW))
    assert found == [Counterfactual("phq9", 14, 13, "rural-l2")]


def test_what_a_flag_decides_is_named_and_the_step_itself_is_not() -> None:
    values = {"step": 1, "tasks_met_reviews": 1, "flare": True, "red_flag": False, "flares": 0}
    for changed in ({"flare": False}, {"tasks_met_reviews": 2}):
        known = Evidence({name: EvidenceValue(value, NOW, "x") for name, value in {**values, **changed}.items()})
        found = counterfactuals(progress.POLICY, known, NOW, decide(progress.POLICY, known, NOW))
        other = ({"flare", "tasks_met_reviews"} - set(changed)).pop()
        assert [(each.name, each.tier_code) for each in found] == [(other, "pain-p2a")]
