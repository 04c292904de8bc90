"""The exact walk over a resource: finds everything that is wrong, element by element, from the definition tables.

This is the authority; the gate only spares it for resources that are certainly right. The rules: JSON form
(https://hl7.org/fhir/R4/json.html), structure, required codes, reference targets and the invariants of R4.
"""

from collections.abc import Mapping
from typing import Any

from stepwell_shared.fhir.definitions import invariant, resource_types, served_types
from stepwell_shared.fhir.outcome import Issue
from stepwell_shared.fhir.validation import contained, primitives, references
from stepwell_shared.fhir.validation.invariants import INVARIANTS
from stepwell_shared.fhir.validation.shape import Property, Shape, shape

CODES_NAMED_MAX = 20
_UNTYPED = {"structure", "value", "too-long"}
Node = Mapping[str, Any]


def walk(resource: Node, *, conditional_references: bool = False) -> list[Issue]:
    """Every issue of a resource whose `resourceType` is served; an empty list means that it is valid."""
    visit = Walk(conditional_references=conditional_references)
    visit.resource(resource, str(resource.get("resourceType")))
    return visit.issues


class Walk:
    """One pass over one resource; collects issues as it goes."""

    def __init__(self, *, conditional_references: bool) -> None:
        self.issues: list[Issue] = []
        self._conditional = conditional_references
        # How many values were not even of their type: rules are not asked about such nodes.
        self._broken = 0
        self._local: list[tuple[str, str]] = []

    def resource(self, node: object, at: str, *, inside: bool = False) -> None:
        """A resource: the root (`inside` False), a contained one, a Bundle entry or a parameter."""
        kind = node.get("resourceType") if isinstance(node, dict) else None
        if not isinstance(node, dict) or not isinstance(kind, str):
            self._add("structure", at, "must be a resource: an object with a resourceType")
        elif kind not in resource_types():
            self._add("structure", f"{at}.resourceType", "is no resource type of R4")
        elif kind not in served_types() and inside:
            self._without_definition(node, at)
        elif kind not in served_types():
            self._add("not-supported", f"{at}.resourceType", f"{kind} is not supported by this server")
        else:
            self._resource(node, shape(kind), at, inside=inside)

    def _without_definition(self, node: Node, at: str) -> None:
        """A contained resource of a type of which we know no more than its name: what people may read of it must be
        safe, and the rules for contained resources hold."""
        text = node.get("text")
        if isinstance(text, dict):
            self._object(text, shape("Narrative"), f"{at}.text")
        elif text is not None:
            self._add("structure", f"{at}.text", "must be an object")

    def _resource(self, node: Node, form: Shape, at: str, *, inside: bool) -> None:
        outer_local, broken = self._local, self._broken
        self._local = outer_local if inside else []
        self._object(node, form, at)
        if self._broken == broken:
            self._invariants(node, form.invariants, at)
        if not inside:
            self.issues += contained.issues(node, self._local, at)
            self._local = outer_local

    def _object(self, node: Node, form: Shape, at: str) -> None:
        if not node:
            self._add("structure", at, "must not be an empty object: leave the element out")
        for name in node:
            if name not in form.properties and not (name == "resourceType" and form.is_resource):
                self._unknown(name, node, form, at)
        said = {name.removeprefix("_") for name in node}
        for name, prop in form.properties.items():
            if name in said:
                self._property(node, prop, f"{at}.{_element_name(prop)}")
        for group in form.required:
            if said.isdisjoint(group):
                self._add("required", f"{at}.{_element_name(form.properties[group[0]])}", _missing(group))
        for group in form.choices:
            if len(said.intersection(group)) > 1:
                self._add(
                    "structure", f"{at}.{_element_name(form.properties[group[0]])}", "takes only one type of value"
                )

    def _unknown(self, name: str, node: Node, form: Shape, at: str) -> None:
        base = form.properties.get(name.removeprefix("_"))
        if base is not None and base.is_primitive:
            return
        self._add(
            "structure", at, f"has no element '{name[:64]}' in R4" if name.isidentifier() else "has an unknown element"
        )

    def _property(self, node: Node, prop: Property, at: str) -> None:
        if prop.name == "modifierExtension":
            self._add("extension", at, "is not supported: no modifier extension is understood here")
        elif prop.is_primitive:
            self._primitives(node, prop, at)
        elif prop.element.repeats:
            self._complex_list(node[prop.name], prop, at)
        else:
            self._complex(node[prop.name], prop, at)

    # -- complex values --

    def _complex_list(self, values: object, prop: Property, at: str) -> None:
        if not isinstance(values, list):
            self._add("structure", at, "must be a list")
        elif not values:
            self._add("structure", at, "must not be an empty list: leave the element out")
        else:
            for index, value in enumerate(values):
                self._complex(value, prop, f"{at}[{index}]")

    def _complex(self, value: object, prop: Property, at: str) -> None:
        if prop.kind == "Resource":
            self.resource(value, at, inside=prop.name == "contained")
            return
        if not isinstance(value, dict) or prop.content is None:
            self._add("structure", at, "must be an object")
            return
        broken = self._broken
        self._object(value, shape(prop.content), at)
        if prop.codes is not None:
            self._coded(value, prop.codes, at)
        if prop.kind == "Reference":
            self._reference(value, prop, at)
        if prop.element.is_simple_quantity and "comparator" in value:
            self._add("invariant", f"{at}.comparator", "is not allowed on this quantity")
        if prop.kind == "Extension" and ("extension" in value) == any(
            name.lstrip("_")[:5] == "value" for name in value
        ):
            self._add("invariant", at, "ext-1: must have either extensions or a value, not both")
        if self._broken == broken:
            self._invariants(value, prop.invariants, at)

    def _coded(self, value: Node, codes: Mapping[str, tuple[str, ...]], at: str) -> None:
        codings = value.get("coding", ()) if "coding" in value else (value,)
        if isinstance(codings, list | tuple) and not any(
            isinstance(each, dict) and each.get("code") in codes.get(str(each.get("system")), ()) for each in codings
        ):
            self._add("code-invalid", at, f"must have a code of the required value set: {_named(codes)}")

    def _reference(self, value: Node, prop: Property, at: str) -> None:
        targets = prop.element.targets
        reference, kind = value.get("reference"), value.get("type")
        if isinstance(reference, str) and reference.startswith("#"):
            self._local.append((f"{at}.reference", reference))
        elif isinstance(reference, str) and reference:
            wrong = references.problem(reference, targets, conditional=self._conditional)
            if wrong is not None:
                self._add(wrong[0], f"{at}.reference", wrong[1])
        if targets and isinstance(kind, str) and kind in resource_types() and kind not in targets:
            self._add("value", f"{at}.type", f"must be {references.named(targets)}")

    # -- primitive values --

    def _primitives(self, node: Node, prop: Property, at: str) -> None:
        extra_name = f"_{prop.name}"
        if prop.element.repeats:
            self._primitive_list(node, prop, at)
            return
        if extra_name in node:
            self._element_of_primitive(node[extra_name], at, has_value=prop.name in node)
        if prop.name in node:
            self._primitive(node[prop.name], prop, at)

    def _primitive_list(self, node: Node, prop: Property, at: str) -> None:
        lists = [node.get(prop.name), node.get(f"_{prop.name}")]
        for values in lists:
            if values is not None and (not isinstance(values, list) or not values):
                self._add("structure", at, "must be a list that is not empty")
                return
        if (prop.name in node and lists[0] is None) or (f"_{prop.name}" in node and lists[1] is None):
            self._add("structure", at, "must be a list, not null")
            return
        values, extras = lists[0] or [], lists[1] or []
        if values and extras and len(values) != len(extras):
            self._add("structure", at, f"must be as long as its '_{prop.name}', padded with null")
        for index in range(max(len(values), len(extras))):
            value = values[index] if index < len(values) else None
            extra = extras[index] if index < len(extras) else None
            if value is None and extra is None:
                self._add("structure", f"{at}[{index}]", "must not be null on both sides")
            if extra is not None:
                self._element_of_primitive(extra, f"{at}[{index}]", has_value=value is not None)
            if value is not None:
                self._primitive(value, prop, f"{at}[{index}]")

    def _primitive(self, value: object, prop: Property, at: str) -> None:
        wrong = primitives.problem(prop.kind, value)
        if wrong is not None:
            self._add(wrong[0], at, wrong[1])
            return
        if prop.codes is not None and not any(value in codes for codes in prop.codes.values()):
            self._add("code-invalid", at, f"must be one of the required codes: {_named(prop.codes)}")
        self._invariants(value, prop.invariants, at)

    def _element_of_primitive(self, extra: object, at: str, *, has_value: bool) -> None:
        """The `_name` object beside a primitive: an id and extensions, and extensions at least if it stands alone."""
        if not isinstance(extra, dict):
            self._add("structure", at, "must be an object with id or extension in its '_' property")
            return
        self._object(extra, shape("Element"), at)
        if not has_value and "extension" not in extra:
            self._add("invariant", at, "ele-1: must have a value or extensions")

    # -- rules --

    def _invariants(self, node: object, keys: tuple[str, ...], at: str) -> None:
        for key in keys:
            holds = INVARIANTS.get(key)
            if holds is not None and not holds(node):
                self._add("invariant", at, f"{key.partition(':')[0]}: {invariant(key).human}")

    def _add(self, code: str, at: str, advice: str) -> None:
        self.issues.append(Issue(f"{at} {advice}", code, at))
        self._broken += code in _UNTYPED


def _element_name(prop: Property) -> str:
    """FHIRPath says `value`, not `valueQuantity`."""
    return prop.element.name


def _missing(group: tuple[str, ...]) -> str:
    return "is required" if len(group) == 1 else "is required, in one of its types"


def _named(codes: Mapping[str, tuple[str, ...]]) -> str:
    """The codes for a message, or only their number when there are many."""
    names = [code for each in codes.values() for code in each]
    return ", ".join(names) if len(names) <= CODES_NAMED_MAX else f"{len(names)} codes, see R4"
