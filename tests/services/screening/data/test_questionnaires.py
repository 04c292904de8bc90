"""Every Questionnaire that ships is valid, says what its source says, and branches and extracts as it should."""

import copy
import json
import re
from typing import Any

import pytest
from fhir.resources.R4B.questionnaire import Questionnaire
from stepwell_screening.rules.responses import compile_questionnaire
from stepwell_screening.rules.weights import ITEM_WEIGHT
from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.validation import check, profiles, validate

from tests.services.screening.data.shipped import (
    CALCULATED,
    CORE,
    DATA,
    FORMS,
    INSTRUMENT,
    ITEM,
    LOINC,
    NAMES,
    OWN,
    PUBLISHED,
    SDC,
    Json,
    extensions,
    items,
    options,
    questions,
)
from tests.services.screening.data.tables import SCORED
from tests.support.terminology import unknown_codings

EXTENSIONS = {
    f"{CORE}translation": None,
    f"{CORE}variable": "valueExpression",
    f"{CORE}ordinalValue": "valueDecimal",
    f"{CORE}itemWeight": "valueDecimal",
    f"{CORE}questionnaire-unit": "valueCoding",
    f"{CORE}questionnaire-hidden": "valueBoolean",
    f"{CORE}questionnaire-itemControl": "valueCodeableConcept",
    f"{CORE}questionnaire-optionExclusive": "valueBoolean",
    f"{CORE}questionnaire-sliderStepValue": "valueInteger",
    f"{CORE}minValue": "valueInteger",
    f"{CORE}maxValue": "valueInteger",
    f"{CORE}maxDecimalPlaces": "valueInteger",
    CALCULATED: "valueExpression",
    f"{SDC}sdc-questionnaire-observationExtract": "valueBoolean",
    f"{SDC}sdc-questionnaire-observation-extract-category": "valueCodeableConcept",
    f"{SDC}sdc-questionnaire-definitionExtract": None,
    f"{SDC}sdc-questionnaire-definitionExtractValue": None,
    f"{SDC}sdc-questionnaire-performerType": "valueCode",
}
"""Each extension in use, with the type of its value; None for those made of parts."""
LINK_ID_IN_EXPRESSION = re.compile(r"'(/[^']+)'")


def _used(content: Any) -> list[Json]:
    """Every extension with an absolute URL anywhere in JSON content; what is inside one has a bare name."""
    if isinstance(content, list):
        return [found for each in content for found in _used(each)]
    if not isinstance(content, dict):
        return []
    own = [each for each in content.get("extension", ()) if ":" in each["url"]]
    return own + [found for value in content.values() for found in _used(value)]


def answer(link: str, *codes: str) -> Json:
    """The item of a response with these options, whatever system they are of in its form."""
    name = next(each for each in NAMES if link in items(each))
    chosen = [each for code in codes for each in options(items(name)[link]) if each["code"] == code]
    return {"linkId": link, "answer": [{"valueCoding": {"system": e["system"], "code": e["code"]}} for e in chosen]}


def problems(name: str, *answers: Json) -> list[str]:
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": list(answers)}
    return [finding.text for finding in compile_questionnaire(FORMS[name])(response)]


class TestWhatIsRefused:
    def test_a_form_with_a_link_id_twice_would_not_pass_here(self) -> None:
        form = copy.deepcopy(FORMS["phq-2"])
        form["item"][2]["linkId"] = form["item"][1]["linkId"]
        assert [issue for issue in validate(form, "Questionnaire") if "que-2" in str(issue)]
        with pytest.raises(ValueError, match="que-2"):
            compile_questionnaire(form)

    def test_trauma_questions_are_not_answered_where_nothing_happened(self) -> None:
        nothing, symptom = answer("/pc-ptsd-5-exposure", "LA32-8"), answer("/pc-ptsd-5-1", "LA33-6")
        assert problems("pc-ptsd-5", nothing, symptom) == ["This item is not enabled by the other answers."]
        assert problems("pc-ptsd-5", answer("/pc-ptsd-5-exposure", "LA33-6"), symptom) == []

    def test_the_question_about_this_moment_is_not_answered_after_four_times_no(self) -> None:
        four_times_no = [answer(f"/asq-{number}", "LA32-8") for number in range(1, 5)]
        assert problems("asq", *four_times_no, answer("/asq-5", "LA32-8")) != []

    @pytest.mark.parametrize("positive", ["LA33-6", "asq-declined"])
    @pytest.mark.parametrize("number", [1, 2, 3, 4])
    def test_any_yes_and_any_refusal_ask_about_this_moment(self, number: int, positive: str) -> None:
        answers = [answer(f"/asq-{each}", positive if each == number else "LA32-8") for each in range(1, 5)]
        assert problems("asq", *answers, answer("/asq-5", "LA32-8")) == []

    def test_no_preference_does_not_stand_beside_a_preference(self) -> None:
        assert problems("preference-and-barriers", answer("/modality", "in-person", "no-preference")) != []
        assert problems("preference-and-barriers", answer("/modality", "in-person", "group")) == []

    @pytest.mark.parametrize("number", [-1, 11])
    def test_a_ruler_ends_at_its_ends(self, number: int) -> None:
        for name, link in (("peg", "/75893-8"), ("readiness-rulers", "/readiness"), ("tracker", "/tracker-mood")):
            assert problems(name, {"linkId": link, "answer": [{"valueInteger": number}]}) != []
            assert problems(name, {"linkId": link, "answer": [{"valueInteger": abs(number) - 1}]}) == []


def test_no_form_ships_without_being_held_to_these_promises() -> None:
    folder = DATA.joinpath("questionnaires")
    assert sorted(each.name for each in folder.iterdir()) == sorted(f"{name}.json" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEveryForm:
    def test_is_valid_by_r4_by_the_typed_model_and_by_sdc(self, name: str) -> None:
        form = FORMS[name]
        sdc = profiles.find(f"{SDC}sdc-questionnaire", "Questionnaire")
        assert sdc is not None
        assert check(json.dumps(form).encode(), "Questionnaire") == form
        assert profiles.findings(form, sdc, is_valid=True) == []
        Questionnaire.model_validate(form)
        compile_questionnaire(form)

    def test_has_a_canonical_a_version_a_language_and_a_notice(self, name: str) -> None:
        form = FORMS[name]
        assert (form["id"], form["url"], form["version"]) == (name, f"{CANONICAL}/Questionnaire/{name}", "1.0.0")
        assert (form["status"], form["language"], form["subjectType"]) == ("active", "en", ["Patient"])
        assert all(form[member].strip() for member in ("title", "description", "purpose", "copyright"))
        assert len(form["code"]) == 1

    def test_names_each_question_by_its_code(self, name: str) -> None:
        for link, item in items(name).items():
            if item["type"] != "display":
                assert link == f"/{item['code'][0]['code']}"
                assert "linkId" in item

    def test_uses_only_known_extensions_with_values_of_their_type(self, name: str) -> None:
        for extension in _used(FORMS[name]):
            kind = EXTENSIONS[extension["url"]]
            assert (kind in extension) if kind else ("extension" in extension)

    def test_defines_every_code_of_ours(self, name: str) -> None:
        assert unknown_codings(FORMS[name]) == []

    def test_asks_no_question_only_after_an_answer_that_cannot_be_given(self, name: str) -> None:
        asked = list(items(name))
        for link, item in items(name).items():
            for condition in item.get("enableWhen", ()):
                assert asked.index(condition["question"]) < asked.index(link)
                offered = [(each["system"], each["code"]) for each in options(items(name)[condition["question"]])]
                assert (condition["answerCoding"]["system"], condition["answerCoding"]["code"]) in offered

    def test_calculates_only_from_questions_that_it_has(self, name: str) -> None:
        calculated = [item for item in items(name).values() if extensions(item, CALCULATED)]
        assert [item["linkId"] for item in calculated] == [
            item["linkId"] for item in items(name).values() if item.get("readOnly")
        ]
        expressions = [each["expression"] for each in extensions(FORMS[name], f"{CORE}variable")]
        expressions += [extensions(item, CALCULATED)[0]["expression"] for item in calculated]
        assert {link for text in expressions for link in LINK_ID_IN_EXPRESSION.findall(text)} <= items(name).keys()


@pytest.mark.parametrize("name", PUBLISHED)
class TestEveryPublishedInstrument:
    def test_asks_what_its_source_asks_in_its_order_and_words(self, name: str) -> None:
        panel, words, _ = SCORED[name]
        assert FORMS[name]["code"][0]["code"] == panel
        asked = {link: item for link, item in questions(name).items() if link.removeprefix("/") in words}
        assert [link.removeprefix("/") for link in asked] == list(words)
        assert [item["text"] for item in asked.values()] == list(words.values())

    def test_weighs_answers_as_its_source_does(self, name: str) -> None:
        for code, weights in SCORED[name][2].items():
            item = items(name)[f"/{code}"]
            found = {o["valueCoding"]["code"]: extensions(o, ITEM_WEIGHT)[0] for o in item.get("answerOption", ())}
            assert found == (weights or {})

    def test_lets_every_question_stay_blank_so_that_the_rules_for_blanks_decide(self, name: str) -> None:
        assert not any(item.get("required") for item in items(name).values())

    def test_codes_its_questions_in_loinc_where_loinc_has_them(self, name: str) -> None:
        systems = {item["code"][0]["system"] for link, item in questions(name).items() if re.match(r"/\d", link)}
        assert systems <= {LOINC}


def test_phq_sads_asks_the_three_scales_panic_and_difficulty_once_each() -> None:
    names = [item["linkId"] for item in FORMS["phq-sads"]["item"]]
    assert names == ["/69728-4", "/69737-5", "/panic", "/44249-1", "/69722-7"]
    panic = [link for link, item in questions("phq-sads").items() if item.get("prefix", "") in set("abcde")]
    assert panic == ["/69716-9", "/69702-9", "/69703-7", "/69704-5", "/panic-symptoms"]
    assert not any(extensions(o, ITEM_WEIGHT) for link in panic for o in items("phq-sads")[link]["answerOption"])


def test_nobody_is_shown_what_the_answers_about_suicide_are_called() -> None:
    assert extensions(items("asq")["/asq"], f"{CORE}questionnaire-hidden") == [True]


@pytest.mark.parametrize("name", ["phq-2", "phq-4", "phq-8"])
def test_a_short_form_about_mood_says_that_it_asks_nothing_about_safety(name: str) -> None:
    assert "/44260-8" not in items(name)
    assert "nothing about safety" in FORMS[name]["description"]


def test_preference_and_barriers_asks_all_that_gets_in_the_way() -> None:
    barriers = [item["linkId"] for item in items("preference-and-barriers")["/barriers"]["item"]]
    assert barriers == [
        *("/transport", "/caregiving", "/work", "/housing", "/income", "/support"),
        *("/private-space", "/digital-access", "/language", "/disability"),
    ]
    assert {"/modality", "/language-preferred", "/interpreter", "/disability-needs"} <= items(
        "preference-and-barriers"
    ).keys()


def test_the_experience_form_has_three_sentences_and_room_for_a_remark() -> None:
    kinds = [item["type"] for item in questions("experience").values()]
    assert kinds == ["choice", "choice", "choice", "text"]


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("readiness-rulers", ["/readiness", "/importance", "/confidence"]),
        ("goals", ["/goal-attainment"]),
        (
            "tracker",
            [
                *("/tracker-symptoms", "/tracker-mood", "/tracker-stress"),
                *("/tracker-sleep-hours", "/tracker-sleep-quality", "/tracker-activity"),
            ],
        ),
    ],
)
def test_numbers_become_observations_with_a_code_a_category_and_a_unit(name: str, links: list[str]) -> None:
    marked = {
        link: item
        for link, item in items(name).items()
        if extensions(item, f"{SDC}sdc-questionnaire-observationExtract") == [True]
    }
    assert list(marked) == links
    for item in marked.values():
        assert item["code"][0]["system"] == (INSTRUMENT if name == "readiness-rulers" else ITEM)
        assert len(extensions(item, f"{SDC}sdc-questionnaire-observation-extract-category")) == 1
        assert len(extensions(item, f"{CORE}questionnaire-unit")) == 1


def test_goals_are_own_words_that_become_proposed_goals() -> None:
    goal = items("goals")["/goal"]
    assert goal["repeats"] is True
    parts = [each for each in goal["extension"] if each["url"].endswith("definitionExtractValue")]
    assert [part["extension"][0]["valueUri"] for part in parts] == [
        "http://hl7.org/fhir/StructureDefinition/Goal#Goal.lifecycleStatus",
        "http://hl7.org/fhir/StructureDefinition/Goal#Goal.subject",
    ]
    assert items("goals")["/goal-words"]["type"] == "text"


def test_the_pain_checklist_holds_the_red_flags_and_says_who_owns_them() -> None:
    flags = [item["linkId"] for item in items("pain-phase-checklist")["/red-flags"]["item"]]
    assert flags == [
        *("/cauda-equina", "/weight-loss", "/fever-night-pain", "/progressive-neurology"),
        *("/exertional-chest-pain", "/new-seizure", "/cancer-new-pain"),
    ]
    purpose = FORMS["pain-phase-checklist"]["purpose"]
    assert "Product default, owned by the clinicians of the site" in purpose
    assert "SAF-6" in purpose
    performers = extensions(FORMS["pain-phase-checklist"], f"{SDC}sdc-questionnaire-performerType")
    assert performers == ["Practitioner", "PractitionerRole"]


@pytest.mark.parametrize("name", OWN)
def test_our_own_forms_add_nothing_up(name: str) -> None:
    assert not any(item.get("readOnly") for item in items(name).values())
