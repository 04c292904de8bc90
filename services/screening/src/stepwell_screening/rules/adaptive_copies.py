"""The Questionnaires around an adaptive form: the one that is found, and the copy that a response contains.

SDC 4.0 profiles sdc-questionnaire-adapt-srch and sdc-questionnaire-adapt.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stepwell_screening.rules.adaptive import Part, Step
from stepwell_screening.rules.aggregation import ScoreResult

JsonObject = Mapping[str, Any]
Resource = dict[str, Any]
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
ADAPTIVE, ASSEMBLED_FROM = f"{SDC}sdc-questionnaire-questionnaireAdaptive", f"{SDC}sdc-questionnaire-assembledFrom"
HEADING = ("language", "name", "title", "_title", "status", "experimental", "subjectType", "date", "publisher")
"""What a copy keeps of the Questionnaire that it is derived from."""


def adaptive_questionnaire(canonical: str, heading: JsonObject) -> Resource:
    """The Questionnaire by which clients find a form. It has no items: they come one step at a time."""
    url, _, version = canonical.partition("|")
    return {
        "resourceType": "Questionnaire",
        "id": url.rpartition("/")[2],
        "extension": [{"url": ADAPTIVE, "valueBoolean": True}],
        "url": url,
        "version": version,
        **heading,
    }


def adaptive_copy(id_: str, canonical: str, heading: JsonObject, steps: Sequence[Step]) -> Resource:
    """The Questionnaire inside a response, with what was asked so far and the instruments that it is of."""
    parts = _unique(step.part for step in steps)
    sources = [f"{part.questionnaire['url']}|{part.questionnaire['version']}" for part in parts]
    sayings = (each["copyright"] for each in (heading, *(part.questionnaire for part in parts)) if "copyright" in each)
    rights = list(dict.fromkeys(sayings))
    kept = {name: heading[name] for name in HEADING if name in heading}
    return {
        "resourceType": "Questionnaire",
        "id": id_,
        "extension": [
            {"url": ADAPTIVE, "valueBoolean": True},
            *({"url": ASSEMBLED_FROM, "valueCanonical": source} for source in sources),
        ],
        **kept,
        "derivedFrom": [canonical],
        **({"copyright": "\n\n".join(rights)} if rights else {}),
        **({"item": [dict(step.item) for step in steps]} if steps else {}),
    }


def assembled_from(questionnaire: JsonObject) -> list[str]:
    """The instruments that a copy names."""
    extensions = questionnaire.get("extension", ())
    return [str(each.get("valueCanonical", "")) for each in extensions if each.get("url") == ASSEMBLED_FROM]


def with_scores(items: Sequence[JsonObject], steps: Sequence[Step], results: Iterable[ScoreResult]) -> list[JsonObject]:
    """The items of a response, with the scores of what was answered where their Questionnaire has a place for them.

    What the sender wrote there stays: it is held to the same scores.
    """
    by_link_id = {result.score.link_id: result for result in results if result.value is not None}
    groups = {step.link_id: step.item for step in steps}
    found = []
    for item in items:
        given = item.get("item", ())
        there = {each.get("linkId") for each in given}
        scored = [
            {"linkId": each["linkId"], **_texts(each), "answer": [answer]}
            for each in groups.get(item.get("linkId", ""), {}).get("item", ())
            if each.get("readOnly") and each["linkId"] in by_link_id and each["linkId"] not in there
            if (answer := _answer(each, by_link_id[each["linkId"]])) is not None
        ]
        found.append({**item, "item": [*given, *scored]} if scored else item)
    return found


def _unique(parts: Iterable[Part | None]) -> list[Part]:
    return list({part.score.definition.questionnaire: part for part in parts if part is not None}.values())


def _texts(item: JsonObject) -> Resource:
    return {"text": item["text"]} if "text" in item else {}


def _answer(item: JsonObject, result: ScoreResult) -> Resource | None:
    if item["type"] == "choice":
        codings = [option.get("valueCoding", {}) for option in item.get("answerOption", ())]
        chosen = next((each for each in codings if each.get("code") == result.value), None)
        return {"valueCoding": chosen} if chosen is not None else None
    if item["type"] not in ("decimal", "integer") or isinstance(result.value, str):
        return None
    return {f"value{item['type'].capitalize()}": result.value}
