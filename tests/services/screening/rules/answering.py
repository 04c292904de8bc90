"""Ways for tests to fill in a shipped instrument: weights in, QuestionnaireResponse out."""

from collections.abc import Mapping, Sequence
from typing import Any

from stepwell_screening import data
from stepwell_screening.rules.aggregation import ScoreResult
from stepwell_screening.rules.definition import ScoringDefinition, parse_definition
from stepwell_screening.rules.responses import Checker, compile_questionnaire
from stepwell_screening.rules.scoring import Scoring, compile_scoring

QUESTIONNAIRES = {name: data.questionnaire(name) for name in data.INSTRUMENTS}
DEFINITIONS: dict[str, ScoringDefinition] = {name: parse_definition(data.scoring(name)) for name in data.INSTRUMENTS}
SCORINGS: dict[str, Scoring] = {
    name: compile_scoring(QUESTIONNAIRES[name], DEFINITIONS[name]) for name in data.INSTRUMENTS
}
CHECKERS: dict[str, Checker] = {
    name: compile_questionnaire(QUESTIONNAIRES[name], DEFINITIONS[name].accepted_answers) for name in data.INSTRUMENTS
}


def total_of(instrument: str, response: Mapping[str, Any]) -> ScoreResult:
    """The instrument's first score, which is the total where it has one."""
    return SCORINGS[instrument](response)[0]


def item_of(instrument: str, link_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in QUESTIONNAIRES[instrument]["item"] if item["linkId"] == link_id)
    return found


def option(instrument: str, link_id: str, position: int) -> dict[str, Any]:
    coding: dict[str, Any] = item_of(instrument, link_id)["answerOption"][position]["valueCoding"]
    return coding


def answered(
    instrument: str,
    weights: Sequence[int | None],
    *,
    status: str = "completed",
    total: object = None,
    also: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """A response with these weights in item order; None leaves an item out. `also`: option positions of others."""
    definition = DEFINITIONS[instrument]
    chosen = dict(zip(definition.item_link_ids, weights, strict=True)) | dict(also or {})
    items: list[dict[str, Any]] = [
        {
            "linkId": item["linkId"],
            "text": item["text"],
            "answer": [{"valueCoding": option(instrument, item["linkId"], position)}],
        }
        for item in QUESTIONNAIRES[instrument]["item"]
        if (position := chosen.get(item["linkId"])) is not None
    ]
    if total is not None:
        items.append({"linkId": definition.scores[0].link_id, "answer": [{"valueDecimal": total}]})
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": definition.questionnaire,
        "status": status,
        "item": items,
    }


def spread(total: int, items: int, most: int) -> list[int]:
    """Weights that add up to `total`, from the first item on."""
    return [max(0, min(most, total - most * index)) for index in range(items)]
