"""Promises of population: only answers that a question takes, the best source first, and a response in progress."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from stepwell_screening.rules.fhirpath import Budget, TooCostlyError, root
from stepwell_screening.rules.population import REPEATS_MAX, Known, Populated, about, launch_names, populate
from stepwell_screening.rules.responses import compile_questionnaire
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode

from tests.services.screening.rules.sdc_forms import (
    LOINC,
    NOW,
    Resource,
    coded,
    expression,
    launch_context,
    period,
    question,
    questionnaire,
    unit,
    variable,
)

PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "p1",
    "birthDate": "1984-05-17",
    "gender": "other",
    "name": [{"family": "Example", "given": ["Ann", "Bea"]}],
    "telecom": [{"system": "phone", "value": "1"}, {"system": "phone", "value": "2"}],
}
CONTEXT = launch_context("patient", "Patient")
EMPTY: Resource = {"resourceType": "QuestionnaireResponse", "status": "in-progress"}
YES, NO = {"system": "s", "code": "y", "display": "Yes"}, {"system": "s", "code": "n"}


def filled(
    form: Resource, observations: Sequence[Mapping[str, Any]] = (), steps: int = 100_000, **launch: Any
) -> Populated:
    """The population of a form that R4 accepts; what comes of it is a response that its own form takes."""
    assert validation.validate(orjson.loads(encode(form)), "Questionnaire") == []
    known = Known({name: root(each) for name, each in launch.items()}, observations)
    made = populate(form, EMPTY, known, now=NOW, budget=Budget(steps))
    response = {**EMPTY, **({"item": made.items} if made.items else {})}
    assert validation.validate(orjson.loads(encode(response)), "QuestionnaireResponse") == []
    assert compile_questionnaire(form)(response) == []
    return made


def answers(made: Populated, link_id: str = "q") -> list[Any]:
    """The values of the answers to one question, wherever it stands."""
    pending, found = list(made.items), []
    while pending:
        item = pending.pop(0)
        for answer in item.get("answer", ()):
            pending += answer.get("item", ())
            if item["linkId"] == link_id:
                found += [value for key, value in answer.items() if key.startswith("value")]
        pending += item.get("item", ())
    return found


def observation(value: Resource, effective: str = "2026-11-20", code: str = "weight", **members: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": effective,
        **value,
        **members,
    }


@pytest.mark.parametrize(
    ("kind", "source", "code"),
    [
        ("integer", "%patient.name.family", "value"),
        ("choice", "'maybe'", "value"),
        ("string", "%nobody.name", "processing"),
        ("string", "%patient.nothing(", "processing"),
        ("date", "'soon'", "value"),
    ],
)
def test_what_a_question_would_not_take_is_left_open_and_said(kind: str, source: str, code: str) -> None:
    more = {"answerOption": [{"valueCoding": YES}]} if kind == "choice" else {}
    form = questionnaire(question("q", kind, expression("initialExpression", source), **more), extensions=(CONTEXT,))
    made = filled(form, patient=PATIENT)
    assert made.items == [{"linkId": "q", "text": "q"}]
    assert [each.code for each in made.findings] == [code]


def test_an_expression_in_another_language_is_not_guessed_at() -> None:
    form = questionnaire(question("q", "string", expression("initialExpression", "Patient", language="text/cql")))
    assert [each.code for each in filled(form).findings] == ["processing"]


def test_expressions_that_take_too_long_stop_the_population() -> None:
    form = questionnaire(question("q", "string", expression("initialExpression", "%patient.descendants().count()")))
    with pytest.raises(TooCostlyError):
        filled(form, steps=5, patient=PATIENT)


def test_more_repetitions_than_a_person_can_look_at_are_cut_off_and_said() -> None:
    context = expression("itemPopulationContext", "%patient.telecom", name="each")
    form = questionnaire(question("g", "group", context, repeats=True, item=[question("q")]), extensions=(CONTEXT,))
    many = {**PATIENT, "telecom": [{"value": str(number)} for number in range(REPEATS_MAX + 5)]}
    made = filled(form, patient=many)
    assert (len(made.items), [each.code for each in made.findings]) == (REPEATS_MAX, ["too-costly"])


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        ("string", "%patient.name.first().given.join(' ')", "Ann Bea"),
        ("text", "%patient.name.family", "Example"),
        ("date", "%patient.birthDate", "1984-05-17"),
        ("dateTime", "now()", "2026-11-21T09:00:00.000+00:00"),
        ("time", "@T08:00:00", "08:00:00"),
        ("boolean", "%patient.deceased.exists()", False),
        ("integer", "(today() - 10 years).toString().substring(0, 4).toInteger()", 2016),
        ("decimal", "1.50", 1.5),
        ("url", "'https://x.example'", "https://x.example"),
        ("choice", "'y'", YES),
        ("open-choice", "'none of these'", "none of these"),
        ("reference", "'Patient/' + %patient.id", {"reference": "Patient/p1"}),
        ("quantity", "7 'h'", {"value": 7, "unit": "h", "system": "http://unitsofmeasure.org", "code": "h"}),
    ],
)
def test_an_expression_fills_a_question_of_any_type(kind: str, source: str, expected: Any) -> None:
    more = {"answerOption": [{"valueCoding": YES}, {"valueCoding": NO}]} if "choice" in kind else {}
    form = questionnaire(question("q", kind, expression("initialExpression", source), **more), extensions=(CONTEXT,))
    assert launch_names(form) == ["patient"]
    made = filled(form, patient=PATIENT)
    assert (answers(made), made.findings) == ([expected], [])


def test_variables_are_seen_by_everything_below_and_may_use_each_other_in_any_order() -> None:
    form = questionnaire(
        question(
            "g",
            "group",
            variable("both", "%first & ' ' & %last"),
            item=[question("q", "string", expression("initialExpression", "%both"))],
        ),
        extensions=(
            CONTEXT,
            variable("last", "%name.family"),
            variable("first", "%name.given.first()"),
            variable("name", "%patient.name.first()"),
        ),
    )
    assert answers(filled(form, patient=PATIENT)) == ["Ann Example"]


def test_variables_in_a_circle_are_said_and_end() -> None:
    form = questionnaire(question("q"), extensions=(variable("a", "%b"), variable("b", "%a")))
    assert [each.code for each in filled(form).findings] == ["processing"]


def test_a_group_is_repeated_for_each_thing_that_its_context_finds() -> None:
    context = expression("itemPopulationContext", "%patient.telecom", name="each")
    inner = question("q", "string", expression("initialExpression", "%each.value"))
    form = questionnaire(question("g", "group", context, repeats=True, item=[inner]), extensions=(CONTEXT,))
    made = filled(form, patient=PATIENT)
    assert ([item["linkId"] for item in made.items], answers(made)) == (["g", "g"], ["1", "2"])


def test_only_the_first_stands_where_one_answer_is_taken() -> None:
    given = expression("initialExpression", "%patient.name.given")
    form = questionnaire(
        question("q", "string", given), question("r", "string", given, repeats=True), extensions=(CONTEXT,)
    )
    made = filled(form, patient=PATIENT)
    assert (answers(made, "q"), answers(made, "r")) == (["Ann"], ["Ann", "Bea"])
    assert [each.expression for each in made.findings] == ["Questionnaire.item[0]"]


def test_an_expression_wins_over_an_observation_and_that_over_an_initial_value() -> None:
    form = questionnaire(
        question("e", "decimal", expression("initialExpression", "1.5"), code=[coded("weight")]),
        question("o", "decimal", unit("kg"), code=[coded("weight")]),
        question("q", "decimal", code=[coded("height")], initial=[{"valueDecimal": 3.5}]),
        extensions=(period(1, "mo"),),
    )
    known = observation({"valueQuantity": {"value": 72.5, "code": "kg"}})
    made = filled(form, (known,))
    assert (answers(made, "e"), answers(made, "o"), answers(made, "q")) == ([1.5], [72.5], [3.5])


@pytest.mark.parametrize(
    "known",
    [
        observation({"valueQuantity": {"value": 1}}, "2026-10-01"),
        observation({"valueQuantity": {"value": 1}}, code="height"),
        observation({"valueQuantity": {"value": 1}}, status="entered-in-error"),
        observation({"valueQuantity": {"value": 1, "code": "[lb_av]"}}),
        observation({"valueString": "heavy"}),
        observation({}),
    ],
    ids=["too old", "of another kind", "withdrawn", "in another unit", "of another type", "without a value"],
)
def test_an_observation_that_does_not_answer_the_question_is_not_used(known: Resource) -> None:
    form = questionnaire(question("q", "decimal", period(4, "wk"), unit("kg"), code=[coded("weight")]))
    assert answers(filled(form, (known,))) == []


def test_the_newest_observation_within_the_period_is_used_and_only_of_the_same_person() -> None:
    form = questionnaire(question("q", "decimal", period(4, "wk"), code=[coded("weight")]))
    known = [
        observation({"valueQuantity": {"value": 71}}, "2026-11-18"),
        observation({"valueQuantity": {"value": 72}}, "2026-11-19"),
        observation({"valueQuantity": {"value": 99}}, "2026-11-20", subject={"reference": "Patient/other"}),
    ]
    mine = about(known, "https://stepwell.example/screening/fhir/Patient/p1")
    assert answers(filled(form, mine)) == [72]
    assert about(known, None) == known


def test_options_that_are_selected_at_first_and_initial_values_are_answers() -> None:
    form = questionnaire(
        question("q", "choice", answerOption=[{"valueCoding": YES, "initialSelected": True}, {"valueCoding": NO}]),
        question("r", "integer", repeats=True, initial=[{"valueInteger": 1}, {"valueInteger": 2}]),
    )
    made = filled(form)
    assert (answers(made, "q"), answers(made, "r")) == ([YES], [1, 2])


def test_items_that_the_answers_do_not_enable_are_left_out_and_those_below_them_too() -> None:
    def needs(link_id: str) -> list[Resource]:
        return [{"question": link_id, "operator": "=", "answerString": "yes"}]

    form = questionnaire(
        question("a", initial=[{"valueString": "no"}]),
        question("b", initial=[{"valueString": "yes"}], enableWhen=needs("a")),
        question("c", enableWhen=needs("b")),
        question("d", "display"),
        question("q"),
    )
    assert [item["linkId"] for item in filled(form).items] == ["a", "q"]


def test_follow_up_questions_stand_in_the_answer_above_them() -> None:
    inner = question("q", "string", expression("initialExpression", "'below'"))
    form = questionnaire(question("a", "string", expression("initialExpression", "'above'"), item=[inner]))
    (item,) = filled(form).items
    assert item["answer"][0]["item"][0]["answer"] == [{"valueString": "below"}]
