"""The words of a decision: complete, in every language, and never those that hurt."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.decisions import RiskState
from stepwell_routing.rules.wording import template

from tests.services.routing.rules.shipped import CATALOGUE, POLICY, decided

UNKIND = ("failed", "refractory", "nothing is wrong", "in your head", "non-compliant", "crippled", "harmed", "severe")


def test_a_placeholder_reaches_no_attribute() -> None:
    text = "{phq9.__class__} {0} {phq9}"
    assert template(text).fill({"phq9": 3}) == "{phq9.__class__} {0} 3"


def test_the_clinician_reads_the_deciding_rule_first_and_the_other_domains_after_it() -> None:
    reason = decided(phq9=16, gad7=9).clinician_reason["en"]
    assert reason.startswith("PHQ-9 is 16: 16 or more means tier 3 at least. GAD-7 is 9: 8 or more")
    assert reason.endswith("Not known, although it could raise the tier: -.")


def test_the_clinician_reads_what_is_not_known() -> None:
    assert "tier_3_course_without_benefit, wsas" in decided(phq9=20).clinician_reason["de"]


def test_a_hold_comes_before_everything() -> None:
    decision = decided(RiskState(positive_item_open=True), phq9=16)
    assert decision.clinician_reason["en"].startswith("A positive safety item")
    assert "individual therapy" not in decision.patient_reason["en"]
    assert "speak with you in person" in decision.patient_reason["en"]


def test_a_person_reads_why_what_when_and_how_to_say_no() -> None:
    reason = decided(phq9=16).patient_reason
    assert "low mood weighs heavily on you" in reason["en"]
    assert "individual therapy" in reason["en"]
    assert "2026-12-05" in reason["en"]
    assert "you can say no" in reason["en"]
    assert "Einzeltherapie" in reason["de"]


@pytest.mark.parametrize("language", POLICY.languages)
def test_people_never_read_tier_numbers_or_scores(language: str) -> None:
    cases: list[dict[str, Any]] = [{"phq9": 16}, {"gad7": 9, "phq9": 11}, {"phq9": 3, "step": 2}]
    for values in cases:
        words = decided(**values).patient_reason[language]
        assert "PHQ" not in words
        assert "tier" not in words.lower().split()
        assert "Stufe" not in words


def test_no_text_for_people_uses_a_word_that_hurts() -> None:
    texts = [rule.patient["en"].pattern for rule in POLICY.rules]
    texts += [tier.offer["en"] for tier in CATALOGUE.tiers]
    texts += [option.plain["en"] for tier in CATALOGUE.tiers for option in tier.options]
    assert [text for text in texts for word in UNKIND if word in text.lower()] == []


@settings(max_examples=200, deadline=None)
@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "phq9": st.integers(0, 27),
            "gad7": st.integers(0, 21),
            "wsas": st.integers(0, 40),
            "step": st.integers(1, 4),
        },
    ),
    level=st.sampled_from([None, "low", "moderate", "high"]),
)
def test_no_placeholder_is_ever_left_open(values: dict[str, Any], level: str | None) -> None:
    decision = decided(RiskState(level=level), **values)
    for words in (decision.clinician_reason, decision.patient_reason):
        assert sorted(words) == ["de", "en", "es", "fr"]
        assert not any("{" in text or "?" in text for text in words.values())
