"""Answers as values of other elements: SDC asks for casts, because questions know fewer data types than resources."""

from collections.abc import Mapping
from typing import Any

from stepwell_screening.rules.fhirpath import Item
from stepwell_screening.rules.fhirpath.items import INTEGERS, TEXTS, kind_of
from stepwell_screening.rules.fhirpath.moments import DATE, DATE_TIME, TIME
from stepwell_screening.rules.fhirpath.operators import number
from stepwell_screening.rules.fhirpath.single_values import written

JsonObject = Mapping[str, Any]
_QUANTITIES = frozenset(
    {"Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration", "Money", "MoneyQuantity"}
)
_NUMBERS = frozenset({"decimal", *INTEGERS})


def cast(item: Item, kind: str, unit: JsonObject | None = None) -> Any:
    """The value as one of this type; None where no safe way leads there. `unit` is that of a number's question."""
    value = item.value
    if kind in _NUMBERS or kind == "boolean":
        return _number(item, kind)
    if kind in TEXTS:
        return _text(item, kind)
    if kind in {"date", "dateTime", "instant", "time"}:
        return _moment(value, kind)
    if kind in _QUANTITIES:
        return _quantity(value, unit)
    return _complex(item, kind)


def unit_of(question: JsonObject, url: str) -> JsonObject | None:
    """The unit that a question fixes for its numbers (extension questionnaire-unit), as members of a Quantity."""
    for extension in question.get("extension", ()):
        coding = extension.get("valueCoding")
        if extension.get("url") == url and isinstance(coding, Mapping):
            unit = coding.get("display") or coding.get("code")
            members = {"unit": unit, "system": coding.get("system"), "code": coding.get("code")}
            return {name: each for name, each in members.items() if each is not None}
    return None


def _number(item: Item, kind: str) -> Any:
    value = item.value
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, Mapping):
        value = value.get("value")
    found = number(value)
    if found is None or kind == "decimal":
        return found
    whole = int(found) if found == int(found) else None
    least = {"positiveInt": 1, "unsignedInt": 0}.get(kind, -(2**31))
    return whole if whole is not None and least <= whole < 2**31 else None


def _text(item: Item, kind: str) -> Any:
    value = item.value
    if isinstance(value, Mapping):
        if kind == "code" or ("code" in value and "display" not in value and "text" not in value):
            return value.get("code")
        return value.get("display") or value.get("text") or value.get("reference") or value.get("value")
    found = written(value)
    return found or None


def _moment(value: Any, kind: str) -> Any:
    if not isinstance(value, str):
        return None
    if kind == "time":
        return value if TIME.fullmatch(value) and len(value) >= 8 else None
    is_date, is_date_time = DATE.fullmatch(value), DATE_TIME.fullmatch(value)
    if kind == "date":
        return value[:10] if is_date or is_date_time else None
    if kind == "instant":
        return value if is_date_time and len(value) >= 20 else None
    return value if is_date or is_date_time else None


def _quantity(value: Any, unit: JsonObject | None) -> Any:
    if isinstance(value, Mapping):
        return dict(value) if "value" in value else None
    found = number(value)
    return None if found is None else {"value": found, **(unit or {})}


# The member of a complex type that a plain text becomes.
_FROM_TEXT = {
    "Reference": "reference",
    "Coding": "code",
    "Annotation": "text",
    "HumanName": "text",
    "Address": "text",
    "Identifier": "value",
    "ContactPoint": "value",
}


def _complex(item: Item, kind: str) -> Any:
    value = item.value
    if kind == "CodeableConcept":
        return _concept(value)
    if isinstance(value, str):
        return {_FROM_TEXT[kind]: value} if kind in _FROM_TEXT else None
    if not isinstance(value, Mapping):
        return None
    if kind == "Coding" and "coding" in value:
        return value["coding"][0]
    return dict(value) if kind_of(item) in {None, kind} else None


def _concept(value: Any) -> Any:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, Mapping):
        return None
    if "coding" in value or "text" in value:
        return dict(value)
    return {"coding": [dict(value)]} if "code" in value or "display" in value else None
