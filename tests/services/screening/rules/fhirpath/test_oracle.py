"""Our FHIRPath and fhirpathpy, an implementation that shares nothing with it, answer the same."""

from decimal import Decimal
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from stepwell_screening import data
from stepwell_screening.rules.fhirpath import Run, compile_path, root

RESPONSE: dict[str, Any] = {
    "resourceType": "QuestionnaireResponse",
    "id": "r1",
    "status": "completed",
    "authored": "2026-11-21T09:50:00+01:00",
    "item": [
        {
            "linkId": "a",
            "answer": [{"valueCoding": {"system": "s", "code": "c1", "display": "One"}}, {"valueString": "x"}],
        },
        {
            "linkId": "b",
            "item": [
                {"linkId": "b1", "answer": [{"valueInteger": 3}, {"valueInteger": 5}]},
                {"linkId": "b2", "answer": [{"valueDecimal": 2.5}]},
                {"linkId": "b3", "answer": [{"valueDate": "2020-02-29"}]},
                {"linkId": "b4", "answer": [{"valueQuantity": {"value": 7, "unit": "kg"}}]},
            ],
        },
    ],
}
PATHS = """
item.linkId | item.answer.value.code | item.where(linkId = 'a').answer.value.code | item[1].linkId | item.first().linkId
item.last().linkId | item.tail().linkId | item.skip(1).linkId | item.take(1).linkId
item.item.answer.value.ofType(integer)
item.answer.value.ofType(Coding).display | item.answer.value.ofType(string) | item.item.answer.value.ofType(decimal)
descendants().where(linkId = 'b1').answer.value | item.repeat(item).linkId | item.children().count()
item.select($index) | item.where($this.linkId = 'b').item.linkId | QuestionnaireResponse.item.linkId
QuestionnaireResponse.authored | %resource.id | %context.id | item.where(linkId in ('a' .combine('z'))).linkId
item.where(linkId = 'a').answer.first().value is Coding | item.where(linkId = 'a').answer.first().value as Coding
item.item.where(linkId = 'b4').answer.value.value | item.item.where(linkId = 'b2').answer.value * 2
item.item.answer.value.ofType(integer).aggregate($this + $total, 0)
"""
OPERATORS = """
1 + 2 * 3 ; (1 + 2) * 3 ; 10 div 3 ; 10 mod 3 ; 10 / 4 ; -3.abs() ; 'a' & {} & 'b' ; 'a' + 'b' ; {} or true
{} and false ; {} and true ; true xor false ; false implies {} ; 1 = 1.0 ; 1 ~ 1.0 ; 'A' ~ 'a' ; 'A' = 'a' ; 'A' != 'a'
5 > 3 and 2 < 1 or true ; 'b' in ('a' | 'b') ; ('a' | 'b') contains 'c' ; @2020-01-01 < @2020-02-01
@2020 = @2020-01 ; item.item.where(linkId = 'b3').answer.value = @2020-02-29
item.item.where(linkId = 'b3').answer.value > @2019-01-01 ; @2020-01-31 + 1 month ; @2020-01-31 + 1 days
"""
FUNCTIONS = """
{}.exists() ; item.exists(linkId = 'a') ; item.all(linkId.exists()) ; item.empty() ; iif(item.exists(), 'y', 'n')
(1 | 2 | 3).where($this > 1) ; (1 | 2).combine(2).count() ; (1 | 2).union(2).count() ; (1 | 2 | 3).exclude(2)
(1 | 2 | 3).intersect(2 | 3) ; (1 | 1).count() ; item.linkId.isDistinct() ; item.subsetOf(item)
(1 | 2 | 3).select($this * 2)
'abc'.substring(1) ; 'abc'.substring(1, 1) ; 'a,b'.split(',') ; 'abc'.contains('b') ; 'abc'.length() ; 'abc'.upper()
'abc'.startsWith('a') ; 'abc'.endsWith('c') ; 'abc'.replace('b', 'x') ; 'abc'.indexOf('c') ; 'a-b'.toChars().count()
('a' | 'b').join(',') ; 'abc'.matches('^a.c$') ; 'abc'.matches('b') ; '12'.toInteger() ; '1.5'.toDecimal()
'x'.toInteger()
1.toString() ; 'true'.toBoolean() ; 2.power(3) ; 4.sqrt() ; 2.567.round(2) ; 1.9.truncate() ; 1.1.ceiling()
1.9.floor()
today().toString().length() ; true.not() ; (1).not()
"""
EXPRESSIONS = [
    each.strip()
    for block, mark in ((PATHS, " | "), (OPERATORS, " ; "), (FUNCTIONS, " ; "))
    for line in block.strip().splitlines()
    for each in line.split(mark)
]


def plain(value: object) -> object:
    """Numbers by their value, whichever type an implementation gives them; dates as text."""
    if isinstance(value, bool | dict | list | str):
        return value
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) else str(value)


def ours(source: str, resource: dict[str, Any]) -> list[object]:
    focus = root(resource)
    found = compile_path(source)(Run(), focus, {"resource": focus, "context": focus})
    return [plain(item.value) for item in found]


def theirs(source: str, resource: dict[str, Any]) -> list[object]:
    names = {"resource": resource, "context": resource}
    return [plain(value) for value in fhirpathpy.evaluate(resource, source, names, models["r4"])]


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_both_implementations_answer_the_same(source: str) -> None:
    assert ours(source, RESPONSE) == theirs(source, RESPONSE)


def test_the_oracle_is_asked_about_everything_that_is_written_here() -> None:
    assert len(EXPRESSIONS) > 90
    assert any(theirs(source, RESPONSE) for source in EXPRESSIONS)


@pytest.mark.parametrize("name", ["phq-9", "gad-7", "phq-15"])
def test_every_expression_that_ships_can_be_read(name: str) -> None:
    found: list[str] = []

    def collect(node: object) -> None:
        if isinstance(node, dict):
            if node.get("language") == "text/fhirpath":
                found.append(node["expression"])
            for each in node.values():
                collect(each)
        elif isinstance(node, list):
            for each in node:
                collect(each)

    collect(data.questionnaire(name))
    assert found
    for source in found:
        compile_path(source)
