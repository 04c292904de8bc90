"""Promises of what texts name: it is known whenever they are told, in every language, and it is what they mean."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.decisions import Decision, RiskState, decide
from stepwell_routing.rules.evidence import environment_of
from stepwell_routing.rules.evidence_names import NAMES, base_of
from stepwell_routing.rules.expressions import Kind, compile_expression
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.reading import DocumentError
from stepwell_routing.rules.wording import Template

from tests.services.routing.rules import policy_documents as made
from tests.services.routing.rules.shipped import NOW, decided, evidence

POLICIES = active_policies()
NUMBERS = dict.fromkeys(("a", "b"), Kind.NUMBER) | {"yes": Kind.BOOLEAN}


def refused(condition: str | None, **words: str) -> str:
    """Why a policy with such a rule is not published; nothing for one that is."""
    inputs = [made.evidence_of(name) for name in ("phq9", "gad7", "step")]
    rule = made.rule("TOLD", made.effect("stay"), when=condition, **words)
    begin = made.rule("BEGIN", made.effect("floor", step=made.step_of("rural-l1")))
    try:
        made.published(made.document("intensity", inputs, {"proposal": [rule, begin]}, [made.step("rural-l1")]))
    except DocumentError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "condition", ["%phq9 > 3 or %gad7 > 3", "%gad7 > 3", "%phq9.empty()", "(%phq9 > 3 and %gad7 > 3).not()", None]
)
@pytest.mark.parametrize("element", ["description", "textEquivalent"])
def test_a_text_that_could_name_what_is_not_known_is_refused(condition: str | None, element: str) -> None:
    found = refused(condition, **{element: "It is {phq9}."})
    assert f"{element}: the placeholder {{phq9}} may be unknown" in found


@pytest.mark.parametrize(
    "condition",
    [
        "%phq9 > 3",
        "%phq9 > 3 and %gad7 > 3",
        "%gad7 > 3 and %phq9.exists()",
        "%phq9 > 3 or %phq9 < 2 and %gad7 > 1",
        "%phq9_change > 3",
        "%phq9.empty().not()",
        "(%phq9 <= 3).not()",
    ],
)
def test_a_text_names_what_is_known_whenever_its_rule_applies(condition: str) -> None:
    assert refused(condition, description="It is {phq9}.") == ""


_LEAVES = st.sampled_from(["%a > 1", "%b < 2", "%a + %b = 2", "%yes", "%a.exists()", "%b.empty()", "%yes.not()"])
_CONDITIONS = st.recursive(
    _LEAVES,
    lambda inner: st.tuples(
        inner, st.sampled_from(["and", "or", "implies"]), inner, st.sampled_from(["", ".not()"])
    ).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]}){parts[3]}"),
    max_leaves=6,
)
_KNOWN = st.fixed_dictionaries({}, optional={"a": st.integers(0, 3), "b": st.integers(0, 3), "yes": st.booleans()})


@settings(max_examples=300, deadline=None)
@given(source=_CONDITIONS, known=_KNOWN)
def test_what_is_said_to_be_certain_is_known_whenever_the_condition_is_true(source: str, known: dict[str, Any]) -> None:
    found = compile_expression(source, NUMBERS)
    if found.run(known):
        assert found.known_if_true <= known.keys()


def _gaps(template: Template, values: dict[str, Any]) -> set[str]:
    return set(template.names) - values.keys()


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    name: st.booleans()
    if each.kind is Kind.BOOLEAN
    else st.integers(each.minimum or 0, min(each.maximum or 60, 60))
    if each.kind is Kind.NUMBER
    else st.sampled_from(each.values or ("x",))
    for name, each in NAMES.items()
    if each.group != "risk"
}


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Policy, Decision, dict[str, Any]]:
    """A policy's decision on whatever is known of somebody, with all that its texts may name."""
    policy = POLICIES[draw(st.sampled_from(sorted(POLICIES)))]
    asked = sorted({item.name for item in policy.inputs} & _VALUES.keys())
    given_names = draw(st.sets(st.sampled_from(asked), max_size=12))
    values = {name: draw(_VALUES[name]) for name in sorted(given_names)}
    if "step" in values:
        values["step"] = 1 + values["step"] % len(policy.steps)
    derived = [name for names in policy.derived.values() for _, name in names if base_of(name)[0] in values]
    values |= {name: draw(st.integers(-20, 20)) for name in derived if not name.endswith(("stalled", "reliable"))}
    level = draw(st.sampled_from([None, "low", "moderate", "high"]))
    known = evidence(RiskState(positive_item_open=draw(st.booleans()), level=level), **values)
    environment, _ = environment_of(policy, known, NOW)
    facts = {"highest_floor": 0, "domains_at_highest_floor": 0, "review_date": ""}
    return policy, decide(policy, known, NOW), {**policy.constants, **environment, **facts}


@settings(max_examples=120, deadline=None)
@given(case=_cases())
def test_no_text_of_any_policy_has_a_gap_in_any_language(case: tuple[Policy, Decision, dict[str, Any]]) -> None:
    policy, decision, values = case
    by_code = {rule.code: rule for rule in policy.rules}
    for fired in decision.fired:
        rule = by_code[fired.code]
        for template in (*rule.clinician.values(), *rule.patient.values()):
            assert not _gaps(template, values), fired.code
    closing = dict.fromkeys(("tier", "step", "review_date", "not_known"))
    for template in (*policy.closing_clinician.values(), *policy.closing_patient.values()):
        assert not _gaps(template, closing)
    for text in (*decision.clinician_reason.values(), *decision.patient_reason.values()):
        assert "{" not in text


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_language_of_a_text_names_the_same(name: str) -> None:
    for rule in POLICIES[name].rules:
        for wording in (rule.clinician, rule.patient):
            assert len({template.names for template in wording.values()}) == 1, rule.code


def test_a_rule_names_the_step_in_which_care_has_begun_and_the_closing_words_the_one_that_is_proposed() -> None:
    inputs = [made.evidence_of(name) for name in ("phq9", "step")]
    told = made.rule("TOLD", made.effect("stay"), when="%step.exists()", description="Care is in step {step}.")
    floor = made.effect("floor", step=made.step_of("rural-l2"))
    rules = {
        "floors": [made.rule("FLOOR", floor, when="%phq9 >= 10")],
        "modifiers": [told],
        "proposal": [made.rule("BEGIN", made.effect("floor", step=made.step_of("rural-l1")))],
    }
    steps = [made.step("rural-l1"), made.step("rural-l2")]
    policy = made.published(made.document("intensity", inputs, rules, steps))
    reason = made.run(policy, step=1, phq9=12).clinician_reason["en"]
    assert "Care is in step 1." in reason
    assert "Step 2 by" in reason


@pytest.mark.parametrize("language", ["en", "de", "es", "fr"])
def test_a_step_that_is_kept_is_named_by_its_own_number(language: str) -> None:
    reason = decided(phq9=3, step=3).clinician_reason[language]
    assert reason.count("3") >= 2, "kept and proposed are the same step"
    assert "?" not in reason
