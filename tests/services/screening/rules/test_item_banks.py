"""Promises of item banks: what cannot measure is refused with its place, and what is asked follows from the answers."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
from stepwell_screening.rules.adaptive import Step
from stepwell_screening.rules.item_banks import BANK, GRADED, SuppliedBank, bank_following, parse_bank
from stepwell_screening.rules.item_response import estimate, most_informative

from tests.services.screening.banks import bank_questionnaire

Resource = dict[str, Any]
CHECKED = ("method", "source", "higherIsBetter", "scaling", "priorMean", "gridPoints", "itemsMax", "score")


def supplied(questionnaire: Resource) -> SuppliedBank:
    bank, findings = parse_bank(questionnaire)
    assert findings == []
    assert bank is not None
    return bank


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("value", [None, {"text": "a thing"}])
def test_a_bank_that_does_not_say_how_it_measures_is_refused(name: str, value: Any) -> None:
    bank, findings = parse_bank(bank_questionnaire(**{name: value}))
    assert bank is None
    assert [each.expression for each in findings] == [
        f"Questionnaire.extension.where(url = '{BANK}').extension.where(url = '{name}')"
    ]


def _twice(questionnaire: Resource) -> None:
    questionnaire["extension"].append(questionnaire["extension"][1])


def _graded(questionnaire: Resource) -> list[Resource]:
    """The numbers of the second item."""
    parts: list[Resource] = questionnaire["item"][1]["extension"][0]["extension"]
    return parts


def _weighed(questionnaire: Resource, weights: list[int]) -> None:
    for option, weight in zip(questionnaire["item"][1]["answerOption"], weights, strict=False):
        option["extension"] = [{"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": weight}]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda q: q["extension"].pop(0), "Questionnaire.extension"),
        (_twice, f"Questionnaire.extension.where(url = '{BANK}').extension.where(url = 'gridPoints')"),
        (lambda q: q["item"][1].update(type="string"), "Questionnaire.item[1]"),
        (lambda q: q["item"][1].update(repeats=True), "Questionnaire.item[1]"),
        (lambda q: q["item"][1].pop("extension"), "Questionnaire.item[1]"),
        (lambda q: _graded(q).pop(0), "Questionnaire.item[1]"),
        (lambda q: _graded(q).pop(), "Questionnaire.item[1]"),
        (lambda q: _graded(q).append({"url": "discrimination", "valueDecimal": 1}), "Questionnaire.item[1]"),
        (lambda q: _graded(q)[1].update(valueDecimal=3), "Questionnaire"),
        (lambda q: _graded(q)[0].update(valueDecimal=-1), "Questionnaire"),
        (lambda q: q["item"][1]["answerOption"].pop(), "Questionnaire.item[1]"),
        (lambda q: q["item"][1]["answerOption"][3].update(q["item"][1]["answerOption"][0]), "Questionnaire.item[1]"),
        (lambda q: _weighed(q, [0, 1, 1, 2]), "Questionnaire.item[1]"),
        (lambda q: _weighed(q, [0, 1]), "Questionnaire.item[1]"),
        (lambda q: q.pop("item"), "Questionnaire"),
    ],
)
def test_a_bank_that_cannot_measure_is_refused_with_its_place(change: Callable[[Resource], object], place: str) -> None:
    questionnaire = copy.deepcopy(bank_questionnaire())
    change(questionnaire)
    bank, findings = parse_bank(questionnaire)
    assert bank is None
    assert place in [each.expression for each in findings]


def answer(link_id: str, level: int | str | None) -> Resource:
    if level is None:
        return {"linkId": link_id}
    coding = {"system": "https://site.example/answers", "code": f"level-{level}"}
    return {"linkId": link_id, "answer": [{"valueCoding": coding}]}


def taken(bank: SuppliedBank, level: int | None) -> tuple[list[str], Resource]:
    """What somebody is asked who always gives the same answer."""
    response: Resource = {"item": []}
    steps: list[Step] = []
    while following := bank_following(bank, response)(steps):
        steps.append(following[0])
        response["item"].append(answer(following[0].link_id, level))
    return [step.link_id for step in steps], response


def test_the_first_question_tells_most_about_the_middle_of_the_prior_and_hides_its_calibration() -> None:
    bank = supplied(bank_questionnaire())
    (first,) = bank_following(bank, {})([])
    assert first.link_id == most_informative(bank.bank, 0.0, ())
    assert GRADED not in str(first.item)
    assert first.item["text"].startswith("Artificial statement")


def test_questions_follow_the_answers_up_and_down() -> None:
    bank = supplied(bank_questionnaire())
    high, low = taken(bank, 3)[0], taken(bank, 0)[0]
    assert high[0] == low[0]
    assert [int(each.rpartition("-")[2]) for each in high[1:3]] > [int(each.rpartition("-")[2]) for each in low[1:3]]


def test_answers_to_what_comes_later_say_nothing_about_what_comes_before() -> None:
    bank = supplied(bank_questionnaire())
    asked, response = taken(bank, 2)
    (again,) = bank_following(bank, response)([])
    assert again.link_id == asked[0]


@pytest.mark.parametrize("level", [None, "of another list"])
def test_what_is_left_blank_was_asked_and_tells_nothing(level: Any) -> None:
    bank = supplied(bank_questionnaire())
    asked, response = taken(bank, level)
    assert len(asked) == len(set(asked)) == bank.bank.items_max
    assert bank.measure([Step(each, {}) for each in asked], response) is None


def test_options_are_categories_by_their_weight_or_else_by_their_order() -> None:
    questionnaire = copy.deepcopy(bank_questionnaire())
    _weighed(questionnaire, [3, 2, 1, 0])
    bank = supplied(questionnaire)
    systems = "https://site.example/answers"
    assert bank.categories["/bank-1"][systems, "level-0"] == 3
    assert bank.categories["/bank-0"][systems, "level-0"] == 0


def test_the_measure_is_the_estimate_of_the_answers_to_what_was_asked() -> None:
    bank = supplied(bank_questionnaire())
    asked, response = taken(bank, 2)
    found = bank.measure([Step(each, {}) for each in asked], response)
    assert found == estimate(bank.bank, dict.fromkeys(asked, 2))
    assert math.isfinite(found.theta)
