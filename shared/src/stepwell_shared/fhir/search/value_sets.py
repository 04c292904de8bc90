"""Which codes a value set holds, as far as the code systems behind it are known; and where both are looked up.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from stepwell_shared.fhir.code_systems import CodeSystem, code_system_of, known_code_systems, known_value_sets
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

NESTED_MAX = 8
# How many includes, excludes, imports and filters one value set may be made of; listed codes are not counted.
PARTS_MAX = 200
# What a filter does with the codes above and below the one it names. https://hl7.org/fhir/R4/codesystem-filter-operator
_FILTERED_PROPERTIES = frozenset({"concept", "code"})


class UnknownCanonicalError(FhirError):
    """A search that needs a value set or a code system whose content is not known here."""

    def __init__(self, resource_type: str, reference: str) -> None:
        self.resource_type = resource_type
        self.reference = reference
        text = f"the {resource_type} that this search needs is not known to this server, or not with its content"
        super().__init__(Category.INVALID, [Issue(text, "not-found", f"http.{resource_type}")])


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes of one system: these, or all but these."""

    listed: frozenset[str]
    is_all_but: bool = False

    def __or__(self, other: "Codes") -> "Codes":
        return -(-self & -other)

    def __neg__(self) -> "Codes":
        return Codes(self.listed, not self.is_all_but)

    def __and__(self, other: "Codes") -> "Codes":
        if self.is_all_but and other.is_all_but:
            return Codes(self.listed | other.listed, is_all_but=True)
        if other.is_all_but:
            return Codes(self.listed - other.listed)
        if self.is_all_but:
            return Codes(other.listed - self.listed)
        return Codes(self.listed & other.listed)


NONE, ALL = Codes(frozenset()), Codes(frozenset(), is_all_but=True)
Coded = Mapping[str, Codes]
"""By system."""


def _union(one: Coded, other: Coded) -> Coded:
    return {system: one.get(system, NONE) | other.get(system, NONE) for system in {**one, **other}}


def _intersection(one: Coded, other: Coded) -> Coded:
    return {system: codes & other[system] for system, codes in one.items() if system in other}


def _difference(one: Coded, other: Coded) -> Coded:
    return {system: codes & -other.get(system, NONE) for system, codes in one.items()}


@dataclass(frozen=True)
class Terminology:
    """The code systems and value sets that a search can use: what is known to all, and what was fetched for it.

    `fetched` holds resources of the caller's tenant by their type and the reference that they were asked for by.
    What everybody knows cannot be replaced by a tenant. Where `asks_for_content`, all codes of a system are looked up
    before they are taken to be whatever is said to be of it; `missing` are the systems that nobody could find.
    """

    fetched: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    asks_for_content: bool = False
    missing: frozenset[str] = frozenset()
    # what each value set came to, so that one that many others include is worked out once
    _worked_out: dict[str, Coded] = field(default_factory=dict, init=False, repr=False, compare=False)

    def joined(self, resource_type: str, reference: str, resource: Mapping[str, Any]) -> "Terminology":
        """The same with one more resource."""
        return replace(self, fetched={**self.fetched, (resource_type, reference): resource})

    def without(self, code_system: str) -> "Terminology":
        """The same, knowing that the content of this system is not to be found."""
        return replace(self, missing=self.missing | {code_system})

    def code_system(self, url: str) -> CodeSystem:
        """Raises UnknownCanonicalError."""
        known = known_code_systems().get(url)
        resource = self.fetched.get(("CodeSystem", url)) if known is None else None
        found = known or (code_system_of(resource) if resource is not None else None)
        if found is None:
            raise UnknownCanonicalError("CodeSystem", url)
        return found

    def code_systems_with(self, code: str) -> list[CodeSystem]:
        """The systems known to all that define this code."""
        return [system for system in known_code_systems().values() if code in system.parents]

    def value_set(self, reference: str, nested: int = 0) -> Coded:
        """The codes of the value set with this `url`, `url|version` or `ValueSet/id`, by system.

        Raises UnknownCanonicalError, or FhirError INVALID for a value set that cannot be worked out.
        """
        if nested > NESTED_MAX:
            raise _unworkable("value sets that include each other")
        found = self._worked_out.get(reference)
        if found is None:
            found = self._worked_out[reference] = self._codes(self.value_set_resource(reference), nested)
        return found

    def value_set_resource(self, reference: str) -> Mapping[str, Any]:
        """The value set itself, with `compose` or `expansion`. Raises UnknownCanonicalError."""
        url, _, version = reference.partition("|")
        known = known_value_sets().get(url)
        if known is not None and version and version != known.get("version"):
            known = None
        resource = known or self.fetched.get(("ValueSet", reference))
        if resource is None:
            raise UnknownCanonicalError("ValueSet", reference)
        return resource

    def _codes(self, resource: Mapping[str, Any], nested: int) -> Coded:
        compose = resource.get("compose")
        if compose is None:
            return _expanded(resource)
        _refuse_patchwork(compose)
        empty: Coded = {}
        included = [self._part(each, nested) for each in compose.get("include", ())]
        excluded = [self._part(each, nested) for each in compose.get("exclude", ())]
        return _difference(reduce(_union, included, empty), reduce(_union, excluded, empty))

    def _part(self, part: Mapping[str, Any], nested: int) -> Coded:
        """One include or exclude: all that it says holds at once."""
        found = [self.value_set(url, nested + 1) for url in part.get("valueSet", ())]
        if "system" in part:
            found.append({part["system"]: self._of_system(part)})
        if not found:
            raise _unworkable("a value set that includes nothing")
        return reduce(_intersection, found)

    def _of_system(self, part: Mapping[str, Any]) -> Codes:
        if "concept" in part:
            return Codes(frozenset(concept["code"] for concept in part["concept"]))
        filters = [self._filtered(part["system"], each) for each in part.get("filter", ())]
        return reduce(Codes.__and__, filters, self._whole(part["system"]))

    def _whole(self, url: str) -> Codes:
        """All codes of a system: those that it defines, or whatever is said to be of it when we do not know them."""
        try:
            return Codes(frozenset(self.code_system(url).parents))
        except UnknownCanonicalError:
            if self.asks_for_content and url not in self.missing:
                raise
            return ALL

    def _filtered(self, url: str, condition: Mapping[str, Any]) -> Codes:
        operator, value = condition["op"], condition["value"]
        if condition["property"] not in _FILTERED_PROPERTIES:
            raise _unworkable(f"a value set that filters by {condition['property'][:64]}")
        if operator == "=":
            return Codes(frozenset({value}))
        if operator in {"in", "not-in"}:
            codes = Codes(frozenset(each.strip() for each in value.split(",")))
            return codes if operator == "in" else -codes
        system = self.code_system(url)
        match operator:
            case "is-a":
                return Codes(system.below(value))
            case "descendent-of":
                return Codes(system.below(value) - {value})
            case "is-not-a":
                return -Codes(system.below(value))
            case "generalizes":
                return Codes(system.above(value))
        raise _unworkable(f"a value set that filters with {operator[:64]}")


def _refuse_patchwork(compose: Mapping[str, Any]) -> None:
    """Raises FhirError INVALID for a value set of more parts than one request may work out."""
    parts = [*compose.get("include", ()), *compose.get("exclude", ())]
    count = len(parts) + sum(len(part.get("valueSet", ())) + len(part.get("filter", ())) for part in parts)
    if count > PARTS_MAX:
        text = f"a value set is made of at most {PARTS_MAX} includes, excludes, imports and filters"
        raise FhirError(Category.INVALID, [Issue(text, "too-costly", "http.ValueSet")])


def _expanded(resource: Mapping[str, Any]) -> Coded:
    """A value set that comes only with its expansion, if that is whole. Raises FhirError INVALID."""
    expansion = resource.get("expansion", {})
    found: dict[str, set[str]] = {}
    todo = list(expansion.get("contains", ()))
    count = 0
    while todo:
        each = todo.pop()
        todo += each.get("contains", ())
        count += 1
        if "code" in each and "system" in each and not each.get("abstract", False):
            found.setdefault(each["system"], set()).add(each["code"])
    if not expansion or count < expansion.get("total", 0):
        raise _unworkable("a value set without content")
    return {system: Codes(frozenset(codes)) for system, codes in found.items()}


def _unworkable(what: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(f"{what} cannot be worked out here", "not-supported", "http.ValueSet")])


KNOWN_TO_ALL = Terminology()
