"""Fields of a form become items of a response: only what is asked for, only what makes sense, and back again."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.form_fields import fields_of, filled, form_of
from stepwell_screening.rules.responses import compile_questionnaire

CODES = [{"valueCoding": {"system": "s", "code": code, "display": code.upper()}} for code in ("a", "b", "c")]
UNIT = {
    "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit",
    "valueCoding": {"system": "u", "code": "kg"},
}


def questionnaire(*items: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Questionnaire", "item": list(items)}


def question(kind: str, link_id: str = "q", **more: Any) -> dict[str, Any]:
    return {"linkId": link_id, "type": kind, "text": link_id, **more}


def answers(kind: str, *values: str, **more: Any) -> list[dict[str, Any]]:
    """What one question of a kind takes from its field."""
    found = filled(form_of(questionnaire(question(kind, **more))), {"q": values})
    return list(found.items[0]["answer"]) if found.items else []


@pytest.mark.parametrize("kind", ["attachment", "reference"])
def test_what_a_page_cannot_ask_for_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=kind):
        form_of(questionnaire(question(kind)))


def test_a_value_set_that_nobody_lists_is_refused() -> None:
    with pytest.raises(ValueError, match="answerValueSet"):
        form_of(questionnaire(question("choice", answerValueSet="https://example.org/vs")))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", "yes"),
        ("integer", "1.5"),
        ("integer", "one"),
        ("integer", "9" * 10),
        ("decimal", "1,2,3"),
        ("decimal", "NaN"),
        ("decimal", "1e5"),
        ("date", "5.3.1980"),
        ("date", "1980-13-01"),
        ("dateTime", "now"),
        ("time", "25:00"),
        ("url", "example"),
        ("quantity", "some"),
    ],
)
def test_what_makes_no_sense_is_noted_and_not_kept(kind: str, value: str) -> None:
    found = filled(form_of(questionnaire(question(kind))), {"q": [value]})
    assert (found.items, found.malformed) == ([], ["q"])


@pytest.mark.parametrize("value", ["3", "-1", "x", "²", "00000000001", "other"])
def test_an_option_that_there_is_none_of_is_noted_and_not_kept(value: str) -> None:
    found = filled(form_of(questionnaire(question("choice", answerOption=CODES))), {"q": [value]})
    assert (found.items, found.malformed) == ([], ["q"])


@pytest.mark.parametrize(
    ("kind", "value", "key", "read"),
    [
        ("boolean", "false", "valueBoolean", False),
        ("integer", " 7 ", "valueInteger", 7),
        ("decimal", "7,50", "valueDecimal", Decimal("7.50")),
        ("date", "1980-03-05", "valueDate", "1980-03-05"),
        ("dateTime", "1980-03-05", "valueDateTime", "1980-03-05"),
        ("time", "14:30", "valueTime", "14:30:00"),
        ("url", "https://example.org/x", "valueUri", "https://example.org/x"),
        ("string", "  two   words ", "valueString", "two words"),
        ("text", "two\r\nlines", "valueString", "two\nlines"),
        ("string", "no\x00thing\x1b[0m", "valueString", "nothing[0m"),
    ],
)
def test_each_type_is_read_as_its_type(kind: str, value: str, key: str, read: object) -> None:
    assert answers(kind, value) == [{key: read}]


def test_a_quantity_has_the_unit_that_was_asked_in() -> None:
    assert answers("quantity", "70.5", extension=[UNIT]) == [
        {"valueQuantity": {"value": Decimal("70.5"), "unit": "kg", "system": "u", "code": "kg"}}
    ]


def test_a_choice_is_the_coding_of_its_option() -> None:
    assert answers("choice", "1", answerOption=CODES) == [{"valueCoding": {"system": "s", "code": "b", "display": "B"}}]
    assert len(answers("choice", "0", "2", answerOption=CODES)) == 1
    assert len(answers("choice", "0", "2", answerOption=CODES, repeats=True)) == 2


def test_a_contained_value_set_is_offered_with_its_words() -> None:
    value_set = {
        "resourceType": "ValueSet",
        "id": "v",
        "compose": {"include": [{"system": "s", "concept": [{"code": "a", "display": "One"}]}]},
    }
    form = form_of({**questionnaire(question("choice", answerValueSet="#v")), "contained": [value_set]})
    assert filled(form, {"q": ["0"]}).items[0]["answer"] == [
        {"valueCoding": {"system": "s", "code": "a", "display": "One"}}
    ]


def test_own_words_need_words() -> None:
    form = form_of(questionnaire(question("open-choice", answerOption=CODES)))
    assert filled(form, {"q": ["other"], "q~other": [" "]}).malformed == ["q"]
    assert filled(form, {"q": ["other"], "q~other": ["so"]}).items[0]["answer"] == [{"valueString": "so"}]


def test_several_texts_stand_on_lines_of_their_own() -> None:
    assert answers("string", "one\n\n two", repeats=True) == [{"valueString": "one"}, {"valueString": "two"}]


class TestConditions:
    FORM = form_of(
        questionnaire(
            question("boolean", "first"),
            question("boolean", "second", enableWhen=[{"question": "first", "operator": "=", "answerBoolean": True}]),
            question(
                "string", "third", enableWhen=[{"question": "second", "operator": "exists", "answerBoolean": True}]
            ),
        )
    )

    def asked(self, **fields: str) -> tuple[set[str], list[str]]:
        found = filled(self.FORM, {name: [value] for name, value in fields.items()})
        return set(found.enabled), [item["linkId"] for item in found.items]

    def test_what_is_not_asked_for_is_not_kept_along_a_whole_chain(self) -> None:
        assert self.asked(first="false", second="true", third="x") == ({"first"}, ["first"])

    def test_what_is_asked_for_is_kept(self) -> None:
        given = self.asked(first="true", second="true", third="x")
        assert given == ({"first", "second", "third"}, ["first", "second", "third"])

    def test_what_is_asked_for_and_blank_is_told(self) -> None:
        found = filled(self.FORM, {"first": ["true"]})
        assert found.blank(self.FORM) == ["second"]

    def test_a_field_that_makes_no_sense_is_not_told_where_it_is_not_asked_for(self) -> None:
        assert filled(self.FORM, {"first": ["false"], "second": ["perhaps"]}).malformed == []


def test_a_follow_up_stands_in_its_answer_and_is_asked_once_there_is_one() -> None:
    form = form_of(questionnaire(question("boolean", "pain", item=[question("string", "where")])))
    assert filled(form, {"where": ["back"]}).items == []
    (item,) = filled(form, {"pain": ["true"], "where": ["back"]}).items
    assert item["answer"] == [
        {"valueBoolean": True, "item": [{"linkId": "where", "text": "where", "answer": [{"valueString": "back"}]}]}
    ]


def test_what_is_hidden_reckoned_or_only_to_be_read_is_never_asked() -> None:
    hidden = {"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-hidden", "valueBoolean": True}
    form = form_of(questionnaire(question("string", "h", extension=[hidden]), question("string", "r", readOnly=True)))
    assert form.questions == {}
    assert filled(form, {"h": ["x"], "r": ["x"]}).items == []


def everything(questions: Sequence[str], number: int) -> dict[str, list[str]]:
    return {each: [str(number)] for each in questions}


@pytest.mark.parametrize("instrument", data.INSTRUMENTS)
@pytest.mark.parametrize("number", [0, 1])
def test_shipped_forms_take_what_their_fields_say_and_fill_them_again(instrument: str, number: int) -> None:
    content = data.questionnaire(instrument)
    form = form_of(content)
    found = filled(form, everything(list(form.questions), number))
    response = {"status": "in-progress", "item": found.items}
    assert compile_questionnaire(content)(response) == []
    again = filled(form, fields_of(form, found.items))
    assert (again.items, again.answered) == (found.items, found.answered)
