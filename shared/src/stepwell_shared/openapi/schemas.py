"""Resource and datatype schemas for the OpenAPI documents, from the same FHIR R4 definitions that writes are held to.

They name every element; below a datatype's own elements they stop, so that no schema contains itself.
https://hl7.org/fhir/R4/json.html
"""

from collections.abc import Iterable
from typing import Any

from stepwell_shared.fhir import definitions
from stepwell_shared.fhir.definitions import ElementDefinition

_CODES_MAX = 60
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_PRIMITIVES: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "decimal": {"type": "number"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "unsignedInt": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "positiveInt": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "id": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"},
    "date": {"type": "string", "pattern": r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$"},
    "dateTime": {
        "type": "string",
        "pattern": r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9:.]{8,}(Z|[+-][0-9]{2}:[0-9]{2}))?)?)?$",
    },
    "instant": {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,}(Z|[+-][0-9]{2}:[0-9]{2})$"},
    "time": {"type": "string", "pattern": r"^[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?$"},
}
_SOMETHING: dict[str, Any] = {"type": "object", "minProperties": 1}
_RESOURCE: dict[str, Any] = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string", "minLength": 1}},
}


def component_schemas(resource_types: Iterable[str]) -> dict[str, Any]:
    """The schemas of these types and of the datatypes that they use, by name."""
    found: dict[str, Any] = {}
    datatypes: set[str] = set()
    for name in sorted(resource_types):
        found[name] = resource_schema(name, datatypes)
    for name in sorted(datatypes):
        found[name] = _object_schema(name, None)
    return dict(sorted(found.items()))


def resource_schema(name: str, datatypes: set[str]) -> dict[str, Any]:
    """A resource type; the datatypes that it refers to are added to `datatypes`."""
    schema = _object_schema(name, datatypes)
    properties = {"resourceType": {"const": name}, **schema["properties"]}
    required = ["resourceType", *schema.get("required", [])]
    description = f"https://hl7.org/fhir/R4/{name.lower()}.html"
    return {**schema, "description": description, "required": required, "properties": properties}


def _object_schema(path: str, datatypes: set[str] | None) -> dict[str, Any]:
    """The elements below a type or a backbone path. Without `datatypes`, complex elements are not described further."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for element in definitions.children(path):
        names = definitions.json_names(element)
        for name, kind in names.items():
            one = _element_schema(element, kind, datatypes)
            is_list = element.maximum is None or element.maximum > 1
            properties[name] = {"type": "array", "minItems": 1, "items": one} if is_list else one
        if element.minimum > 0 and len(names) == 1 and not _may_be_absent(next(iter(names.values()))):
            required += names
    schema: dict[str, Any] = {"type": "object", "minProperties": 1, "properties": properties}
    if required:
        schema["required"] = required
    # Ids and extensions of primitive elements stand beside them, under their name with an underscore.
    return {**schema, "patternProperties": {"^_[a-zA-Z]+$": {}}, "additionalProperties": False}


def _may_be_absent(kind: str | None) -> bool:
    """A required primitive may have an extension in place of its value, which then says why there is none."""
    is_datatype = kind not in {None, "Resource", *definitions.BACKBONE_TYPES}
    return is_datatype and definitions.type_definition(str(kind)).kind == "primitive-type"


def _element_schema(element: ElementDefinition, kind: str | None, datatypes: set[str] | None) -> dict[str, Any]:
    if kind == "Resource":
        return _RESOURCE
    if kind is None or kind in definitions.BACKBONE_TYPES:
        # Content that is shared with an element above would make the schema contain itself.
        return _SOMETHING if element.content or datatypes is None else _object_schema(element.path, datatypes)
    if definitions.type_definition(kind).kind == "primitive-type":
        codes = _codes_of(element)
        return {"enum": codes} if codes else _PRIMITIVES.get(kind, _TEXT)
    if kind == "Extension" or datatypes is None:
        return _SOMETHING
    datatypes.add(kind)
    return {"$ref": f"#/components/schemas/{kind}"}


def _codes_of(element: ElementDefinition) -> list[str]:
    """The codes of a required binding, where they are few enough to be read."""
    if element.codes is None or "code" not in element.types:
        return []
    try:
        codes = [code for each in definitions.required_codes(element.codes).values() for code in each]
    except KeyError:
        return []
    return codes if len(codes) <= _CODES_MAX else []
