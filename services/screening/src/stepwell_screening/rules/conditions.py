"""Conditions of a scoring definition, over weights and scores: true, false, or unknown while an answer is blank.

Three-valued (Kleene) logic: one positive item settles an "any" whatever is blank, and a blank never reads as "no".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell_screening.rules.weights import Number, exact

Value = Number | str | None
"""What a score may be: a number, the code of a category, a profile; None when there is none."""


@dataclass(slots=True)
class Facts:
    """What a response says: `found` are the weights of its answers, `weights` also those that stand for skipped
    questions; `not_applicable` are the questions answered so; `scores` the scores made so far."""

    found: Mapping[str, Number]
    weights: Mapping[str, Number]
    not_applicable: frozenset[str] | set[str] = frozenset()
    scores: dict[str, Value] = field(default_factory=dict)


Condition = Callable[[Facts], bool | None]
"""None: a blank leaves it open."""
Lookup = Callable[[Facts], Value]


def always(_: Facts) -> bool:
    """The condition of what holds otherwise."""
    return True


def parse_condition(data: Mapping[str, Any]) -> Condition:
    """Compile a condition as written in `data/scoring`; raises ValueError or KeyError for one that means nothing.

    Forms: {"item": linkId} or {"score": id}, each with atLeast and/or atMost; {"notApplicable": linkId};
    {"count": [conditions], atLeast and/or atMost}: how many hold; {"all": [...]}, {"any": [...]}, {"not": ...}.
    """
    if "all" in data:
        return _all([parse_condition(each) for each in data["all"]])
    if "any" in data:
        return _any([parse_condition(each) for each in data["any"]])
    if "not" in data:
        return _not(parse_condition(data["not"]))
    if "notApplicable" in data:
        link_id = data["notApplicable"]
        return lambda facts: link_id in facts.not_applicable
    lower, upper = exact(data.get("atLeast")), exact(data.get("atMost"))
    if lower is None and upper is None:
        raise ValueError("a condition needs a bound")
    if "count" in data:
        return _count([parse_condition(each) for each in data["count"]], lower, upper)
    return _within(_lookup(data), lower, upper)


def link_ids_of(data: Mapping[str, Any]) -> Iterator[str]:
    """The items that a written condition looks at."""
    for name in ("item", "notApplicable"):
        if name in data:
            yield data[name]
    for each in _parts(data):
        yield from link_ids_of(each)


def score_ids_of(data: Mapping[str, Any]) -> Iterator[str]:
    """The scores that a written condition looks at."""
    if "score" in data:
        yield data["score"]
    for each in _parts(data):
        yield from score_ids_of(each)


def _parts(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The conditions that a written condition is made of."""
    for name in ("all", "any", "count"):
        yield from data.get(name, ())
    if "not" in data:
        yield data["not"]


def _lookup(data: Mapping[str, Any]) -> Lookup:
    if "item" in data:
        link_id = data["item"]
        return lambda facts: facts.weights.get(link_id)
    score_id = data["score"]
    return lambda facts: facts.scores.get(score_id)


def _within(lookup: Lookup, lower: Number | None, upper: Number | None) -> Condition:
    def condition(facts: Facts) -> bool | None:
        value = lookup(facts)
        if value is None or isinstance(value, str):
            return None
        return (lower is None or value >= lower) and (upper is None or value <= upper)

    return condition


def _not(part: Condition) -> Condition:
    def condition(facts: Facts) -> bool | None:
        said = part(facts)
        return None if said is None else not said

    return condition


def _all(parts: Sequence[Condition]) -> Condition:
    def condition(facts: Facts) -> bool | None:
        said = {part(facts) for part in parts}
        return False if False in said else None if None in said else True

    return condition


def _any(parts: Sequence[Condition]) -> Condition:
    def condition(facts: Facts) -> bool | None:
        said = {part(facts) for part in parts}
        return True if True in said else None if None in said else False

    return condition


def _count(parts: Sequence[Condition], lower: Number | None, upper: Number | None) -> Condition:
    def condition(facts: Facts) -> bool | None:
        said = [part(facts) for part in parts]
        least = said.count(True)
        most = least + said.count(None)
        if (lower is not None and most < lower) or (upper is not None and least > upper):
            return False
        certain = (lower is None or least >= lower) and (upper is None or most <= upper)
        return True if certain else None

    return condition
