"""Whether a Questionnaire item is enabled, given the answers around it: `item.enableWhen`.

https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen: the question meant is the
nearest occurrence, along the ancestors, then what precedes, then what follows.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell_screening.rules.answers import answer_value, option_value
from stepwell_screening.rules.ordering import compare

JsonObject = Mapping[str, Any]
ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """A place in a response: position among `items`, below `owner` (the item that holds them), inside `parent`."""

    items: Sequence[JsonObject]
    position: int
    owner: JsonObject | None = None
    parent: "Scope | None" = None

    def at(self, position: int) -> "Scope":
        return Scope(self.items, position, self.owner, self.parent)


class EnableWhen:
    """The compiled conditions of one item; raises ValueError when they cannot be decided here."""

    def __init__(self, item: JsonObject) -> None:
        self._conditions = [_condition(condition) for condition in item["enableWhen"]]
        behavior = item.get("enableBehavior")
        if behavior is None and len(self._conditions) > 1:
            raise ValueError(f"item {item['linkId']} needs enableBehavior beside several conditions (que-12)")
        self._combine = any if behavior == "any" else all

    @property
    def questions(self) -> list[str]:
        """The linkIds of the questions that decide."""
        return [question for question, _ in self._conditions]

    def __call__(self, scope: Scope) -> bool:
        """True when the item at this place is enabled."""
        return self._combine(holds(_answers(scope, question)) for question, holds in self._conditions)


def _condition(condition: JsonObject) -> tuple[str, Callable[[Sequence[JsonObject]], bool]]:
    sign = condition["operator"]
    key, expected = next((key[6:], value) for key, value in condition.items() if key.startswith("answer"))
    if sign == "exists":
        return condition["question"], lambda answers: bool(answers) == expected
    wanted = option_value(f"value{key}", expected)
    if sign == "=":
        return condition["question"], lambda answers: any(_same(answer, wanted) for answer in answers)
    if sign == "!=":
        # R4: "no answer has a value that is equal", so an unanswered question is unequal too.
        return condition["question"], lambda answers: not any(_same(answer, wanted) for answer in answers)
    if sign not in ORDERINGS:
        raise ValueError(f"enableWhen operator {sign} is not one of R4's")
    # R4's text for the orderings reads "at least no answer", which R5 corrected to "at least one".
    return condition["question"], lambda answers: any(_ordered(answer, ORDERINGS[sign], expected) for answer in answers)


def _same(answer: JsonObject, wanted: tuple[str, object, object]) -> bool:
    present = answer_value(answer)
    if present is None:
        return False
    key, first, second = option_value(*present)
    return key == wanted[0] and second == wanted[2] and (first == wanted[1] or compare(first, wanted[1]) == 0)


def _ordered(answer: JsonObject, ordering: Callable[[Any, Any], bool], expected: object) -> bool:
    present = answer_value(answer)
    if present is None:
        return False
    order = compare(present[1], expected)
    return order is not None and ordering(order, 0)


def _answers(scope: Scope, link_id: str) -> Sequence[JsonObject]:
    chain: list[Scope] = []
    place: Scope | None = scope
    while place is not None:
        if place.owner is not None and place.owner.get("linkId") == link_id:
            return _given(place.owner)
        chain.append(place)
        place = place.parent
    for level in chain:
        for item in reversed(level.items[: level.position]):
            found = _within(item, link_id, nearest_last=True)
            if found is not None:
                return _given(found)
    for level in chain:
        for item in level.items[level.position :]:
            found = _within(item, link_id, nearest_last=False)
            if found is not None:
                return _given(found)
    return ()


def _within(item: JsonObject, link_id: str, *, nearest_last: bool) -> JsonObject | None:
    nested = [child for answer in item.get("answer", ()) for child in answer.get("item", ())]
    children = [*item.get("item", ()), *nested]
    if not nearest_last and item.get("linkId") == link_id:
        return item
    for child in reversed(children) if nearest_last else children:
        found = _within(child, link_id, nearest_last=nearest_last)
        if found is not None:
            return found
    return item if nearest_last and item.get("linkId") == link_id else None


def _given(item: JsonObject) -> Sequence[JsonObject]:
    return [answer for answer in item.get("answer", ()) if answer_value(answer) is not None]
