"""The fast gate: a JSON schema per resource type, generated from the definitions and run by jsonschema-rs.

The gate says yes only to what is certainly valid. What is merely unusual (extensions on a required primitive, contained
resources, local or conditional references) it leaves to the exact walk, as it does everything that is wrong.
Draft 4 is used because its `integer` refuses 1.0, as FHIR does.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema_rs

from stepwell_shared.fhir.validation import primitives, references
from stepwell_shared.fhir.validation.invariants import INVARIANTS
from stepwell_shared.fhir.validation.shape import Property, Shape, shape

Schema = dict[str, Any]

# Invariants that the schema engine checks by itself, without calling Python for every node.
_AS_SCHEMA: dict[str, Schema] = {
    "qrs-1": {"not": {"required": ["answer", "item"]}},
    "qty-3": {"dependencies": {"code": ["system"]}},
}


class InvariantsKeyword:
    """The schema keyword `invariants`: a list of keys of functions that must hold for the node."""

    def __init__(self, parent_schema: Schema, value: list[str], schema_path: list[str | int]) -> None:
        self._rules = [INVARIANTS[key] for key in value]

    def validate(self, instance: Any) -> None:
        if not all(holds(instance) for holds in self._rules):
            raise ValueError("an invariant does not hold")


@cache
def gate(resource_type: str) -> Callable[[Any], bool]:
    """Whether a resource of this type is certainly valid, nested resources and root invariants aside."""
    schema = Generator().of_resource(resource_type)
    return jsonschema_rs.Draft4Validator(
        schema, keywords={"invariants": InvariantsKeyword}, pattern_options=jsonschema_rs.RegexOptions()
    ).is_valid


class Generator:
    """Builds one schema document; every type and backbone becomes a definition, so that recursion ends."""

    def __init__(self) -> None:
        self._definitions: Schema = {}

    def of_resource(self, resource_type: str) -> Schema:
        form = shape(resource_type)
        schema = self._object(form)
        schema["properties"]["resourceType"] = {"enum": [resource_type]}
        return {"$schema": "http://json-schema.org/draft-04/schema#", "definitions": self._definitions, **schema}

    def _object(self, form: Shape, omit: frozenset[str] = frozenset()) -> Schema:
        properties: Schema = {}
        for name, prop in form.properties.items():
            if name in omit or name in ("modifierExtension", "contained"):
                continue
            properties[name] = self._property(prop)
            if prop.is_primitive and not prop.element.repeats and not prop.element.is_choice:
                properties[f"_{name}"] = self._reference("ElementWithExtension")
        schema: Schema = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "minProperties": 1,
        }
        required = [group[0] for group in form.required if len(group) == 1]
        if form.is_resource:
            required.append("resourceType")
        if required:
            schema["required"] = required
        alternatives = [group for group in form.required if len(group) > 1]
        if alternatives:
            schema["allOf"] = [{"anyOf": [{"required": [name]} for name in group]} for group in alternatives]
        exclusions = {
            name: {"not": {"anyOf": [{"required": [other]} for other in group[index + 1 :]]}}
            for group in form.choices
            for index, name in enumerate(group[:-1])
        }
        if exclusions:
            schema["dependencies"] = exclusions
        return schema

    def _property(self, prop: Property) -> Schema:
        value = self._value(prop)
        return {"type": "array", "minItems": 1, "items": value} if prop.element.repeats else value

    def _value(self, prop: Property) -> Schema:
        if prop.kind == "Resource":
            return {"type": "object", "required": ["resourceType"]}
        if prop.content is None:
            return self._primitive(prop)
        if prop.codes is not None:
            # Required bindings of whole concepts are few: the exact walk decides them.
            return {"not": {}}
        if prop.kind == "Reference":
            return self._target_reference(prop)
        if prop.kind == "Extension":
            return self._reference("Extension")
        omit = frozenset({"comparator"}) if prop.element.is_simple_quantity else frozenset[str]()
        return self._reference(prop.content, prop.invariants, omit)

    # -- definitions --

    def _reference(self, path: str, invariants: tuple[str, ...] = (), omit: frozenset[str] = frozenset()) -> Schema:
        keys = tuple(key for key in invariants if key in INVARIANTS)
        name = "-".join((path, *keys, *omit)).replace(":", "-")
        if name not in self._definitions:
            self._definitions[name] = {}
            self._definitions[name] = self._definition(path, keys, omit)
        return {"$ref": f"#/definitions/{name}"}

    def _definition(self, path: str, keys: tuple[str, ...], omit: frozenset[str]) -> Schema:
        if path == "ElementWithExtension":
            return {**self._object(shape("Element")), "required": ["extension"]}
        if path == "Extension":
            return self._extension()
        return self._with_invariants(self._object(shape(path), omit), keys)

    def _with_invariants(self, schema: Schema, keys: tuple[str, ...]) -> Schema:
        native = [_AS_SCHEMA[key] for key in keys if key in _AS_SCHEMA]
        called = [key for key in keys if key not in _AS_SCHEMA]
        return (
            schema
            | ({"allOf": [*schema.get("allOf", ()), *native]} if native else {})
            | ({"invariants": called} if called else {})
        )

    def _extension(self) -> Schema:
        """ext-1 and the choice in one: a url and exactly one of extension and the values."""
        schema = self._object(shape("Extension"))
        del schema["dependencies"], schema["properties"]["id"], schema["properties"]["_url"]
        return schema | {"minProperties": 2, "maxProperties": 2}

    def _target_reference(self, prop: Property) -> Schema:
        targets = prop.element.targets
        name = "-".join(("Reference", *sorted(targets)))
        if name not in self._definitions:
            self._definitions[name] = {}
            schema = self._object(shape("Reference"))
            schema["properties"]["reference"] = {"type": "string", "pattern": references.ordinary_pattern(targets)}
            if targets:
                schema["properties"]["type"] = {"enum": sorted(targets)}
            self._definitions[name] = schema
        return {"$ref": f"#/definitions/{name}"}

    # -- primitives --

    def _primitive(self, prop: Property) -> Schema:
        keys = [key for key in prop.invariants if key in INVARIANTS]
        if prop.codes is not None:
            return {"enum": sorted({code for codes in prop.codes.values() for code in codes})}
        if keys:
            return {"type": "string", "invariants": keys}
        if f"primitive-{prop.kind}" not in self._definitions:
            self._definitions[f"primitive-{prop.kind}"] = primitive_schema(prop.kind)
        return {"$ref": f"#/definitions/primitive-{prop.kind}"}


def primitive_schema(kind: str) -> Schema:
    """The schema of one primitive datatype."""
    if kind == "boolean":
        return {"type": "boolean"}
    if kind == "decimal":
        return {"type": "number"}
    if kind in primitives.RANGES:
        low, high = primitives.RANGES[kind]
        return {"type": "integer", "minimum": low, "maximum": high}
    if kind in primitives.ORDINARY_PATTERNS:
        return {"type": "string", "pattern": f"^(?:{primitives.ORDINARY_PATTERNS[kind]})$"}
    return {"type": "string", "minLength": 1, "maxLength": primitives.STRING_LENGTH_MAX}
