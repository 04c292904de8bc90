"""The Observation of every kind of score: a number with its unit, a category, a profile, or why there is none."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.observation import Observation
from stepwell_screening import builders
from stepwell_shared.canonical import code_system

from tests.services.screening.rules.filling import DEFINITIONS, NAMES, SCORINGS, Answers, filled

ISSUED = datetime(2026, 11, 21, 20, 54, tzinfo=UTC)


def observations(name: str, answers: Answers) -> list[dict[str, Any]]:
    """What goes out for a response with these answers."""
    built = [
        builders.score_observation(
            observation_id="o1",
            definition=DEFINITIONS[name],
            result=result,
            response_url="https://screening.example/fhir/QuestionnaireResponse/r1",
            subject={"reference": "https://screening.example/fhir/Patient/p1"},
            effective="2026-11-21T20:50:00+01:00",
            issued=ISSUED,
        )
        for result in SCORINGS[name](filled(name, answers))
    ]
    for each in built:
        Observation.model_validate(each)
    return built


def most(name: str) -> dict[str, object]:
    return {link: high for score in DEFINITIONS[name].scores for link, (_, high) in score.item_ranges.items()}


def details(observation: dict[str, Any], code: str) -> list[dict[str, Any]]:
    return [part for part in observation["component"] if part["code"]["coding"][0]["code"] == code]


@pytest.mark.parametrize("name", [name for name in NAMES if DEFINITIONS[name].scores])
@pytest.mark.parametrize("blank", [True, False])
def test_of_every_score_is_valid_and_says_a_value_or_why_there_is_none(name: str, blank: bool) -> None:
    made = observations(name, {} if blank else most(name))
    announced = [score for score in DEFINITIONS[name].scores if score.announced]
    assert [each["code"]["coding"][0] for each in made] == [dict(score.code) for score in announced]
    for each in made:
        said = {key for key in each if key.startswith("value")} | ({"dataAbsentReason"} & each.keys())
        assert len(said) == 1
        assert len(details(each, "items-answered")) == len(details(each, "prorated")) == 1


def test_of_a_percentage_has_its_unit_in_value_and_ranges() -> None:
    (percentage,) = observations("odi", most("odi"))
    assert (percentage["valueQuantity"]["value"], percentage["valueQuantity"]["code"]) == (100, "%")
    assert {row["low"]["code"] for row in percentage["referenceRange"]} == {"%"}


def test_of_a_classification_is_its_category() -> None:
    *_, risk = observations("start-back", most("start-back"))
    (coding,) = risk["valueCodeableConcept"]["coding"]
    assert coding == {"system": code_system("band"), "code": "start-back-high", "display": "High risk"}
    assert not {"interpretation", "referenceRange"} & risk.keys()


def test_of_a_level_that_a_blank_leaves_open_says_what_it_is_at_least() -> None:
    (level,) = observations("c-ssrs-screener", {"/93246-7": 1, "/93247-5": 0, "/93267-3": 1})
    assert level["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    (least,) = details(level, "at-least")
    assert least["valueCodeableConcept"]["coding"][0]["code"] == "c-ssrs-moderate"


def test_of_a_profile_is_its_digits_and_no_index() -> None:
    profile, scale = observations("eq-5d-5l", most("eq-5d-5l"))
    assert profile["valueString"] == "55555"
    assert scale["valueQuantity"]["value"] == 100


def test_of_a_score_for_others_says_that_it_does_not_apply() -> None:
    total, without_work = observations("wsas", most("wsas") | {"/wsas-1": "wsas-not-applicable"})
    assert total["dataAbsentReason"]["coding"][0]["code"] == "not-applicable"
    assert without_work["valueQuantity"]["value"] == 32


@pytest.mark.parametrize(
    ("name", "blank", "words"),
    [
        ("whodas-12", "/whodas-12-1", "11 of 12 questions were answered; a blank counts as the mean of the others."),
        ("odi", "/odi-1", "9 of 10 questions were answered; the score is made of these alone."),
        ("gad-7", "/69725-0", "6 of 7 questions were answered; the score was extended from their mean to all 7."),
    ],
)
def test_of_a_score_with_a_blank_says_how_it_was_bridged(name: str, blank: str, words: str) -> None:
    for each in observations(name, most(name) | {blank: None}):
        assert each["note"] == [{"text": words}]
        assert details(each, "prorated")[0]["valueBoolean"] is True


def test_of_a_score_to_look_at_says_so_to_people_and_programs() -> None:
    (total,) = observations("audit-c", {"/68518-0": 4, "/68519-8": 0, "/68520-6": 0})
    assert details(total, "remark")[0]["valueString"] == "all-points-from-question-1"
    assert total["note"][0]["text"].startswith("All points come from the question about how often")
