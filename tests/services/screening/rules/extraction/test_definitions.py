"""Promises of definition-based extraction: an answer stands where its definition says, in a value that fits there."""

import pytest

from tests.services.screening.rules.sdc_forms import (
    CORE,
    Resource,
    expression,
    extracted,
    given,
    question,
    questionnaire,
    resources,
    response,
    said,
    unit,
)

PATIENT, OBSERVATION, PERSON = f"{CORE}Patient", f"{CORE}Observation", f"{CORE}RelatedPerson"


def begins(canonical: str, **parts: str) -> Resource:
    more = [{"url": name, "valueString": value} for name, value in parts.items()]
    return said("definitionExtract", extension=[{"url": "definition", "valueCanonical": canonical}, *more])


def fixed(target: str, **value: object) -> Resource:
    parts = [{"url": "definition", "valueUri": f"{CORE}{target}"}, {"url": "fixed-value", **value}]
    return said("definitionExtractValue", extension=parts)


def calculated(target: str, source: str) -> Resource:
    value = expression("x", source)["valueExpression"]
    parts = [{"url": "definition", "valueUri": f"{CORE}{target}"}, {"url": "expression", "valueExpression": value}]
    return said("definitionExtractValue", extension=parts)


def part(link_id: str, target: str, kind: str = "string", *extensions: Resource, **members: object) -> Resource:
    return question(link_id, kind, *extensions, definition=f"{CORE}{target}", **members)


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (part("q", "Patient#Patient.nothing"), "not-found"),
        (part("q", "Patient#Patient.name.nothing"), "not-found"),
        (part("q", "Patient#Patient.birthDate"), "value"),
        (part("q", "Patient#Patient.multipleBirth"), "value"),
        (question("q", "string", fixed("Observation#Observation.status", valueCode="final")), "not-found"),
    ],
)
def test_what_fits_nowhere_is_said_and_the_rest_goes_on(item: Resource, code: str) -> None:
    form = questionnaire(item, part("n", "Patient#Patient.name.text"), extensions=(begins(PATIENT),))
    made = extracted(form, response(given("q", {"valueString": "x"}), given("n", {"valueString": "Ann Example"})))
    assert resources(made) == [{"resourceType": "Patient", "name": [{"text": "Ann Example"}]}]
    assert [(each.code, each.expression) for each in made.findings] == [(code, "QuestionnaireResponse.item[0]")]


def test_a_type_that_r4_does_not_have_is_not_made() -> None:
    form = questionnaire(part("q", "Nothing#Nothing.x"), extensions=(begins(f"{CORE}Nothing"),))
    made = extracted(form, response(given("q", {"valueString": "x"})))
    assert (made.entries, [each.code for each in made.findings]) == ([], ["not-supported"])


def test_an_item_without_answers_begins_no_resource() -> None:
    form = questionnaire(question("g", "group", begins(PATIENT), item=[part("q", "Patient#Patient.name.text")]))
    assert extracted(form, response(given("g", items=(given("q"),)))).entries == []


def test_several_answers_where_an_element_takes_one_leave_the_first_and_say_so() -> None:
    form = questionnaire(part("q", "Patient#Patient.gender", repeats=True), extensions=(begins(PATIENT),))
    made = extracted(form, response(given("q", {"valueString": "female"}, {"valueString": "other"})))
    assert resources(made)[0]["gender"] == "female"
    assert [each.code for each in made.findings] == ["value"]


def test_a_person_with_names_identifier_and_contacts_comes_whole_out_of_nested_groups() -> None:
    name = question(
        "name",
        "group",
        fixed("Patient#Patient.name.use", valueCode="official"),
        definition=f"{CORE}Patient#Patient.name",
        repeats=True,
        item=[
            part("given", "Patient#Patient.name.given", repeats=True),
            part("family", "Patient#Patient.name.family"),
        ],
    )
    number = part(
        "number",
        "Patient#Patient.identifier.value",
        "string",
        fixed("Patient#Patient.identifier.system", valueUri="https://ids.example"),
        fixed("Patient#Patient.identifier.type.text", valueString="Member"),
    )
    kin = question(
        "kin",
        "group",
        begins(PERSON),
        calculated("RelatedPerson#RelatedPerson.patient.reference", "%newPatient"),
        repeats=True,
        item=[part("kin-name", "RelatedPerson#RelatedPerson.name.text")],
    )
    form = questionnaire(
        question("patient", "group", begins(PATIENT, fullUrl="%newPatient"), item=[name, number]),
        kin,
        extensions=(said("extractAllocateId", valueString="newPatient"),),
    )
    names = (
        given("name", items=(given("given", {"valueString": "Ann"}, {"valueString": "Bea"}),)),
        given("name", items=(given("family", {"valueString": "Example"}),)),
    )
    answers = response(
        given("patient", items=(*names, given("number", {"valueString": "42"}))),
        given("kin", items=(given("kin-name", {"valueString": "One"}),)),
        given("kin", items=(given("kin-name", {"valueString": "Two"}),)),
    )
    made = extracted(form, answers)
    patient, first, second = resources(made)
    assert patient["name"] == [{"given": ["Ann", "Bea"], "use": "official"}, {"family": "Example", "use": "official"}]
    assert patient["identifier"] == [{"value": "42", "system": "https://ids.example", "type": {"text": "Member"}}]
    assert [each["name"] for each in (first, second)] == [[{"text": "One"}], [{"text": "Two"}]]
    assert first["patient"]["reference"] == second["patient"]["reference"] == made.entries[0]["fullUrl"]
    assert len({entry["fullUrl"] for entry in made.entries}) == 3
    assert made.findings == []


@pytest.mark.parametrize(
    ("kind", "answer", "target", "expected"),
    [
        ("integer", {"valueInteger": 5}, "Observation#Observation.value", {"valueInteger": 5}),
        ("boolean", {"valueBoolean": True}, "Observation#Observation.value", {"valueBoolean": True}),
        ("date", {"valueDate": "2026-11-20"}, "Observation#Observation.effective", {"effectiveDateTime": "2026-11-20"}),
        ("time", {"valueTime": "08:00:00"}, "Observation#Observation.value", {"valueTime": "08:00:00"}),
        ("string", {"valueString": "well"}, "Observation#Observation.valueString", {"valueString": "well"}),
        ("string", {"valueString": "m"}, "Observation#Observation.method", {"method": {"text": "m"}}),
        ("text", {"valueString": "as told"}, "Observation#Observation.note", {"note": [{"text": "as told"}]}),
        (
            "string",
            {"valueString": "Device/d1"},
            "Observation#Observation.device",
            {"device": {"reference": "Device/d1"}},
        ),
        (
            "choice",
            {"valueCoding": {"system": "s", "code": "c"}},
            "Observation#Observation.value",
            {"valueCodeableConcept": {"coding": [{"system": "s", "code": "c"}]}},
        ),
        (
            "choice",
            {"valueCoding": {"system": "s", "code": "c"}},
            "Observation#Observation.interpretation.coding",
            {"interpretation": [{"coding": [{"system": "s", "code": "c"}]}]},
        ),
        (
            "reference",
            {"valueReference": {"reference": "Encounter/e1"}},
            "Observation#Observation.encounter",
            {"encounter": {"reference": "Encounter/e1"}},
        ),
        (
            "quantity",
            {"valueQuantity": {"value": 2, "unit": "h"}},
            "Observation#Observation.value",
            {"valueQuantity": {"value": 2, "unit": "h"}},
        ),
        (
            "decimal",
            {"valueDecimal": 2.5},
            "Observation#Observation.valueQuantity.value",
            {"valueQuantity": {"value": 2.5}},
        ),
    ],
)
def test_answers_of_every_type_are_cast_to_their_element(
    kind: str, answer: Resource, target: str, expected: Resource
) -> None:
    form = questionnaire(
        part("q", target, kind),
        extensions=(
            begins(OBSERVATION),
            fixed("Observation#Observation.status", valueCode="final"),
            fixed("Observation#Observation.code.text", valueString="something"),
        ),
    )
    (found,) = resources(extracted(form, response(given("q", answer))))
    assert found == {"resourceType": "Observation", "status": "final", "code": {"text": "something"}, **expected}


def test_a_number_with_a_unit_becomes_a_quantity_where_one_is_wanted() -> None:
    form = questionnaire(
        part("q", "Observation#Observation.valueQuantity", "decimal", unit("kg")), extensions=(begins(OBSERVATION),)
    )
    (entry,) = extracted(form, response(given("q", {"valueDecimal": 72.5}))).entries
    assert entry["resource"]["valueQuantity"]["unit"] == "kg"


def test_an_id_makes_an_update_and_conditions_stand_in_the_request() -> None:
    form = questionnaire(
        part("id", "Patient#Patient.id"),
        part("b", "Patient#Patient.birthDate", "date"),
        extensions=(begins(PATIENT, ifMatch="'W/\"2\"'", ifNoneExist="{}"),),
    )
    made = extracted(form, response(given("id", {"valueString": "p9"}), given("b", {"valueDate": "1984-05-17"})))
    assert resources(made) == [{"resourceType": "Patient", "id": "p9", "birthDate": "1984-05-17"}]
    assert made.entries[0]["request"] == {"method": "PUT", "url": "Patient/p9", "ifMatch": 'W/"2"'}


def test_a_profile_is_named_in_what_it_makes() -> None:
    profile = "https://forms.example/StructureDefinition/member"
    form = questionnaire(
        question("g", "group", begins(f"{profile}|2"), item=[question("q", definition=f"{profile}#Patient.name.text")])
    )
    made = extracted(form, response(given("g", items=(given("q", {"valueString": "Ann"}),))))
    assert resources(made) == [
        {"resourceType": "Patient", "meta": {"profile": [f"{profile}|2"]}, "name": [{"text": "Ann"}]}
    ]


def test_the_older_way_to_begin_a_resource_is_understood() -> None:
    older = {"url": f"{CORE}questionnaire-itemExtractionContext", "valueCode": "Patient"}
    form = questionnaire(question("g", "group", older, item=[part("q", "Patient#Patient.name.text")]))
    made = extracted(form, response(given("g", items=(given("q", {"valueString": "Ann"}),))))
    assert resources(made) == [{"resourceType": "Patient", "name": [{"text": "Ann"}]}]
