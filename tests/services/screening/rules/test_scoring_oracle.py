"""Two independent ways to the same score: the compiled rule, and the Questionnaire's own FHIRPath."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell_screening import data

from tests.services.screening.rules.answering import DEFINITIONS, QUESTIONNAIRES, answered, total_of

VARIABLE = "http://hl7.org/fhir/StructureDefinition/variable"
CALCULATED = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression"
ORDINAL_VALUE = "http://hl7.org/fhir/StructureDefinition/ordinalValue"


def weight_function(questionnaire: dict[str, Any]) -> dict[str, Any]:
    """SDC's weight() as fhirpathpy takes user functions; by ordinalValue, the extension the rule reads last."""
    weights = {
        (option["valueCoding"]["system"], option["valueCoding"]["code"]): extension["valueDecimal"]
        for item in questionnaire["item"]
        for option in item.get("answerOption", ())
        for extension in option.get("extension", ())
        if extension["url"] == ORDINAL_VALUE
    }

    def weight(codings: list[Any]) -> list[int]:
        keys = [(coding["system"], coding["code"]) for coding in codings]
        return [weights[key] for key in keys if key in weights]

    return {"userInvocationTable": {"weight": {"fn": weight, "arity": {0: []}}}}


def compile_expression(instrument: str) -> Callable[[dict[str, Any]], int | Decimal | None]:
    """The calculatedExpression of the total, evaluated as SDC says: variables first, %resource the response."""
    questionnaire = QUESTIONNAIRES[instrument]
    options = weight_function(questionnaire)

    def compiled(expression: str) -> Callable[..., list[Any]]:
        evaluate: Callable[..., list[Any]] = fhirpathpy.compile(expression, models["r4"], options)
        return evaluate

    variables = {
        extension["valueExpression"]["name"]: compiled(extension["valueExpression"]["expression"])
        for extension in questionnaire["extension"]
        if extension["url"] == VARIABLE
    }
    [total] = [
        compiled(extension["valueExpression"]["expression"])
        for extension in questionnaire["item"][-1]["extension"]
        if extension["url"] == CALCULATED
    ]

    def evaluate(response: dict[str, Any]) -> int | Decimal | None:
        context: dict[str, Any] = {"resource": response}
        for name, variable in variables.items():
            context[name] = variable(response, context)
        result = total(response, context)
        return result[0] if result else None

    return evaluate


EXPRESSIONS = {instrument: compile_expression(instrument) for instrument in data.INSTRUMENTS}
MOST = {"phq-9": 3, "gad-7": 3, "phq-15": 2}


@st.composite
def answer_sets(draw: st.DrawFn, instrument: str) -> list[int | None]:
    """Weights with up to four blanks, so that every rule for blanks is met."""
    size = len(DEFINITIONS[instrument].item_link_ids)
    weights: list[int | None] = draw(st.lists(st.integers(0, MOST[instrument]), min_size=size, max_size=size))
    for blank in draw(st.sets(st.integers(0, size - 1), max_size=4)):
        weights[blank] = None
    return weights


@pytest.mark.parametrize("instrument", data.INSTRUMENTS)
@given(chosen=st.data())
@settings(max_examples=60, deadline=None)
def test_the_rule_and_the_expression_agree(instrument: str, chosen: st.DataObject) -> None:
    response = answered(instrument, chosen.draw(answer_sets(instrument)))
    assert total_of(instrument, response).value == EXPRESSIONS[instrument](response)


@pytest.mark.parametrize("instrument", data.INSTRUMENTS)
def test_the_expression_scores_a_full_form(instrument: str) -> None:
    size = len(DEFINITIONS[instrument].item_link_ids)
    assert EXPRESSIONS[instrument](answered(instrument, [MOST[instrument]] * size)) == size * MOST[instrument]


def test_the_expression_of_phq_15_leaves_out_only_the_menstrual_item() -> None:
    weights: list[int | None] = [1] * 15
    weights[3] = None
    assert EXPRESSIONS["phq-15"](answered("phq-15", weights)) == 14
    weights[0] = None
    assert EXPRESSIONS["phq-15"](answered("phq-15", weights)) is None
