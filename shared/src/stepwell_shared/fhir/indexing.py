"""From a resource to what the store keeps of it for search: promoted column values and index rows."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stepwell_shared.fhir import values
from stepwell_shared.fhir.registry import SearchParameter, ServedType, Storage

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
    found: list[object] = []
    for parameter in served_type.columns:
        if parameter.storage is Storage.DATE_COLUMNS:
            found += _interval(parameter, resource)
        else:
            found.append(next(_texts(parameter, resource, localise), None) if resource is not None else None)
    return tuple(found)


def rows_of(served_type: ServedType, resource: dict[str, Any], localise: Localise) -> list[tuple[str, str, str]]:
    """(parameter, system, code) for every value of the parameters that are kept in rows, without repeats."""
    found: dict[tuple[str, str, str], None] = {}
    for parameter in served_type.rows:
        if parameter.type == "token":
            for value in parameter.extract(resource):
                for system, code in values.tokens(value):
                    found[parameter.name, values.index_key(system), values.index_key(code)] = None
        else:
            for text in _texts(parameter, resource, localise):
                found[parameter.name, "", text] = None
    return list(found)


def _texts(parameter: SearchParameter, resource: dict[str, Any] | None, localise: Localise) -> Iterator[str]:
    if resource is None:
        return
    for value in parameter.extract(resource):
        if parameter.type == "reference":
            yield from map(values.index_key, values.references(value, localise))
        elif parameter.type == "string":
            yield from values.strings(value)
        elif parameter.type == "token":
            yield from (values.index_key(code) for _, code in values.tokens(value))
        else:
            yield values.index_key(str(value))


def _interval(parameter: SearchParameter, resource: dict[str, Any] | None) -> tuple[object, object]:
    """The outer bounds of all values: several dates search as the period that they span."""
    if resource is None:
        return None, None
    intervals = [found for value in parameter.extract(resource) if (found := values.period(value))]
    if not intervals:
        return None, None
    return min(low for low, _ in intervals), max(high for _, high in intervals)
