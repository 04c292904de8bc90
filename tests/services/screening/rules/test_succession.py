"""Promises of how versions of a response follow each other."""

import pytest
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.succession import check_succession

STATUSES = ("in-progress", "stopped", "completed", "amended", "entered-in-error")


def succession(before: str, after: str, *, same_content: bool = False, questionnaire: str = "q|1") -> list[Finding]:
    return check_succession(
        {"status": before, "questionnaire": "q|1"},
        {"status": after, "questionnaire": questionnaire},
        same_subject=True,
        same_content=same_content,
    )


@pytest.mark.parametrize("before", ["completed", "amended", "entered-in-error"])
@pytest.mark.parametrize("after", ["in-progress", "stopped", "completed"])
def test_what_is_finished_or_withdrawn_is_only_corrected(before: str, after: str) -> None:
    (finding,) = succession(before, after)
    assert finding.expression == "QuestionnaireResponse.status"
    assert "amended or entered-in-error" in finding.text


def test_another_person_and_another_form_are_both_named() -> None:
    found = check_succession(
        {"status": "in-progress", "questionnaire": "q|1"},
        {"status": "completed", "questionnaire": "q|2"},
        same_subject=False,
        same_content=False,
    )
    assert [finding.expression.rpartition(".")[2] for finding in found] == ["subject", "questionnaire"]


@pytest.mark.parametrize("before", ["in-progress", "stopped"])
@pytest.mark.parametrize("after", STATUSES)
def test_a_form_that_is_not_finished_may_become_anything(before: str, after: str) -> None:
    assert succession(before, after) == []


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", ["amended", "entered-in-error"])
def test_a_correction_is_always_possible(before: str, after: str) -> None:
    assert succession(before, after) == []


@pytest.mark.parametrize("status", STATUSES)
def test_saying_the_same_again_is_always_right(status: str) -> None:
    assert succession(status, status, same_content=True) == []
