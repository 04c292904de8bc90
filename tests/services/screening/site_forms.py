"""Forms as a site would bring them: an instrument's structure around wording that is plainly artificial."""

from collections.abc import Mapping
from typing import Any

from stepwell_screening import data
from stepwell_screening.rules.weights import ORDINAL_VALUE

Resource = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"


def site_form(instrument: str, **members: Any) -> Resource:
    """A Questionnaire that fits the skeleton of an instrument; a member of None is left out."""
    skeleton = data.skeleton(instrument)
    form = {
        "resourceType": "Questionnaire",
        "url": f"https://clinic.example/Questionnaire/{instrument}",
        "version": "2026.1",
        "title": f"Artificial {instrument}",
        "status": "draft",
        "subjectType": ["Patient"],
        "item": [_item(row, skeleton["answerLists"]) for row in skeleton["items"]],
        **members,
    }
    return {name: value for name, value in form.items() if value is not None}


def answers_to(form: Resource, answers: Mapping[str, Any], **members: Any) -> Resource:
    """A completed response of Patient/p1; by linkId the code of an option, a number, or None for blank."""
    items = [
        _answered(item, answers[item["linkId"]]) for item in form["item"] if answers.get(item["linkId"]) is not None
    ]
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": f"{form['url']}|{form['version']}",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-11-21T09:50:00+01:00",
        "item": items,
        **members,
    }


def import_request(instrument: str, form: Resource, **texts: str) -> Resource:
    """The Parameters of `$import`, with whoever attests what."""
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "instrument", "valueCode": instrument},
            {"name": "questionnaire", "resource": form},
            *({"name": name, "valueString": text} for name, text in texts.items()),
        ],
    }


def _item(row: Mapping[str, Any], lists: Mapping[str, Any]) -> Resource:
    item = {
        "linkId": row["linkId"],
        "code": [dict(row["code"])],
        "text": f"Artificial wording {row['linkId']}",
        "type": row["type"],
        **({"enableWhen": row["enableWhen"]} if "enableWhen" in row else {}),
    }
    bounds = [("minValue", row.get("minimum")), ("maxValue", row.get("maximum"))]
    if row["type"] == "choice":
        options = lists[row["options"]] if row.get("options") else [{"system": "https://clinic.example", "code": "a"}]
        item["answerOption"] = [_option(option) for option in options]
    else:
        item["extension"] = [{"url": f"{CORE}{name}", "valueInteger": bound} for name, bound in bounds]
    return item


def _option(option: Mapping[str, Any]) -> Resource:
    coding = {"system": option["system"], "code": option["code"], "display": f"Artificial answer {option['code']}"}
    weight = option.get("weight")
    if weight is None:
        return {"valueCoding": coding}
    return {"extension": [{"url": ORDINAL_VALUE, "valueDecimal": weight}], "valueCoding": coding}


def _answered(item: Resource, answer: Any) -> Resource:
    if isinstance(answer, int):
        return {"linkId": item["linkId"], "answer": [{"valueInteger": answer}]}
    codings = {option["valueCoding"]["code"]: option["valueCoding"] for option in item["answerOption"]}
    return {"linkId": item["linkId"], "answer": [{"valueCoding": codings[answer]}]}
