"""Every skeleton holds together, a form that fits is taken, and each way to differ is refused at its place."""

from collections.abc import Callable
from typing import Any

import pytest
from stepwell_screening import data
from stepwell_screening.rules.definition import parse_definition
from stepwell_screening.rules.skeletons import Skeleton, check_against, parse_skeleton, skeleton_of

from tests.services.screening.site_forms import Resource, site_form

# Questions of each instrument, from section 1 of the clinical fact base.
QUESTIONS = {
    "sss-8": 8,
    "ssd-12": 12,
    "euronet-soma": 2,
    "wi-7": 7,
    "shai-14": 14,
    "shai-18": 18,
    "wsas": 5,
    "whodas-12": 12,
    "eq-5d-5l": 6,
    "promis-global-10": 10,
    "promis-pain-interference-4a": 4,
    "promis-sleep-disturbance-4a": 4,
    "bpi-sf": 11,
    "odi": 10,
    "pdi": 7,
    "pcs": 13,
    "tsk-11": 11,
    "pseq": 10,
    "pseq-2": 2,
    "start-back": 9,
    "start-msk": 10,
    "isi": 7,
    "psqi": 7,
    "c-ssrs-screener": 7,
    "csq-8": 8,
    "prapare": 2,
    "ahc-hrsn": 1,
}
# Least and greatest sum of the weights of all questions, for those instruments whose score is a plain sum.
SUMS = {
    "sss-8": (0, 32),
    "ssd-12": (0, 48),
    "wi-7": (0, 7),
    "shai-14": (0, 42),
    "shai-18": (0, 54),
    "wsas": (0, 40),
    "whodas-12": (0, 48),
    "promis-pain-interference-4a": (4, 20),
    "promis-sleep-disturbance-4a": (4, 20),
    "pdi": (0, 70),
    "pcs": (0, 52),
    "tsk-11": (11, 44),
    "pseq": (0, 60),
    "pseq-2": (0, 12),
    "start-back": (0, 9),
    "isi": (0, 28),
    "psqi": (0, 21),
    "csq-8": (8, 32),
    "odi": (0, 50),
    "euronet-soma": (0, 20),
}


def skeleton(instrument: str) -> Skeleton:
    return parse_skeleton(data.skeleton(instrument))


def test_every_instrument_whose_wording_a_site_supplies_has_a_skeleton() -> None:
    assert set(data.skeletons()) == set(QUESTIONS)


@pytest.mark.parametrize(("instrument", "count"), QUESTIONS.items())
def test_a_skeleton_has_the_questions_of_its_instrument(instrument: str, count: int) -> None:
    assert len(skeleton(instrument).items) == count


@pytest.mark.parametrize(("instrument", "bounds"), SUMS.items())
def test_the_weights_span_the_range_of_the_score(instrument: str, bounds: tuple[int, int]) -> None:
    lowest, highest = 0, 0
    for item in skeleton(instrument).items:
        weights = [weight for weight in (item.options or {}).values() if weight is not None]
        ends = weights or [item.minimum or 0, item.maximum or 0]
        lowest, highest = lowest + int(min(ends)), highest + int(max(ends))
    assert (lowest, highest) == bounds


@pytest.mark.parametrize("instrument", QUESTIONS)
def test_a_skeleton_says_licence_and_source_and_holds_no_wording(instrument: str) -> None:
    row, read = data.skeleton(instrument), skeleton(instrument)
    assert read.licence_class in {"B", "C"}
    assert read.notice
    assert read.source
    assert not any({"text", "display", "prefix"} & item.keys() for item in row["items"])
    assert not any({"text", "display"} & option.keys() for options in row["answerLists"].values() for option in options)


@pytest.mark.parametrize("instrument", [name for name in QUESTIONS if data.is_scored(name)])
def test_scoring_counts_only_questions_of_the_skeleton(instrument: str) -> None:
    definition = parse_definition(data.scoring(instrument))
    assert set(definition.item_link_ids) <= {item.link_id for item in skeleton(instrument).items}


def dropped(form: Resource) -> None:
    del form["item"][1]


def doubled(form: Resource) -> None:
    form["item"].append({**form["item"][0], "linkId": "/another"})


def swapped(form: Resource) -> None:
    form["item"][0], form["item"][1] = form["item"][1], form["item"][0]


def option_of(form: Resource, position: int) -> Any:
    return form["item"][1]["answerOption"][position]


@pytest.mark.parametrize(
    ("change", "places"),
    [
        (dropped, ["Questionnaire.item", "Questionnaire.item"]),
        (doubled, ["Questionnaire.item", "Questionnaire.item[5].linkId"]),
        (swapped, ["Questionnaire.item[0]"]),
        (lambda form: form["item"][1].update(type="string"), ["Questionnaire.item[1].type"]),
        (lambda form: form["item"][1].update(text=" "), ["Questionnaire.item[1].text"]),
        (lambda form: form["item"][1].update(code=form["item"][0]["code"]), ["Questionnaire.item[1].code"]),
        (lambda form: form["item"][1].update(repeats=True), ["Questionnaire.item[1].repeats"]),
        (lambda form: option_of(form, 0).update(initialSelected=True), ["Questionnaire.item[1]"]),
        (lambda form: form["item"][1]["answerOption"].pop(8), ["Questionnaire.item[1].answerOption"]),
        (
            lambda form: option_of(form, 3)["valueCoding"].update(code="wsas-9"),
            ["Questionnaire.item[1].answerOption[3].value", "Questionnaire.item[1].answerOption"],
        ),
        (lambda form: option_of(form, 3).pop("extension"), ["Questionnaire.item[1].answerOption[3].extension"]),
        (
            lambda form: option_of(form, 3)["extension"][0].update(valueDecimal=4),
            ["Questionnaire.item[1].answerOption[3].extension"],
        ),
        (
            lambda form: form["item"][1].update(enableWhen=[{"question": "/wsas-1", "operator": "exists"}]),
            ["Questionnaire.item[1].enableWhen"],
        ),
    ],
)
def test_each_difference_is_refused_at_its_place(change: Callable[[Resource], Any], places: list[str]) -> None:
    form = site_form("wsas")
    change(form)
    assert [finding.expression for finding in check_against(skeleton("wsas"), form)] == places


def test_another_range_of_a_number_is_refused() -> None:
    form = site_form("pdi")
    form["item"][0]["extension"][1]["valueInteger"] = 100
    (finding,) = check_against(skeleton("pdi"), form)
    assert (finding.expression, finding.text) == ("Questionnaire.item[0].extension", "The maxValue of this item is 10.")


def test_a_suicide_question_without_its_branch_is_refused() -> None:
    form = site_form("c-ssrs-screener")
    del form["item"][3]["enableWhen"]
    (finding,) = check_against(skeleton("c-ssrs-screener"), form)
    assert finding.expression == "Questionnaire.item[3].enableWhen"


@pytest.mark.parametrize("instrument", QUESTIONS)
def test_a_form_that_fits_is_taken(instrument: str) -> None:
    assert check_against(skeleton(instrument), site_form(instrument)) == []


def test_headings_groups_and_calculated_values_may_stand_in_a_form() -> None:
    form = site_form("wsas")
    expression = {"language": "text/fhirpath", "expression": "1"}
    url = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression"
    form["item"] = [
        {"linkId": "stem", "type": "display", "text": "Artificial heading"},
        {"linkId": "questions", "type": "group", "item": form["item"]},
        {"linkId": "/wsas", "type": "decimal", "extension": [{"url": url, "valueExpression": expression}]},
    ]
    assert check_against(skeleton("wsas"), form) == []


def test_the_work_question_may_be_asked_without_the_option_that_it_does_not_apply() -> None:
    form = site_form("wsas")
    form["item"][0]["answerOption"].pop()
    assert check_against(skeleton("wsas"), form) == []


def test_a_sleep_item_counts_downward_where_its_form_says_so() -> None:
    form = site_form("promis-sleep-disturbance-4a")
    for position, option in enumerate(form["item"][1]["answerOption"]):
        option["extension"][0]["valueDecimal"] = 5 - position
    assert check_against(skeleton("promis-sleep-disturbance-4a"), form) == []
    form["item"][1]["answerOption"][0]["extension"][0]["valueDecimal"] = 4
    assert check_against(skeleton("promis-sleep-disturbance-4a"), form) != []


def test_further_questions_may_stand_in_a_form_of_which_only_a_part_is_laid_down() -> None:
    form = site_form("prapare")
    form["item"].append({"linkId": "/own", "type": "string", "text": "Artificial question"})
    assert check_against(skeleton("prapare"), form) == []


@pytest.mark.parametrize("instrument", ["phq-9", "gad-7", "phq-15", "asq", "pc-ptsd-5", "peg", "audit-c"])
def test_an_instrument_that_ships_fits_its_own_skeleton(instrument: str) -> None:
    form = data.questionnaire(instrument)
    assert check_against(skeleton_of(form, instrument), form) == []
    form["item"] = form["item"][1:]
    assert check_against(skeleton_of(data.questionnaire(instrument), instrument), {**form, "item": []}) != []
