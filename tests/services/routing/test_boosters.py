"""Promises of boosters in a step: dated from its beginning, one for each time that somebody was asked, oldest first."""

from datetime import UTC, datetime, timedelta

import pytest
from stepwell_routing.policies import active_policies
from stepwell_routing.rules.reading import DocumentError
from stepwell_routing.tables import BOOSTER, BOOSTER_DATED, EXIT, RELIABLE, SAID, STEP, Known
from stepwell_routing.use_cases.boosters import booster_taken
from stepwell_routing.use_cases.course import course_of, course_values

from tests.services.routing.rules import policy_documents as made

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SCORE = Known("http://loinc.org|44261-6", "4", NOW, "Observation/1", 1)
PAIN = active_policies()["chronic-pain-rehabilitation"]


def due(days: float, number: int, *, version: int = 1, settled: bool = False) -> Known:
    """A booster that falls due in so many days, or did so long ago."""
    moment = None if settled else (NOW + timedelta(days=days)).isoformat()
    return Known(BOOSTER_DATED, moment, NOW - timedelta(days=99), f"Task/{number}", version)


def test_a_step_whose_boosters_have_no_dates_is_refused() -> None:
    floor = made.rule("BEGIN", made.effect("floor", step=made.step_of("rural-l1")))
    steps = [made.step("rural-l1", ("boosters-in-step", True))]
    with pytest.raises(DocumentError, match="boosters in the step need their dates"):
        made.published(made.document("intensity", [], {"proposal": [floor]}, steps))


def test_the_boosters_of_the_last_pain_phase_are_part_of_it_and_those_of_other_steps_follow_care() -> None:
    within = [step.code for policy in active_policies().values() for step in policy.steps if step.boosters_in_step]
    assert within == ["pain-p4"]
    assert [span.days for span in PAIN.steps[-1].booster_after] == [30, 91, 182, 365]


@pytest.mark.parametrize(
    ("kept", "taken"),
    [
        ([], None),
        ([due(1, 1)], None),
        ([due(0, 1)], "Task/1"),
        ([due(-3, 2), due(-9, 1), due(4, 3)], "Task/1"),
        ([due(-9, 1), due(-9, 1, version=2, settled=True), due(-3, 2)], "Task/2"),
    ],
)
def test_the_oldest_booster_that_is_due_takes_place(kept: list[Known], taken: str | None) -> None:
    found = booster_taken(kept, [SCORE], NOW)
    assert (None if found is None else found.reference) == taken


@pytest.mark.parametrize(
    "brought",
    [
        [],
        [Known(f"{RELIABLE}phq-9", "improvement", NOW, "Observation/2", 1)],
        [Known(f"{SAID}family_takes_part", "true", NOW, "Consent/1", 1)],
    ],
)
def test_no_booster_takes_place_without_somebody_being_asked(brought: list[Known]) -> None:
    assert booster_taken([due(-9, 1)], brought, NOW) is None


def done(*rows: Known) -> object:
    values = course_values(PAIN, course_of(rows), NOW, status=None, started_at=None, is_overdue=False)
    return values.get("boosters_done")


def test_boosters_are_counted_in_the_step_or_after_the_end_and_before_both_they_are_unknown() -> None:
    def ago(name: str, value: str, days: int) -> Known:
        return Known(name, value, NOW - timedelta(days=days), f"r/{name}-{days}", 1)

    step, first, second = ago(STEP, "pain-p4", 100), ago(BOOSTER, "1", 70), ago(BOOSTER, "1", 9)
    assert done() is None
    assert done(step) == 0
    assert done(step, first, second) == 2
    assert done(ago(STEP, "pain-p3", 80), first, second, ago(STEP, "pain-p4", 40)) == 1, "another phase counts anew"
    assert done(step, first, ago(EXIT, "pain-p4", 30)) == 0
    assert done(step, first, ago(EXIT, "pain-p4", 30), second) == 1
