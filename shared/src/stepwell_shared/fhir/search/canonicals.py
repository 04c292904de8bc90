"""Canonical references and what they mean here: a resource by its `url`, alone or with its business version.

https://hl7.org/fhir/R4/references.html#canonical
"""

from collections.abc import Iterable
from typing import Any

import orjson

from stepwell_shared.fhir.parameters import SearchParameter, Storage
from stepwell_shared.fhir.registry import Interaction, Registry, ServedType
from stepwell_shared.fhir.unit import Stored


def is_canonical(parameter: SearchParameter) -> bool:
    """Whether a parameter reads canonical references."""
    return parameter.type == "reference" and "canonical" in parameter.element_types


def is_target(served_type: ServedType, parameter: SearchParameter) -> bool:
    """Whether resources of this type can be what these references mean, and can be found by their URL."""
    url = served_type.parameters.get("url")
    is_found = url is not None and url.storage is Storage.COLUMN and served_type.allows(Interaction.SEARCH_TYPE)
    return is_found and (not parameter.targets or served_type.name in parameter.targets)


def spellings(served_type: ServedType, row: str) -> str:
    """An SQL array of what canonical references to a row may say, by its URL or by its address on this server."""
    names = [f"{row}.{served_type.parameters['url'].column}", f"'{served_type.name}/' || {row}.id"]
    version = served_type.parameters.get("version")
    if version is not None and version.storage is Storage.COLUMN:
        names += [f"{name} || '|' || {row}.{version.column}" for name in names]
    return f"ARRAY[{', '.join(names)}]"


def followed(served_type: ServedType, registry: Registry) -> list[SearchParameter]:
    """The references of a type that an include can follow within this service."""
    canonical = [
        parameter
        for parameter in served_type.parameters.values()
        if is_canonical(parameter) and any(is_target(each, parameter) for each in registry)
    ]
    return [*served_type.references, *canonical]


def named(stored: Stored) -> tuple[str, str]:
    """The URL and the business version of a stored resource; empty when it has none."""
    resource = orjson.loads(stored.body or b"{}")
    return resource.get("url", ""), resource.get("version", "")


def meant(found: Iterable[Stored], references: set[str]) -> list[Stored]:
    """Of the resources found by URL those that these references mean; without a version the newest."""
    chosen: list[Stored] = []
    newest: dict[str, Stored] = {}
    for stored in found:
        url, version = named(stored)
        if version and f"{url}|{version}" in references:
            chosen.append(stored)
        elif url in references and (url not in newest or newest[url].last_updated < stored.last_updated):
            newest[url] = stored
    return [*chosen, *newest.values()]


def says(parameter: SearchParameter, resource: dict[str, Any], targets: set[tuple[str, str]]) -> bool:
    """Whether a reference of the resource means one of these (url, version)."""
    references = [value for value in parameter.extract(resource) if isinstance(value, str)]
    return any(each in {url, f"{url}|{version}"} for each in references for url, version in targets if url)
