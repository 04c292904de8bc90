"""Every instrument that has a scoring definition, as a form that tests fill in by weight: shipped ones, and those whose
wording a site supplies, built from their structure alone."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import orjson
from stepwell_screening import data
from stepwell_screening.rules.definition import ScoringDefinition, parse_definition
from stepwell_screening.rules.scoring import Scoring, compile_scoring
from stepwell_screening.rules.weights import ITEM_WEIGHT, ORDINAL_VALUE, option_weights

Answers = Mapping[str, object]
"""By linkId: the weight of an option, a number, the code of an option, or None for a blank."""

FOLDER = files(data)


def _names(folder: str) -> list[str]:
    return sorted(path.name.removesuffix(".json") for path in FOLDER.joinpath(folder).iterdir())


def _built(skeleton: dict[str, Any]) -> dict[str, Any]:
    """The Questionnaire that a site could import for a skeleton; its wording is of no matter for scores."""
    lists = {name: [_option(option) for option in options] for name, options in skeleton.get("answerLists", {}).items()}
    items = []
    for item in skeleton["items"]:
        kept = {key: item[key] for key in ("linkId", "type", "enableWhen") if key in item}
        items.append(kept | ({"answerOption": lists[item["options"]]} if item.get("options") else {}))
    return {"url": skeleton["url"], "version": skeleton["version"], "item": items}


def _option(option: dict[str, Any]) -> dict[str, Any]:
    coding = {"valueCoding": {"system": option["system"], "code": option["code"]}}
    if "weight" not in option:
        return coding
    return coding | {
        "extension": [{"url": url, "valueDecimal": option["weight"]} for url in (ITEM_WEIGHT, ORDINAL_VALUE)]
    }


def form(name: str) -> dict[str, Any]:
    """The Questionnaire of an instrument, fresh on every call."""
    if name in SHIPPED:
        return data.questionnaire(name)
    skeleton: dict[str, Any] = orjson.loads(FOLDER.joinpath("skeletons", f"{name}.json").read_bytes())
    return _built(skeleton)


SHIPPED = _names("questionnaires")
NAMES = _names("scoring")
FORMS = {name: form(name) for name in NAMES}
DEFINITIONS: dict[str, ScoringDefinition] = {name: parse_definition(data.scoring(name)) for name in NAMES}
SCORINGS: dict[str, Scoring] = {name: compile_scoring(FORMS[name], DEFINITIONS[name]) for name in NAMES}


def questions(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every item of a form that is no group, in its order."""
    for item in items:
        if item["type"] == "group":
            yield from questions(item["item"])
        else:
            yield item


def filled(name: str, answers: Answers, status: str = "completed") -> dict[str, Any]:
    """A response with these answers in the order and the groups of the form."""
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": DEFINITIONS[name].questionnaire,
        "status": status,
        "item": _filled(name, FORMS[name]["item"], answers),
    }


def _filled(name: str, items: list[dict[str, Any]], answers: Answers) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for item in items:
        link_id = item["linkId"]
        if item["type"] == "group":
            inner = _filled(name, item["item"], answers)
            made += [{"linkId": link_id, "item": inner}] if inner else []
        elif answers.get(link_id) is not None:
            made.append({"linkId": link_id, "answer": [_answer(name, item, answers[link_id])]})
    return made


def _answer(name: str, item: dict[str, Any], answer: object) -> dict[str, Any]:
    if item["type"] in ("integer", "decimal"):
        return {f"value{item['type'].capitalize()}": answer}
    given = {key: weight for (link, key), weight in DEFINITIONS[name].answer_weights.items() if link == item["linkId"]}
    weights = option_weights(item) | given
    for option in item["answerOption"]:
        coding = option["valueCoding"]
        if answer in (coding["code"], weights.get((coding["system"], coding["code"]))):
            return {"valueCoding": {key: coding[key] for key in ("system", "code")}}
    raise ValueError(f"{name} has no answer {answer!r} to {item['linkId']}")
