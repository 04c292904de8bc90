"""The whole document: addresses from the registry, schemas from the definitions of R4."""

from typing import Any

import orjson

from stepwell_shared.fhir.registry import Registry
from stepwell_shared.openapi import parameters
from stepwell_shared.openapi.examples import example_of, is_made_at
from stepwell_shared.openapi.export_paths import ABOUT as EXPORT_ABOUT
from stepwell_shared.openapi.export_paths import TAG as EXPORT_TAG
from stepwell_shared.openapi.export_paths import export_paths
from stepwell_shared.openapi.operation import refusal_components
from stepwell_shared.openapi.resource_paths import type_paths
from stepwell_shared.openapi.schemas import component_schemas
from stepwell_shared.openapi.system_paths import TAG, system_paths
from stepwell_shared.runtime import Service

VERSION = "0.1.0"
_SYSTEM_TYPES = ("Bundle", "OperationOutcome", "Parameters")
_HINTS = """
Resources are [FHIR R4](https://hl7.org/fhir/R4/) JSON; `/metadata` says what is served. Every refusal is an
OperationOutcome that names each problem and its place. What is sent twice under one `Idempotency-Key` happens once.
Examples are accepted as they stand, once `Patient/example` is there.
"""


def openapi_document(service: Service, registry: Registry, base_url: str) -> dict[str, Any]:
    """Paths of every interaction and operation that the registry serves."""
    prefix = f"/{service.name}/fhir"
    topics = tuple(topic.canonical for topic in service.topics)
    paths = system_paths(prefix, registry)
    for served_type in registry:
        example = example_of(served_type.name, topics)
        paths |= type_paths(prefix, served_type, example, is_sent=is_made_at(service.name, served_type.name))
    paths |= export_paths(service.name)
    beside = service.documented()
    paths |= beside.get("paths", {})
    system = {"name": TAG, "description": "What is served, Bundles, and searches over several types"}
    document = {
        "openapi": "3.1.0",
        "info": {"title": service.title, "version": VERSION, "description": f"{service.description}\n{_HINTS}"},
        "servers": [{"url": base_url.removesuffix(prefix)}],
        "security": [{"smart": []}],
        "tags": [
            system,
            *({"name": each.name, "description": each.documentation} for each in registry),
            {"name": EXPORT_TAG, "description": EXPORT_ABOUT},
            *beside.get("tags", ()),
        ],
        "paths": paths,
        "components": {
            "schemas": _schemas(registry),
            "responses": refusal_components(),
            "parameters": parameters.components(registry),
            "securitySchemes": {**_security(), **beside.get("securitySchemes", {})},
        },
    }
    # What is said in several places is a copy in each: as YAML it then reads without anchors.
    copied: dict[str, Any] = orjson.loads(orjson.dumps(document))
    return copied


def _schemas(registry: Registry) -> dict[str, Any]:
    """Every element of each type; the full rules are those of FHIR R4, which every write is held to."""
    results = {each.result for served_type in registry for each in served_type.operations if each.result}
    schemas = component_schemas({*registry.types, *_SYSTEM_TYPES, *results})
    statement = {
        "type": "object",
        "description": "https://hl7.org/fhir/R4/capabilitystatement.html",
        "required": ["resourceType", "status", "date", "kind", "fhirVersion", "format"],
        "properties": {"resourceType": {"const": "CapabilityStatement"}, "fhirVersion": {"const": "4.0.1"}},
    }
    return {**schemas, "CapabilityStatement": statement, "PatchOperation": _patch_operation()}


def _patch_operation() -> dict[str, Any]:
    """https://www.rfc-editor.org/rfc/rfc6902#section-4"""
    pointer = {"type": "string", "pattern": "^(/([^/~]|~[01])*)*$"}
    return {
        "type": "object",
        "description": "https://www.rfc-editor.org/rfc/rfc6902#section-4",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": pointer,
            "from": pointer,
            "value": {},
        },
        "example": {"op": "replace", "path": "/status", "value": "final"},
    }


def _security() -> dict[str, Any]:
    return {
        "smart": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of SMART Backend Services; /.well-known/smart-configuration says where.",
        }
    }
