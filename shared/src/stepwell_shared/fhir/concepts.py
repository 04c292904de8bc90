"""What codes, code systems and value sets are called: the displays of R4, of our own systems and of a tenant's.

Codes are decided without any of this (`code_systems`); names are read when somebody wants to see them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from stepwell_shared.fhir.code_systems import own_resources


@dataclass(frozen=True, slots=True)
class Designation:
    """Another name of a concept; `language` is a BCP 47 tag or empty."""

    language: str
    value: str
    use: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Concept:
    """What one code is called. `display` is None where nobody gave it a name."""

    display: str | None
    definition: str | None = None
    designations: tuple[Designation, ...] = ()
    is_abstract: bool = False

    def display_in(self, language: str) -> str | None:
        """The name in a language such as `de` or `de-CH`, or in the one that it has."""
        wanted = language.lower()
        for exact in (True, False):
            for each in self.designations:
                given = each.language.lower()
                if given and (given == wanted if exact else given.partition("-")[0] == wanted.partition("-")[0]):
                    return each.value
        return self.display

    @property
    def names(self) -> frozenset[str]:
        """Every name that it goes by."""
        own = {self.display} if self.display is not None else set()
        return frozenset(own | {each.value for each in self.designations})


NAMELESS = Concept(None)
Concepts = Mapping[str, Concept]
"""By code."""


def concepts_of(resource: Mapping[str, Any]) -> dict[str, Concept]:
    """The concepts of a CodeSystem resource, at any depth, in document order."""
    return {concept["code"]: concept_of(concept) for concept in _nested(resource.get("concept", ()))}


def concept_of(element: Mapping[str, Any]) -> Concept:
    """A concept of a CodeSystem or of `ValueSet.compose.include`."""
    stated = element.get("property", ())
    return Concept(
        element.get("display"),
        element.get("definition"),
        tuple(
            Designation(each.get("language", ""), each["value"], each.get("use"))
            for each in element.get("designation", ())
        ),
        any(each.get("code") == "notSelectable" and each.get("valueBoolean") is True for each in stated),
    )


def _nested(concepts: Any) -> Iterator[Mapping[str, Any]]:
    pending = list(reversed(concepts))
    while pending:
        concept = pending.pop()
        yield concept
        pending.extend(reversed(concept.get("concept", ())))


@cache
def known_concepts(url: str) -> Concepts:
    """The concepts of a system of R4 or of our own; none for another."""
    for resource in own_resources("CodeSystem"):
        if resource["url"] == url:
            return concepts_of(resource)
    return {code: Concept(display) for code, display in _system(url).get("displays", {}).items()}


def named(resource_type: str, url: str) -> Mapping[str, Any]:
    """`name`, `title` and `status` of a value set or code system of R4; empty for another."""
    section = "valueSets" if resource_type == "ValueSet" else "codeSystems"
    found: Mapping[str, Any] = _table()[section].get(url, {})
    return {name: found[name] for name in ("name", "title", "status") if name in found}


def _system(url: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _table()["codeSystems"].get(url, {})
    return found


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = orjson.loads((files(__package__) / "data" / "terminology_names.json").read_bytes())
    return table
