"""Publishing a policy: everything that is wrong with it is named with its place, and nothing wrong gets through."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.decisions import decide
from stepwell_routing.rules.expressions import Kind
from stepwell_routing.rules.policies import parse_policy
from stepwell_routing.rules.reading import DocumentError
from stepwell_routing.rules.tiers import parse_tiers

from tests.services.routing.rules.shipped import (
    BANDS,
    CATALOGUE,
    DOCUMENT,
    NOW,
    POLICY,
    TIERS_DOCUMENT,
    changed_document,
    evidence,
    rule_action,
)

Document = dict[str, Any]


def _condition(document: Document, code: str, text: str) -> None:
    rule_action(document, code)["condition"][0]["expression"]["expression"] = text


def _outcome(document: Document, code: str, part: str, value: dict[str, Any]) -> None:
    parts = rule_action(document, code)["extension"][0]["extension"]
    next(entry for entry in parts if entry["url"] == part).update(value)


def _remove_parameter(document: Document, name: str) -> None:
    document["extension"] = [
        entry for entry in document["extension"] if {"url": "name", "valueString": name} not in entry["extension"]
    ]


def _without_stage(document: Document, stage: str) -> None:
    document["action"] = [a for a in document["action"] if a["code"][0]["coding"][0]["code"] != stage]


def _second_copy(document: Document, code: str) -> None:
    group = next(group for group in document["action"] if rule_action(document, code) in group.get("action", ()))
    group["action"].append(rule_action(document, code))


def _unknown_tier(document: Document) -> None:
    coding = {"system": f"{CATALOGUE.canonical}/CodeSystem/tier", "code": "tier-9"}
    _outcome(document, "SAF-2", "tier", {"valueCoding": coding})


def _misspelt_part(document: Document) -> None:
    rule_action(document, "FLOOR-GAD7-T1")["extension"][0]["extension"][1]["url"] = "domian"


def _other_language(document: Document) -> None:
    rule_action(document, "SAF-1")["condition"][0]["expression"]["language"] = "text/cql"


def _unit_of_months(document: Document) -> None:
    rule_action(document, "SAF-4")["timingDuration"] |= {"code": "mo"}


def _always_conditional(document: Document) -> None:
    rule_action(document, "PROPOSE-T1")["condition"] = rule_action(document, "SAF-1")["condition"]


def _swapped_stages(document: Document) -> None:
    document["action"][1], document["action"][2] = document["action"][2], document["action"][1]


def _evidence_twice(document: Document) -> None:
    document["action"][0]["input"].append(document["action"][0]["input"][0])


def _floor_without_cap(document: Document) -> None:
    parts = rule_action(document, "MOD-TWO-DOMAINS")["extension"][0]["extension"]
    parts[:] = [part for part in parts if part["url"] != "cap"]


def _floor_from_a_text(document: Document) -> None:
    _outcome(document, "MOD-TWO-DOMAINS", "from", {"valueString": "risk_level"})


def _lose_something(document: Any, random: Random) -> None:
    """Walk to a random place and remove what is there, or write another value of its type."""
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        if not keys:
            return
        key = random.choice(keys)
        if isinstance(document[key], dict | list) and random.random() < 0.85:
            document = document[key]
        elif isinstance(document[key], str | int) and random.random() < 0.3:
            document[key] = type(document[key])(0)
            return
        else:
            del document[key]
            return


REFUSED: dict[str, tuple[Callable[[Document], Any], str, str]] = {
    "unknown evidence": (lambda d: _condition(d, "SAF-1", "%phq8 > 1"), "condition[0]", "%phq8 is neither"),
    "a fact before its stage": (lambda d: _condition(d, "SAF-1", "%highest_floor > 1"), "condition[0]", "neither"),
    "outside the subset": (lambda d: _condition(d, "SAF-1", "%phq9.sum() > 1"), "condition[0]", "at character 7"),
    "type error": (lambda d: _condition(d, "SAF-1", "%phq9 = 'many'"), "condition[0]", "cannot compare"),
    "no truth value": (lambda d: _condition(d, "SAF-1", "%phq9 + 1"), "condition[0]", "true or false"),
    "another language": (_other_language, "condition[0]", "text/fhirpath"),
    "missing parameter": (lambda d: _remove_parameter(d, "phq9_tier_3_minimum"), "condition[0]", "phq9_tier_3"),
    "duplicate rule": (lambda d: _second_copy(d, "SAF-3"), ".code", "SAF-3 is there twice"),
    "evidence twice": (_evidence_twice, "action[0].input[55]", "declared twice"),
    "unknown tier": (_unknown_tier, "extension[0]", "tier-9 is not known"),
    "unknown effect": (lambda d: _outcome(d, "SAF-1", "effect", {"valueCode": "x"}), "extension[0]", "an effect is"),
    "misspelt part": (_misspelt_part, "extension[0].extension[1]", "is not one of the parts"),
    "no outcome": (lambda d: rule_action(d, "SAF-4").pop("extension"), "action[", "needs an outcome"),
    "no source": (lambda d: rule_action(d, "SAF-4").pop("documentation"), "documentation", "citation"),
    "no German": (lambda d: rule_action(d, "SAF-4").pop("_textEquivalent"), "textEquivalent", "no words in de"),
    "no title": (lambda d: rule_action(d, "SAF-4").pop("title"), "title", "needed in de, en"),
    "unknown placeholder": (
        lambda d: rule_action(d, "SAF-4").update(description="Level {phq8}"),
        "description",
        "placeholder {phq8}",
    ),
    "unknown priority": (lambda d: rule_action(d, "SAF-2").update(priority="soon"), "priority", "is one of"),
    "a month has no length": (_unit_of_months, "timingDuration", "UCUM"),
    "somebody gets no answer": (_always_conditional, "PlanDefinition.action", "everybody gets an answer"),
    "stages out of order": (_swapped_stages, "PlanDefinition.action", "order"),
    "no steps": (lambda d: _without_stage(d, "steps"), "PlanDefinition.action", "steps is missing"),
    "no evidence": (lambda d: _without_stage(d, "evidence"), "PlanDefinition.action", "evidence is missing"),
    "a tier without step": (lambda d: d["action"][-1]["action"].pop(), "action[7]", "every tier needs its step"),
    "no cap": (_floor_without_cap, "extension[0]", "capped"),
    "floor from a text": (_floor_from_a_text, "extension[0]", "risk_level"),
    "no version": (lambda d: d.pop("version"), "PlanDefinition.version", "is needed"),
}


class TestRefusals:
    @pytest.mark.parametrize("case", REFUSED)
    def test_a_bad_policy_is_refused_with_the_place(self, case: str) -> None:
        break_it, path, text = REFUSED[case]
        document = changed_document()
        break_it(document)
        with pytest.raises(DocumentError) as refused:
            parse_policy(document, CATALOGUE)
        findings = refused.value.findings
        assert any(path in finding.path and text in finding.text for finding in findings), findings

    def test_all_findings_come_at_once(self) -> None:
        document = changed_document()
        _condition(document, "SAF-1", "%nobody")
        _unknown_tier(document)
        _second_copy(document, "SAF-3")
        with pytest.raises(DocumentError) as refused:
            parse_policy(document, CATALOGUE)
        assert len(refused.value.findings) == 3

    def test_an_unknown_profile_is_refused(self) -> None:
        with pytest.raises(DocumentError, match="no profile strict"):
            parse_policy(DOCUMENT, CATALOGUE, profile="strict")

    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("phq9_tier_3_minimum", 20, "between 15 and 16"),
            ("phq9_tier_3_minimum", "many", "needs a number"),
            ("phq9_tier_4_needs_more", 1, "needs a boolean"),
            ("phq9_tier_9_minimum", 3, "no parameter"),
        ],
    )
    def test_a_site_cannot_leave_the_bounds_of_the_policy(self, name: str, value: Any, text: str) -> None:
        with pytest.raises(DocumentError, match=text):
            parse_policy(DOCUMENT, CATALOGUE, site_parameters={name: value})

    @settings(max_examples=25, deadline=None)
    @given(random=st.randoms(use_true_random=False))
    def test_a_damaged_policy_is_refused_or_still_decides(self, random: Random) -> None:
        document = changed_document()
        for _ in range(random.randint(1, 4)):
            _lose_something(document, random)
        with suppress(DocumentError):
            policy = parse_policy(document, CATALOGUE)
            assert decide(policy, evidence(phq9=16), NOW).tier.rank >= 1

    def test_tiers_without_words_in_a_language_are_refused(self) -> None:
        broken = {**TIERS_DOCUMENT, "languages": ["de", "en", "fr"]}
        with pytest.raises(DocumentError, match="tier-4"):
            parse_tiers(broken)


class TestShippedPolicy:
    def test_it_says_what_it_is(self) -> None:
        assert POLICY.canonical == "https://stepwell.health/fhir/PlanDefinition/stepped-care|1.0.0"
        assert (POLICY.pathway, POLICY.languages) == ("stepped-care", ("de", "en", "es", "fr"))

    def test_every_rule_rests_on_a_source(self) -> None:
        assert all(rule.sources for rule in POLICY.rules)

    def test_every_parameter_has_a_source_and_lies_within_its_bounds(self) -> None:
        assert all(parameter.source for parameter in POLICY.parameters.values())
        assert parse_policy(DOCUMENT, CATALOGUE, site_parameters=POLICY.constants).constants == POLICY.constants

    def test_no_condition_hides_a_threshold(self) -> None:
        numbers = [
            token
            for rule in POLICY.rules
            if rule.stage == "floors" and rule.expression
            for token in rule.expression.source.split()
            if token.isdigit()
        ]
        assert numbers == []

    def test_evidence_says_where_it_comes_from_and_how_old_it_may_be(self) -> None:
        phq9 = next(item for item in POLICY.inputs if item.name == "phq9")
        assert phq9.codes == (("http://loinc.org", "44261-6"),)
        assert (phq9.kind, phq9.resource_type, phq9.max_age) == (Kind.NUMBER, "Observation", timedelta(days=28))

    def test_the_written_parameters_are_those_of_the_profile_ng222(self) -> None:
        assert parse_policy(DOCUMENT, CATALOGUE, profile="ng222").constants == POLICY.constants
        assert BANDS.constants["phq9_tier_3_minimum"] == 15

    def test_a_site_setting_within_bounds_is_used(self) -> None:
        site = parse_policy(DOCUMENT, CATALOGUE, site_parameters={"phq9_tier_3_minimum": 15})
        assert site.constants["phq9_tier_3_minimum"] == 15
        assert site.parameters["phq9_tier_3_minimum"].source == POLICY.parameters["phq9_tier_3_minimum"].source
