"""Strict reading of FHIR JSON: what RFC 8259 leaves open and FHIR forbids is refused here, with its place.

Duplicate keys, nulls other than aligned padding, empty strings, lists and objects, NUL characters, great depth.
https://hl7.org/fhir/R4/json.html
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from stepwell_shared.fhir.definitions import resource_types
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

DEPTH_MAX = 64
ISSUES_MAX = 200
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
# In compact JSON these mark (or, inside strings, resemble) what FHIR forbids.
_SUSPICIOUS = (b"null", b'""', b"[]", b"{}")


def parse(body: bytes, *, depth_max: int = DEPTH_MAX) -> dict[str, Any]:
    """The object that a FHIR JSON body holds. Raises FhirError(Category.INVALID) with everything found.

    `depth_max` bounds the nesting of objects and lists.
    """
    parsed, compact = read(body, depth_max=depth_max)
    if any(mark in compact for mark in _SUSPICIOUS):
        refuse_emptiness(parsed)
    return parsed


def read(body: bytes, *, depth_max: int = DEPTH_MAX) -> tuple[dict[str, Any], bytes]:
    """Like `parse`, but leaves nulls and empty values to what comes next; also returns the object as compact JSON."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        advice = f"The body is not JSON (RFC 8259, UTF-8): see line {error.lineno}, column {error.colno}"
        raise FhirError(Category.INVALID, [Issue(advice, "structure")]) from None
    if not isinstance(parsed, dict):
        raise FhirError(Category.INVALID, [Issue("The body must be a JSON object: one resource", "structure")])
    if body.count(b"{") + body.count(b"[") > depth_max and _is_deeper(body, parsed, depth_max):
        advice = f"The body is nested more than {depth_max} levels deep"
        raise FhirError(Category.INVALID, [Issue(advice, "structure")])
    compact = orjson.dumps(parsed)
    has_escapes = b"\\" in body
    if has_escapes and b"\\u0000" in compact:
        refuse_emptiness(parsed)
    if body != compact:
        _refuse_duplicates(parsed, body, compact, has_escapes=has_escapes)
    return parsed, compact


def refuse_emptiness(parsed: dict[str, Any]) -> None:
    """Raises FhirError if there are nulls (other than padding), empty values or NUL characters anywhere."""
    issues = _Emptiness(parsed).issues
    if issues:
        raise refusal(issues)


def refusal(issues: list[Issue]) -> FhirError:
    """The error for these issues, cut to a length that an answer can carry."""
    further = len(issues) - ISSUES_MAX
    if further > 0:
        issues = [*issues[:ISSUES_MAX], Issue(f"{further} further problems are not listed", "too-long")]
    return FhirError(Category.INVALID, issues)


def _refuse_duplicates(parsed: dict[str, Any], body: bytes, compact: bytes, *, has_escapes: bool) -> None:
    """A repeated key is lost in `compact`, and two quotes with it; only an escaped quote could make up for them."""
    if body.count(b'"') == compact.count(b'"') and not (has_escapes and b"\\u0022" in body):
        return
    repeated = list(_repeated_keys(json.loads(body, object_pairs_hook=_remember), _root(parsed)))
    if repeated:
        raise refusal(repeated)


def _root(parsed: dict[str, Any]) -> str:
    kind = parsed.get("resourceType")
    return kind if isinstance(kind, str) and kind in resource_types() else "Resource"


def _is_deeper(body: bytes, parsed: dict[str, Any], depth_max: int) -> bool:
    """Peel the innermost brackets off, level by level; only brackets inside strings call for a look at the values."""
    brackets = body.translate(None, _NOT_BRACKETS)
    for _ in range(depth_max):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"\x00").replace(b"[]", b"\x00").translate(None, b"\x00")
    return bool(brackets) and _depth(parsed) > depth_max


def _depth(parsed: dict[str, Any]) -> int:
    level: list[dict[str, Any] | list[Any]] = [parsed]
    depth = 0
    while level:
        depth += 1
        children = [each for node in level for each in (node.values() if isinstance(node, dict) else node)]
        level = [each for each in children if isinstance(each, dict | list)]
    return depth


class _Emptiness:
    """Looks for nulls, empty strings, lists and objects, and NUL characters; collects an issue for each."""

    def __init__(self, parsed: dict[str, Any]) -> None:
        self.issues: list[Issue] = []
        self._object(parsed, _root(parsed))

    def _add(self, at: str, advice: str) -> None:
        self.issues.append(Issue(f"{at} {advice}", "structure", at))

    def _object(self, node: dict[str, Any], at: str) -> None:
        if not node:
            self._add(at, "must not be an empty object: leave the element out")
        for name, value in node.items():
            place = f"{at}.{name.removeprefix('_')}" if name.isidentifier() else at
            if isinstance(value, list):
                self._list(value, node.get(name[1:] if name.startswith("_") else f"_{name}"), place)
            else:
                self._value(value, place)

    def _list(self, values: list[Any], partner: object, at: str) -> None:
        """A list; null is padding where the list of the same primitive's values or extensions has something."""
        if not values:
            self._add(at, "must not be an empty list: leave the element out")
        for index, value in enumerate(values):
            is_padding = isinstance(partner, list) and len(partner) == len(values) and partner[index] is not None
            if value is not None or not is_padding:
                self._value(value, f"{at}[{index}]")

    def _value(self, value: object, at: str) -> None:
        if value is None:
            self._add(at, "must not be null: leave the element out")
        elif isinstance(value, str):
            if not value:
                self._add(at, "must not be an empty string: leave the element out")
            elif "\x00" in value:
                self._add(at, "must not have NUL characters")
        elif isinstance(value, dict):
            self._object(value, at)
        elif isinstance(value, list):
            self._list(value, None, at)


class _Repeated(dict[str, Any]):
    """An object of JSON that remembers which of its keys came more than once."""

    repeated: tuple[str, ...] = ()


def _remember(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    node = _Repeated(pairs)
    if len(node) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        node.repeated = tuple(name for name, count in counts.items() if count > 1)
    return node


def _repeated_keys(node: object, at: str) -> Iterator[Issue]:
    if isinstance(node, _Repeated):
        for name in node.repeated:
            place = f"{at}.{name}" if name.isidentifier() else at
            yield Issue(f"{place} must not be given twice in one object", "structure", place)
        for name, value in node.items():
            yield from _repeated_keys(value, f"{at}.{name}" if name.isidentifier() else at)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _repeated_keys(value, f"{at}[{index}]")
