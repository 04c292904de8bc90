"""What of a body is about the person who is erased: all of it, a part of it, or nothing. Pure.

A resource is a person's own when something that it has once (`subject`, `for`, `patient`) leads to them. Where only one
among several does, such as a participant of a group session or a member of a Group, that part goes and the rest stays.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from stepwell_shared.fhir.erased import is_emptied

Resource = Mapping[str, Any]

# Of no single person, whoever is named in them.
SHARED_TYPES: Final = frozenset(
    {
        *(
            "ActivityDefinition",
            "CodeSystem",
            "Device",
            "Endpoint",
            "Group",
            "HealthcareService",
            "Library",
            "Location",
        ),
        *("Measure", "Organization", "PlanDefinition", "Practitioner", "PractitionerRole", "Questionnaire", "Schedule"),
        *("Slot", "ValueSet"),
    }
)
_PATIENT: Final = re.compile(r"Patient/[A-Za-z0-9.-]{1,64}")
_BINARY: Final = re.compile(r"(?:.*/)?(Binary/[A-Za-z0-9.-]{1,64})(?:/_history/\d+)?")
# What stands in a search, such as the criteria of a Subscription: `...?patient=Patient/x`.
_SUBSCRIPTION: Final = "Subscription"


class Fate(Enum):
    """What becomes of a resource."""

    KEPT = "kept"
    REDACTED = "redacted"
    ERASED = "erased"


@dataclass(frozen=True)
class Sought:
    """Whatever is looked for: local references (`Patient/x`), and business identifiers as (system, value)."""

    references: Collection[str]
    identifiers: Collection[tuple[str, str]] = ()
    localise: Callable[[str], str] = str

    def names(self, value: object) -> bool:
        """Whether something within leads there."""
        if isinstance(value, str):
            return self.localise(value) in self.references
        if isinstance(value, Mapping):
            pair = (value.get("system"), value.get("value"))
            return pair in self.identifiers or any(self.names(each) for each in value.values())
        return isinstance(value, list) and any(self.names(each) for each in value)


def fate_of(resource: Resource, sought: Sought) -> Fate:
    """What becomes of a resource by one of its versions."""
    resource_type, id_ = resource["resourceType"], resource.get("id", "")
    if is_emptied(resource):
        return Fate.KEPT
    if f"{resource_type}/{id_}" in sought.references or (resource_type == _SUBSCRIPTION and _watches(resource, sought)):
        return Fate.ERASED
    found = [value for name, value in resource.items() if name != "identifier" and sought.names(value)]
    if not found:
        return Fate.KEPT
    if resource_type in SHARED_TYPES:
        return Fate.REDACTED
    is_own = any(not isinstance(value, list) for value in found)
    return Fate.ERASED if is_own or not _others(resource, sought) else Fate.REDACTED


def redacted(resource: Resource, sought: Sought) -> dict[str, Any]:
    """The resource without the parts that lead to the person."""
    left: dict[str, Any] = {}
    for name, value in resource.items():
        if not isinstance(value, list):
            if not sought.names(value):
                left[name] = value
        elif kept := [each for each in value if not sought.names(each)]:
            left[name] = kept
    return left


def binaries_of(resource: Resource) -> set[str]:
    """The content that a resource leads to, as `Binary/x`."""
    return {match.group(1) for text in _texts(resource) if (match := _BINARY.fullmatch(text))}


def _others(resource: Resource, sought: Sought) -> bool:
    """Whether other people are in it."""
    named = {sought.localise(text) for text in _texts(resource)}
    return any(_PATIENT.fullmatch(each) and each not in sought.references for each in named)


def _watches(resource: Resource, sought: Sought) -> bool:
    """Whether a Subscription is about the person alone: by a filter, which is a text with the reference in it."""
    found = (each for text in _texts(resource) for each in _PATIENT.findall(text))
    return any(each in sought.references for each in found)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
