"""The official R4 definitions of the served types: elements, required codes, invariants and search parameters.

Read once from the tables in `data/` (see its README); https://hl7.org/fhir/R4/resourcelist.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import orjson

FHIR_VERSION = "4.0.1"
BACKBONE_TYPES = frozenset({"BackboneElement", "Element"})


@dataclass(frozen=True, slots=True)
class SearchParameterDefinition:
    """An official search parameter of one resource type; empty `targets` allow any type.

    `expression` is only the part that concerns the type ("" for parameters without one, such as `_text`).
    `components` holds (definition url, expression) of a composite.
    """

    name: str
    type: str
    expression: str
    targets: tuple[str, ...]
    url: str
    components: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ElementDefinition:
    """One element of a type. `maximum` is None for `*`; `content` names the path whose content the element shares.

    `codes` is the value set of an enumerated required binding (see `required_codes`), `targets` are the allowed
    types of a Reference, empty for any.
    """

    path: str
    minimum: int
    maximum: int | None
    types: tuple[str, ...]
    targets: frozenset[str]
    content: str | None
    codes: str | None
    is_modifier: bool
    is_summary: bool
    is_simple_quantity: bool
    invariants: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last step of the path, without `[x]`."""
        return self.path.rpartition(".")[2].removesuffix("[x]")

    @property
    def is_choice(self) -> bool:
        return self.path.endswith("[x]")

    @property
    def repeats(self) -> bool:
        return self.maximum != 1


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule of R4: its FHIRPath expression, the text for people and `error` or `warning`."""

    key: str
    severity: str
    expression: str
    human: str


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A resource, complex datatype or primitive; `elements` by full path, `invariants` of the type as a whole."""

    name: str
    kind: str
    elements: Mapping[str, ElementDefinition]
    invariants: tuple[str, ...]
    regex: str | None


class _Structures(msgspec.Struct, rename="camel"):
    """The tables as text: a process reads the few types that it serves, and keeps what they come to."""

    resource_types: tuple[str, ...]
    types: dict[str, msgspec.Raw]
    codes: dict[str, msgspec.Raw]
    invariants: dict[str, msgspec.Raw]


@cache
def _structures() -> _Structures:
    return msgspec.json.decode(_text("structures.json"), type=_Structures)


@cache
def _search_parameters() -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(_text("search_parameters.json"), type=dict[str, msgspec.Raw])


def _text(name: str) -> bytes:
    return (files(__package__) / "data" / name).read_bytes()


def _read(text: msgspec.Raw | bytes) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(memoryview(text))
    return content


@cache
def resource_types() -> frozenset[str]:
    """Every resource type of R4, served or not."""
    return frozenset(_structures().resource_types)


@cache
def type_names() -> tuple[str, ...]:
    """Every type in the tables: the served resources and the datatypes they reach."""
    return tuple(_structures().types)


@cache
def served_types() -> tuple[str, ...]:
    return tuple(name for name in type_names() if type_definition(name).kind == "resource")


@cache
def type_definition(name: str) -> TypeDefinition:
    """The definition of a served resource type or of a datatype. Raises KeyError for any other name."""
    entry = _read(_structures().types[name])
    return TypeDefinition(
        name=name,
        kind=entry["kind"],
        elements={path: _element(path, body) for path, body in entry.get("elements", {}).items()},
        invariants=tuple(entry.get("invariants", ())),
        regex=entry.get("regex"),
    )


def _element(path: str, body: dict[str, Any]) -> ElementDefinition:
    return ElementDefinition(
        path=path,
        minimum=body["min"],
        maximum=None if body["max"] == "*" else body["max"],
        types=tuple(body.get("types", ())),
        targets=frozenset(body.get("targets", ())),
        content=body.get("content"),
        codes=body.get("codes"),
        is_modifier=body.get("isModifier", False),
        is_summary=body.get("isSummary", False),
        is_simple_quantity=body.get("simpleQuantity", False),
        invariants=tuple(body.get("invariants", ())),
    )


@cache
def children(path: str) -> tuple[ElementDefinition, ...]:
    """The elements directly below a type name or a backbone path (`Observation`, `Observation.component`)."""
    type_name = path.partition(".")[0]
    prefix = f"{path}."
    elements = type_definition(type_name).elements.values()
    return tuple(each for each in elements if each.path.startswith(prefix) and "." not in each.path[len(prefix) :])


def json_names(definition: ElementDefinition) -> dict[str, str | None]:
    """JSON property -> type of an element: one for most, one per type for a choice; None where content is shared."""
    if not definition.is_choice:
        return {definition.name: definition.types[0] if definition.types else None}
    return {definition.name + kind[0].upper() + kind[1:]: kind for kind in definition.types}


def content_path(definition: ElementDefinition, kind: str | None) -> str:
    """Where the children of an element stand in the tables: its datatype, its own path or the path it shares."""
    is_datatype = kind is not None and kind not in BACKBONE_TYPES
    return kind if is_datatype and kind else definition.content or definition.path


def required_codes(value_set: str) -> Mapping[str, tuple[str, ...]]:
    """System -> codes of an enumerated value set. Raises KeyError if the tables do not enumerate it."""
    return {system: tuple(codes) for system, codes in _read(_structures().codes[value_set]).items()}


@cache
def invariant(key: str) -> Invariant:
    """Raises KeyError for a key that the tables do not know."""
    body = _read(_structures().invariants[key])
    return Invariant(key, body["severity"], body["expression"], body["human"])


@cache
def invariant_keys() -> tuple[str, ...]:
    return tuple(_structures().invariants)


@cache
def _steps(resource_type: str, path: str) -> tuple[ElementDefinition, ...]:
    """The definitions along a path, crossing into datatypes; `value[x]`, `value` and `valueQuantity` all work."""
    here = resource_type
    steps: list[ElementDefinition] = []
    for name in path.removeprefix(f"{resource_type}.").split("."):
        found, kind = _child(here, name)
        steps.append(found)
        here = content_path(found, kind)
    return tuple(steps)


def _child(parent: str, name: str) -> tuple[ElementDefinition, str | None]:
    for definition in children(parent):
        names = json_names(definition)
        if name in names:
            return definition, names[name]
        if definition.name == name.removesuffix("[x]"):
            return definition, definition.types[0]
    raise KeyError(f"{parent} has no element {name}")


def element(resource_type: str, path: str) -> ElementDefinition:
    """The element at a path relative to the type (`code.coding.system`). Raises KeyError if there is none."""
    return _steps(resource_type, path)[-1]


def is_single_valued(resource_type: str, path: str) -> bool:
    """Whether at most one value can stand at the path: no step on the way repeats. Raises KeyError if unknown."""
    return not any(step.repeats for step in _steps(resource_type, path))


@cache
def compartment(name: str) -> Mapping[str, tuple[str, ...]]:
    """Type -> the search parameters by which a resource belongs to a compartment. Raises KeyError."""
    return {kind: tuple(names) for kind, names in _read(_text("compartments.json"))[name].items()}


@cache
def search_parameters(resource_type: str) -> Mapping[str, SearchParameterDefinition]:
    """Name -> definition of every official parameter of a served type, the common ones and our own included.

    Raises KeyError.
    """
    table = _search_parameters()
    common = _read(table["Resource"])
    if f"{resource_type}.text" in type_definition(resource_type).elements:
        common |= _read(table["DomainResource"])
    own = _read(_text("own_search_parameters.json")).get(resource_type, {})
    return {name: _search_parameter(name, body) for name, body in (common | _read(table[resource_type]) | own).items()}


def _search_parameter(name: str, body: dict[str, Any]) -> SearchParameterDefinition:
    return SearchParameterDefinition(
        name=name,
        type=body["type"],
        expression=body.get("expression", ""),
        targets=tuple(body.get("targets", ())),
        url=body["url"],
        components=tuple((part["definition"], part["expression"]) for part in body.get("components", ())),
    )


def search_parameter(resource_type: str, name: str) -> SearchParameterDefinition:
    """The search parameter `name` of a served type. Raises KeyError if neither R4 nor we have one of that name."""
    return search_parameters(resource_type)[name]
