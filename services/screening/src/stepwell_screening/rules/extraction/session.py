"""One extraction under way: the resources made so far, their entries in the transaction, and ids that they share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepwell_screening.rules.expressions import SDC, Evaluator, Place
from stepwell_screening.rules.extraction.structure import Structure
from stepwell_screening.rules.fhirpath import Collection, Item, TooCostlyError
from stepwell_screening.rules.finding import Finding

JsonObject = Mapping[str, Any]
ENTRIES_MAX = 500
CONDITIONS = ("ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist")
ALLOCATE = f"{SDC}extractAllocateId"


class TooManyEntriesError(TooCostlyError):
    """A form makes more resources than one answer may carry."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came of it: entries of a transaction Bundle, and what could not be done."""

    entries: list[dict[str, Any]]
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class EntryDetails:
    """What an extension says of a resource's entry in the Bundle."""

    full_url: str
    resource_id: str | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Session:
    """What all parts of one extraction share. `new_uuid` gives `urn:uuid:` URLs; `source` refers to the response."""

    questionnaire: JsonObject
    response: JsonObject
    evaluator: Evaluator
    structure: Structure
    new_uuid: Callable[[], str]
    source: JsonObject | None
    entries: list[dict[str, Any]] = field(default_factory=list)

    def text(self, source: object, place: Place, path: str) -> str | None:
        """The one text that an expression gives."""
        found = self.evaluator.value(source, place, path)
        return found[0].value if found and isinstance(found[0].value, str) else None

    def allocated(self, element: JsonObject, place: Place) -> Place:
        """The place with the new URLs that this element asks for by name."""
        made: dict[str, Collection] = {}
        for extension in element.get("extension", ()):
            if extension.get("url") == ALLOCATE and isinstance(extension.get("valueString"), str):
                made[extension["valueString"].removeprefix("%")] = [Item(self.new_uuid(), "string")]
        return place.naming(**made) if made else place

    def details(self, extension: JsonObject, place: Place, path: str) -> EntryDetails:
        """The entry that a complex extension describes; without a word on it, a new one."""
        parts = {part.get("url"): part.get("valueString") for part in extension.get("extension", ())}
        asked = {name: self.text(parts[name], place, path) for name in CONDITIONS if name in parts}
        full_url = self.text(parts["fullUrl"], place, path) if "fullUrl" in parts else None
        return EntryDetails(
            full_url or self.new_uuid(),
            self.text(parts["resourceId"], place, path) if "resourceId" in parts else None,
            {name: value for name, value in asked.items() if value is not None},
        )

    def add(self, resource: dict[str, Any], details: EntryDetails) -> None:
        """Puts a resource into the transaction: an update where it has an id, else a create.

        Raises TooManyEntriesError.
        """
        if len(self.entries) >= ENTRIES_MAX:
            raise TooManyEntriesError(f"one extraction makes at most {ENTRIES_MAX} resources")
        kind = resource["resourceType"]
        if details.resource_id is not None:
            resource = {**resource, "id": details.resource_id}
        id_ = resource.get("id")
        request = {"method": "POST", "url": kind} if id_ is None else {"method": "PUT", "url": f"{kind}/{id_}"}
        entry = {"fullUrl": details.full_url, "resource": resource, "request": {**request, **details.conditions}}
        self.entries.append(entry)


def extensions(element: JsonObject, name: str) -> list[JsonObject]:
    """The extensions of SDC with this short name."""
    return [each for each in element.get("extension", ()) if each.get("url") == f"{SDC}{name}"]
