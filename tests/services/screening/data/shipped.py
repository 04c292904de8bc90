"""The Questionnaires that ship, as files, and ways to walk them: items, options, codings and words."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from stepwell_screening.rules.weights import questionnaire_items
from stepwell_shared.canonical import code_system

Json = dict[str, Any]
LOINC = "http://loinc.org"
ITEM, ANSWER, FORM_ANSWER = code_system("instrument-item"), code_system("instrument-answer"), code_system("form-answer")
INSTRUMENT = code_system("instrument")
CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
TRANSLATION = f"{CORE}translation"
CALCULATED = f"{SDC}sdc-questionnaire-calculatedExpression"

DATA = files("stepwell_screening.data")
PUBLISHED = (
    *("phq-2", "phq-4", "phq-8", "phq-9", "phq-15", "phq-sads", "gad-2", "gad-7"),
    *("peg", "audit-c", "pc-ptsd-5", "asq"),
)
"""Instruments that others published and that may be reproduced."""
OWN = (
    *("readiness-rulers", "preference-and-barriers", "experience", "goals", "tracker"),
    *("pain-phase-checklist", "team-review"),
)
"""Forms whose every word is ours."""
NAMES = (*PUBLISHED, *OWN)

FORMS: dict[str, Json] = {
    name: json.loads(DATA.joinpath("questionnaires", f"{name}.json").read_bytes()) for name in NAMES
}


def items(name: str) -> dict[str, Json]:
    """Every item of a form at any depth, by its linkId."""
    return {item["linkId"]: dict(item) for item in questionnaire_items(FORMS[name])}


def questions(name: str) -> dict[str, Json]:
    """The items that a person answers, by linkId."""
    asked = items(name).items()
    return {link: each for link, each in asked if each["type"] not in {"group", "display"} and "readOnly" not in each}


def options(item: Json) -> list[Json]:
    """The codings of an item's options."""
    return [each["valueCoding"] for each in item.get("answerOption", ())]


def extensions(element: Json, url: str) -> list[Any]:
    """The values of an element's extensions with this URL."""
    found = [each for each in element.get("extension", ()) if each["url"] == url]
    return [next((value for key, value in each.items() if key.startswith("value")), None) for each in found]


def all_codings(content: Any) -> Iterator[tuple[str | None, str]]:
    """(system, code) of every coding anywhere in JSON content."""
    if isinstance(content, list):
        for each in content:
            yield from all_codings(each)
    elif isinstance(content, dict):
        if isinstance(content.get("code"), str):
            yield content.get("system"), content["code"]
        for value in content.values():
            yield from all_codings(value)


def translated(element: Json, name: str) -> dict[str, list[str]]:
    """The translations that stand beside a string, by language."""
    found: dict[str, list[str]] = {}
    for extension in element.get(f"_{name}", {}).get("extension", ()):
        if extension["url"] == TRANSLATION:
            parts = {part["url"]: part for part in extension["extension"]}
            found.setdefault(parts["lang"]["valueCode"], []).append(parts["content"]["valueString"])
    return found
