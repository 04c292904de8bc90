"""Adaptive forms: which questions follow from the answers so far, and whether a form is the one that followed.

A form is data (`data/adaptive`): steps, each the questions of one instrument that were not asked before, left out only
when it is certain that they are not needed. SDC 4.0, "Adaptive forms". What a client says was asked is never believed:
the form is built again from the instruments and compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stepwell_screening.rules.conditions import Condition, Facts, Value, parse_condition, score_ids_of
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.scoring import Scoring
from stepwell_screening.rules.weights import (
    Number,
    answered_items,
    exact,
    extension_weight,
    option_weights,
    questionnaire_items,
)

JsonObject = Mapping[str, Any]
CALCULATED = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression"


class Part(Protocol):
    """An instrument as far as a form needs it."""

    @property
    def questionnaire(self) -> Mapping[str, Any]: ...

    @property
    def score(self) -> Scoring: ...


@dataclass(frozen=True, slots=True)
class Step:
    """Questions that are put at once: one item of the form. `part` is the instrument that they are of, if any."""

    link_id: str
    item: JsonObject
    part: Part | None = None

    @property
    def is_question(self) -> bool:
        """Whether somebody can answer it; a text can only be read."""
        return bool(self.item["type"] != "display")


@dataclass(frozen=True, slots=True)
class Branch:
    """A step of a form as written. `sources` name instruments, the first that there is is asked; or it is a text.

    It is left out when `unless` certainly holds: a blank answer never leaves a question out.
    """

    sources: tuple[str, ...]
    text: JsonObject | None
    unless: Condition | None


@dataclass(frozen=True, slots=True)
class AdaptiveForm:
    """One version of one adaptive form; `heading` are the members that its Questionnaire and its copies share."""

    canonical: str
    heading: JsonObject
    branches: tuple[Branch, ...]
    instruments: frozenset[str]


Following = Callable[[Sequence[Step]], Sequence[Step]]
"""What may be asked after these steps, the preferred one first; nothing when the form ends."""
Parts = Mapping[str, Sequence[Part]]
"""Instruments by the name that forms use, the preferred version first."""


def parse_form(data: Mapping[str, Any]) -> AdaptiveForm:
    """Read a form as shipped in `data/adaptive`; raises KeyError or ValueError when it does not hold together."""
    branches = []
    asked: set[str] = set()
    for row in data["steps"]:
        sources, text = tuple(row.get("instruments", ())), row.get("text")
        if bool(sources) == bool(text):
            raise ValueError(f"{data['id']}: a step asks instruments or shows a text")
        needed = {name.partition(".")[0] for name in score_ids_of(row.get("unless", {}))}
        if not needed <= asked:
            raise ValueError(f"{data['id']}: a step depends on what was not asked before")
        asked.update(sources)
        branches.append(Branch(sources, text, parse_condition(row["unless"]) if "unless" in row else None))
    if not branches or branches[0].unless is not None:
        raise ValueError(f"{data['id']}: the first step is always asked")
    return AdaptiveForm(f"{data['url']}|{data['version']}", data["heading"], tuple(branches), frozenset(asked))


def rule_following(form: AdaptiveForm, parts: Parts, response: JsonObject) -> Following:
    """What the rules of a form ask next, given the answers of a response."""

    def following(steps: Sequence[Step]) -> Sequence[Step]:
        facts = _facts(form, steps, response)
        done = {step.link_id for step in steps}
        last = max((index for index, each in enumerate(form.branches) if done & set(_link_ids(each))), default=-1)
        for branch in form.branches[last + 1 :]:
            if branch.unless is None or branch.unless(facts) is not True:
                return _steps_of(branch, parts, steps)
        return ()

    return following


def replay(offered: Sequence[JsonObject], following: Following, path: str) -> tuple[list[Step], list[Finding]]:
    """The steps of a form that a client sent back, as they were asked, and where it differs from them.

    `offered` are the items of its Questionnaire at `path`. Nothing after the first difference can be told.
    """
    steps: list[Step] = []
    for index, item in enumerate(offered):
        place = f"{path}.item[{index}]"
        fitting = [step for step in following(steps) if step.link_id == item.get("linkId")]
        if not fitting:
            text = "This question does not follow from the answers before it."
            return steps, [Finding("business-rule", text, f"{place}.linkId")]
        differences = [first_difference(step.item, item, place) for step in fitting]
        if None not in differences:
            text = "This differs from what was asked."
            return steps, [Finding("business-rule", text, str(differences[0]))]
        steps.append(fitting[differences.index(None)])
    return steps, []


def proceed(steps: Sequence[Step], following: Following) -> tuple[list[Step], bool]:
    """The steps with the next question, and whether the form ends with them; texts go along with what they follow."""
    found = list(steps)
    while following_steps := following(found):
        found.append(following_steps[0])
        if following_steps[0].is_question:
            return found, False
    return found, True


def foreign_weights(steps: Sequence[Step], response: JsonObject) -> list[Finding]:
    """Weights on answers that are not those of the options: they would decide what is asked."""
    weights = {item["linkId"]: option_weights(item) for item in _items(steps)}
    findings = []
    for link_id, item, path in answered_items(response.get("item", ()), "QuestionnaireResponse"):
        for index, answer in enumerate(item.get("answer", ())):
            coding = answer.get("valueCoding")
            stated = extension_weight(coding) if coding else None
            key = (coding.get("system"), coding.get("code")) if coding else (None, None)
            if stated is not None and stated != weights.get(link_id, {}).get(key):
                text = "The weight on this answer is not the one that its option has."
                findings.append(Finding("business-rule", text, f"{path}.answer[{index}].value"))
    return findings


def first_difference(expected: Any, given: Any, path: str) -> str | None:
    """Where two JSON values differ, or None; numbers are equal when they mean the same."""
    if isinstance(expected, Mapping) and isinstance(given, Mapping):
        for name in [*expected, *(name for name in given if name not in expected)]:
            if name not in expected or name not in given:
                return f"{path}.{name}"
            found = first_difference(expected[name], given[name], f"{path}.{name}")
            if found is not None:
                return found
        return None
    if isinstance(expected, list) and isinstance(given, list):
        if len(expected) != len(given):
            return path
        pairs = enumerate(zip(expected, given, strict=True))
        differences = (first_difference(one, other, f"{path}[{index}]") for index, (one, other) in pairs)
        return next((each for each in differences if each is not None), None)
    number = exact(expected)
    same = exact(given) == number if number is not None else type(expected) is type(given) and expected == given
    return None if same else path


def _facts(form: AdaptiveForm, steps: Sequence[Step], response: JsonObject) -> Facts:
    """The weights of the answers to these steps, the scores of their instruments, and which instruments were asked."""
    weights: dict[str, Number] = {}
    options = {item["linkId"]: option_weights(item) for item in _items(steps)}
    for link_id, item, _ in answered_items(response.get("item", ()), ""):
        for answer in item.get("answer", ())[:1]:
            coding = answer.get("valueCoding") or {}
            weight = options.get(link_id, {}).get((coding.get("system"), coding.get("code")))
            if weight is not None:
                weights[link_id] = weight
    scores: dict[str, Value] = {f"{name}.asked": 0 for name in form.instruments}
    for name, part in {step.part.score.definition.id: step.part for step in steps if step.part is not None}.items():
        scores[f"{name}.asked"] = 1
        scores |= {f"{name}.{result.score.id}": result.value for result in part.score.every(response)}
    return Facts(weights, weights, scores=scores)


def _items(steps: Sequence[Step]) -> Iterator[JsonObject]:
    return questionnaire_items({"item": [step.item for step in steps]})


def _link_ids(branch: Branch) -> list[str]:
    if branch.text is not None:
        return [str(branch.text["linkId"])]
    return [group_of(source) for source in branch.sources]


def group_of(source: str) -> str:
    """The linkId of the group that holds an instrument's questions."""
    return f"/steps/{source}"


def _steps_of(branch: Branch, parts: Parts, steps: Sequence[Step]) -> list[Step]:
    if branch.text is not None:
        return [Step(branch.text["linkId"], {**branch.text, "type": "display"})]
    asked = {item["linkId"] for item in _items(steps)}
    return [_group(source, part, asked) for source in branch.sources for part in parts.get(source, ())]


def _group(source: str, part: Part, asked: set[str]) -> Step:
    """The questions of an instrument that were not asked yet, below its stem."""
    questionnaire = part.questionnaire
    items = questionnaire["item"]
    stem = next((item for item in items if item["type"] == "display"), None)
    heading = stem or {name.replace("title", "text"): value for name, value in questionnaire.items() if "title" in name}
    kept = [_without_expression(item) for item in items if item is not stem and item["linkId"] not in asked]
    words = {name: heading[name] for name in ("text", "_text") if name in heading}
    item = {"linkId": group_of(source), **words, "type": "group", "item": kept}
    return Step(group_of(source), item, part)


def _without_expression(item: JsonObject) -> JsonObject:
    """A score is computed by the server here: its expression looks for answers where the instrument alone has them."""
    kept = [each for each in item.get("extension", ()) if each.get("url") != CALCULATED]
    rest = {name: value for name, value in item.items() if name != "extension"}
    return {"extension": kept, **rest} if kept else rest
