"""Scores, recomputed from the answers: a stored or submitted total is never believed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from stepwell_screening.rules.definition import Band, ScoringDefinition
from stepwell_screening.rules.finding import FINISHED, Finding
from stepwell_screening.rules.weights import Number, answer_weight, answered_items, exact, weighted_items

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """A score and how it came about. `value` is None when too many items are blank.

    `items_used` are the linkIds whose answers count; `missing` those that should have been answered.
    """

    value: Number | None
    band: Band | None
    items_answered: int
    items_total: int
    prorated: bool
    items_used: tuple[str, ...]
    missing: tuple[str, ...]


class Scoring:
    """One instrument's scoring, compiled against its Questionnaire; call it with a QuestionnaireResponse."""

    def __init__(self, questionnaire: JsonObject, definition: ScoringDefinition) -> None:
        canonical = f"{questionnaire.get('url')}|{questionnaire.get('version')}"
        if canonical != definition.questionnaire:
            raise ValueError(f"{definition.id} scores {definition.questionnaire}, not {canonical}")
        self.definition = definition
        self._weights = weighted_items(questionnaire, definition.item_link_ids, definition.accepted_answers)
        self._total = len(definition.item_link_ids)
        self._must_answer = frozenset(definition.item_link_ids) - definition.zero_when_absent

    def __call__(self, response: JsonObject) -> ScoreResult:
        """Score a structurally valid response; items at any depth count, an answer without weight is a blank."""
        found: dict[str, Number] = {}
        self._collect(response.get("item", ()), found)
        value, prorated, missing = self._aggregate(found)
        band = None if value is None else self.definition.band_for(value)
        return ScoreResult(value, band, len(found), self._total, prorated, tuple(found), missing)

    def check(self, response: JsonObject, result: ScoreResult) -> list[Finding]:
        """Refuse a finished response whose own total differs from `result`, or whose weights leave the range."""
        if response.get("status") not in FINISHED:
            return []
        findings: list[Finding] = []
        if result.value is not None and result.band is None:
            text = f"The weights on the answers lead outside the range of {self.definition.name}."
            findings.append(Finding("business-rule", text, "QuestionnaireResponse.item"))
        for link_id, item, path in answered_items(response.get("item", ()), "QuestionnaireResponse"):
            if link_id == self.definition.total_link_id:
                findings.extend(self._check_total(item.get("answer", ()), path, result))
        return findings

    def _check_total(self, answers: Sequence[JsonObject], path: str, result: ScoreResult) -> list[Finding]:
        text = f"The submitted {self.definition.name} total differs from the one computed from the answers."
        return [
            Finding("business-rule", text, f"{path}.answer[{index}].value")
            for index, answer in enumerate(answers)
            if _submitted(answer) != result.value
        ]

    def _collect(self, items: Sequence[JsonObject], found: dict[str, Number]) -> None:
        for item in items:
            answers = item.get("answer")
            if answers:
                weights = self._weights.get(item["linkId"])
                if weights is not None:
                    weight = answer_weight(answers[0], weights)
                    if weight is not None:
                        found[item["linkId"]] = weight
                for answer in answers:
                    if "item" in answer:
                        self._collect(answer["item"], found)
            elif "item" in item:
                self._collect(item["item"], found)

    def _aggregate(self, found: Mapping[str, Number]) -> tuple[Number | None, bool, tuple[str, ...]]:
        if found.keys() >= self._must_answer:
            return sum(found.values()), False, ()
        missing = tuple(
            link for link in self.definition.item_link_ids if link in self._must_answer and link not in found
        )
        if not found or len(missing) > self.definition.prorate_up_to:
            return None, False, missing
        mean = Fraction(sum(found.values())) / len(found)
        return math.floor(mean * self._total + Fraction(1, 2)), True, missing


def compile_scoring(questionnaire: JsonObject, definition: ScoringDefinition) -> Scoring:
    """Compile once, score in microseconds; raises ValueError when the two do not fit each other."""
    return Scoring(questionnaire, definition)


def score(questionnaire: JsonObject, definition: ScoringDefinition, response: JsonObject) -> ScoreResult:
    """Score one response without keeping the compiled form."""
    return compile_scoring(questionnaire, definition)(response)


def _submitted(answer: JsonObject) -> Number | None:
    for key in ("valueDecimal", "valueInteger"):
        if key in answer:
            return exact(answer[key])
    quantity = answer.get("valueQuantity") or {}
    return exact(quantity.get("value"))
