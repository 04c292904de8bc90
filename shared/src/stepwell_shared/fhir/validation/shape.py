"""What may stand in a JSON object of each type: the definition tables arranged by JSON property.

Both the gate (a generated schema) and the exact walk read these shapes, so that they cannot disagree about the tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from stepwell_shared.fhir.definitions import (
    ElementDefinition,
    children,
    content_path,
    json_names,
    required_codes,
    type_definition,
)


@dataclass(frozen=True, slots=True)
class Property:
    """One JSON property: its element, its datatype and, if that is no primitive, where its content is defined.

    `invariants` hold for every single value of the property. `kind` is "Resource" where a whole resource stands;
    `content` is then None, as it is for primitives.
    """

    name: str
    element: ElementDefinition
    kind: str
    content: str | None
    codes: Mapping[str, tuple[str, ...]] | None
    invariants: tuple[str, ...]

    @property
    def is_primitive(self) -> bool:
        return self.content is None and self.kind != "Resource"


@dataclass(frozen=True, slots=True)
class Shape:
    """All properties of an object; `required` and `choices` hold groups of property names.

    Of each required group one must be present (a group of one is a plain element), of each choice at most one.
    """

    path: str
    is_resource: bool
    properties: Mapping[str, Property]
    required: tuple[tuple[str, ...], ...]
    choices: tuple[tuple[str, ...], ...]
    invariants: tuple[str, ...]


@cache
def shape(path: str) -> Shape:
    """The shape of a type (`Observation`, `Quantity`) or backbone path (`Observation.component`)."""
    properties: dict[str, Property] = {}
    required: list[tuple[str, ...]] = []
    choices: list[tuple[str, ...]] = []
    for element in children(path):
        names = json_names(element)
        for name, kind in names.items():
            properties[name] = _property(name, element, kind)
        if element.minimum:
            required.append(tuple(names))
        if element.is_choice:
            choices.append(tuple(names))
    return Shape(path, _is_resource(path), properties, tuple(required), tuple(choices), _content_invariants(path))


def _property(name: str, element: ElementDefinition, kind: str | None) -> Property:
    codes = required_codes(element.codes) if element.codes else None
    if kind == "Resource":
        return Property(name, element, kind, None, codes, element.invariants)
    content = content_path(element, kind)
    is_primitive = "." not in content and type_definition(content).kind == "primitive-type"
    return Property(
        name=name,
        element=element,
        kind=kind or "BackboneElement",
        content=None if is_primitive else content,
        codes=codes,
        invariants=tuple(dict.fromkeys((*element.invariants, *_content_invariants(content)))),
    )


def _is_resource(path: str) -> bool:
    return "." not in path and type_definition(path).kind == "resource"


def _content_invariants(content: str) -> tuple[str, ...]:
    """Invariants of a datatype, or of the backbone element whose content is used."""
    definition = type_definition(content.partition(".")[0])
    return definition.elements[content].invariants if "." in content else definition.invariants
