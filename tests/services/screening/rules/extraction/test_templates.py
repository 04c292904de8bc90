"""Promises of template-based extraction: what is annotated is replaced, repeated or left out, the rest is copied."""

from typing import Any

import pytest
from stepwell_screening.rules.fhirpath import TooCostlyError

from tests.services.screening.rules.sdc_forms import (
    Resource,
    extracted,
    given,
    question,
    questionnaire,
    resources,
    response,
    said,
)


def filled(source: str) -> Resource:
    """What stands beside a primitive whose value an expression gives."""
    return {"extension": [said("templateExtractValue", valueString=source)]}


def context(source: Any) -> Resource:
    key = "valueString" if isinstance(source, str) else "valueExpression"
    return said("templateExtractContext", **{key: source})


def uses(template: str, **parts: str) -> Resource:
    more = [{"url": name, "valueString": value} for name, value in parts.items()]
    reference = {"url": "template", "valueReference": {"reference": f"#{template}"}}
    return said("templateExtract", extension=[reference, *more])


PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "patient",
    "active": True,
    "identifier": [
        {
            "extension": [context("item.where(linkId = 'number').answer.value")],
            "system": "https://ids.example",
            "_value": filled("$this"),
        }
    ],
    "name": [
        {
            "extension": [context("item.where(linkId = 'name')")],
            "_family": filled("item.where(linkId = 'family').answer.value"),
            "_given": [filled("item.where(linkId = 'given').answer.value")],
        }
    ],
    "gender": "unknown",
    "_gender": filled("item.where(linkId = 'gender').answer.value.code"),
}
FORM = questionnaire(
    question(
        "patient",
        "group",
        uses("patient", fullUrl="%newPatient"),
        item=[
            question("number", repeats=True),
            question("name", "group", repeats=True, item=[question("family"), question("given", repeats=True)]),
            question("gender", "choice", answerOption=[{"valueCoding": {"code": "other"}}]),
        ],
    ),
    extensions=(said("extractAllocateId", valueString="newPatient"),),
    contained=[PATIENT],
)


def of(template: Resource, *answers: Resource, kind: str = "string") -> Any:
    """The extraction of one question by a template."""
    form = questionnaire(
        question("q", kind, uses("t"), repeats=True), contained=[{"resourceType": "Observation", "id": "t", **template}]
    )
    return extracted(form, response(given("q", *answers)))


HEAD: Resource = {"status": "final", "code": {"text": "something"}}
MADE = {"resourceType": "Observation", **HEAD}


def test_an_extraction_that_names_no_template_is_said_and_makes_nothing() -> None:
    nameless = said("templateExtract", extension=[{"url": "fullUrl", "valueString": "'x'"}])
    made = extracted(questionnaire(question("q", "string", nameless)), response(given("q", {"valueString": "x"})))
    assert (made.entries, [each.code for each in made.findings]) == ([], ["not-found"])


@pytest.mark.parametrize(
    ("source", "code"),
    [("nothing()", "processing"), ("%nobody", "processing"), ("answer", "value"), ("(", "processing")],
)
def test_an_expression_that_fails_is_said_and_the_rest_goes_on(source: str, code: str) -> None:
    made = of({**HEAD, "_valueString": filled(source)}, {"valueString": "x"})
    assert resources(made) == [MADE]
    assert [(each.code, each.expression) for each in made.findings] == [
        (code, "Questionnaire.contained.where(id = 't').valueString")
    ]


def test_expressions_that_take_too_long_stop_the_extraction() -> None:
    form = questionnaire(
        question("q", "string", uses("t")),
        contained=[
            {
                "resourceType": "Observation",
                "id": "t",
                **HEAD,
                "_valueString": filled("'aaaaaaaa'.toChars().aggregate($total.combine($total), 1).count().toString()"),
            }
        ],
    )
    with pytest.raises(TooCostlyError):
        extracted(form, response(given("q", {"valueString": "x"})), steps=200)


def test_what_nothing_is_known_for_is_left_out_default_and_all() -> None:
    answers = response(given("patient", items=(given("name", items=(given("family", {"valueString": "Example"}),)),)))
    made = extracted(FORM, answers)
    assert resources(made) == [{"resourceType": "Patient", "active": True, "name": [{"family": "Example"}]}]
    assert made.findings == []


def test_what_several_are_known_of_is_repeated() -> None:
    names = (
        given(
            "name",
            items=(
                given("family", {"valueString": "Example"}),
                given("given", {"valueString": "Ann"}, {"valueString": "Bea"}),
            ),
        ),
        given("name", items=(given("family", {"valueString": "Former"}),)),
    )
    numbers = given("number", {"valueString": "1"}, {"valueString": "2"})
    gender = given("gender", {"valueCoding": {"code": "other"}})
    made = extracted(FORM, response(given("patient", items=(numbers, *names, gender))))
    (patient,) = resources(made)
    assert patient["identifier"] == [
        {"system": "https://ids.example", "value": "1"},
        {"system": "https://ids.example", "value": "2"},
    ]
    assert patient["name"] == [{"family": "Example", "given": ["Ann", "Bea"]}, {"family": "Former"}]
    assert patient["gender"] == "other"
    assert made.entries[0]["fullUrl"] == "urn:uuid:00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("kind", "answer", "template", "expected"),
    [
        ("string", {"valueString": "x"}, {"_valueString": filled("answer.value")}, {"valueString": "x"}),
        ("integer", {"valueInteger": 3}, {"_valueInteger": filled("answer.value + 1")}, {"valueInteger": 4}),
        ("boolean", {"valueBoolean": False}, {"_valueBoolean": filled("answer.value")}, {"valueBoolean": False}),
        (
            "date",
            {"valueDate": "2026-11-20"},
            {"effectiveDateTime": "1900-01-01", "_effectiveDateTime": filled("answer.value")},
            {"effectiveDateTime": "2026-11-20"},
        ),
        ("time", {"valueTime": "08:00:00"}, {"_valueTime": filled("answer.value")}, {"valueTime": "08:00:00"}),
        (
            "decimal",
            {"valueDecimal": 1.82},
            {"valueQuantity": {"unit": "cm", "_value": filled("answer.value * 100")}},
            {"valueQuantity": {"unit": "cm", "value": 182}},
        ),
        (
            "quantity",
            {"valueQuantity": {"value": 7, "unit": "h"}},
            {"valueQuantity": filled("answer.value")},
            {"valueQuantity": {"value": 7, "unit": "h"}},
        ),
        (
            "choice",
            {"valueCoding": {"system": "s", "code": "c"}},
            {"valueCodeableConcept": {"coding": [filled("answer.value")]}},
            {"valueCodeableConcept": {"coding": [{"system": "s", "code": "c"}]}},
        ),
        (
            "reference",
            {"valueReference": {"reference": "Patient/p2"}},
            {"subject": filled("answer.value")},
            {"subject": {"reference": "Patient/p2"}},
        ),
        (
            "string",
            {"valueString": "x"},
            {"subject": filled("%resource.subject"), "performer": [filled("%resource.author")]},
            {"subject": {"reference": "Patient/p1"}, "performer": [{"reference": "Practitioner/dr-1"}]},
        ),
    ],
)
def test_values_of_every_type_take_their_place(
    kind: str, answer: Resource, template: Resource, expected: Resource
) -> None:
    made = of({**HEAD, **template}, answer, kind=kind)
    assert resources(made) == [{**MADE, **expected}]
    assert made.findings == []


def test_a_named_context_is_seen_below_it_and_other_extensions_stay() -> None:
    keeps = {"url": "https://forms.example/keeps", "valueCode": "x"}
    named = {"name": "one", "language": "text/fhirpath", "expression": "answer.value"}
    note = {"extension": [context(named), keeps], "text": "-", "_text": filled("'said: ' + %one")}
    made = of({**HEAD, "note": [note]}, {"valueString": "a"}, {"valueString": "b"})
    assert resources(made) == [
        {**MADE, "note": [{"extension": [keeps], "text": f"said: {each}"} for each in ("a", "b")]}
    ]


def test_each_repetition_of_a_group_is_a_resource_with_an_id_of_its_own() -> None:
    template = {"resourceType": "Observation", "id": "t", **HEAD, "_valueString": filled("item.answer.value")}
    form = questionnaire(
        question(
            "g",
            "group",
            said("extractAllocateId", valueString="here"),
            uses("t", fullUrl="%here"),
            repeats=True,
            item=[question("q")],
        ),
        contained=[template],
    )
    groups = [given("g", items=(given("q", {"valueString": each}),)) for each in ("a", "b")]
    made = extracted(form, response(*groups))
    assert [each["valueString"] for each in resources(made)] == ["a", "b"]
    assert len({entry["fullUrl"] for entry in made.entries}) == 2


def test_a_resource_id_makes_an_update() -> None:
    form = questionnaire(
        question("q", "string", uses("t", resourceId="answer.value", ifMatch="'W/\"1\"'")),
        contained=[{"resourceType": "Observation", "id": "t", **HEAD}],
    )
    made = extracted(form, response(given("q", {"valueString": "o9"})))
    assert resources(made) == [{**MADE, "id": "o9"}]
    assert made.entries[0]["request"] == {"method": "PUT", "url": "Observation/o9", "ifMatch": 'W/"1"'}


def test_a_bundle_template_gives_its_entries_as_far_as_they_apply() -> None:
    def entry(link_id: str) -> Resource:
        return {
            "extension": [context(f"item.where(linkId = '{link_id}')")],
            "resource": {"resourceType": "Observation", **HEAD, "_valueString": filled("answer.value")},
            "request": {"method": "POST", "url": "Observation", "ifNoneExist": "identifier=1"},
        }

    bundle = {"resourceType": "Bundle", "id": "b", "type": "transaction", "entry": [entry("q"), entry("r")]}
    extension = said("templateExtractBundle", valueReference={"reference": "#b"})
    form = questionnaire(question("q"), question("r"), extensions=(extension,), contained=[bundle])
    made = extracted(form, response(given("r", {"valueString": "x"})))
    assert resources(made) == [{**MADE, "valueString": "x"}]
    assert made.entries[0]["request"] == {"method": "POST", "url": "Observation", "ifNoneExist": "identifier=1"}
