"""The rules on QuestionnaireResponses of SDC's validation page and of R4, one test for each sentence.

https://hl7.org/fhir/uv/sdc/STU4/validation.html, https://hl7.org/fhir/R4/questionnaireresponse.html
"""

from typing import Any

import fhirpathpy
import pytest
from stepwell_screening.rules.answers import VALUE_KEY
from stepwell_screening.rules.constraints import CONSTRAINT, Holds
from stepwell_screening.rules.ordering import compare
from stepwell_screening.rules.responses import SDC, compile_questionnaire

Item = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"
A, B = ({"valueCoding": {"system": "urn:s", "code": code}} for code in "ab")
YES = {"valueBoolean": True}


def extended(**values: Any) -> list[Item]:
    """Core extensions by the last part of their URL; the value's type follows from Python's."""
    kinds = {bool: "valueBoolean", int: "valueInteger", str: "valueString"}
    return [{"url": f"{CORE}{name.replace('_', '-')}", kinds[type(value)]: value} for name, value in values.items()]


def question(link_id: str, kind: str = "string", **more: Any) -> Item:
    return {"linkId": link_id, "type": kind, **more}


def group(link_id: str, *items: Item, **more: Any) -> Item:
    return {"linkId": link_id, "type": "group", "item": list(items), **more}


def says(link_id: str, *answers: Item) -> Item:
    return {"linkId": link_id, "answer": list(answers)}


def text(value: str) -> Item:
    return {"valueString": value}


def found(
    form: Item | list[Item], response: list[Item], status: str = "completed", **means: Any
) -> list[tuple[str, str]]:
    """(issue code, place) of every finding."""
    questionnaire = {"resourceType": "Questionnaire", "item": form} if isinstance(form, list) else form
    checker = compile_questionnaire(questionnaire, **means)
    given = {"resourceType": "QuestionnaireResponse", "status": status, "item": response}
    return [(each.code, each.expression.removeprefix("QuestionnaireResponse.")) for each in checker(given)]


def fhirpath(expression: str) -> Holds:
    """FHIRPath as a service would bring it along."""
    compiled = fhirpathpy.compile(expression)
    return lambda response, item: compiled(item, {"resource": response}) == [True]


def constraint(severity: str = "error") -> Item:
    parts = [
        {"url": "key", "valueId": "c-1"},
        {"url": "severity", "valueCode": severity},
        {"url": "expression", "valueString": "answer.valueInteger >= 10"},
        {"url": "human", "valueString": "At least ten."},
    ]
    return {"url": CONSTRAINT, "extension": parts}


@pytest.mark.parametrize("status", ["in-progress", "stopped"])
def test_sdc_what_is_in_progress_or_stopped_is_kept_leniently(status: str) -> None:
    form = [
        question("a", required=True, maxLength=1),
        question("b", enableWhen=[{"question": "a", "operator": "=", "answerString": "x"}]),
        group("g", question("c"), required=True),
        question("n", "integer", extension=[*extended(minValue=10), constraint()]),
    ]
    response = [says("n", {"valueInteger": 1}), says("b", text("y")), says("a", text("too long"), text("twice"))]
    assert found(form, response, status, expressions=fhirpath) == []
    assert len(found(form, response, "completed", expressions=fhirpath)) > 5


@pytest.mark.parametrize("status", ["completed", "amended"])
def test_sdc_what_is_completed_or_amended_must_conform(status: str) -> None:
    assert found([question("a", required=True)], [], status) == [("required", "QuestionnaireResponse")]


def test_sdc_items_that_are_not_enabled_must_be_absent_even_without_answers() -> None:
    form = [question("a"), question("b", enableWhen=[{"question": "a", "operator": "=", "answerString": "x"}])]
    assert found(form, [says("a", text("x")), says("b", text("y"))]) == []
    assert found(form, [says("a", text("z")), says("b", text("y"))]) == [("business-rule", "item[1]")]
    assert found(form, [says("a", text("z")), {"linkId": "b"}]) == [("business-rule", "item[1]")]


def test_sdc_what_stands_below_an_item_that_is_not_enabled_is_found_with_it() -> None:
    condition = [{"question": "a", "operator": "exists", "answerBoolean": True}]
    form = [question("a"), group("g", question("b", required=True), enableWhen=condition)]
    assert found(form, [{"linkId": "g", "item": [says("b", text("x"))]}]) == [("business-rule", "item[0]")]


def test_sdc_an_expression_as_condition_is_refused_when_the_questionnaire_is_compiled() -> None:
    url = f"{SDC}sdc-questionnaire-enableWhenExpression"
    item = question(
        "a", extension=[{"url": url, "valueExpression": {"language": "text/fhirpath", "expression": "true"}}]
    )
    with pytest.raises(ValueError, match="enableWhenExpression"):
        compile_questionnaire({"item": [group("g", item)]})


def test_sdc_required_does_not_count_where_an_item_is_not_enabled() -> None:
    condition = [{"question": "a", "operator": "exists", "answerBoolean": True}]
    form = [question("a"), question("b", required=True, enableWhen=condition)]
    assert found(form, []) == []
    assert found(form, [says("a", text("x"))]) == [("required", "QuestionnaireResponse")]


def test_sdc_a_required_group_has_one_answered_descendant() -> None:
    form = [group("g", group("h", question("a"), question("b", item=[question("c")])), required=True)]
    deep = {"linkId": "b", "answer": [{"item": [says("c", text("x"))]}]}
    assert found(form, [{"linkId": "g", "item": [{"linkId": "h", "item": [deep]}]}]) == []
    assert found(form, [{"linkId": "g", "item": [{"linkId": "h", "item": [{"linkId": "a"}]}]}]) == [
        ("required", "QuestionnaireResponse")
    ]


def test_sdc_the_number_of_answers_and_of_groups_is_bounded() -> None:
    limits = extended(questionnaire_minOccurs=2, questionnaire_maxOccurs=3)
    several = [question("a", repeats=True, extension=limits)]
    assert [len(found(several, [says("a", *[text("x")] * count)])) for count in range(5)] == [0, 1, 0, 0, 1]
    groups = [group("g", question("a"), repeats=True, extension=limits)]
    one = {"linkId": "g", "item": [says("a", text("x"))]}
    assert [len(found(groups, [one] * count)) for count in range(5)] == [0, 1, 0, 0, 1]


def test_sdc_one_answer_unless_the_question_repeats() -> None:
    twice = [says("a", text("x"), text("y"))]
    assert found([question("a")], twice) == [("business-rule", "item[0].answer")]
    assert found([question("a", repeats=True)], twice) == []


def test_sdcqr_2_a_repeating_question_is_one_item_and_a_repeating_group_is_many() -> None:
    questions = [says("a", text("x")), says("a", text("y"))]
    assert found([question("a", repeats=True)], questions) == [("structure", "item[1].linkId")]
    groups = [{"linkId": "g", "item": [says("a", text("x"))]}] * 2
    assert found([group("g", question("a"), repeats=True)], groups) == []
    assert found([group("g", question("a"))], groups) == [("structure", "item[1].linkId")]


@pytest.mark.parametrize("kind", sorted(VALUE_KEY))
def test_sdc_the_answer_has_the_datatype_of_its_question(kind: str) -> None:
    right = {VALUE_KEY[kind]: {"code": "x"} if kind in {"choice", "open-choice"} else "x"}
    assert found([question("a", kind)], [says("a", right)], "in-progress") == []
    wrong = {"valueAttachment": {"title": "x"}} if kind != "attachment" else text("x")
    assert found([question("a", kind)], [says("a", wrong)]) == [("value", "item[0].answer[0].value")]


@pytest.mark.parametrize("kind", ["group", "display"])
def test_r4_groups_and_displays_take_no_answers(kind: str) -> None:
    assert found([{"linkId": "a", "type": kind}], [says("a", text("x"))]) == [("structure", "item[0].answer")]


def test_r4_every_item_type_of_r4_is_known_and_the_abstract_one_is_refused() -> None:
    types = (
        *("boolean", "decimal", "integer", "date", "dateTime", "time", "string", "text", "url", "choice"),
        *("open-choice", "attachment", "reference", "quantity"),
    )
    assert sorted(types) == sorted(VALUE_KEY)
    for kind in ("question", "coding"):
        with pytest.raises(ValueError, match="takes no answer"):
            compile_questionnaire({"item": [question("a", kind)]})


def test_sdc_answers_are_among_the_options() -> None:
    form = [question("a", "choice", answerOption=[A])]
    assert found(form, [says("a", A)]) == []
    assert found(form, [says("a", B)]) == [("code-invalid", "item[0].answer[0].value")]
    assert found(form, [says("a", text("a"))]) == [("value", "item[0].answer[0].value")]


def value_set(**members: Any) -> Item:
    return {"resourceType": "ValueSet", "id": "vs", "status": "active", **members}


LISTED = {"include": [{"system": "urn:s", "concept": [{"code": "a"}]}]}
EXPANDED = {"contains": [{"abstract": True, "code": "x", "contains": [{"system": "urn:s", "code": "a"}]}]}


@pytest.mark.parametrize(
    "contained",
    [value_set(compose=LISTED), value_set(expansion=EXPANDED), value_set(expansion={**EXPANDED, "total": 1})],
)
def test_sdc_answers_are_in_the_value_set_of_their_question(contained: Item) -> None:
    bound = question("a", "choice", answerValueSet="#vs")
    form = {"contained": [contained], "item": [bound]}
    assert found(form, [says("a", A)]) == []
    assert found(form, [says("a", B)]) == [("code-invalid", "item[0].answer[0].value")]
    url = "http://example.org/vs|1"
    elsewhere = [{**bound, "answerValueSet": url}]
    assert found(elsewhere, [says("a", B)], value_sets={url: [A]}) == [("code-invalid", "item[0].answer[0].value")]


@pytest.mark.parametrize(
    "contained",
    [
        value_set(),
        value_set(compose={"include": [{"system": "urn:s"}]}),
        value_set(compose={"include": [{"valueSet": ["urn:other"]}]}),
        value_set(compose={"include": [{"system": "urn:s", "filter": [{}], "concept": [{"code": "a"}]}]}),
        value_set(compose={**LISTED, "exclude": LISTED["include"]}),
        value_set(expansion={**EXPANDED, "total": 9}),
        {**value_set(compose=LISTED), "id": "other"},
    ],
)
def test_sdc_a_value_set_that_is_not_listed_is_refused_when_the_questionnaire_is_compiled(contained: Item) -> None:
    item = question("a", "choice", answerValueSet="#vs")
    with pytest.raises(ValueError, match="answerValueSet"):
        compile_questionnaire({"contained": [contained], "item": [item]})


def test_sdc_open_choices_take_words_of_ones_own_but_no_other_code() -> None:
    for bound in ({"answerOption": [A]}, {"answerValueSet": "#vs"}):
        form = {"contained": [value_set(compose=LISTED)], "item": [question("a", "open-choice", **bound)]}
        assert found(form, [says("a", text("my words"))]) == []
        assert found(form, [says("a", A)]) == []
        assert found(form, [says("a", B)]) == [("code-invalid", "item[0].answer[0].value")]


def bounded(kind: str, least: Item | None = None, most: Item | None = None) -> list[Item]:
    limits = [{"url": f"{CORE}{name}", **value} for name, value in (("minValue", least), ("maxValue", most)) if value]
    return [question("a", kind, extension=limits)]


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        (bounded("integer", {"valueInteger": 0}), {"valueInteger": 0}, {"valueInteger": -1}),
        (bounded("decimal", most={"valueDecimal": 0.3}), {"valueDecimal": 0.3}, {"valueDecimal": 0.30001}),
        (bounded("date", {"valueDate": "2026-01-31"}), {"valueDate": "2026-02"}, {"valueDate": "2025"}),
        (bounded("dateTime", most={"valueDateTime": "2026-01-01T10:00:00Z"}),
         {"valueDateTime": "2026-01-01T11:30:00+02:00"}, {"valueDateTime": "2026-01-01T09:30:00-02:00"}),
        (bounded("time", {"valueTime": "09:00:00"}), {"valueTime": "09:00:00.000"}, {"valueTime": "08:59:59.9"}),
        (bounded("quantity", most={"valueQuantity": {"value": 5, "system": "urn:u", "code": "kg"}}),
         {"valueQuantity": {"value": 5.0, "system": "urn:u", "code": "kg"}},
         {"valueQuantity": {"value": 5, "system": "urn:u", "code": "g"}}),
        ([question("a", maxLength=3)], text("abc"), text("abcd")),
        ([question("a", "text", extension=extended(minLength=2))], text("ab"), text("a")),
        ([question("a", extension=extended(regex="[0-9]{4}"))], text("1234"), text("x1234")),
        ([question("a", "decimal", extension=extended(maxDecimalPlaces=1))],
         {"valueDecimal": 1.5}, {"valueDecimal": 1.25}),
    ],
)  # fmt: skip
def test_sdc_values_lengths_forms_and_decimal_places_are_limited(form: list[Item], right: Item, wrong: Item) -> None:
    assert found(form, [says("a", right)]) == []
    assert found(form, [says("a", wrong)]) == [("value", "item[0].answer[0].value")]
    assert found(form, [says("a", wrong)], "in-progress") == []


def test_sdc_a_regex_that_is_none_is_refused_when_the_questionnaire_is_compiled() -> None:
    with pytest.raises(ValueError, match="regex"):
        compile_questionnaire({"item": [question("a", extension=extended(regex="("))]})


def test_sdc_an_exclusive_option_stands_alone() -> None:
    none = {**A, "extension": extended(questionnaire_optionExclusive=True)}
    form = [question("a", "choice", repeats=True, answerOption=[none, B])]
    assert found(form, [says("a", A)]) == []
    assert found(form, [says("a", B, A)]) == [("business-rule", "item[0].answer[1].value")]


def test_sdc_constraints_of_severity_error_hold_at_each_item_and_at_the_root() -> None:
    item = question("a", "integer", extension=[constraint()])
    low, high = says("a", {"valueInteger": 9}), says("a", {"valueInteger": 10})
    assert found([item], [high], expressions=fhirpath) == []
    assert found([item], [low], expressions=fhirpath) == [("invariant", "item[0]")]
    form = [group("g", item, repeats=True)]
    groups = [{"linkId": "g", "item": [high]}, {"linkId": "g", "item": [low]}]
    assert found(form, groups, expressions=fhirpath) == [("invariant", "item[1].item[0]")]
    rule = {"url": CONSTRAINT, "extension": [{"url": "expression", "valueString": "item.count() = 2"}]}
    whole = {"extension": [rule], "item": [question("a"), question("b")]}
    assert found(whole, [says("a", text("x"))], expressions=fhirpath) == [("invariant", "QuestionnaireResponse")]


def test_sdc_constraints_of_severity_warning_refuse_nothing() -> None:
    item = question("a", "integer", extension=[constraint("warning")])
    assert found([item], [says("a", {"valueInteger": 9})]) == []


def test_sdc_a_constraint_is_never_passed_over_for_want_of_fhirpath() -> None:
    for form in ({"item": [question("a", extension=[constraint()])]}, {"extension": [constraint()], "item": []}):
        with pytest.raises(ValueError, match="cannot be decided"):
            compile_questionnaire(form)


def test_r4_link_ids_are_known_and_nest_as_in_the_questionnaire() -> None:
    form = [group("g", question("a")), question("b")]
    assert found(form, [says("x", text("y"))]) == [("structure", "item[0].linkId")]
    assert found(form, [says("a", text("y"))]) == [("structure", "item[0].linkId")]
    assert found(form, [{"linkId": "g", "item": [says("b", text("y"))]}]) == [("structure", "item[0].item[0].linkId")]


def test_r4_items_keep_the_order_of_the_questionnaire() -> None:
    form = [question("a"), question("b")]
    assert found(form, [says("b", text("x")), says("a", text("y"))]) == [("structure", "item[1].linkId")]


def test_qrs_1_children_of_groups_stand_in_items_and_those_of_questions_in_answers_and_never_both() -> None:
    form = [question("a", item=[question("b")])]
    inside = {**text("x"), "item": [says("b", text("y"))]}
    assert found(form, [{"linkId": "a", "answer": [inside]}]) == []
    assert found(form, [{"linkId": "a", "item": [says("b", text("y"))]}]) == [("structure", "item[0].item")]
    both = {"linkId": "a", "answer": [inside], "item": [says("b", text("y"))]}
    assert found(form, [both]) == [("invariant", "item[0]")]


def test_sdc_follow_ups_are_asked_for_below_each_answer() -> None:
    form = [question("a", repeats=True, item=[question("b", required=True)])]
    answers = [{**text("x"), "item": [says("b", text("y"))]}, text("z")]
    assert found(form, [{"linkId": "a", "answer": answers}]) == [("required", "item[0].answer[1]")]


def test_sdc_display_items_may_stand_or_not_and_hold_nothing() -> None:
    form = [{"linkId": "d", "type": "display", "text": "Hello"}, question("a")]
    assert found(form, [says("a", text("x"))]) == []
    assert found(form, [{"linkId": "d"}, says("a", text("x"))]) == []
    assert found(form, [{"linkId": "d", "item": []}]) == [("structure", "item[0].item")]


@pytest.mark.parametrize(("operator", "holding"), [
    ("exists", [1, 2, 3]), ("=", [2]), ("!=", [1, 3]), (">", [3]), ("<", [1]), (">=", [2, 3]), ("<=", [1, 2]),
])  # fmt: skip
def test_r4_every_operator_decides(operator: str, holding: list[int]) -> None:
    expected = {"answerBoolean": True} if operator == "exists" else {"answerInteger": 2}
    condition = {"question": "a", "operator": operator, **expected}
    form = [question("a", "integer"), question("b", "boolean", enableWhen=[condition])]
    given = [value for value in (1, 2, 3) if not found(form, [says("a", {"valueInteger": value}), says("b", YES)])]
    assert given == holding


def test_r4_one_answer_that_matches_is_enough() -> None:
    condition = {"question": "a", "operator": ">", "answerInteger": 2}
    form = [question("a", "integer", repeats=True), question("b", "boolean", enableWhen=[condition])]
    assert found(form, [says("a", {"valueInteger": 1}, {"valueInteger": 3}), says("b", YES)]) == []


def test_que_12_several_conditions_need_to_say_whether_all_or_any_must_hold() -> None:
    conditions = [{"question": name, "operator": "exists", "answerBoolean": True} for name in "ab"]
    for count, behavior in ((1, None), (2, "any")):
        item = question("c", enableWhen=conditions[:count], **({"enableBehavior": behavior} if behavior else {}))
        compile_questionnaire({"item": [question("a"), question("b"), item]})
    with pytest.raises(ValueError, match="que-12"):
        compile_questionnaire({"item": [question("a"), question("b"), question("c", enableWhen=conditions)]})


def test_r4_a_condition_names_a_question_of_the_questionnaire() -> None:
    condition = {"question": "z", "operator": "exists", "answerBoolean": True}
    with pytest.raises(ValueError, match="does not have"):
        compile_questionnaire({"item": [group("g", question("a", enableWhen=[condition]))]})


def test_sdc_text_is_that_of_the_questionnaire() -> None:
    form = [question("a", text="How are you?")]
    assert found(form, [{**says("a", text("x")), "text": "How are you?"}]) == []
    assert found(form, [{**says("a", text("x")), "text": "How were you?"}]) == [("value", "item[0].text")]


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        (1, 2, -1), (2.0, 2, 0), ("b", "a", 1), (1, "1", None), (True, 1, None), (True, True, 0), (None, 1, None),
        ("2026", "2026-05", None), ("2026", "2027-05", -1), ("2026-05-01", "2026-05-01", 0),
        ("2026-05-01", "2026-05-01T10:00:00Z", None), ("2026-05-02", "2026-05-01T10:00:00Z", 1),
        ("2026-05-01T10:00:00Z", "2026-05-01T12:00:00+02:00", 0), ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", -1),
        ("10:00:00", "10:00:00.0", 0), ("09:59:59", "10:00:00", -1),
        ({"value": 1, "unit": "h"}, {"value": 90, "unit": "min"}, None), ({"value": 1}, {"value": 2}, -1),
    ],
)  # fmt: skip
def test_r4_answers_compare_by_their_meaning_or_not_at_all(first: Any, second: Any, order: int | None) -> None:
    assert compare(first, second) == order
    assert compare(second, first) == (None if order is None else -order)
