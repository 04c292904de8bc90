"""Promises of observation-based extraction: which answers become Observations, with what in them, and which never."""

from typing import Any

import pytest
from stepwell_screening.rules.extraction import ENTRIES_MAX

from tests.services.screening.rules.sdc_forms import (
    LOINC,
    Resource,
    coded,
    extracted,
    given,
    question,
    questionnaire,
    resources,
    response,
    said,
    unit,
)

ON = said("observationExtract", valueBoolean=True)
OFF = said("observationExtract", valueBoolean=False)
MOOD, SLEEP, PANEL = coded("mood"), coded("sleep"), coded("panel")


def as_a(relationship: str) -> Resource:
    return said("observationExtract", valueCode=relationship)


def codes(found: list[Resource]) -> list[str]:
    return [coding["code"] for each in found for coding in each["code"]["coding"]]


@pytest.mark.parametrize(
    "item",
    [
        question("q"),
        question("q", "string", OFF, code=[MOOD]),
        question("q", code=[coded("mood", OFF)]),
    ],
    ids=["without a code", "the item says no", "the code says no"],
)
def test_what_is_not_marked_with_a_code_is_never_an_observation(item: Resource) -> None:
    made = extracted(questionnaire(item, extensions=(ON,)), response(given("q", {"valueString": "well"})))
    assert made.entries == []


def test_without_a_mark_nothing_is_extracted() -> None:
    made = extracted(questionnaire(question("q", code=[MOOD])), response(given("q", {"valueString": "well"})))
    assert made.entries == []


def test_an_unanswered_question_makes_no_observation_and_deletes_none() -> None:
    form = questionnaire(question("q", code=[MOOD]), question("r", code=[SLEEP]), extensions=(ON,))
    made = extracted(form, response(given("r")))
    assert made.entries == []


@pytest.mark.parametrize(
    "answer",
    [
        {"valueReference": {"reference": "Patient/p2"}},
        {"valueAttachment": {"title": "a letter", "contentType": "text/plain"}},
    ],
)
def test_an_answer_that_no_observation_can_hold_is_left_out_and_said(answer: Resource) -> None:
    kind = "reference" if "valueReference" in answer else "attachment"
    made = extracted(questionnaire(question("q", kind, ON, code=[MOOD])), response(given("q", answer)))
    assert made.entries == []
    assert [(each.code, each.expression) for each in made.findings] == [
        ("not-supported", "QuestionnaireResponse.item[0].answer[0]")
    ]


def test_more_resources_than_an_answer_may_carry_are_refused() -> None:
    form = questionnaire(question("q", "string", ON, code=[MOOD], repeats=True))
    answers = [{"valueString": str(number)} for number in range(ENTRIES_MAX + 1)]
    with pytest.raises(ValueError, match=f"at most {ENTRIES_MAX}"):
        extracted(form, response(given("q", *answers)))


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        ("boolean", {"valueBoolean": False}, {"valueBoolean": False}),
        ("integer", {"valueInteger": 0}, {"valueInteger": 0}),
        ("decimal", {"valueDecimal": 1.5}, {"valueQuantity": {"value": 1.5}}),
        ("string", {"valueString": "well"}, {"valueString": "well"}),
        ("text", {"valueString": "very well"}, {"valueString": "very well"}),
        ("url", {"valueUri": "https://x.example"}, {"valueString": "https://x.example"}),
        ("date", {"valueDate": "2026-11"}, {"valueDateTime": "2026-11"}),
        ("dateTime", {"valueDateTime": "2026-11-21T08:00:00Z"}, {"valueDateTime": "2026-11-21T08:00:00Z"}),
        ("time", {"valueTime": "08:00:00"}, {"valueTime": "08:00:00"}),
        ("choice", {"valueCoding": MOOD}, {"valueCodeableConcept": {"coding": [MOOD]}}),
        ("open-choice", {"valueString": "other"}, {"valueString": "other"}),
        ("quantity", {"valueQuantity": {"value": 2, "unit": "h"}}, {"valueQuantity": {"value": 2, "unit": "h"}}),
    ],
)
def test_every_type_of_answer_has_its_value(kind: str, answer: Resource, value: dict[str, Any]) -> None:
    more = {"answerOption": [{"valueCoding": MOOD}]} if "choice" in kind else {}
    form = questionnaire(question("q", kind, ON, code=[MOOD], **more))
    (found,) = resources(extracted(form, response(given("q", answer))))
    assert {name: each for name, each in found.items() if name.startswith("value")} == value


@pytest.mark.parametrize(("kind", "key", "value"), [("integer", "valueInteger", 7), ("decimal", "valueDecimal", 7.5)])
def test_a_question_with_a_unit_makes_a_quantity_in_it(kind: str, key: str, value: float) -> None:
    form = questionnaire(question("q", kind, ON, unit("h"), code=[SLEEP]))
    (found,) = resources(extracted(form, response(given("q", {key: value}))))
    assert found["valueQuantity"] == {"value": value, "unit": "h", "system": "http://unitsofmeasure.org", "code": "h"}


def test_an_observation_says_whose_by_whom_when_and_from_which_response() -> None:
    answers = response(
        given("q", {"valueString": "well"}),
        encounter={"reference": "Encounter/e1"},
        basedOn=[{"reference": "CarePlan/c1"}],
        partOf=[{"reference": "Procedure/x1"}, {"reference": "Observation/o1"}],
    )
    made = extracted(questionnaire(question("q", "string", ON, code=[MOOD])), answers)
    assert resources(made) == [
        {
            "resourceType": "Observation",
            "basedOn": [{"reference": "CarePlan/c1"}],
            "partOf": [{"reference": "Procedure/x1"}],
            "status": "final",
            "code": {"coding": [MOOD]},
            "subject": {"reference": "Patient/p1"},
            "encounter": {"reference": "Encounter/e1"},
            "effectiveDateTime": "2026-11-21T09:50:00+01:00",
            "issued": "2026-11-21T09:50:00+01:00",
            "performer": [{"reference": "Practitioner/dr-1"}],
            "derivedFrom": [{"reference": "QuestionnaireResponse/r1"}],
            "valueString": "well",
        }
    ]
    assert made.entries[0]["request"] == {"method": "POST", "url": "Observation"}


def test_an_author_that_is_a_device_is_the_device_and_no_performer() -> None:
    answers = response(given("q", {"valueString": "well"}), author={"reference": "Device/d1"})
    (found,) = resources(extracted(questionnaire(question("q", "string", ON, code=[MOOD])), answers))
    assert (found["device"], "performer" in found) == ({"reference": "Device/d1"}, False)


def test_the_mark_is_inherited_until_an_item_says_otherwise() -> None:
    form = questionnaire(
        question("g", "group", OFF, item=[question("a", code=[MOOD]), question("b", "string", ON, code=[SLEEP])]),
        question("c", code=[coded("other")]),
        extensions=(ON,),
    )
    answers = response(
        given("g", items=(given("a", {"valueString": "1"}), given("b", {"valueString": "2"}))),
        given("c", {"valueString": "3"}),
    )
    assert codes(resources(extracted(form, answers))) == ["sleep", "other"]


def test_only_tagged_codes_go_along_once_one_is_tagged() -> None:
    form = questionnaire(question("q", "string", ON, code=[coded("weight", ON), coded("weight-clothed")]))
    (found,) = resources(extracted(form, response(given("q", {"valueString": "x"}))))
    assert found["code"]["coding"] == [{"system": LOINC, "code": "weight"}]


def test_the_nearest_category_wins_and_all_of_an_item_go_along() -> None:
    def category(code: str) -> Resource:
        return said("observation-extract-category", valueCodeableConcept={"coding": [{"code": code}]})

    form = questionnaire(
        question("a", code=[MOOD]),
        question("b", "string", category("survey"), category("activity"), code=[SLEEP]),
        extensions=(ON, category("social-history")),
    )
    answers = response(given("a", {"valueString": "1"}), given("b", {"valueString": "2"}))
    found = resources(extracted(form, answers))
    assert [[one["coding"][0]["code"] for one in each["category"]] for each in found] == [
        ["social-history"],
        ["survey", "activity"],
    ]


def test_each_answer_of_a_repeating_question_is_an_observation_of_its_own() -> None:
    form = questionnaire(question("q", "string", ON, code=[MOOD], repeats=True))
    found = resources(extracted(form, response(given("q", {"valueString": "1"}, {"valueString": "2"}))))
    assert [each["valueString"] for each in found] == ["1", "2"]


def test_components_stand_in_the_observation_of_their_group_once_for_each_repetition() -> None:
    form = questionnaire(
        question(
            "g",
            "group",
            ON,
            code=[PANEL],
            repeats=True,
            item=[
                question("a", "integer", as_a("component"), code=[MOOD]),
                question("b", "integer", as_a("component"), unit("h"), code=[SLEEP]),
            ],
        )
    )
    answers = response(
        given("g", items=(given("a", {"valueInteger": 1}), given("b", {"valueInteger": 2}))),
        given("g", items=(given("a", {"valueInteger": 3}),)),
    )
    first, second = resources(extracted(form, answers))
    assert codes([first, second]) == ["panel", "panel"]
    assert [component["code"]["coding"][0]["code"] for component in first["component"]] == ["mood", "sleep"]
    assert first["component"][1]["valueQuantity"]["value"] == 2
    assert second["component"] == [{"code": {"coding": [MOOD]}, "valueInteger": 3}]


def test_a_group_without_any_of_its_parts_makes_no_observation() -> None:
    inner = question("a", "string", OFF, code=[MOOD])
    form = questionnaire(question("g", "group", ON, code=[PANEL], item=[inner]))
    assert extracted(form, response(given("g", items=(given("a", {"valueString": "x"}),)))).entries == []


def test_members_derived_and_independent_items_say_so() -> None:
    form = questionnaire(
        question(
            "g",
            "group",
            ON,
            code=[PANEL],
            item=[
                question("m", "string", as_a("member"), code=[MOOD]),
                question("d", "string", as_a("derived"), code=[SLEEP]),
                question("i", "string", as_a("independent"), code=[coded("other")]),
            ],
        )
    )
    items = tuple(given(name, {"valueString": name}) for name in ("m", "d", "i"))
    made = extracted(form, response(given("g", items=items)))
    by_code = {each["resource"]["code"]["coding"][0]["code"]: each for each in made.entries}
    panel = by_code["panel"]
    assert len(resources(made)) == 4
    assert panel["resource"]["hasMember"] == [{"reference": by_code["mood"]["fullUrl"]}]
    assert by_code["sleep"]["resource"]["derivedFrom"][1:] == [{"reference": panel["fullUrl"]}]
    assert len(by_code["other"]["resource"]["derivedFrom"]) == 1


def test_a_component_without_an_observation_above_it_stands_alone_and_says_so() -> None:
    form = questionnaire(question("q", "string", as_a("component"), code=[MOOD]))
    made = extracted(form, response(given("q", {"valueString": "x"})))
    assert codes(resources(made)) == ["mood"]
    assert [each.code for each in made.findings] == ["business-rule"]


def test_follow_up_questions_belong_to_the_answer_above_them() -> None:
    follow_up = question("b", "string", as_a("member"), code=[SLEEP])
    form = questionnaire(question("a", "string", ON, code=[MOOD], repeats=True, item=[follow_up]))
    nested = [{"linkId": "b", "answer": [{"valueString": "why"}]}]
    made = extracted(form, response(given("a", {"valueString": "1", "item": nested}, {"valueString": "2"})))
    first, second, third = resources(made)
    assert [codes([each]) for each in (first, second, third)] == [["mood"], ["sleep"], ["mood"]]
    assert first["hasMember"] == [{"reference": made.entries[1]["fullUrl"]}]
    assert "hasMember" not in third


def test_a_group_may_be_about_somebody_else() -> None:
    form = questionnaire(
        question(
            "g",
            "group",
            item=[
                question("who", "reference", said("isSubject", valueBoolean=True)),
                question("q", "string", ON, code=[MOOD]),
            ],
        )
    )
    items = (given("who", {"valueReference": {"reference": "Patient/child"}}), given("q", {"valueString": "x"}))
    (found,) = resources(extracted(form, response(given("g", items=items))))
    assert found["subject"] == {"reference": "Patient/child"}


def test_an_entry_can_be_given_its_id_and_its_conditions() -> None:
    entry = said(
        "observationExtractEntry",
        extension=[
            {"url": "fullUrl", "valueString": "%weight"},
            {"url": "resourceId", "valueString": "'o-' + %resource.id"},
            {"url": "ifMatch", "valueString": "'W/\"3\"'"},
        ],
    )
    form = questionnaire(
        question("q", "string", ON, entry, code=[MOOD]),
        extensions=(said("extractAllocateId", valueString="weight"),),
    )
    made = extracted(form, response(given("q", {"valueString": "x"}), status="amended"))
    (found,) = resources(made)
    assert (found["id"], found["status"]) == ("o-r1", "amended")
    assert made.entries[0]["request"] == {"method": "PUT", "url": "Observation/o-r1", "ifMatch": 'W/"3"'}
    assert made.entries[0]["fullUrl"] == "urn:uuid:00000000-0000-4000-8000-000000000001"
