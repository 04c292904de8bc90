"""Single answers: datatype, options, counts and limits."""

from decimal import Decimal
from typing import Any

import pytest
from stepwell_screening.rules.answers import CORE, VALUE_KEY, AnswerRule

Answer = dict[str, Any]
CODED = {"valueCoding": {"system": "urn:s", "code": "a", "display": "A"}}
OTHER = {"valueCoding": {"system": "urn:s", "code": "b"}}


def problems(item: dict[str, Any], *answers: Answer) -> list[tuple[str, str]]:
    rule = AnswerRule({"linkId": "q", **item})
    return [(path, code) for path, (code, _) in [*rule.structure(answers), *rule.content(answers)]]


def limited(kind: str, name: str, **value: object) -> dict[str, Any]:
    return {"type": kind, "extension": [{"url": f"{CORE}{name}", **value}]}


SAMPLES: dict[str, Answer] = {
    "boolean": {"valueBoolean": True},
    "decimal": {"valueDecimal": Decimal("1.50")},
    "integer": {"valueInteger": 3},
    "date": {"valueDate": "2026-01-01"},
    "dateTime": {"valueDateTime": "2026-01-01T10:00:00Z"},
    "time": {"valueTime": "10:00:00"},
    "string": {"valueString": "x"},
    "text": {"valueString": "x"},
    "url": {"valueUri": "http://x"},
    "choice": CODED,
    "open-choice": {"valueString": "x"},
    "attachment": {"valueAttachment": {"title": "x"}},
    "reference": {"valueReference": {"reference": "Patient/1"}},
    "quantity": {"valueQuantity": {"value": 1}},
}


@pytest.mark.parametrize("kind", VALUE_KEY)
def test_each_type_takes_its_own_datatype_and_no_other(kind: str) -> None:
    assert problems({"type": kind}, SAMPLES[kind]) == []
    for other, answer in SAMPLES.items():
        allowed = {VALUE_KEY[kind], "valueString" if kind == "open-choice" else VALUE_KEY[kind]}
        expected = [] if allowed & answer.keys() else [(".answer[0].value", "value")]
        assert problems({"type": kind}, answer) == expected, other


@pytest.mark.parametrize(
    ("kind", "option", "right", "wrong"),
    [
        ("choice", CODED, {"valueCoding": {"system": "urn:s", "code": "a", "display": "shown otherwise"}}, OTHER),
        ("integer", {"valueInteger": 1}, {"valueInteger": 1}, {"valueInteger": 2}),
        ("choice", {"valueInteger": 1}, {"valueInteger": 1}, {"valueInteger": 2}),
        ("string", {"valueString": "x"}, {"valueString": "x"}, {"valueString": "y"}),
        ("date", {"valueDate": "2026"}, {"valueDate": "2026"}, {"valueDate": "2027"}),
        (
            "reference",
            {"valueReference": {"reference": "Patient/1", "display": "x"}},
            {"valueReference": {"reference": "Patient/1"}},
            {"valueReference": {"reference": "Patient/2"}},
        ),
    ],
)
def test_options_bound_the_answers(kind: str, option: Answer, right: Answer, wrong: Answer) -> None:
    item = {"type": kind, "answerOption": [option]}
    assert problems(item, right) == []
    assert problems(item, wrong) == [(".answer[0].value", "code-invalid")]


def test_open_choice_takes_free_text_but_no_foreign_code() -> None:
    item = {"type": "open-choice", "answerOption": [CODED]}
    assert problems(item, {"valueString": "in my words"}) == []
    assert problems(item, OTHER) == [(".answer[0].value", "code-invalid")]


def test_one_answer_unless_the_question_repeats() -> None:
    answers = [{"valueInteger": 1}, {"valueInteger": 2}]
    assert problems({"type": "integer"}, *answers) == [(".answer", "business-rule")]
    assert problems({"type": "integer", "repeats": True}, *answers) == []


def test_the_number_of_answers_is_bounded() -> None:
    bounds = [
        {"url": f"{CORE}questionnaire-minOccurs", "valueInteger": 2},
        {"url": f"{CORE}questionnaire-maxOccurs", "valueInteger": 3},
    ]
    item = {"type": "integer", "repeats": True, "extension": bounds}
    counts = [len(problems(item, *[{"valueInteger": 1}] * count)) for count in range(5)]
    assert counts == [0, 1, 0, 0, 1]


def test_an_exclusive_option_stands_alone() -> None:
    exclusive = {**CODED, "extension": [{"url": f"{CORE}questionnaire-optionExclusive", "valueBoolean": True}]}
    item = {"type": "choice", "repeats": True, "answerOption": [exclusive, OTHER]}
    assert problems(item, CODED) == []
    assert problems(item, CODED, OTHER) == [(".answer[0].value", "business-rule")]


@pytest.mark.parametrize(
    ("item", "right", "wrong"),
    [
        (limited("integer", "minValue", valueInteger=0), {"valueInteger": 0}, {"valueInteger": -1}),
        (limited("integer", "maxValue", valueInteger=10), {"valueInteger": 10}, {"valueInteger": 11}),
        (
            limited("decimal", "maxValue", valueDecimal=Decimal("0.3")),
            {"valueDecimal": 0.3},
            {"valueDecimal": Decimal("0.31")},
        ),
        (limited("date", "minValue", valueDate="2026-01-01"), {"valueDate": "2026-01-01"}, {"valueDate": "2025-12-31"}),
        (
            limited("quantity", "maxValue", valueQuantity={"value": 5}),
            {"valueQuantity": {"value": 5}},
            {"valueQuantity": {"value": 6}},
        ),
        ({"type": "string", "maxLength": 3}, {"valueString": "abc"}, {"valueString": "abcd"}),
        (limited("string", "minLength", valueInteger=2), {"valueString": "ab"}, {"valueString": "a"}),
        (
            limited("decimal", "maxDecimalPlaces", valueInteger=1),
            {"valueDecimal": Decimal("1.5")},
            {"valueDecimal": Decimal("1.50")},
        ),
        (limited("decimal", "maxDecimalPlaces", valueInteger=1), {"valueDecimal": 2}, {"valueDecimal": 1.25}),
        (limited("string", "regex", valueString="[0-9]{4}"), {"valueString": "1234"}, {"valueString": "12345"}),
    ],
)
def test_limits_hold_at_their_boundary(item: dict[str, Any], right: Answer, wrong: Answer) -> None:
    assert problems(item, right) == []
    assert problems(item, wrong) == [(".answer[0].value", "value")]


def test_an_answer_with_only_an_extension_is_a_blank() -> None:
    assert problems(limited("integer", "minValue", valueInteger=1), {"extension": [{"url": "urn:x"}]}) == []


def test_an_option_without_value_is_refused() -> None:
    with pytest.raises(ValueError, match="no value"):
        AnswerRule({"linkId": "q", "type": "choice", "answerOption": [{"initialSelected": True}]})
