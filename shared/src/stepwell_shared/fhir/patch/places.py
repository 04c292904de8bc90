"""Places in a resource: where a path leads, what stands there, and how it changes.

A primitive is one element in two JSON properties, its value and its `_` partner with id and extensions; both are read
and written together. https://hl7.org/fhir/R4/json.html#primitive
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import zip_longest
from typing import Any, NamedTuple

from stepwell_shared.fhir.definitions import served_types
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.patch.path_text import Index, Literal, Member, OfType, Step, Where
from stepwell_shared.fhir.validation.shape import Property, Shape, shape


class Item(NamedTuple):
    """One element as JSON has it: what stands in the property and, for primitives, in its `_` partner."""

    value: Any
    partner: Any = None


@dataclass(frozen=True)
class Place:
    """One element: the object and the property that hold it, and its position when the element repeats.

    `content` names its definition; None for a primitive. `expression` is the FHIRPath of the place, `holder` the
    element it is part of; only the resource itself has none.
    """

    owner: dict[str, Any]
    name: str
    index: int | None
    kind: str
    content: str | None
    expression: str
    item: Item
    holder: "Place | None" = None

    @property
    def is_primitive(self) -> bool:
        return self.content is None and self.kind != "Resource"

    @property
    def shape(self) -> Shape:
        """The shape of the object that carries the children: of a primitive only id and extensions."""
        if self.kind != "Resource":
            return shape(self.content or "Element")
        kind = self.item.value.get("resourceType")
        if kind not in served_types():
            raise refused(f"what is inside of this resource cannot be patched: {self.expression}", self.expression)
        return shape(kind)

    @property
    def members(self) -> dict[str, Any]:
        """The object that carries the children; for a primitive its partner, if it has one."""
        found = self.item.partner if self.is_primitive else self.item.value
        return found if isinstance(found, dict) else {}

    def put(self, item: Item) -> None:
        """Replaces what stands here."""
        found = items(self.owner, self.name)
        found[self.index or 0] = item
        write(self.owner, self.name, found, repeats=self.index is not None)

    def remove(self) -> None:
        """Takes the element away; a primitive that loses its last extension keeps no empty partner."""
        found = items(self.owner, self.name)
        del found[self.index or 0]
        write(self.owner, self.name, found, repeats=self.index is not None)
        if self.holder is not None and self.holder.is_primitive:
            self.holder.put(self.holder.item)

    def insert(self, child: Property, item: Item, position: int) -> None:
        """Puts a new child at a position among those of its property."""
        members = self.members
        found = items(members, child.name)
        found.insert(position, item)
        write(members, child.name, found, repeats=child.element.repeats)
        if self.is_primitive:
            self.put(Item(self.item.value, members))


def items(owner: dict[str, Any], name: str) -> list[Item]:
    """Everything in a property, in order."""
    value, partner = owner.get(name), owner.get(f"_{name}")
    if isinstance(value, list) or isinstance(partner, list):
        return [Item(*pair) for pair in zip_longest(value or [], partner or [])]
    return [] if value is None and partner is None else [Item(value, partner)]


def write(owner: dict[str, Any], name: str, found: list[Item], *, repeats: bool) -> None:
    """Makes the property and its partner hold exactly these items; what would be empty is left out."""
    values: list[Any] = [item.value for item in found]
    partners: list[Any] = [item.partner or None for item in found]
    for key, entries in ((name, values), (f"_{name}", partners)):
        if all(entry is None for entry in entries):
            owner.pop(key, None)
        else:
            owner[key] = entries if repeats else entries[0]


def root(resource: dict[str, Any]) -> Place:
    kind = resource["resourceType"]
    return Place({kind: resource}, kind, None, kind, kind, kind, Item(resource))


def properties_of(place: Place, name: str) -> list[Property]:
    """The JSON properties of a child element, several for a choice. Raises FhirError when there is no such child."""
    found = _by_element(place.shape.path).get(name)
    if found is None:
        raise refused(f"{place.expression} has no element {name[:64]}", place.expression)
    return found


@cache
def _by_element(path: str) -> dict[str, list[Property]]:
    """The JSON properties of each element of a shape."""
    found: dict[str, list[Property]] = {}
    for each in shape(path).properties.values():
        found.setdefault(each.element.name, []).append(each)
    return found


def children(place: Place, name: str) -> Iterator[Place]:
    owner = place.members
    for each in properties_of(place, name):
        for position, item in enumerate(items(owner, each.name)):
            repeats = each.element.repeats
            expression = f"{place.expression}.{name}{f'[{position}]' if repeats else ''}"
            index = position if repeats else None
            yield Place(owner, each.name, index, each.kind, each.content, expression, item, place)


def resolve(start: Place, steps: tuple[Step, ...]) -> list[Place]:
    """Every place that the steps lead to, in document order. The first step may name the resource type."""
    if steps and isinstance(steps[0], Member) and steps[0].name == start.kind:
        steps = steps[1:]
    places = [start]
    for step in steps:
        places = _next(places, step)
    return places


def _next(places: list[Place], step: Step) -> list[Place]:
    if isinstance(step, Member):
        return [child for place in places for child in children(place, step.name)]
    if isinstance(step, Index):
        return places[-1:] if step.number < 0 else places[step.number : step.number + 1]
    if isinstance(step, OfType):
        return [place for place in places if _kind(place) == step.kind]
    return [place for place in places if _matches(place, step)]


def _kind(place: Place) -> str:
    return str(place.members.get("resourceType")) if place.kind == "Resource" else place.kind


def _matches(place: Place, where: Where) -> bool:
    for names, literal in where.tests:
        found = resolve_members(place, names)
        if len(found) != 1 or not _equals(found[0].item.value, literal):
            return False
    return True


def resolve_members(place: Place, names: tuple[str, ...]) -> list[Place]:
    places = [place]
    for name in names:
        places = [child for each in places for child in children(each, name)]
    return places


def _equals(value: Any, literal: Literal) -> bool:
    if isinstance(value, bool) or isinstance(literal, bool):
        return value is literal
    if isinstance(literal, Decimal):
        return isinstance(value, int | Decimal) and value == literal
    return isinstance(value, str) and value == literal


def refused(text: str, expression: str | None = None) -> FhirError:
    """The error for a path or value that does not fit the definition of the resource."""
    return FhirError(Category.INVALID, [Issue(text, "invalid", expression)])
