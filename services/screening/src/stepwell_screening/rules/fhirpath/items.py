"""Elements of FHIR JSON as FHIRPath sees them: a value with its type as far as JSON tells it, and what is above it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

Json = Any
PRIMITIVES = {
    "Base64Binary": "base64Binary",
    "Boolean": "boolean",
    "Canonical": "canonical",
    "Code": "code",
    "Date": "date",
    "DateTime": "dateTime",
    "Decimal": "decimal",
    "Id": "id",
    "Instant": "instant",
    "Integer": "integer",
    "Markdown": "markdown",
    "Oid": "oid",
    "PositiveInt": "positiveInt",
    "String": "string",
    "Time": "time",
    "UnsignedInt": "unsignedInt",
    "Uri": "uri",
    "Url": "url",
    "Uuid": "uuid",
}
"""The primitive types by how a choice element names them."""
TEXTS = frozenset({"base64Binary", "canonical", "code", "id", "markdown", "oid", "string", "uri", "url", "uuid"})
INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt"})
# Members by which a complex value whose element does not tell its type is known.
_SHAPES = {
    "Coding": frozenset({"system", "version", "code", "display", "userSelected"}),
    "CodeableConcept": frozenset({"coding", "text"}),
    "Quantity": frozenset({"value", "comparator", "unit", "system", "code"}),
    "Reference": frozenset({"reference", "type", "identifier", "display"}),
    "Identifier": frozenset({"use", "type", "system", "value", "period", "assigner"}),
    "Period": frozenset({"start", "end"}),
    "HumanName": frozenset({"use", "text", "family", "given", "prefix", "suffix", "period"}),
}


class Item:
    """One element. `extra` are the id and extensions of a primitive; `parent` the element that it was reached from."""

    __slots__ = ("extra", "kind", "parent", "value")

    def __init__(self, value: Json, kind: str | None = None, extra: Json = None, parent: "Item | None" = None) -> None:
        self.value = value
        self.kind = kind
        self.extra = extra
        self.parent = parent


Collection = list[Item]


def root(value: Json) -> Collection:
    """A collection of one resource or value; empty for None."""
    if value is None:
        return []
    return [Item(each) for each in value] if isinstance(value, list) else [Item(value)]


def members(item: Item, name: str) -> Iterator[Item]:
    """The children of this name; a choice element answers to its name without the type."""
    node = item.value
    if not isinstance(node, dict):
        if isinstance(item.extra, dict) and name in {"id", "extension"}:
            yield from _values(item, item.extra.get(name), None, None)
        return
    if name in node or f"_{name}" in node:
        yield from _values(item, node.get(name), node.get(f"_{name}"), None)
        return
    length = len(name)
    for key in node:
        plain = key.removeprefix("_")
        if len(plain) > length and plain.startswith(name) and plain[length].isupper():
            suffix = plain[length:]
            kind = PRIMITIVES.get(suffix, suffix)
            yield from _values(item, node.get(plain), node.get(f"_{plain}"), kind)
            return


def children(item: Item) -> Iterator[Item]:
    """Every child element, in the order of the JSON."""
    node = item.value
    if not isinstance(node, dict):
        if isinstance(item.extra, dict):
            yield from _values(item, item.extra.get("extension"), None, "Extension")
        return
    for key, value in node.items():
        if key == "resourceType" or (key.startswith("_") and key[1:] in node):
            continue
        plain = key.removeprefix("_")
        yield from _values(item, value if key == plain else None, node.get(f"_{plain}"), _choice_kind(plain))


def _choice_kind(name: str) -> str | None:
    suffix = name.removeprefix("value")
    return PRIMITIVES.get(suffix, suffix) if suffix != name and suffix[:1].isupper() else None


def _values(parent: Item, value: Json, extra: Json, kind: str | None) -> Iterator[Item]:
    if isinstance(value, list) or isinstance(extra, list):
        values = value if isinstance(value, list) else [None] * len(extra)
        extras = extra if isinstance(extra, list) and len(extra) == len(values) else [None] * len(values)
        for each, beside in zip(values, extras, strict=True):
            if each is not None or beside is not None:
                yield Item(each, kind, beside, parent)
    elif value is not None or extra is not None:
        yield Item(value, kind, extra, parent)


def is_a(item: Item, name: str) -> bool:
    """Whether the element is of this type: FHIR's names and those of FHIRPath's own types."""
    wanted = name.rpartition(".")[2]
    if wanted in {"Resource", "DomainResource"}:
        return isinstance(item.value, dict) and "resourceType" in item.value
    kind = kind_of(item)
    if kind is None:
        shape = _SHAPES.get(wanted)
        return shape is not None and item.value.keys() <= shape | {"id", "extension"}
    wanted = PRIMITIVES.get(wanted, wanted)
    return kind == wanted or (wanted == "string" and kind in TEXTS) or (wanted == "integer" and kind in INTEGERS)


def kind_of(item: Item) -> str | None:
    """The type of an element; None for a complex one that JSON does not name."""
    if item.kind is not None:
        return item.kind
    value = item.value
    if isinstance(value, dict):
        found = value.get("resourceType")
        return found if isinstance(found, str) else None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "decimal" if isinstance(value, Decimal | float) else "string"
