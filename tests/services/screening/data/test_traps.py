"""The traps of these instruments that public copies fall into, each held shut over everything that ships."""

import pytest
from stepwell_screening.rules.weights import ITEM_WEIGHT, ORDINAL_VALUE

from tests.services.screening.data.shipped import (
    FORM_ANSWER,
    FORMS,
    ITEM,
    LOINC,
    NAMES,
    PUBLISHED,
    all_codings,
    extensions,
    items,
    options,
    questions,
)

LL358 = [
    ("LA6568-5", "Not at all"),
    ("LA6569-3", "Several days"),
    ("LA6570-1", "More than half the days"),
    ("LA6571-9", "Nearly every day"),
]
WITH_DIFFICULTY = [name for name in NAMES if "/69722-7" in items(name)]


def loinc_codes() -> set[str]:
    return {code for system, code in all_codings(list(FORMS.values())) if system == LOINC}


def test_trap_1_the_difficulty_item_keeps_its_codes_out_of_order_and_carries_no_weights() -> None:
    assert WITH_DIFFICULTY == ["phq-9", "phq-sads"]
    for name in WITH_DIFFICULTY:
        difficulty = items(name)["/69722-7"]
        assert [(each["code"], each["display"].split()[0]) for each in options(difficulty)] == [
            ("LA6572-7", "Not"),
            ("LA6573-5", "Somewhat"),
            ("LA6575-0", "Very"),
            ("LA6574-3", "Extremely"),
        ]
        assert not any("extension" in option for option in difficulty["answerOption"])


def test_trap_2_audit_c_asks_how_often_and_has_its_own_total() -> None:
    asked = items("audit-c")
    assert [link for link, item in asked.items() if item["type"] == "choice"] == ["/68518-0", "/68519-8", "/68520-6"]
    assert list(asked)[-1] == "/75626-2"
    assert not {"68517-2", "76504-0"} & loinc_codes()


def test_trap_4_the_second_anxiety_question_never_offers_more_days_than_not() -> None:
    asking = [name for name in NAMES if "/68509-9" in items(name)]
    assert asking == ["phq-4", "phq-sads", "gad-2", "gad-7"]
    for name in asking:
        assert [(each["code"], each["display"]) for each in options(items(name)["/68509-9"])] == LL358
    assert "LA18938-3" not in loinc_codes()


@pytest.mark.parametrize("name", ["gad-7", "phq-sads"])
def test_trap_5_irritability_keeps_its_code_under_the_stem_of_two_weeks(name: str) -> None:
    form = FORMS[name]
    holder = form if name == "gad-7" else next(each for each in form["item"] if each["linkId"] == "/69737-5")
    stem = form["item"][0]["text"] if name == "gad-7" else holder["text"]
    assert "/69689-8" in {item["linkId"] for item in holder["item"]}
    assert stem.startswith("Over the last 2 weeks")
    assert "4 weeks" not in items(name)["/69689-8"]["text"]


def test_trap_6_the_zero_option_is_not_at_all_and_never_not_at_all_sure() -> None:
    zeros = [each for name in NAMES for item in items(name).values() for each in options(item)]
    assert {each["display"] for each in zeros if each["code"] == "LA6568-5"} == {"Not at all"}
    assert "not at all sure" not in str(FORMS).lower()


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "peg"])
def test_trap_7_weights_stand_in_our_own_forms_in_both_extensions(name: str) -> None:
    weighted = [
        item for item in questions(name).values() if any("extension" in o for o in item.get("answerOption", ()))
    ]
    assert weighted
    for item in weighted:
        for option in item["answerOption"]:
            assert extensions(option, ITEM_WEIGHT) == extensions(option, ORDINAL_VALUE) != []


def test_trap_7_peg_is_answered_with_whole_numbers_from_0_to_10() -> None:
    core = "http://hl7.org/fhir/StructureDefinition/"
    for link in ("/75893-8", "/91145-3", "/91146-1"):
        item = items("peg")[link]
        assert item["type"] == "integer"
        assert (extensions(item, f"{core}minValue"), extensions(item, f"{core}maxValue")) == ([0], [10])
    assert "LA6113-0" not in loinc_codes()


def test_trap_8_tiredness_and_sleep_are_two_questions_with_codes_and_scales_of_their_own() -> None:
    asked = items("phq-sads")
    for in_two_weeks, in_four_weeks in (("/44254-1", "/69731-8"), ("/44259-0", "/69732-6")):
        assert len(options(asked[in_two_weeks])) == 4
        assert len(options(asked[in_four_weeks])) == 3
    assert "69687-2" not in loinc_codes()


def test_trap_8_the_three_scales_of_phq_sads_have_no_total_over_all() -> None:
    totals = [link for link, item in items("phq-sads").items() if item.get("readOnly")]
    assert totals == ["/70273-8", "/70274-6", "/44261-6"]
    assert "70271-2" not in loinc_codes()


def test_trap_9_a_code_that_public_copies_mislabel_stands_only_where_it_belongs() -> None:
    totals = {name: [link for link, item in items(name).items() if item.get("readOnly")] for name in NAMES}
    assert [name for name in NAMES if "/70272-0" in totals[name]] == ["phq-4"]
    assert totals["gad-2"] == ["/gad-2"]
    assert not {"71969-0", "183524004"} & {code for _, code in all_codings(list(FORMS.values()))}


def test_trap_10_the_question_about_housing_has_a_code_and_answers_of_its_own() -> None:
    housing = items("preference-and-barriers")["/housing"]
    assert housing["code"] == [{"system": ITEM, "code": "housing"}]
    assert {each["system"] for each in options(housing)} == {FORM_ANSWER}
    assert "71802-3" not in loinc_codes()


def test_trap_10_no_answers_are_borrowed_from_a_list_that_another_form_may_change() -> None:
    assert not [link for name in NAMES for link, item in items(name).items() if "answerValueSet" in item]
