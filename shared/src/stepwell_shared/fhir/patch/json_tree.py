"""JSON as Python values that keep what FHIR promises to keep: decimals are Decimal, 72.50 stays 72.50.

Patches copy and nest what they are given, so a tree is also measured: depth and size stay within bounds.
"""

from decimal import Decimal
from typing import Any

import msgspec

from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.validation.json_text import DEPTH_MAX

NODES_MAX = 200_000

_decoder = msgspec.json.Decoder(float_hook=Decimal)


def decode(body: bytes) -> Any:
    """The value in a JSON text. Raises FhirError INVALID when it is none."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, ArithmeticError, RecursionError, UnicodeDecodeError) as error:
        raise FhirError(Category.INVALID, [Issue("the body is not JSON (RFC 8259, UTF-8)", "structure")]) from error


def measure(value: Any) -> tuple[int, int]:
    """(nodes, depth) of a value; both stop counting soon after their bound."""
    level, nodes, depth = [value], 0, 0
    while level and depth <= DEPTH_MAX and nodes <= NODES_MAX:
        nodes += len(level)
        children = [each for each in level if isinstance(each, dict | list)]
        level = [leaf for each in children for leaf in (each.values() if isinstance(each, dict) else each)]
        depth += bool(children)
    return nodes, depth


def copied(value: Any) -> Any:
    """A copy that shares nothing with the original."""
    if isinstance(value, dict):
        return {name: copied(each) for name, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Equality as RFC 6902 section 4.6 has it: numbers by value, objects without order; true is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
