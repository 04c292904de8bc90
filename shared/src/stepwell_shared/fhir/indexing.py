"""From a resource to what the store keeps of it for search: promoted column values and index rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from stepwell_shared.fhir import values
from stepwell_shared.fhir.code_systems import token_key
from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import Indexed, ServedType

Localise = Callable[[str], str]
Row = tuple[str, str, str, str | None]

_REMEMBERED_MAX = 256  # characters of a concept that is worth remembering


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


def search_values(
    served_type: ServedType, resource: dict[str, Any], localise: Localise, *, with_identifiers: bool = True
) -> tuple[tuple[object, ...], list[Row], list[tuple[object, ...]]]:
    """What the three functions below say of a resource. Without identifiers anywhere in it, references are not looked
    at for them."""
    indexed = served_type.indexed(resource)
    columns = _columns_of(served_type.width, indexed, resource, localise)
    rows = _rows_of(indexed, resource, localise, columns, with_identifiers=with_identifiers)
    return columns, rows, _numbers_of(indexed, resource)


def columns_of(served_type: ServedType, resource: dict[str, Any] | None, localise: Localise) -> tuple[object, ...]:
    """Values of the promoted columns in their declared order; all empty for a deletion."""
    if resource is None:
        return (None,) * served_type.width
    return _columns_of(served_type.width, served_type.indexed(resource), resource, localise)


def rows_of(
    served_type: ServedType, resource: dict[str, Any], localise: Localise, columns: Sequence[object]
) -> list[Row]:
    """(parameter, system, code, display) for every value of the parameters that are kept in rows, without repeats.

    A string keeps its exact text as the system. `name:of-type` and `name:identifier` are rows of modifiers. What
    stands in coded `columns` has no rows.
    """
    return _rows_of(served_type.indexed(resource), resource, localise, columns, with_identifiers=True)


def numbers_of(served_type: ServedType, resource: dict[str, Any]) -> list[tuple[object, ...]]:
    """(parameter, ordinal, key system, key code, system, code, unit, low, high) of numbers, quantities and composites.

    The key is the first part of a composite; `low` and `high` are floats, equal unless the value is a range.
    """
    return _numbers_of(served_type.indexed(resource), resource)


def _columns_of(width: int, indexed: Indexed, resource: dict[str, Any], localise: Localise) -> tuple[object, ...]:
    found: list[object] = [None] * width
    for place, parameter in indexed.columns:
        kept = _COLUMNS[parameter.storage](parameter, parameter.extract(resource), localise)
        found[place : place + len(kept)] = kept
    return tuple(found)


def _rows_of(
    indexed: Indexed,
    resource: dict[str, Any],
    localise: Localise,
    columns: Sequence[object],
    *,
    with_identifiers: bool,
) -> list[Row]:
    found: dict[tuple[str, str, str], str | None] = {}
    for parameter in indexed.rows:
        place = indexed.coded.get(parameter.name)
        if place is not None and columns[place] is not None:
            continue
        for value in parameter.extract(resource):
            found.update(_rows(parameter, value, localise))
    for parameter in indexed.references if with_identifiers else ():
        for system, code in values.logical(parameter.extract(resource)):
            found[f"{parameter.name}:identifier", values.index_key(system), values.index_key(code)] = None
    return [(*key, display) for key, display in found.items()]


def _rows(
    parameter: SearchParameter, value: Any, localise: Localise
) -> Iterator[tuple[tuple[str, str, str], str | None]]:
    """The key and the display of every row that one element makes."""
    name = parameter.name
    if parameter.type == "token":
        for system, code, display in _tokens(parameter, value):
            yield (name, system, code), display
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


Token = tuple[str, str, str | None]


def _tokens(parameter: SearchParameter, value: Any) -> Sequence[Token]:
    """(system, code, display) of a token as they stand in the index.

    "Identifier.value is to be treated as case sensitive", whatever its system.
    """
    if isinstance(value, dict) and len(codings := value.get("coding", ())) == 1:
        (coding,) = codings
        words = coding.get("system", ""), coding.get("code", ""), coding.get("display", ""), value.get("text", "")
        if sum(map(len, words)) <= _REMEMBERED_MAX:
            return _of_one_coding(*words)
    found = values.displayed_tokens(value)
    if parameter.element_types == {"Identifier"}:
        return [(values.index_key(system), values.index_key(code), display) for system, code, display in found]
    return _as_keys(found)


@lru_cache(maxsize=2048)  # the same few concepts come again and again
def _of_one_coding(system: str, code: str, display: str, text: str) -> tuple[Token, ...]:
    """The tokens of a concept with one coding; what it does not say is empty."""
    said = {"system": system, "code": code, "display": display}
    coding = {name: word for name, word in said.items() if word}
    concept = {"coding": [coding], "text": text} if text else {"coding": [coding]}
    return tuple(_as_keys(values.displayed_tokens(concept)))


def _as_keys(found: Iterable[Token]) -> list[Token]:
    return [(values.index_key(system), token_key(system, code), display) for system, code, display in found]


def _numbers_of(indexed: Indexed, resource: dict[str, Any]) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for parameter in indexed.numbers:
        rows_of_element = _pairs if parameter.members else _alone
        rows = [row for element in parameter.extract(resource) for row in rows_of_element(parameter, element)]
        found += [(parameter.name, ordinal, *row) for ordinal, row in enumerate(dict.fromkeys(rows))]
    return found


def _alone(_parameter: SearchParameter, element: Any) -> list[tuple[object, ...]]:
    """The rows of an element that has no key."""
    return [("", "", *measured) for measured in values.measured(element)]


def _pairs(parameter: SearchParameter, element: Any) -> list[tuple[object, ...]]:
    """The rows of an element of a composite: each of its keys with each of its values."""
    key_of, value_of = parameter.members
    keys = [token for key in key_of(element) for token in values.tokens(key)]
    read = values.measured if parameter.parts[1] == "quantity" else _coded
    measured = [each for value in value_of(element) for each in read(value)]
    return [(values.index_key(system), token_key(system, code), *each) for system, code in keys for each in measured]


def _coded(value: Any) -> list[values.Measured]:
    """A coded value in the shape of a measured one."""
    return [
        (values.index_key(system), token_key(system, code), None, None, None) for system, code in values.tokens(value)
    ]


def _text(parameter: SearchParameter, found_values: list[Any], localise: Localise) -> tuple[object, ...]:
    """The first value, as it stands in a column."""
    for value in found_values:
        if parameter.type == "reference":
            found = values.reference(value, localise)
        elif parameter.type == "token":
            found = value if isinstance(value, str) else next((code for _, code in values.tokens(value)), None)
        else:
            found = str(value)
        if found is not None:
            return (values.index_key(found),)
    return (None,)


def _only_coding(parameter: SearchParameter, found_values: list[Any], _localise: Localise) -> tuple[object, ...]:
    """(code, system, display) of a concept with exactly one coding that has a code."""
    tokens = [token for value in found_values for token in _tokens(parameter, value)]
    if len(tokens) != 1 or not tokens[0][1]:
        return None, None, None
    system, code, display = tokens[0]
    return code, system, display


def _interval(_parameter: SearchParameter, found_values: list[Any], _localise: Localise) -> tuple[object, ...]:
    """The outer bounds of all values: several dates search as the period that they span."""
    intervals = [found for value in found_values if (found := values.period(value))]
    if not intervals:
        return None, None
    if len(intervals) == 1:
        return intervals[0]
    return min(low for low, _ in intervals), max(high for _, high in intervals)


_COLUMNS = {Storage.COLUMN: _text, Storage.CODED: _only_coding, Storage.DATE_COLUMNS: _interval}
