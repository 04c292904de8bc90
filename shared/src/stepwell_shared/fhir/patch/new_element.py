"""The element that an operation of a FHIRPath Patch brings: a `value[x]`, a resource, or nested parts for a type
that has no name. What its place does not take is refused. https://hl7.org/fhir/R4/fhirpatch.html
"""

from dataclasses import dataclass
from typing import Any

from stepwell_shared.fhir.patch.places import Item, items, refused, write
from stepwell_shared.fhir.validation.shape import Property, shape

_STRUCTURAL = frozenset({"name", "id", "extension", "modifierExtension"})


@dataclass(frozen=True)
class NewElement:
    """An element and the JSON property that takes it (`valueQuantity` of the choice `value`)."""

    property: Property
    item: Item


def new_element(part: dict[str, Any], properties: list[Property], expression: str) -> NewElement:
    """The element in a part, for one of these properties (several for a choice). Raises FhirError INVALID."""
    if "resource" in part:
        return NewElement(_taking("Resource", properties, expression), Item(part["resource"]))
    if "part" in part:
        found = [each for each in properties if each.content is not None]
        if len(found) != 1:
            raise refused(f"{expression} is not made of parts", expression)
        assert found[0].content is not None
        return NewElement(found[0], Item(_object(part["part"], found[0].content, expression)))
    name = next((key.removeprefix("_") for key in part if key not in _STRUCTURAL), None)
    if name is None:
        raise refused(f"the value for {expression} is missing", expression)
    item = Item(part.get(name), part.get(f"_{name}"))
    return NewElement(_taking(name.removeprefix("value"), properties, expression), item)


def _taking(kind: str, properties: list[Property], expression: str) -> Property:
    """The property that takes a value of this type, as `value[x]` names it; xhtml has no name there but String."""
    for each in properties:
        if (each.kind[0].upper() + each.kind[1:]) == kind or (each.kind == "xhtml" and kind == "String"):
            return each
    kinds = ", ".join(each.kind for each in properties[:8])
    raise refused(f"{expression} takes {kinds} and not value{kind[:32]}", expression)


def _object(parts: list[dict[str, Any]], content: str, expression: str) -> dict[str, Any]:
    """The JSON object of a type, element by element."""
    made: dict[str, Any] = {}
    by_element: dict[str, list[Property]] = {}
    for each in shape(content).properties.values():
        by_element.setdefault(each.element.name, []).append(each)
    for part in parts:
        name = part["name"]
        place = f"{expression}.{name[:64]}"
        if name not in by_element:
            raise refused(f"{expression} has no element {name[:64]}", expression)
        element = new_element(part, by_element[name], place)
        present = [each for each in by_element[name] if items(made, each.name)]
        repeats = element.property.element.repeats
        if present and not repeats:
            raise refused(f"{place} is given twice", place)
        found = [*items(made, element.property.name), element.item]
        write(made, element.property.name, found, repeats=repeats)
    return made
