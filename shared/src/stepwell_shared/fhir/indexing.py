"""From a resource to what the store keeps of it for search: promoted column values and index rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from stepwell_shared.fhir import values
from stepwell_shared.fhir.code_systems import token_key
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import ServedType

Localise = Callable[[str], str]


def localiser(base_urls: Iterable[str]) -> Localise:
    """Makes the addresses of our own deployment relative, so that both spellings find the same resource.

    Ids are unique per deployment: a copy of a resource keeps the id that its owner gave it. An address names the
    same thing by http and https (https://hl7.org/fhir/R4/http.html#root).
    """
    prefixes = tuple(url.rstrip("/").partition("://")[2] + "/" for url in base_urls)

    def localise(address: str) -> str:
        scheme, separator, place = address.partition("://")
        if not separator:
            return address.partition("/_history/")[0]
        for prefix in prefixes if scheme in {"http", "https"} else ():
            if place.startswith(prefix):
                return place[len(prefix) :].partition("/_history/")[0]
        return address

    return localise


def columns_of(served_type: ServedType, resource: dict[str, Any] | None, localise: Localise) -> tuple[object, ...]:
    """Values of the promoted columns in their declared order; all empty for a deletion."""
    found: list[object] = [None] * served_type.width
    if resource is None:
        return tuple(found)
    for place, parameter in served_type.indexed(resource).columns:
        if parameter.storage is Storage.DATE_COLUMNS:
            found[place : place + 2] = _interval(parameter, resource)
        elif parameter.storage is Storage.CODED:
            found[place : place + 3] = _only_coding(parameter, resource) or (None, None, None)
        else:
            found[place] = _text(parameter, resource, localise)
    return tuple(found)


Row = tuple[str, str, str, str | None]


def rows_of(
    served_type: ServedType, resource: dict[str, Any], localise: Localise, columns: Sequence[object]
) -> list[Row]:
    """(parameter, system, code, display) for every value of the parameters that are kept in rows, without repeats.

    A string keeps its exact text as the system. `name:of-type` and `name:identifier` are rows of modifiers. What
    stands in coded `columns` has no rows.
    """
    found: dict[tuple[str, str, str], str | None] = {}
    indexed = served_type.indexed(resource)
    coded = {each.name for place, each in indexed.columns if columns[place] is not None}
    for parameter in indexed.rows:
        if parameter.name in coded:
            continue
        for value in parameter.extract(resource):
            found.update(_rows(parameter, value, localise))
    for parameter in indexed.references:
        for system, code in values.logical(parameter.extract(resource)):
            found[f"{parameter.name}:identifier", values.index_key(system), values.index_key(code)] = None
    return [(*key, display) for key, display in found.items()]


def _rows(
    parameter: SearchParameter, value: Any, localise: Localise
) -> Iterator[tuple[tuple[str, str, str], str | None]]:
    """The key and the display of every row that one element makes."""
    name = parameter.name
    if parameter.type == "token":
        for system, code, display in values.displayed_tokens(value):
            yield (name, values.index_key(system), _key(parameter, system, code)), display
        for kind, code in values.typed_identifiers(value):
            yield (f"{name}:of-type", values.index_key(kind), values.index_key(code)), None
    elif parameter.type == "string":
        for key, exact in values.strings(value):
            yield (name, values.index_key(exact), key), None
    elif parameter.type == "reference":
        address = values.reference(value, localise)
        if address is not None:
            yield (name, "", values.index_key(address)), None
    else:
        yield (name, "", values.index_key(str(value))), None


def _key(parameter: SearchParameter, system: str, code: str) -> str:
    """A code as it stands in rows. "Identifier.value is to be treated as case sensitive", whatever its system."""
    return values.index_key(code) if parameter.element_types == {"Identifier"} else token_key(system, code)


def numbers_of(served_type: ServedType, resource: dict[str, Any]) -> list[tuple[object, ...]]:
    """(parameter, ordinal, key system, key code, system, code, unit, low, high) of numbers, quantities and composites.

    The key is the first part of a composite; `low` and `high` are floats, equal unless the value is a range.
    """
    found: list[tuple[object, ...]] = []
    for parameter in served_type.indexed(resource).numbers:
        rows = [(*key, *value) for element in parameter.extract(resource) for key, value in _pairs(parameter, element)]
        found += [(parameter.name, ordinal, *row) for ordinal, row in enumerate(dict.fromkeys(rows))]
    return found


def _pairs(parameter: SearchParameter, element: Any) -> Iterator[tuple[tuple[str, str], values.Measured]]:
    """The key and the value of every row that an element makes; without a composite the key is empty."""
    if not parameter.members:
        for measured in values.measured(element):
            yield ("", ""), measured
        return
    key_of, value_of = parameter.members
    for key in key_of(element):
        for system, code in values.tokens(key):
            for value in value_of(element):
                for measured in values.measured(value) if parameter.parts[1] == "quantity" else _coded(value):
                    yield (values.index_key(system), token_key(system, code)), measured


def _coded(value: Any) -> Iterator[values.Measured]:
    """A coded value in the shape of a measured one."""
    for system, code in values.tokens(value):
        yield values.index_key(system), token_key(system, code), None, None, None


def _text(parameter: SearchParameter, resource: dict[str, Any], localise: Localise) -> str | None:
    """The first value, as it stands in a column."""
    for value in parameter.extract(resource):
        if parameter.type == "reference":
            found = values.reference(value, localise)
        elif parameter.type == "token":
            found = value if isinstance(value, str) else next((code for _, code in values.tokens(value)), None)
        else:
            found = str(value)
        if found is not None:
            return values.index_key(found)
    return None


def _only_coding(parameter: SearchParameter, resource: dict[str, Any]) -> tuple[str, str, str | None] | None:
    """(code, system, display) of a concept with exactly one coding that has a code."""
    found = parameter.extract(resource)
    tokens = [token for value in found for token in values.displayed_tokens(value)]
    if len(tokens) != 1 or not tokens[0][1]:
        return None
    system, code, display = tokens[0]
    return token_key(system, code), values.index_key(system), display


def _interval(parameter: SearchParameter, resource: dict[str, Any]) -> tuple[object, object]:
    """The outer bounds of all values: several dates search as the period that they span."""
    intervals = [found for value in parameter.extract(resource) if (found := values.period(value))]
    if not intervals:
        return None, None
    if len(intervals) == 1:
        return intervals[0]
    return min(low for low, _ in intervals), max(high for _, high in intervals)
