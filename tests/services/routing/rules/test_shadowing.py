"""A policy in shadow is compared with what was decided: the step, what differs, what is unsafe, and no small groups."""

from typing import Any

import pytest
from stepwell_routing.rules.decisions import RiskState
from stepwell_routing.rules.policies import parse_policy
from stepwell_routing.rules.shadowing import Compared, Shadow, compared, shadow_of
from stepwell_routing.rules.simulation import Mix

from tests.services.routing.rules.shipped import CATALOGUE, DOCUMENT, NOW, POLICY, decided, evidence
from tests.services.routing.rules.test_simulation import FRAME, PROMISES, without_safety

LOWER = parse_policy(DOCUMENT, CATALOGUE, site_parameters={"phq9_tier_3_minimum": 15})
UNSAFE = parse_policy(without_safety(), CATALOGUE)


def test_without_its_safety_rules_a_shadow_breaks_promises_and_says_which() -> None:
    risk = RiskState(level="high", reference="RiskAssessment/a")
    made = decided(risk, phq9=5)
    found = shadow_of(UNSAFE, PROMISES, evidence(risk, phq9=5), NOW, made)
    assert (found.broken, found.move) == (("SAF-2",), "down")
    assert any(code.startswith("-SAF-") for code in found.rules)
    assert shadow_of(POLICY, PROMISES, evidence(risk, phq9=5), NOW, made).broken == ()


@pytest.mark.parametrize(("total", "move"), [(14, "same"), (15, "up"), (16, "same")])
def test_a_threshold_of_its_own_moves_only_whom_it_touches(total: int, move: str) -> None:
    found = shadow_of(LOWER, PROMISES, evidence(phq9=total), NOW, decided(phq9=total))
    assert found.move == move
    assert bool(found.rules) == (move != "same")


def test_it_waits_as_the_decision_would() -> None:
    risk = RiskState(positive_item_open=True)
    found = shadow_of(LOWER, PROMISES, evidence(risk, phq9=12), NOW, decided(risk, phq9=12))
    assert found == Shadow("tier-2", "same", True, (), ())


def test_the_report_counts_moves_and_hides_small_groups() -> None:
    def row(step: str, move: str, decisions: int, **more: Any) -> Compared:
        return Compared("tier-2", Shadow(step, move, False, more.get("broken", ()), more.get("rules", ())), decisions)

    rows = [row("tier-2", "same", 20), row("tier-3", "up", 2, rules=("+A",)), row("tier-1", "down", 6, rules=("-B",))]
    report = compared(rows, LOWER, POLICY, FRAME)
    assert report is not None
    assert report.beside is not None
    assert (report.people, report.broken) == (28, ())
    assert report.beside.moves == (Mix(("same",), 20), Mix(("up", "down"), 8))
    assert report.beside.rules == (("-B", 6),)
    unsafe = compared([*rows, row("tier-1", "down", 1, broken=("SAF-2",))], LOWER, POLICY, FRAME)
    assert unsafe is not None
    assert unsafe.broken == (("SAF-2", 1),), "what is unsafe is said even of one"
    assert compared(rows[1:2], LOWER, POLICY, FRAME) is None
