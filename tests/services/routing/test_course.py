"""Promises of what a course says: missing evidence is never false, and the time away counts for no step."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.tables import AGREED, EXIT, HOLD, MANUAL_TRIAGE, RED_FLAG, STEP, Known
from stepwell_routing.use_cases.course import course_of, course_values

from tests.services.routing.test_live_evidence import with_inputs

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
POLICY = active_policies()["stepped-care"]


def row(name: str, value: str, days: float) -> Known:
    return Known(name, value, NOW - timedelta(days=days), f"r/{name}-{days}", 1)


def said(name: str, *rows: Known, status: str | None = "active", is_overdue: bool = False) -> Scalar | None:
    policy = with_inputs(name)
    given: dict[str, Any] = {"status": status, "started_at": None, "is_overdue": is_overdue}
    return course_values(policy, course_of(rows), NOW, **given).get(name)


FIRST, SECOND, THIRD = (row(STEP, f"tier-{rank}", 90 - 30 * rank) for rank in (1, 2, 3))


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("red_flag", [], None),
        ("red_flag", [row(RED_FLAG, "SAF-6", 3)], True),
        ("manual_triage", [], None),
        ("manual_triage", [row(MANUAL_TRIAGE, "SAF-7", 3)], True),
        ("step_down_agreed", [], None),
        ("step_down_agreed", [FIRST], None),
        ("step_down_agreed", [FIRST, row(f"{AGREED}step-down", "true", 2)], True),
        ("exit_agreed", [FIRST, row(f"{AGREED}exit", "true", 70)], None),
        ("advance_agreed", [FIRST, row(f"{AGREED}advance", "false", 2)], False),
        ("tier_3_course_without_benefit", [], None),
        ("tier_3_course_without_benefit", [FIRST], False),
        ("tier_3_course_without_benefit", [FIRST, THIRD], False),
        ("tier_3_course_without_benefit", [THIRD, row(STEP, "tier-4", -3)], True),
        ("paused", [FIRST], False),
        ("paused", [FIRST, row(HOLD, "flare", 3)], True),
    ],
)
def test_what_nobody_has_looked_at_is_missing_and_never_false(name: str, rows: list[Known], expected: Any) -> None:
    assert said(name, *rows) is expected


@pytest.mark.parametrize("name", ["paused", "review_overdue"])
def test_before_there_is_an_episode_nothing_rests_and_nothing_is_due(name: str) -> None:
    assert said(name, status=None, is_overdue=True) is None


def test_a_review_is_overdue_or_is_not() -> None:
    assert [said("review_overdue", is_overdue=each) for each in (True, False)] == [True, False]


def test_the_step_before_is_one_of_this_spell_of_care() -> None:
    assert said("previous_step", FIRST, SECOND) == 1
    assert said("previous_step_weeks", FIRST, SECOND) == 4
    away = [FIRST, row(EXIT, "tier-1", 50), SECOND]
    assert said("previous_step", *away) is None
    assert said("previous_step_weeks", *away) is None
    assert said("previous_step", *away, THIRD) == 2
