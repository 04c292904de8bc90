"""Two independent ways to the same score: the compiled rule, and the Questionnaire's own FHIRPath.

Where a form carries no expression, as those whose wording a site supplies, `expressions.toml` has it.

Over every answer sheet where an instrument has few; else the least, the most, each count of blanks, and drawn ones.
"""

import random
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from stepwell_screening.rules.conditions import Value
from stepwell_screening.rules.responses import compile_questionnaire
from stepwell_screening.rules.weights import option_weights, questionnaire_items

from tests.services.screening.rules.filling import DEFINITIONS, FORMS, NAMES, SCORINGS, SHIPPED, filled

VARIABLE = "http://hl7.org/fhir/StructureDefinition/variable"
CALCULATED = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression"
ORDINAL_VALUE = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
EXPRESSIONS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("expressions.toml").read_text())
EVERYWHERE = [
    ("weights", "%resource.item.answer.value.ofType(Coding).weight()"),
    ("numbers", "%resource.item.answer.value.ofType(integer)"),
]
FEW, FEW_OF_A_CLASSIFICATION = 800, 2200
DRAWN, DRAWN_OF_A_LONG_FORM, LONG = 20, 6, 20

Evaluate = Callable[[dict[str, Any]], dict[str, Value]]


def weight_function(questionnaire: dict[str, Any]) -> dict[str, Any]:
    """SDC's weight() as fhirpathpy takes user functions; by ordinalValue, the extension the rule reads last."""
    weights = {
        (option["valueCoding"]["system"], option["valueCoding"]["code"]): extension["valueDecimal"]
        for item in questionnaire_items(questionnaire)
        for option in item.get("answerOption", ())
        for extension in option.get("extension", ())
        if extension["url"] == ORDINAL_VALUE
    }

    def weight(codings: list[Any]) -> list[int]:
        keys = [(coding["system"], coding["code"]) for coding in codings]
        return [weights[key] for key in keys if key in weights]

    return {"userInvocationTable": {"weight": {"fn": weight, "arity": {0: []}}}}


@dataclass(frozen=True)
class Paths:
    """The expressions of an instrument: of its variables in their order, and of its scores by their id."""

    variables: list[tuple[str, str]]
    scores: dict[str, str]


def carried(name: str) -> Paths:
    """What the form calculates itself."""
    by_link_id = {
        item["linkId"]: extension["valueExpression"]["expression"]
        for item in questionnaire_items(FORMS[name])
        for extension in item.get("extension", ())
        if extension["url"] == CALCULATED
    }
    variables = [extension for extension in FORMS[name].get("extension", ()) if extension["url"] == VARIABLE]
    named = [(each["valueExpression"]["name"], each["valueExpression"]["expression"]) for each in variables]
    scores = {score.link_id: score.id for score in DEFINITIONS[name].scores}
    return Paths(named, {scores[link_id]: expression for link_id, expression in by_link_id.items()})


def written(name: str) -> Paths:
    """What `expressions.toml` says of a form that carries nothing."""
    entry: dict[str, Any] = dict(EXPRESSIONS[name])
    own = [(variable, expression) for variable, expression in entry.pop("variables", ())]
    return Paths([*EVERYWHERE, *own], entry)


def compile_expressions(name: str) -> Evaluate:
    """Evaluated as SDC says: variables first, %resource the response, %questionnaire the form."""
    paths = written(name) if name in EXPRESSIONS else carried(name)
    options = weight_function(FORMS[name])

    def compiled(expression: str) -> Callable[..., list[Any]]:
        evaluate: Callable[..., list[Any]] = fhirpathpy.compile(expression, models["r4"], options)
        return evaluate

    variables = {variable: compiled(expression) for variable, expression in paths.variables}
    scores = {score: compiled(expression) for score, expression in paths.scores.items()}

    def evaluate(response: dict[str, Any]) -> dict[str, Value]:
        context: dict[str, Any] = {"resource": response, "questionnaire": FORMS[name]}
        for variable, expression in variables.items():
            context[variable] = expression(response, context)
        found = {score: expression(response, context) for score, expression in scores.items()}
        return {score: _plain(result[0]) if result else None for score, result in found.items()}

    return evaluate


def _plain(value: Any) -> Value:
    plain: Value = value["code"] if isinstance(value, dict) else value
    return plain


def sheets(name: str) -> Iterator[dict[str, object]]:
    """What is answered, by linkId: every sheet of a short form, else its corners and some that are drawn."""
    scoring = {*DEFINITIONS[name].item_link_ids, *DEFINITIONS[name].condition_link_ids}
    asked = {item["linkId"]: _answers(item) for item in questionnaire_items(FORMS[name]) if item["linkId"] in scoring}
    links, answers = list(asked), list(asked.values())
    every = 1
    for each in answers:
        every *= len(each) + 1
    classifies = any(score.categories for score in DEFINITIONS[name].scores if score.announced)
    if every <= (FEW_OF_A_CLASSIFICATION if classifies else FEW):
        yield from (dict(zip(links, chosen, strict=True)) for chosen in product(*([None, *each] for each in answers)))
        return
    least, most = ({link: asked[link][end] for link in links} for end in (0, -1))
    yield from (least, most)
    yield from (most | dict.fromkeys(links[:blanks]) for blanks in range(1, len(links) + 1))
    draw = random.Random(name)  # the same sheets in every run
    for _ in range(DRAWN if len(links) < LONG else DRAWN_OF_A_LONG_FORM):
        sheet = {link: draw.choice(asked[link]) for link in links}
        yield sheet | dict.fromkeys(draw.sample(links, draw.choice((0, 0, 1, 2, 3)) % len(links)))


def _answers(item: Mapping[str, Any]) -> list[object]:
    if item["type"] in {"integer", "decimal"}:
        return list(range(11))
    weights = option_weights(item)
    codings = [option["valueCoding"] for option in item["answerOption"]]
    return sorted(
        (coding["code"] for coding in codings),
        key=lambda code: next((weight for (_, known), weight in weights.items() if known == code), 0),
    )


SCORED = [name for name in NAMES if DEFINITIONS[name].scores]


def test_every_instrument_that_ships_with_a_total_calculates_it_itself() -> None:
    calculating = {name for name in SCORED if name in SHIPPED and carried(name).scores}
    assert calculating.isdisjoint(EXPRESSIONS)
    assert calculating | EXPRESSIONS.keys() == set(SCORED)
    assert set(SHIPPED) & EXPRESSIONS.keys() == {"experience", "readiness-rulers"}


@pytest.mark.parametrize("name", SCORED)
def test_the_rule_and_the_expression_agree(name: str) -> None:
    evaluate = compile_expressions(name)
    check = compile_questionnaire(FORMS[name], DEFINITIONS[name].accepted_answers)
    compared = 0
    for sheet in sheets(name):
        response = filled(name, sheet)
        if check(response):
            continue  # such as an answer to a question that was not asked: never let in, so never scored
        expected = evaluate(response)
        found = {result.score.id: result.value for result in SCORINGS[name](response)}
        assert {score: found[score] for score in expected} == expected, sheet
        compared += 1
    assert compared >= len(list(sheets(name))) // 6
    assert set(expected) == set(found), "a score without expression"


def test_the_expression_of_phq_15_leaves_out_only_the_menstrual_item() -> None:
    evaluate = compile_expressions("phq-15")
    links = DEFINITIONS["phq-15"].item_link_ids
    others = [link for link in links if link != "/69674-0"]
    assert evaluate(filled("phq-15", dict.fromkeys(others, 1))) == {"total": 14}
    assert evaluate(filled("phq-15", dict.fromkeys(others[1:], 1))) == {"total": None}
