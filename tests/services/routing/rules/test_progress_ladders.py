"""Progress ladders: moves by rule, the most cautious first; nothing that is worse ever advances anybody."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_routing.rules.decisions import Decision, RiskState

from tests.services.routing.rules.policy_documents import (
    days,
    document,
    effect,
    evidence_of,
    published,
    rule,
    run,
    step,
    step_of,
)

INPUTS = [
    *(evidence_of(name) for name in ("step", "tasks_met_reviews", "flares", "exit_agreed", "exit_weeks")),
    *(evidence_of(name, max_age=28) for name in ("flare", "red_flag", "phq9", "readiness", "wishes_pause")),
    *(evidence_of(name) for name in ("positive_safety_item_open", "risk_level")),
]
RULES = {
    "safety": [
        rule("SAF-1", effect("hold"), when="%positive_safety_item_open", priority="urgent"),
        rule("SAF-2", effect("urgent"), effect("pause"), when="%risk_level = 'high'", priority="stat"),
    ],
    "red-flags": [
        rule(
            "SAF-6",
            effect("pause", resume_within=days(7), resumed_by="clinician"),
            effect("input", discipline="medical"),
            effect("tell", role="clinician"),
            when="%red_flag",
            missing=["ask"],
        )
    ],
    "floors": [rule("TRACK-MOOD", effect("track", track="specialist"), when="%phq9 >= 16")],
    "modifiers": [rule("BACK", effect("return"), when="%flares >= 2")],
    "preference": [
        rule("REST", effect("pause"), when="%wishes_pause"),
        rule("READY", effect("first-option", option="guided-programme"), when="%readiness <= 3", missing=["ask"]),
    ],
    "proposal": [
        rule("LEAVE", effect("exit"), when="%step = 3 and %exit_agreed"),
        rule(
            "FORWARD",
            effect("advance"),
            when="%tasks_met_reviews >= 2 and %flare.not()",
            missing=["keep", "tell"],
        ),
        rule("AGAIN", effect("re-enter", step=step_of("pain-p2a")), when="%exit_weeks <= 52"),
        rule("GO-ON", effect("enter", step=step_of("pain-p1")), effect("stay")),
    ],
}
STEPS = [
    step("pain-p1", options=("education", "guided-programme")),
    step("pain-p2a", ("return-to", step_of("pain-p1"))),
    step("pain-p3", ("return-to", step_of("pain-p2a")), ("human", True)),
]
POLICY = published(document("progress", INPUTS, RULES, STEPS, tracks=[step("specialist", system="track")]))
READY: dict[str, Any] = {"tasks_met_reviews": 2, "flare": False, "red_flag": False}


def _said(decision: Decision) -> tuple[str, str, str]:
    return decision.step.code, decision.outcome, decision.rule


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("pain-p1", "assign", "GO-ON")),
        ({"exit_weeks": 8}, ("pain-p2a", "re-enter", "AGAIN")),
        ({"step": 1}, ("pain-p1", "stay", "GO-ON")),
        ({"step": 1, **READY}, ("pain-p2a", "advance", "FORWARD")),
        ({"step": 1, **READY, "tasks_met_reviews": 1}, ("pain-p1", "stay", "GO-ON")),
        ({"step": 1, **READY, "flare": True}, ("pain-p1", "stay", "GO-ON")),
        ({"step": 2, **READY}, ("pain-p3", "advance", "FORWARD")),
        ({"step": 2, **READY, "flares": 2}, ("pain-p1", "return", "BACK")),
        ({"step": 1, **READY, "flares": 2}, ("pain-p2a", "advance", "FORWARD")),
        ({"step": 2, **READY, "red_flag": True}, ("pain-p2a", "pause", "SAF-6")),
        ({"step": 2, **READY, "wishes_pause": True}, ("pain-p2a", "pause", "REST")),
        ({"step": 3, "exit_agreed": True, **READY}, ("pain-p3", "exit", "LEAVE")),
        ({"step": 3, "exit_agreed": True}, ("pain-p3", "stay", "GO-ON")),
        ({"step": 3, "exit_agreed": True, "red_flag": True}, ("pain-p3", "pause", "SAF-6")),
        ({"step": 3, **READY}, ("pain-p3", "stay", "GO-ON")),
    ],
)
def test_every_move_goes_where_its_rule_says(values: dict[str, Any], expected: tuple[str, str, str]) -> None:
    assert _said(run(POLICY, **values)) == expected


def test_without_the_evidence_nobody_advances_and_a_person_is_told() -> None:
    decision = run(POLICY, step=1, tasks_met_reviews=2)
    assert (decision.outcome, decision.ask) == ("stay", ("red_flag", "readiness"))
    assert decision.tell == (("clinician", "FORWARD"),)


def test_old_evidence_is_no_evidence() -> None:
    assert run(POLICY, old=29, step=1, **READY).outcome == "stay"


def test_a_pause_says_when_resuming_is_checked_and_by_whom() -> None:
    decision = run(POLICY, step=1, red_flag=True)
    pause = next(each for each in decision.outcomes if each.kind == "pause")
    assert pause.until is not None
    assert ((pause.until - decision.decided_at).days, pause.detail.resumed_by) == (7, "clinician")
    assert (decision.status, decision.holds) == ("on-hold", ("SAF-6",))


def test_urgent_help_neither_waits_nor_advances() -> None:
    decision = run(POLICY, RiskState(level="high"), step=1, **READY, wishes_pause=True)
    assert (decision.outcome, decision.step.code) == ("urgent", "pain-p1")
    assert (decision.status, decision.priority) == ("active", "stat")
    assert [each.rule for each in decision.outcomes if each.kind == "pause"] == ["SAF-2"]


def test_an_open_safety_question_keeps_the_phase_and_waits() -> None:
    decision = run(POLICY, RiskState(positive_item_open=True), step=1, **READY)
    assert (decision.outcome, decision.step.code, decision.status) == ("stay", "pain-p1", "on-hold")


def test_severity_opens_a_track_and_moves_nobody() -> None:
    decision = run(POLICY, step=1, phq9=16)
    assert (decision.step.code, decision.tracks) == ("pain-p1", ("specialist",))


def test_low_readiness_puts_another_option_first() -> None:
    assert [each.code for each in run(POLICY, step=1, readiness=2).menu] == ["guided-programme", "education"]
    assert [each.code for each in run(POLICY, step=1, readiness=8).menu] == ["education", "guided-programme"]


def test_a_step_marked_human_needs_a_clinician_to_enter_it() -> None:
    assert run(POLICY, step=2, **READY).needs_clinician
    assert not run(POLICY, step=3).needs_clinician


_WORSE: dict[str, list[Any]] = {
    "tasks_met_reviews": [3, 2, 1, 0],
    "flares": [0, 1, 2, 3],
    "flare": [False, True],
    "red_flag": [False, True],
    "phq9": [0, 15, 16, 27],
    "readiness": [10, 3, 0],
}
_LEVELS = [None, "low", "high"]


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], RiskState, RiskState, int]:
    """Evidence, and the same made worse in any way or lost."""
    better: dict[str, Any] = {}
    worse: dict[str, Any] = {}
    for name, values in _WORSE.items():
        first = draw(st.none() | st.integers(0, len(values) - 1))
        if first is None:
            continue
        better[name] = values[first]
        second = draw(st.none() | st.integers(first, len(values) - 1))
        if second is not None:
            worse[name] = values[second]
    first_level = draw(st.integers(0, 2))
    risk = RiskState(draw(st.booleans()), level=_LEVELS[first_level])
    worse_risk = RiskState(
        risk.positive_item_open or draw(st.booleans()), level=_LEVELS[draw(st.integers(first_level, 2))]
    )
    return better, worse, risk, worse_risk, draw(st.integers(1, 3))


@settings(max_examples=150, deadline=None)
@given(pair=_pairs(), pause=st.booleans())
def test_worse_or_lost_evidence_never_advances_a_phase(pair: Any, pause: bool) -> None:
    better, worse, risk, worse_risk, current = pair
    worse.setdefault("flares", better.get("flares", 0))  # a count of what was seen is not lost
    first = run(POLICY, risk, step=current, **better).step.rank
    second = run(POLICY, worse_risk, step=current, wishes_pause=pause, **worse).step.rank
    assert second <= max(first, current)
    assert second <= first or first < current
