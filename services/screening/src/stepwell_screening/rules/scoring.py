"""Scores, recomputed from the answers: a stored or submitted score is never believed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from stepwell_screening.rules.aggregation import Context, ScoreResult, compile_score
from stepwell_screening.rules.conditions import Facts, Value
from stepwell_screening.rules.definition import NUMERIC, ScoreDefinition, ScoringDefinition
from stepwell_screening.rules.finding import FINISHED, Finding
from stepwell_screening.rules.weights import (
    PLAIN,
    Number,
    answer_weight,
    answered_items,
    exact,
    option_weight,
    questionnaire_items,
    weighted_items,
)

JsonObject = Mapping[str, Any]
Results = tuple[ScoreResult, ...]


class Scoring:
    """One instrument's scoring, compiled against its Questionnaire; call it with a QuestionnaireResponse."""

    def __init__(self, questionnaire: JsonObject, definition: ScoringDefinition) -> None:
        canonical = f"{questionnaire.get('url')}|{questionnaire.get('version')}"
        if canonical != definition.questionnaire:
            raise ValueError(f"{definition.id} scores {definition.questionnaire}, not {canonical}")
        self.definition = definition
        items = tuple(dict.fromkeys((*definition.item_link_ids, *definition.condition_link_ids)))
        self._weights = weighted_items(
            questionnaire, items, definition.accepted_answers, definition.answer_weights, definition.not_applicable
        )
        for score in definition.scores:
            self._check_ranges(score)
        # A category or a profile says what was chosen: no sender may weigh a yes down.
        chosen = any(score.announced and score.method not in NUMERIC for score in definition.scores)
        self._weigh = option_weight if chosen else answer_weight
        self._scores = [(score.announced, compile_score(score)) for score in definition.scores]
        self._announced = [compute for announced, compute in self._scores if announced]
        self._skips = definition.skips
        self._repeating = {
            item["linkId"]: self._weights[item["linkId"]]
            for item in questionnaire_items(questionnaire)
            if item.get("repeats") and item["linkId"] in self._weights
        }
        self._not_applicable = definition.not_applicable
        self._plain_ranges = {
            link_id: score.item_ranges[link_id]
            for score in definition.scores
            for link_id in score.item_link_ids
            if self._weights[link_id] is PLAIN
        }
        self._by_link_id = {score.link_id: score.id for score in definition.scores if score.link_id is not None}
        self._checked = self._by_link_id.keys() | self._plain_ranges.keys()

    def __call__(self, response: JsonObject, context: Context | None = None) -> Results:
        """The scores that are announced, of a structurally valid response, in the order of the definition.

        Items at any depth count, an answer without weight is a blank. `context` picks bands, as by sex.
        """
        facts = self._facts(response)
        return tuple([compute(facts, context) for compute in self._announced])

    def every(self, response: JsonObject, context: Context | None = None) -> Results:
        """All scores, with those that are for whoever asks, such as the diagnostic algorithm of PHQ-9."""
        facts = self._facts(response)
        return tuple([compute(facts, context) for _, compute in self._scores])

    def check(self, response: JsonObject, results: Results) -> list[Finding]:
        """Refuse a finished response that states another score than `results`, or whose weights leave the range."""
        if response.get("status") not in FINISHED:
            return []
        findings = [
            Finding("business-rule", _out_of_range(result.score), "QuestionnaireResponse.item")
            for result in results
            if result.band is None and _leaves_range(result)
        ]
        items = response.get("item", ())
        if not _mentions(items, self._checked):
            return findings
        computed = {result.score.id: result for result in results}
        for link_id, item, path in answered_items(items, "QuestionnaireResponse"):
            if link_id in self._by_link_id:
                id_ = self._by_link_id[link_id]
                if id_ not in computed:
                    computed = {result.score.id: result for result in self.every(response)}
                findings.extend(_differing(item.get("answer", ()), path, computed[id_]))
            elif link_id in self._plain_ranges:
                findings.extend(_beyond(item.get("answer", ()), path, self._plain_ranges[link_id]))
        return findings

    def _check_ranges(self, score: ScoreDefinition) -> None:
        """An instrument whose options are numbered otherwise, such as 1 to 5 for 0 to 4, is another instrument."""
        for link_id in score.item_link_ids:
            weights, (lower, upper) = self._weights[link_id].values(), score.item_ranges[link_id]
            if weights and (min(weights), max(weights)) != (lower, upper):
                raise ValueError(f"the options of item {link_id} weigh {min(weights)} to {max(weights)}")

    def _facts(self, response: JsonObject) -> Facts:
        found: dict[str, Number] = {}
        marked: set[str] = set()
        self._collect(response.get("item", ()), found, marked)
        if self._repeating:
            found |= self._strongest(response)
        facts = Facts(found, found, marked)
        for skip in self._skips:
            blank = [link_id for link_id in skip.link_ids if link_id not in facts.weights]
            if blank and skip.when(facts):
                facts.weights = {**facts.weights, **dict.fromkeys(blank, skip.counts)}
        return facts

    def _collect(self, items: Sequence[JsonObject], found: dict[str, Number], marked: set[str]) -> None:
        for item in items:
            answers = item.get("answer")
            if answers:
                weights = self._weights.get(item["linkId"])
                if weights is not None:
                    weight = self._weigh(answers[0], weights)
                    if weight is not None:
                        found[item["linkId"]] = weight
                    elif self._not_applicable:
                        self._mark(item["linkId"], answers[0], marked)
                for answer in answers:
                    if "item" in answer:
                        self._collect(answer["item"], found, marked)
            elif "item" in item:
                self._collect(item["item"], found, marked)

    def _strongest(self, response: JsonObject) -> dict[str, Number]:
        """The highest weight where several answers may be given, as where all that apply are ticked."""
        given: dict[str, list[Number]] = {}
        for link_id, item, _ in answered_items(response.get("item", ()), ""):
            for answer in item.get("answer", ()) if link_id in self._repeating else ():
                weight = self._weigh(answer, self._repeating[link_id])
                if weight is not None:
                    given.setdefault(link_id, []).append(weight)
        return {link_id: max(weights) for link_id, weights in given.items()}

    def _mark(self, link_id: str, answer: JsonObject, marked: set[str]) -> None:
        coding = answer.get("valueCoding") or {}
        if (link_id, (coding.get("system"), coding.get("code"))) in self._not_applicable:
            marked.add(link_id)


def compile_scoring(questionnaire: JsonObject, definition: ScoringDefinition) -> Scoring:
    """Compile once, score in microseconds; raises ValueError when the two do not fit each other."""
    return Scoring(questionnaire, definition)


def score(questionnaire: JsonObject, definition: ScoringDefinition, response: JsonObject) -> Results:
    """Score one response without keeping the compiled form."""
    return compile_scoring(questionnaire, definition)(response)


def _mentions(items: Sequence[JsonObject], link_ids: Collection[str]) -> bool:
    """Whether one of these items is in a response: most have none, and are spared the walk with paths."""
    for item in items:
        if item["linkId"] in link_ids or ("item" in item and _mentions(item["item"], link_ids)):
            return True
        for answer in item.get("answer", ()):
            if "item" in answer and _mentions(answer["item"], link_ids):
                return True
    return False


def _leaves_range(result: ScoreResult) -> bool:
    score, value = result.score, result.value
    if score.method not in NUMERIC or value is None or isinstance(value, str):
        return False
    return not score.lower <= value <= score.upper


def _out_of_range(score: ScoreDefinition) -> str:
    return f"The weights on the answers lead outside the range of the {score.name}."


def _beyond(answers: Sequence[JsonObject], path: str, bounds: tuple[Number, Number]) -> Iterator[Finding]:
    lower, upper = bounds
    for index, answer in enumerate(answers):
        weight = answer_weight(answer, PLAIN)
        if weight is not None and not lower <= weight <= upper:
            text = f"The answer is not between {lower} and {upper}."
            yield Finding("value", text, f"{path}.answer[{index}].value")


def _differing(answers: Sequence[JsonObject], path: str, result: ScoreResult) -> Iterator[Finding]:
    text = f"The submitted {result.score.name} differs from the one computed from the answers."
    for index, answer in enumerate(answers):
        if _submitted(answer) != result.value:
            yield Finding("business-rule", text, f"{path}.answer[{index}].value")


def _submitted(answer: JsonObject) -> Value:
    for key in ("valueDecimal", "valueInteger"):
        if key in answer:
            return exact(answer[key])
    if "valueCoding" in answer:
        code = answer["valueCoding"].get("code")
        return code if isinstance(code, str) else None
    if "valueString" in answer:
        return str(answer["valueString"])
    quantity = answer.get("valueQuantity") or {}
    return exact(quantity.get("value"))
