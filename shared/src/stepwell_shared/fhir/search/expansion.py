"""The members of a value set one by one, with their names and in the order of their definition.

https://hl7.org/fhir/R4/valueset.html#expansion
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stepwell_shared.fhir.code_systems import known_code_systems
from stepwell_shared.fhir.concepts import NAMELESS, Concept, Concepts, concept_of, concepts_of, known_concepts
from stepwell_shared.fhir.search.value_sets import Terminology, UnknownCanonicalError


@dataclass(frozen=True, slots=True)
class Member:
    """One code of a value set."""

    system: str
    code: str
    concept: Concept

    def matches(self, text: str) -> bool:
        """Whether a person who types this text may mean it: part of the code or of a name, whatever the case."""
        wanted = text.casefold()
        return wanted in self.code.casefold() or any(wanted in name.casefold() for name in self.concept.names)


def members_of(terminology: Terminology, reference: str) -> list[Member]:
    """Every code of a value set. Raises UnknownCanonicalError, also for a system whose codes nobody knows."""
    listed = listed_concepts(terminology, reference)
    found: list[Member] = []
    for system, codes in terminology.value_set(reference).items():
        if codes.is_all_but:
            raise UnknownCanonicalError("CodeSystem", system)
        here = listed.get(system, {})
        concepts = system_concepts(terminology, system)
        ordered = [code for code in {**dict.fromkeys(concepts), **dict.fromkeys(here)} if code in codes.listed]
        ordered += sorted(codes.listed.difference(ordered))
        found += [Member(system, code, _named(here.get(code), concepts.get(code))) for code in ordered]
    return found


def listed_concepts(terminology: Terminology, reference: str) -> dict[str, dict[str, Concept]]:
    """The concepts that a value set lists itself, and those that the value sets it includes list, by system.

    What stands nearer to the value set says what a concept is called there.
    """
    found: dict[str, dict[str, Concept]] = {}
    seen, pending = {reference}, [reference]
    while pending:
        resource = terminology.value_set_resource(pending.pop(0))
        for system, element in _elements(resource):
            found.setdefault(system, {}).setdefault(element["code"], concept_of(element))
        included = [url for part in resource.get("compose", {}).get("include", ()) for url in part.get("valueSet", ())]
        further = [url for url in dict.fromkeys(included) if url not in seen]
        seen.update(further)
        pending += further
    return found


def system_concepts(terminology: Terminology, system: str) -> Concepts:
    """The concepts of a system that is known to all or was fetched, be it in part; none where only its URL is known."""
    known = known_code_systems().get(system)
    if known is not None:
        named = known_concepts(system)
        return {code: named.get(code, NAMELESS) for code in known.parents}
    own = known_concepts(system)
    resource = None if own else terminology.fetched.get(("CodeSystem", system))
    return own if resource is None else concepts_of(resource)


def _elements(resource: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "compose" in resource:
        for part in resource["compose"].get("include", ()):
            for element in part.get("concept", ()):
                yield part["system"], element
        return
    pending = list(reversed(resource.get("expansion", {}).get("contains", ())))
    while pending:
        element = pending.pop()
        if "system" in element and "code" in element:
            yield element["system"], element
        pending.extend(reversed(element.get("contains", ())))


def _named(listed: Concept | None, defined: Concept | None) -> Concept:
    """A value set may name a concept for its own purpose; what it leaves out is as the system says."""
    if listed is None or (listed.display is None and not listed.designations):
        return defined or listed or NAMELESS
    if defined is None:
        return listed
    return Concept(
        listed.display or defined.display,
        defined.definition,
        listed.designations or defined.designations,
        defined.is_abstract,
    )
