"""Promises of a form's expressions: constraints hold or do not, weights have one order, variables have one scope."""

from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.expressions import Place, compiles, start
from stepwell_screening.rules.fhirpath import ExpressionError, root
from stepwell_screening.rules.responses import compile_questionnaire

from tests.services.screening.rules.answering import answered
from tests.services.screening.rules.sdc_forms import CORE, NOW, Resource, given, question, questionnaire, response

WEIGHT = f"{CORE}itemWeight"


def option(code: str, weight: int) -> Resource:
    return {"extension": [{"url": WEIGHT, "valueDecimal": weight}], "valueCoding": {"system": "s", "code": code}}


def constraint(source: str) -> Resource:
    parts: list[Resource] = [
        {"url": "key", "valueId": "c-1"},
        {"url": "severity", "valueCode": "error"},
        {"url": "human", "valueString": "The answers do not go together."},
        {"url": "expression", "valueString": source},
    ]
    return {"url": f"{CORE}questionnaire-constraint", "extension": parts}


def values(form: Resource, answers: Resource, source: str, **launch: Any) -> list[Any]:
    evaluator, place = start(form, answers, now=NOW, launch={name: root(each) for name, each in launch.items()})
    found = [item.value for item in evaluator.value(source, place, "Questionnaire")]
    assert evaluator.findings == []
    return found


@pytest.mark.parametrize("source", ["item.where(", "item.nothing()"])
def test_a_constraint_that_is_no_fhirpath_is_refused_when_the_form_is_compiled(source: str) -> None:
    form = questionnaire(question("q"), extensions=(constraint(source),))
    with pytest.raises(ExpressionError):
        compile_questionnaire(form, expressions=compiles(form, lambda: NOW))


@pytest.mark.parametrize(
    ("source", "is_held"),
    [
        ("item.where(linkId = 'a').answer.value <= item.where(linkId = 'b').answer.value", True),
        ("item.where(linkId = 'a').answer.value > item.where(linkId = 'b').answer.value", False),
        ("%resource.item.count() = 2 and %context.item.count() = 2", True),
        ("%nobody.exists()", False),
        ("item.where(linkId = 'c').answer.value", False),
        ("item.linkId", False),
    ],
)
def test_only_what_is_true_of_the_answers_holds(source: str, is_held: bool) -> None:
    form = questionnaire(question("a", "integer"), question("b", "integer"), extensions=(constraint(source),))
    check = compile_questionnaire(form, expressions=compiles(form, lambda: NOW))
    found = check(response(given("a", {"valueInteger": 1}), given("b", {"valueInteger": 2})))
    assert [each.code for each in found] == ([] if is_held else ["invariant"])


def test_the_weight_on_an_answer_wins_over_its_questions_option_and_a_code_weighs_by_its_question() -> None:
    form = questionnaire(
        question("a", "choice", answerOption=[option("x", 1)]), question("b", "choice", answerOption=[option("x", 5)])
    )
    own = {"system": "s", "code": "x", "extension": [{"url": WEIGHT, "valueDecimal": 9}]}
    plain = {"system": "s", "code": "x"}
    answers = response(given("a", {"valueCoding": plain}), given("b", {"valueCoding": plain}, {"valueCoding": own}))
    assert values(form, answers, "item.answer.value.weight()") == [1, 5, 9]
    assert values(form, answers, "item.answer.value.ordinal().sum()") == [15]
    assert values(form, answers, "item.answer.value.code.weight()") == []


def test_a_reference_leads_to_what_is_contained_and_to_nothing_elsewhere() -> None:
    form = questionnaire(question("q"), contained=[{"resourceType": "ValueSet", "id": "v", "status": "active"}])
    assert values(form, response(), "%questionnaire.contained.id") == ["v"]
    assert values(form, response(), "'#v'.resolve().status | 'Patient/p1'.resolve()") == ["active"]


def test_one_thing_that_goes_wrong_again_and_again_is_said_once() -> None:
    evaluator, _ = start(questionnaire(question("q")), response(), now=NOW)
    for _ in range(3):
        assert evaluator.value("%nobody", Place([], {}), "Questionnaire") == []
    assert [each.code for each in evaluator.findings] == ["processing"]


@pytest.mark.parametrize("weights", [[0] * 9, [3] * 9, [1, 2, 3, 0, 1, 2, 3, 0, 1]])
def test_the_expression_that_ships_with_phq_9_adds_up_here_as_the_rule_does(weights: list[int]) -> None:
    form = data.questionnaire("phq-9")
    (calculated,) = [
        extension["valueExpression"]["expression"]
        for item in form["item"]
        for extension in item.get("extension", ())
        if extension["url"].endswith("calculatedExpression")
    ]
    assert values(form, answered("phq-9", [*weights]), calculated) == [sum(weights)]
