"""The few questions that invariants ask of a JSON node, with FHIRPath's meaning of existence."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

Node = Mapping[str, Any]
Rule = Callable[[Any], bool]
Rules = dict[str, Rule]

UCUM = "http://unitsofmeasure.org"
_DATE_LENGTH = len("2026-11-21")


def has(node: Node, name: str) -> bool:
    """Whether the element exists: a value, or a primitive that has only extensions."""
    return name in node or f"_{name}" in node


def has_any(node: Node, *names: str) -> bool:
    return any(has(node, name) for name in names)


def has_choice(node: Node, base: str) -> bool:
    """Whether any type of a choice such as `value[x]` exists; no other element of the node begins like `base`."""
    return any(name.startswith((base, f"_{base}")) for name in node)


def codings(concept: object) -> list[Node]:
    """The codings of a CodeableConcept, none if there is no concept."""
    return list(concept.get("coding", ())) if isinstance(concept, dict) else []


def has_coding(concept: object, system: str, *codes: str) -> bool:
    return any(each.get("system") == system and each.get("code") in codes for each in codings(concept))


def distinct(nodes: Iterable[Node], name: str) -> bool:
    """Whether no two nodes have the same value of an element; nodes without one do not count."""
    found = [node[name] for node in nodes if name in node]
    return len(found) == len(set(found))


def not_after(first: str, second: str) -> bool:
    """Whether `first` may be at or before `second` (dates and date times of any precision).

    Full date times compare as moments; where one is less precise, only their common precision decides, so that a
    period may end on the day, month or year in which it begins.
    """
    if len(first) > _DATE_LENGTH and len(second) > _DATE_LENGTH:
        return _moment(first) <= _moment(second)
    shared = min(len(first), len(second), _DATE_LENGTH)
    return first[:shared] <= second[:shared]


def _moment(text: str) -> datetime:
    # A leap second counts as the second before it: the calendar of Python has none.
    return datetime.fromisoformat(f"{text[:17]}59{text[19:]}" if text[17:19] == "60" else text)
