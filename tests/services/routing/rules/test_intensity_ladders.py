"""Intensity ladders: the highest floor counts, a step is kept until a step down is met, nothing personal lowers it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.counterfactuals import counterfactuals
from stepwell_routing.rules.decisions import Evidence, EvidenceValue, RiskState

from tests.services.routing.rules.policy_documents import (
    document,
    effect,
    evidence_of,
    published,
    rule,
    run,
    step,
    step_of,
)
from tests.services.routing.rules.shipped import NOW

INPUTS = [
    *(
        evidence_of(name)
        for name in (
            *("step", "step_down_agreed", "exit_agreed", "informed_choice_step", "episode_status"),
            *("positive_safety_item_open", "risk_level"),
        )
    ),
    *(evidence_of(name, max_age=28) for name in ("phq9", "gad7", "readiness", "wishes_pause", "barrier_transport")),
]


def _floor(domain: str, number: int) -> list[tuple[str, Any]]:
    return effect("floor", domain=domain, step=step_of(f"rural-l{number}"))


RULES = {
    "safety": [
        rule("SAF-1", effect("hold"), when="%positive_safety_item_open", priority="urgent"),
        rule(
            "SAF-2",
            effect("floor", step=step_of("rural-l4")),
            effect("urgent"),
            when="%risk_level = 'high'",
            priority="stat",
        ),
        rule("SAF-3", effect("floor", step=step_of("rural-l3")), when="%risk_level = 'moderate'"),
    ],
    "floors": [
        rule("MOOD-2", _floor("mood", 2), when="%phq9 >= 10", missing=["ask"]),
        rule("MOOD-3", _floor("mood", 3), when="%phq9 >= 16"),
        rule("ANXIETY-2", _floor("anxiety", 2), when="%gad7 >= 8"),
    ],
    "modifiers": [
        rule("KEEP", effect("keep"), when="%step.exists()"),
        rule("WORSE", effect("up"), when="%phq9_change_from_best >= 6"),
        rule("DOWN", effect("down"), when="%step_down_agreed and %highest_floor < %step", missing=["keep"]),
    ],
    "preference": [
        rule("SLOWLY", effect("add-option", option="education"), when="%readiness <= 3"),
        rule("REST", effect("pause"), when="%wishes_pause"),
        rule("FROM-AFAR", effect("first-option", modality="telehealth"), when="%barrier_transport"),
        rule("LESS", effect("informed-choice", from_="informed_choice_step"), when="%informed_choice_step.exists()"),
    ],
    "proposal": [
        rule("LEAVE", effect("exit"), when="%exit_agreed"),
        rule("AGAIN", effect("re-enter"), when="%episode_status = 'finished'"),
        rule("L1", effect("floor", step=step_of("rural-l1"))),
    ],
}
STEPS = [
    step("rural-l1", options=("education", "self-guided-programme")),
    step("rural-l2", options=("group", "guided-programme")),
    step("rural-l3", options=("individual-therapy",)),
    step("rural-l4", ("human", True), options=("team-treatment",)),
]
POLICY = published(document("intensity", INPUTS, RULES, STEPS))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (1, "assign", "L1")),
        ({"phq9": 9}, (1, "assign", "L1")),
        ({"phq9": 10}, (2, "assign", "MOOD-2")),
        ({"phq9": 16}, (3, "assign", "MOOD-3")),
        ({"phq9": 16, "episode_status": "finished"}, (3, "re-enter", "MOOD-3")),
        ({"step": 2, "phq9": 16}, (3, "up", "MOOD-3")),
        ({"step": 3, "phq9": 4}, (3, "stay", "KEEP")),
        ({"step": 3, "phq9": 4, "step_down_agreed": False}, (3, "stay", "KEEP")),
        ({"step": 3, "phq9": 4, "step_down_agreed": True}, (2, "down", "DOWN")),
        ({"step": 3, "phq9": 16, "step_down_agreed": True}, (3, "stay", "MOOD-3")),
        ({"step": 2, "phq9": 12, "phq9_change_from_best": 6}, (3, "up", "WORSE")),
        ({"step": 4, "phq9": 12, "phq9_change_from_best": 6, "step_down_agreed": False}, (4, "stay", "KEEP")),
        ({"step": 1, "phq9": 3, "step_down_agreed": False, "exit_agreed": True}, (1, "exit", "LEAVE")),
        ({"step": 1, "phq9": 10, "step_down_agreed": False, "exit_agreed": True}, (2, "up", "MOOD-2")),
        ({"step": 2, "phq9": 3, "exit_agreed": True}, (2, "stay", "KEEP")),
        ({"step": 2, "phq9": 3, "wishes_pause": True}, (2, "pause", "KEEP")),
    ],
)
def test_every_move_goes_where_its_rule_says(values: dict[str, Any], expected: tuple[int, str, str]) -> None:
    decision = run(POLICY, **values)
    assert (decision.step.rank, decision.outcome, decision.rule) == expected


@pytest.mark.parametrize("risk", [RiskState(positive_item_open=True), RiskState(level="moderate")])
def test_nobody_steps_down_or_leaves_while_safety_asks_for_a_person_or_for_more(risk: RiskState) -> None:
    decision = run(POLICY, risk, step=4, phq9=1, step_down_agreed=True, exit_agreed=True)
    assert (decision.step.rank, decision.outcome) == (4, "stay")


def test_urgent_help_waits_for_no_wish() -> None:
    decision = run(POLICY, RiskState(positive_item_open=True, level="high"), phq9=1, wishes_pause=True)
    assert (decision.step.rank, decision.outcome, decision.status) == (4, "urgent", "active")
    assert decision.needs_clinician


def test_what_a_person_accepts_stands_beside_the_proposal() -> None:
    decision = run(POLICY, phq9=16, informed_choice_step=1)
    assert (decision.step.rank, decision.accepted_rank) == (3, 1)
    assert [each.kind for each in decision.outcomes] == ["informed-choice"]


@pytest.mark.parametrize("risk", [RiskState(level="moderate"), RiskState(positive_item_open=True)])
def test_less_than_safety_asks_for_is_no_choice(risk: RiskState) -> None:
    decision = run(POLICY, risk, phq9=16, informed_choice_step=1)
    assert (decision.accepted_rank, decision.outcomes) == (None, ())


def test_the_menu_holds_nothing_unguided_while_a_safety_question_is_open() -> None:
    assert [each.code for each in run(POLICY).menu] == ["education", "self-guided-programme"]
    assert [each.code for each in run(POLICY, RiskState(unanswered_item_open=True)).menu] == ["education"]


def test_readiness_adds_and_a_barrier_reorders() -> None:
    decision = run(POLICY, phq9=12, readiness=2, barrier_transport=True)
    assert [each.code for each in decision.menu] == ["guided-programme", "group", "education"]
    assert decision.step.rank == 2


def test_an_option_says_what_it_brings_costs_and_when() -> None:
    first = run(POLICY, phq9=12).menu[0]
    assert (first.benefit["en"], first.burden["en"], first.timeline["en"]) == (
        "benefit of group",
        "burden of group",
        "timeline of group",
    )


def test_what_is_missing_is_asked_for() -> None:
    assert run(POLICY, gad7=3).ask == ("phq9",)


def test_the_nearest_values_that_would_change_the_step_are_named() -> None:
    values = {"phq9": EvidenceValue(17, NOW, "x")}
    known = Evidence(values)
    found = [(each.instead, each.tier_code) for each in counterfactuals(POLICY, known, NOW, run(POLICY, phq9=17))]
    assert found == [(15, "rural-l2")]


_LEVELS = [None, "low", "moderate", "high"]
_PERSONAL = st.fixed_dictionaries(
    {},
    optional={
        "readiness": st.integers(0, 10),
        "wishes_pause": st.booleans(),
        "barrier_transport": st.booleans(),
        "informed_choice_step": st.integers(1, 4),
    },
)
_NEED = st.fixed_dictionaries(
    {}, optional={"phq9": st.integers(0, 27), "gad7": st.integers(0, 21), "step": st.integers(1, 4)}
)


@settings(max_examples=150, deadline=None)
@given(need=_NEED, personal=_PERSONAL, level=st.sampled_from(_LEVELS), opened=st.booleans(), agreed=st.booleans())
def test_nothing_personal_changes_the_step_and_nothing_lowers_safety(
    need: dict[str, Any], personal: dict[str, Any], level: str | None, opened: bool, agreed: bool
) -> None:
    risk = RiskState(opened, level=level)
    alone = run(POLICY, risk, step_down_agreed=agreed, **need)
    together = run(POLICY, risk, step_down_agreed=agreed, **need, **personal)
    assert together.step.rank == alone.step.rank
    assert together.step.rank >= {"moderate": 3, "high": 4}.get(level or "", 1)
    if level == "high":
        assert (together.status, together.outcome) == ("active", "urgent")
    elif opened:
        assert together.status == "on-hold"


@settings(max_examples=150, deadline=None)
@given(need=_NEED, more=st.integers(0, 27), agreed=st.booleans(), first=st.integers(0, 3), second=st.integers(0, 3))
def test_worse_evidence_never_gives_a_lower_step(
    need: dict[str, Any], more: int, agreed: bool, first: int, second: int
) -> None:
    worse = {name: min(value + more, 27) if name != "step" else value for name, value in need.items()}
    low, high = (RiskState(level=_LEVELS[index]) for index in sorted((first, second)))
    better_rank = run(POLICY, low, step_down_agreed=agreed, **need).step.rank
    assert better_rank <= run(POLICY, high, step_down_agreed=agreed, **worse).step.rank
