"""What the shipped policy decides: every floor at, below and above its threshold, safety, and what is missing."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.decisions import (
    Decision,
    Evidence,
    EvidenceValue,
    RiskState,
    as_record,
    change_from,
    decide,
)
from stepwell_routing.rules.expressions import Scalar

from tests.services.routing.rules.shipped import BANDS, NOW, POLICY, decided, evidence, rank

OPEN = RiskState(positive_item_open=True, reference="https://screening.example/fhir/RiskAssessment/r1")
UNANSWERED = RiskState(unanswered_item_open=True)


def _why(decision: Decision, code: str) -> tuple[str, tuple[str, ...]]:
    return next((rule.why, rule.missing) for rule in decision.not_fired if rule.code == code)


class TestRefusals:
    @pytest.mark.parametrize("value", ["16", True])
    def test_evidence_of_another_kind_is_refused(self, value: Scalar) -> None:
        with pytest.raises(TypeError, match="phq9 is declared as number"):
            decided(phq9=value)

    def test_a_binary_float_is_refused(self) -> None:
        known = EvidenceValue(16.0, NOW, "x")  # type: ignore[arg-type]  # the refusal is what is tested
        with pytest.raises(TypeError):
            decide(POLICY, Evidence({"phq9": known}), NOW)


class TestFloors:
    @pytest.mark.parametrize(
        ("values", "tier", "rule"),
        [
            ({"phq9": 0}, 1, "PROPOSE-T1"),
            ({"phq9": 4}, 1, "PROPOSE-T1"),
            ({"phq9": 5}, 1, "FLOOR-PHQ9-T1"),
            ({"phq9": 9}, 1, "FLOOR-PHQ9-T1"),
            ({"phq9": 10}, 2, "FLOOR-PHQ9-T2"),
            ({"phq9": 15}, 2, "FLOOR-PHQ9-T2"),
            ({"phq9": 16}, 3, "FLOOR-PHQ9-T3"),
            ({"phq9": 27}, 3, "FLOOR-PHQ9-T3"),
            ({"phq9": 19, "wsas": 21}, 3, "FLOOR-PHQ9-T3"),
            ({"phq9": 20, "wsas": 20}, 3, "FLOOR-PHQ9-T3"),
            ({"phq9": 20, "wsas": 21}, 4, "FLOOR-PHQ9-T4"),
            ({"phq9": 20, "tier_3_course_without_benefit": True}, 4, "FLOOR-PHQ9-T4"),
            ({"phq9": 20, "tier_3_course_without_benefit": False}, 3, "FLOOR-PHQ9-T3"),
            ({"gad7": 4}, 1, "PROPOSE-T1"),
            ({"gad7": 5}, 1, "FLOOR-GAD7-T1"),
            ({"gad7": 7}, 1, "FLOOR-GAD7-T1"),
            ({"gad7": 8}, 2, "FLOOR-GAD7-T2"),
            ({"gad7": 14}, 2, "FLOOR-GAD7-T2"),
            ({"gad7": 15}, 3, "FLOOR-GAD7-T3"),
            ({"gad7": 21}, 3, "FLOOR-GAD7-T3"),
            ({"phq15": 4}, 1, "PROPOSE-T1"),
            ({"phq15": 5}, 1, "FLOOR-PHQ15-T1"),
            ({"phq15": 9}, 1, "FLOOR-PHQ15-T1"),
            ({"phq15": 10}, 2, "FLOOR-PHQ15-T2"),
            ({"phq15": 14}, 2, "FLOOR-PHQ15-T2"),
            ({"phq15": 15}, 3, "FLOOR-PHQ15-T3"),
            ({"phq15": 30}, 3, "FLOOR-PHQ15-T3"),
            ({"phq9": 0, "wsas": 9}, 1, "PROPOSE-T1"),
            ({"phq9": 0, "wsas": 10}, 2, "FLOOR-WSAS-T2"),
            ({"phq9": 0, "wsas": 20}, 2, "FLOOR-WSAS-T2"),
            ({"phq9": 0, "wsas": 21}, 3, "FLOOR-WSAS-T3"),
            ({"phq9": 10, "gad7": 7}, 2, "FLOOR-PHQ9-T2"),
            ({"phq9": 10, "gad7": 8}, 3, "MOD-TWO-DOMAINS"),
            ({"phq9": 10, "gad7": 8, "phq15": 10}, 3, "MOD-TWO-DOMAINS"),
            ({"phq9": 5, "gad7": 5}, 1, "FLOOR-PHQ9-T1"),
            ({"phq9": 16, "gad7": 15}, 3, "FLOOR-PHQ9-T3"),
            ({"phq9": 4, "gad7": 15}, 3, "FLOOR-GAD7-T3"),
        ],
    )
    def test_each_threshold_divides_the_tiers(self, values: dict[str, Any], tier: int, rule: str) -> None:
        decision = decided(**values)
        assert (rank(decision), decision.rule, decision.status) == (tier, rule, "active")

    @pytest.mark.parametrize(("phq9", "tier"), [(9, 1), (10, 2), (14, 2), (15, 3), (19, 3), (20, 4)])
    def test_the_profile_bands_follows_the_published_bands(self, phq9: int, tier: int) -> None:
        assert rank(decided(policy=BANDS, phq9=phq9)) == tier

    def test_a_phq9_of_16_without_item_nine_is_tier_3_and_says_why(self) -> None:
        decision = decided(phq9=16)
        assert (decision.tier.code, decision.priority, decision.reason_codes) == (
            "tier-3",
            "routine",
            ("FLOOR-PHQ9-T3",),
        )
        fired = next(rule for rule in decision.fired if rule.code == "FLOOR-PHQ9-T3")
        assert fired.seen == (("phq9", 16),)

    @pytest.mark.parametrize(("phq9", "days"), [(5, 14), (10, 14), (16, 14)])
    def test_the_review_comes_within_the_interval_of_the_tier(self, phq9: int, days: int) -> None:
        assert decided(phq9=phq9).review_at == NOW + timedelta(days=days)

    def test_tier_4_is_reviewed_within_four_weeks(self) -> None:
        assert decided(phq9=20, wsas=21).review_at == NOW + timedelta(days=28)


class TestSafety:
    @pytest.mark.parametrize(("risk", "code"), [(OPEN, "SAF-1"), (UNANSWERED, "SAF-5")])
    def test_an_open_safety_item_holds_whatever_the_scores(self, risk: RiskState, code: str) -> None:
        cases: list[dict[str, Any]] = [{"phq9": 16}, {"phq9": 0}, {}]
        for values in cases:
            decision = decided(risk, **values)
            assert (decision.status, decision.priority, decision.holds[0]) == ("on-hold", "urgent", code)
            assert decision.reason_codes[0] == code
            assert decision.review_at == NOW + timedelta(days=1)

    @pytest.mark.parametrize(
        ("level", "values", "tier", "priority", "hours"),
        [
            ("high", {"phq9": 3}, 4, "stat", 4),
            ("high", {}, 4, "stat", 4),
            ("moderate", {"phq9": 3}, 3, "urgent", 24),
            ("moderate", {"phq9": 20, "wsas": 30}, 4, "urgent", 24),
            ("low", {"phq9": 3}, 1, "routine", 168),
            ("low", {"phq9": 16}, 3, "routine", 168),
        ],
    )
    def test_a_recorded_level_sets_its_floor(
        self, level: str, values: dict[str, Any], tier: int, priority: str, hours: int
    ) -> None:
        decision = decided(RiskState(level=level), **values)
        assert (rank(decision), decision.priority) == (tier, priority)
        assert decision.review_at == NOW + timedelta(hours=hours)

    @pytest.mark.parametrize(("level", "status"), [("high", "active"), ("moderate", "active"), ("low", "on-hold")])
    def test_urgent_help_never_waits_for_another_open_item(self, level: str, status: str) -> None:
        assert decided(RiskState(positive_item_open=True, level=level), phq9=12).status == status

    @pytest.mark.parametrize("level", ["high", "moderate", "low"])
    def test_no_unguided_self_help_while_risk_is_open_or_fresh(self, level: str) -> None:
        assert decided(RiskState(level=level), phq9=3).excluded_options == ("self-guided-programme",)
        assert decided(OPEN, phq9=3).excluded_options == ("self-guided-programme",)
        assert decided(phq9=3).excluded_options == ()

    def test_the_safety_assessment_is_among_the_evidence_named(self) -> None:
        assert decided(OPEN, phq9=16).references[-1] == OPEN.reference


class TestMissingEvidence:
    def test_without_any_score_nothing_is_concluded_and_a_person_asks(self) -> None:
        decision = decided()
        assert (rank(decision), decision.status, decision.holds) == (1, "on-hold", ("NO-SCORE",))

    def test_a_rule_that_lacks_evidence_is_listed_with_what_it_lacks(self) -> None:
        decision = decided(phq9=20)
        assert rank(decision) == 3
        assert _why(decision, "FLOOR-PHQ9-T4") == ("missing", ("tier_3_course_without_benefit", "wsas"))
        assert decision.not_known == ("tier_3_course_without_benefit", "wsas")

    def test_a_rule_that_known_evidence_excludes_is_false_and_not_missing(self) -> None:
        assert _why(decided(phq9=16), "FLOOR-PHQ9-T4") == ("false", ())
        assert _why(decided(phq9=20, wsas=5, tier_3_course_without_benefit=False), "FLOOR-PHQ9-T4") == ("false", ())

    def test_a_missing_score_is_not_a_zero(self) -> None:
        assert _why(decided(gad7=9), "FLOOR-PHQ9-T2") == ("missing", ("phq9",))
        assert "phq9" in decided(gad7=9).not_known

    def test_evidence_past_its_age_is_missing(self) -> None:
        fresh = decide(POLICY, evidence(days_old=28, phq9=16), NOW)
        old = decide(POLICY, evidence(days_old=29, phq9=16), NOW)
        assert (rank(fresh), fresh.stale) == (3, ())
        assert (rank(old), old.status, old.stale, old.references) == (1, "on-hold", ("phq9",), ())

    def test_the_tier_so_far_does_not_age(self) -> None:
        assert rank(decide(POLICY, evidence(days_old=400, step=3), NOW)) == 3


class TestSteps:
    def test_one_better_score_is_no_step_down(self) -> None:
        decision = decided(phq9=4, step=3)
        assert (rank(decision), decision.rule) == (3, "KEEP-STEP")
        assert rank(decided(phq9=4, step=3, step_down_agreed=False)) == 3

    def test_an_agreement_alone_is_no_step_down(self) -> None:
        assert rank(decided(phq9=4, wsas=4, step=3, step_down_agreed=True)) == 3

    def test_a_worse_score_steps_up_at_once(self) -> None:
        decision = decided(phq9=16, step=2)
        assert (rank(decision), decision.rule) == (3, "FLOOR-PHQ9-T3")

    @pytest.mark.parametrize(
        ("before", "expected"),
        [
            ((None, None, None), "assign"),
            (("tier-2", "active", "routine"), "assign"),
            (("tier-3", "on-hold", "urgent"), "modify"),
            (("tier-3", "active", "routine"), "stay"),
        ],
    )
    def test_a_decision_says_what_it_changes(self, before: tuple[str | None, ...], expected: str) -> None:
        assert change_from(decided(phq9=16), *before) == expected


_SCORES = {"phq9": 27, "gad7": 21, "phq15": 30, "wsas": 40}
_LEVELS = (None, "low", "moderate", "high")
_ANY = st.fixed_dictionaries({}, optional={name: st.integers(0, most) for name, most in _SCORES.items()})
_RISKS = st.builds(RiskState, st.booleans(), st.booleans(), st.sampled_from(_LEVELS))


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], RiskState, RiskState]:
    """Evidence and risk, and the same made worse in any way."""
    scores = draw(_ANY)
    worse_scores = {name: draw(st.integers(value, _SCORES[name])) for name, value in scores.items()}
    same = draw(st.fixed_dictionaries({}, optional={"step": st.integers(1, 4), "step_down_agreed": st.booleans()}))
    course, worse_course = draw(st.sampled_from([(False, False), (False, True), (True, True)]))
    risk = draw(_RISKS)
    worse_level = draw(st.sampled_from(_LEVELS[_LEVELS.index(risk.level) :]))
    better = {**scores, **same, "tier_3_course_without_benefit": course}
    worse = {**worse_scores, **same, "tier_3_course_without_benefit": worse_course}
    return better, worse, risk, risk._replace(level=worse_level)


@settings(max_examples=200, deadline=None)
@given(pair=_pairs(), policy=st.sampled_from([POLICY, BANDS]))
def test_worse_evidence_never_gives_a_lower_tier(pair: Any, policy: Any) -> None:
    better, worse, risk, higher_risk = pair
    assert rank(decided(risk, policy=policy, **better)) <= rank(decided(higher_risk, policy=policy, **worse))


@settings(max_examples=200, deadline=None)
@given(values=_ANY, risk=_RISKS, current=st.none() | st.integers(1, 4))
def test_nothing_lowers_a_safety_floor_or_passes_an_open_item(
    values: dict[str, Any], risk: RiskState, current: int | None
) -> None:
    known: dict[str, Any] = values if current is None else {**values, "step": current}
    decision = decided(risk, **known)
    assert rank(decision) >= {None: 1, "low": 1, "moderate": 3, "high": 4}[risk.level]
    urgent = risk.level in ("moderate", "high")
    if (risk.positive_item_open or risk.unanswered_item_open) and not urgent:
        assert decision.status == "on-hold"
        assert decision.priority != "routine"


@settings(max_examples=100, deadline=None)
@given(values=_ANY, risk=_RISKS, order=st.randoms(use_true_random=False))
def test_the_same_evidence_gives_the_same_bytes(values: dict[str, Any], risk: RiskState, order: Any) -> None:
    shuffled = list(values)
    order.shuffle(shuffled)
    first = as_record(decided(risk, **values))
    second = as_record(decided(risk, **{name: values[name] for name in shuffled}))
    assert json.dumps(first) == json.dumps(second)
