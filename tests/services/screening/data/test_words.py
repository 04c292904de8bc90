"""The words that ship: our own in four languages and in a kind tone, those of others only where they may be copied."""

import json
import re
from typing import Any

import pytest
from stepwell_shared.canonical import code_system

from tests.services.screening.data.shipped import (
    ANSWER,
    DATA,
    FORM_ANSWER,
    FORMS,
    INSTRUMENT,
    ITEM,
    LOINC,
    NAMES,
    OWN,
    PUBLISHED,
    Json,
    all_codings,
    items,
    questions,
    translated,
)
from tests.services.screening.data.tables import GAD_7, PHQ_9, PHQ_15
from tests.support.terminology import CODE_SYSTEMS

LANGUAGES = {"de", "es", "fr"}
FAMILIAR = {
    "de": {"du", "dein", "deine", "deinen", "deiner", "deinem", "dir", "dich"},
    "es": {"tú", "tu", "tus", "te", "ti", "contigo"},
    "fr": {"tu", "ton", "ta", "tes", "toi", "te"},
}
NEVER_TO_PEOPLE = (
    *("failed", "refractory", "non-compliant", "crippled", "harmed", "in your head", "nothing is wrong"),
    *("versagt", "eingebildet", "fracasado", "échoué"),
)
OTHERS_CODES = {
    "C-SSRS": {"93373-9", "93246-7", "93247-5", "93248-3", "93249-1", "93250-9", "93267-3", "93269-9"},
    "PROMIS": {"90971-3", "62193-8", "75870-6", "75258-4", "76703-8", "62197-9", "85524-7", "61576-5"},
    "pain": {"97908-8", "82226-2", "72514-3", "77564-3"},
    "PCL-5": {"101697-1"},
    "social needs": {"93025-5", "93030-5", "96777-8", "71802-3"},
}
"""LOINC codes of instruments whose words a site brings itself."""


def members(content: Any) -> set[str]:
    """The names of all members anywhere in JSON content."""
    if isinstance(content, list):
        return {name for each in content for name in members(each)}
    if isinstance(content, dict):
        return set(content) | {name for each in content.values() for name in members(each)}
    return set()


def owned(name: str) -> list[tuple[str, Json, str]]:
    """(where, element, member) of every string that is ours: all of our own forms; elsewhere what we put around."""
    form = FORMS[name]
    found = [(member, form, member) for member in ("title", "description", "purpose")]
    for link, item in items(name).items():
        if "text" in item and (name in OWN or link == "/instructions" or item.get("readOnly")):
            found.append((link, item, "text"))
        for option in item.get("answerOption", ()):
            coding = option["valueCoding"]
            if name in OWN or (coding["system"] != LOINC and not coding["code"].startswith("phq-15-")):
                found.append((f"{link} {coding['code']}", coding, "display"))
    return found


def words_of(name: str) -> list[tuple[str, str]]:
    """(language, text) of every string that is ours, in every language."""
    found = []
    for _, element, member in owned(name):
        found.append(("en", element[member]))
        found += [(language, text) for language, texts in translated(element, member).items() for text in texts]
    return found


@pytest.mark.parametrize("name", NAMES)
class TestOurOwnWords:
    def test_stand_in_four_languages_once_each(self, name: str) -> None:
        for where, element, member in owned(name):
            found = translated(element, member)
            assert found.keys() == LANGUAGES, where
            assert all(len(texts) == 1 and texts[0].strip() == texts[0] != "" for texts in found.values()), where

    def test_say_in_each_language_something_of_their_own(self, name: str) -> None:
        for where, element, member in owned(name):
            texts = [element[member], *(texts[0] for texts in translated(element, member).values())]
            assert len(set(texts)) == 4 or element[member] == "No", where

    def test_address_people_politely(self, name: str) -> None:
        for language, text in words_of(name):
            assert not FAMILIAR.get(language, set()) & set(re.findall(r"\w+", text.lower())), text

    def test_never_blame_people(self, name: str) -> None:
        for _, text in words_of(name):
            assert not [word for word in NEVER_TO_PEOPLE if word in text.lower()]


@pytest.mark.parametrize("system", [ITEM, FORM_ANSWER])
def test_codes_of_the_forms_that_ship_have_their_names_in_four_languages(system: str) -> None:
    used = {code for of, code in all_codings(list(FORMS.values())) if of == system}
    named = {concept["code"]: concept.get("designation", ()) for concept in CODE_SYSTEMS[system]["concept"]}
    assert used
    for code in used:
        assert sorted(each["language"] for each in named[code]) == sorted(LANGUAGES), code


def test_an_option_of_ours_is_called_as_its_code_is() -> None:
    names = {
        (url, concept["code"]): {each["language"]: each["value"] for each in concept.get("designation", ())}
        for url in (FORM_ANSWER, ANSWER, code_system("band"))
        for concept in CODE_SYSTEMS[url]["concept"]
    }
    for name in NAMES:
        for _, coding, member in owned(name):
            if member == "display" and (coding["system"], coding["code"]) in names:
                shown = {language: texts[0] for language, texts in translated(coding, member).items()}
                assert shown.items() <= names[coding["system"], coding["code"]].items()


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "phq" in name or "gad" in name])
def test_the_phq_family_is_free_and_is_shown_in_other_languages_only_where_a_source_gives_the_words(name: str) -> None:
    assert "No permission required to reproduce, translate, display or distribute" in FORMS[name]["copyright"]
    of_phq_9_and_gad_7 = {*PHQ_9, *GAD_7, "69722-7"}
    for link, item in questions(name).items():
        code = link.removeprefix("/")
        expected = {"de"} if code in PHQ_15 else {"de", "es"} if code in of_phq_9_and_gad_7 else set()
        assert translated(item, "text").keys() == expected, link


def test_the_german_and_spanish_words_about_being_better_off_dead_are_those_of_the_authors() -> None:
    item = items("phq-9")["/44260-8"]
    assert translated(item, "text") == {
        "de": ["Gedanken, dass Sie lieber tot wären oder sich Leid zufügen möchten"],
        "es": ["Pensamientos de que estaría mejor muerto(a) o de lastimarse de alguna manera"],
    }


@pytest.mark.parametrize(
    ("name", "languages"), [("peg", set()), ("audit-c", set()), ("pc-ptsd-5", set()), ("asq", {"es"})]
)
def test_questions_of_others_are_translated_only_where_they_may_be(name: str, languages: set[str]) -> None:
    for item in questions(name).values():
        assert translated(item, "text").keys() == languages


def test_no_form_asks_with_the_codes_of_an_instrument_that_a_site_brings_itself() -> None:
    used = {code for system, code in all_codings(list(FORMS.values())) if system == LOINC}
    for instrument, codes in OTHERS_CODES.items():
        assert not codes & used, instrument


def test_every_loinc_question_belongs_to_an_instrument_that_may_be_reproduced() -> None:
    for name in OWN:
        codes = [item["code"][0] for item in items(name).values() if "code" in item]
        assert {code["system"] for code in codes} <= {ITEM, INSTRUMENT}


def test_what_comes_without_wording_carries_none() -> None:
    skeletons = [each for each in DATA.joinpath("skeletons").iterdir() if each.name.endswith(".json")]
    assert skeletons
    for each in skeletons:
        skeleton = json.loads(each.read_bytes())
        assert skeleton["licenceClass"] in {"B", "C"}
        assert not {"text", "display"} & members(skeleton), each.name
