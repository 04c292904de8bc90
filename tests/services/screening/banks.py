"""An artificial item bank: no item of it is of any instrument, no number of it of any calibration."""

import random
from typing import Any

from stepwell_screening.rules.item_banks import ADAPTIVE, BANK, GRADED

Resource = dict[str, Any]
URL = "https://site.example/Questionnaire/artificial-bank"
CATEGORIES = 4


def bank_questionnaire(items: int = 12, **declared: Any) -> Resource:
    """A valid bank; `declared` replaces what it says of itself, None leaves it out."""
    draw = random.Random(5)
    said = {
        "method": "eap",
        "source": "Drawn at random",
        "higherIsBetter": False,
        "scaling": 1.0,
        "priorMean": 0.0,
        "priorStandardDeviation": 1.0,
        "lower": -4.0,
        "upper": 4.0,
        "gridPoints": 41,
        "standardErrorMax": 0.4,
        "itemsMin": 3,
        "itemsMax": 8,
        "score": {"system": "https://site.example/scores", "code": "artificial", "display": "Artificial T score"},
        **declared,
    }
    parts = [{"url": name, _key(value): value} for name, value in said.items() if value is not None]
    return {
        "resourceType": "Questionnaire",
        "url": URL,
        "version": "1",
        "name": "ArtificialBank",
        "title": "Artificial bank",
        "status": "active",
        "subjectType": ["Patient"],
        "extension": [{"url": ADAPTIVE, "valueBoolean": True}, {"url": BANK, "extension": parts}],
        "item": [_item(index, items, draw) for index in range(items)],
    }


def _key(value: object) -> str:
    if isinstance(value, bool):
        return "valueBoolean"
    if isinstance(value, dict):
        return "valueCoding"
    return {str: "valueString", int: "valueInteger"}.get(type(value), "valueDecimal")


def _item(index: int, items: int, draw: random.Random) -> Resource:
    middle = -1.5 + 3 * index / max(1, items - 1)
    numbers = [("discrimination", round(draw.uniform(1.5, 3), 2))]
    numbers += [("threshold", round(middle + offset, 2)) for offset in (-0.8, 0.0, 0.8)]
    return {
        "linkId": f"/bank-{index}",
        "extension": [
            {"url": GRADED, "extension": [{"url": name, "valueDecimal": number} for name, number in numbers]}
        ],
        "text": f"Artificial statement {index}",
        "type": "choice",
        "answerOption": [
            {"valueCoding": {"system": "https://site.example/answers", "code": f"level-{level}"}}
            for level in range(CATEGORIES)
        ],
    }


def imported(questionnaire: Resource, **texts: str) -> Resource:
    """The parameters that import it."""
    said = {"attestedBy": "Jo Example, head of the clinic", "licence": "made here", **texts}
    parameters: list[Resource] = [{"name": name, "valueString": text} for name, text in said.items() if text]
    return {
        "resourceType": "Parameters",
        "parameter": [*parameters, {"name": "questionnaire", "resource": questionnaire}],
    }
