"""A reader gets the language that is there and wanted most; what is not for people is the same in all of them."""

import json
from typing import Any

import pytest
from stepwell_shared.fhir.languages import TRANSLATED_VIEW, TRANSLATION, best, in_language, languages_of, preferred
from stepwell_shared.fhir.presentation import is_subsetted


def said(**contents: str) -> dict[str, Any]:
    """A primitive element with translations."""
    return {
        "extension": [
            {
                "url": TRANSLATION,
                "extension": [{"url": "lang", "valueCode": lang}, {"url": "content", "valueString": content}],
            }
            for lang, content in contents.items()
        ]
    }


def questionnaire() -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "language": "en",
        "title": "Rest",
        "_title": said(de="Ruhe"),
        "url": "https://example.org/Questionnaire/rest",
        "item": [
            {
                "linkId": "sleep",
                "_linkId": said(de="schlaf"),
                "text": "How do you sleep?",
                "_text": said(de="Wie schlafen Sie?", fr="Comment dormez-vous ?"),
                "type": "choice",
                "answerOption": [
                    {
                        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/itemWeight", "valueDecimal": 1}],
                        "valueCoding": {"system": "s", "code": "well", "display": "Well", "_display": said(de="Gut")},
                    },
                    {"valueString": "Badly", "_valueString": said(de="Schlecht")},
                ],
            },
            {"linkId": "why", "text": "Why?", "_text": said(de="Warum?"), "type": "string"},
        ],
    }


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr", None),
        ("", None),
        ("de;q=0", None),
        ("*;q=0", None),
        ("nonsense nonsense", None),
        ("de", "de"),
        ("DE-at", "de"),
        ("fr, de;q=0.5, en;q=0.4", "de"),
        ("en;q=0.3, de;q=0.8", "de"),
        ("de;q=0.3, en", "en"),
        ("*", "en"),
        ("en;q=0, *;q=0.1", "de"),
        ("fr, *;q=0.1", "en"),
        ("d", None),
    ],
)
def test_the_language_that_is_wanted_most_and_there_is_picked(header: str, language: str | None) -> None:
    assert best(header, ["en", "de"]) == language


def test_a_region_that_is_there_serves_who_asks_for_the_language() -> None:
    assert best("pt", ["en", "pt-BR"]) == "pt-BR"


def test_a_header_of_any_length_is_read_to_its_thirty_second_range() -> None:
    assert len(preferred(",".join(["de"] * 10_000))) == 32


def test_a_language_in_which_one_question_is_missing_is_not_offered() -> None:
    assert languages_of(questionnaire()) == ["en", "de"]


class TestView:
    def test_never_touches_codes_link_ids_answers_weights_or_the_original(self) -> None:
        original = questionnaire()
        view = in_language(original, "de")
        assert original == questionnaire()
        item = view["item"][0]
        assert item["linkId"] == "sleep"
        assert view["url"] == original["url"]
        options = item["answerOption"]
        assert options[0]["extension"] == original["item"][0]["answerOption"][0]["extension"]
        assert (options[0]["valueCoding"]["system"], options[0]["valueCoding"]["code"]) == ("s", "well")
        assert options[1]["valueString"] == "Badly"

    def test_says_everything_that_people_read_in_the_language(self) -> None:
        view = in_language(questionnaire(), "de")
        assert (view["language"], view["title"]) == ("de", "Ruhe")
        assert [item["text"] for item in view["item"]] == ["Wie schlafen Sie?", "Warum?"]
        assert view["item"][0]["answerOption"][0]["valueCoding"]["display"] == "Gut"

    def test_says_that_it_is_a_view_so_that_nobody_writes_it_back(self) -> None:
        view = in_language(in_language(questionnaire(), "de"), "de")
        assert view["meta"]["tag"].count(TRANSLATED_VIEW) == 1
        assert is_subsetted(view)

    def test_carries_no_other_language_with_it(self) -> None:
        assert "Comment" not in json.dumps(in_language(questionnaire(), "de"))

    def test_reads_designations_of_contained_concepts(self) -> None:
        concept = {"code": "n", "display": "Never", "designation": [{"language": "de", "value": "Nie"}]}
        contained = {"resourceType": "ValueSet", "compose": {"include": [{"system": "s", "concept": [concept]}]}}
        view = in_language({**questionnaire(), "contained": [contained]}, "de")
        assert view["contained"][0]["compose"]["include"][0]["concept"] == [{"code": "n", "display": "Nie"}]

    def test_keeps_other_extensions_of_a_string(self) -> None:
        resource = questionnaire()
        other = {"url": "http://hl7.org/fhir/StructureDefinition/rendering-style", "valueString": "bold"}
        resource["item"][0]["_text"]["extension"].append(other)
        assert in_language(resource, "de")["item"][0]["_text"] == {"extension": [other]}
