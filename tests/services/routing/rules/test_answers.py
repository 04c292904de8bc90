"""Promises of answers as evidence: what is not said is missing, and an amended answer takes the earlier one back."""

import json
from typing import Any

import pytest
from stepwell_routing.data.answers import readings
from stepwell_routing.rules.answers import NOTHING, readings_of, said_by
from stepwell_routing.rules.evidence_names import known
from stepwell_screening.data import questionnaire, shipped, skeleton, skeletons

BASE = "https://stepwell.health/fhir/Questionnaire"
YES, NO = "LA33-6", "LA32-8"
Resource = dict[str, Any]


def coded(link_id: str, *codes: str) -> Resource:
    return {"linkId": link_id, "answer": [{"valueCoding": {"code": code}} for code in codes]}


def said(form: str, *items: Resource, status: str = "completed") -> dict[str, str | None]:
    return said_by(readings()[f"{BASE}/{form}"], {"status": status, "item": list(items)})


def test_an_unknown_way_to_read_an_answer_is_refused() -> None:
    answer = {"name": "flare", "linkIds": ["/flare"], "take": "guess"}
    with pytest.raises(KeyError, match="guess"):
        readings_of({"forms": [{"questionnaire": BASE, "answers": [answer]}]})


def test_every_reading_is_of_a_question_that_its_form_asks_and_of_evidence_that_policies_know() -> None:
    forms = {each: questionnaire(each) for each in shipped()} | {each: skeleton(each) for each in skeletons()}
    by_url = {form["url"]: json.dumps(form, default=str) for form in forms.values()}
    for url, found in readings().items():
        for reading in found:
            name = known(reading.name)
            assert name is not None, reading
            assert all(f'"linkId": "{link_id}"' in by_url[url] for link_id in reading.link_ids), reading
            assert all(f'"{code}"' in by_url[url] for code in reading.values), reading
            assert not name.values or set(reading.values.values()) <= set(name.values), reading


@pytest.mark.parametrize("answer", ["not-assessed", None])
def test_what_was_not_assessed_is_missing_and_never_false(answer: str | None) -> None:
    items = [] if answer is None else [coded("/flare", answer)]
    assert "flare" not in said("pain-phase-checklist", *items)


@pytest.mark.parametrize(("code", "value"), [(YES, "true"), (NO, "false")])
def test_a_plain_answer_says_what_it_says(code: str, value: str) -> None:
    assert said("pain-phase-checklist", coded("/flare", code))["flare"] == value


def test_tasks_are_met_when_all_of_them_are() -> None:
    def task(state: str) -> Resource:
        return {"linkId": "/functional-task", "item": [coded("/task-met", state)]}

    assert said("pain-phase-checklist", task("met"), task("met"))["tasks_met"] == "true"
    assert said("pain-phase-checklist", task("met"), task("partly-met"))["tasks_met"] == "false"
    assert "tasks_met" not in said("pain-phase-checklist")


def test_the_most_careful_contraindication_counts_and_a_checklist_without_any_ends_those_before() -> None:
    def reason(action: str) -> Resource:
        return {"linkId": "/contraindication", "item": [coded("/contraindication-action", action)]}

    assert said("pain-phase-checklist", reason("modify"), reason("pause"))["contraindication"] == "pause"
    assert said("pain-phase-checklist")["contraindication"] == NOTHING


def test_barriers_are_counted_where_something_was_said_and_what_is_kept_private_is_missing() -> None:
    group = {"linkId": "/barriers", "item": [coded("/transport", "often"), coded("/work", "never")]}
    found = said("preference-and-barriers", group, coded("/language", "prefer-not-to-say"))
    assert (found["barriers"], found["barrier_transport"], found["barrier_work"]) == ("1", "true", "false")
    assert "barrier_language" not in found
    assert "barriers" not in said("preference-and-barriers")


def test_goals_are_counted_and_reached_when_all_are() -> None:
    def goal(attained: int | None) -> Resource:
        items: list[Resource] = [{"linkId": "/goal-words", "answer": [{"valueString": "walk"}]}]
        if attained is not None:
            items.append({"linkId": "/goal-attainment", "answer": [{"valueInteger": attained}]})
        return {"linkId": "/goal", "item": items}

    found = said("goals", goal(10), goal(4), goal(None))
    assert (found["goals_set"], found["goal_attainment"], found["goals_reached"]) == ("3", "4", "false")
    assert said("goals", goal(10), goal(10))["goals_reached"] == "true"
    assert "goals_reached" not in said("goals", goal(None))


def test_an_amendment_takes_back_what_it_no_longer_says_and_a_withdrawal_everything() -> None:
    assert said("pain-phase-checklist", coded("/flare", "not-assessed"), status="amended")["flare"] is None
    withdrawn = said("pain-phase-checklist", coded("/flare", YES), status="entered-in-error")
    assert set(withdrawn.values()) == {None}


def test_difficulty_is_read_from_zero_to_three_in_the_order_of_its_answers() -> None:
    options = next(each for each in questionnaire("phq-9")["item"] if each["linkId"] == "/69722-7")["answerOption"]
    codes = [each["valueCoding"]["code"] for each in options]
    assert [said("phq-9", coded("/69722-7", code))["phq_difficulty"] for code in codes] == ["0", "1", "2", "3"]
