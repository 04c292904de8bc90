"""The OpenAPI document of a service, from the same registry as its routes.

https://spec.openapis.org/oas/v3.1.0
"""

from typing import Any

from stepwell_shared.fhir.patch import JSON_PATCH
from stepwell_shared.fhir.registry import Interaction, Operation, Registry, ServedType
from stepwell_shared.fhir.routes import FHIR_JSON
from stepwell_shared.runtime import Service

VERSION = "0.1.0"
_OUTCOME = {"$ref": "#/components/schemas/OperationOutcome"}
_REFUSALS = {
    "400": "The request is not valid; every issue says where.",
    "401": "A bearer token is needed (SMART Backend Services).",
    "403": "The token's scopes do not grant this.",
    "404": "There is no such resource for this tenant.",
    "503": "The database does not answer; try again shortly.",
}
_WRITE_REFUSALS = {
    "409": "It contradicts what is stored.",
    "412": "It is not at the version that If-Match names, or several match.",
    "413": "The body is too large.",
    "415": "The body is not FHIR JSON.",
    "422": "A business rule or the Questionnaire is not met; every finding says where.",
}
_PATCH_BODY = {
    "description": "JSON Patch (RFC 6902)",
    "type": "array",
    "items": {"$ref": "#/components/schemas/PatchOperation"},
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}}


def _query(names: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}
        for name, description in names.items()
    ]


_VIEW = _query({"_summary": "true, text, data or false", "_elements": "names of the elements that are wanted"})
_HISTORY = _query(
    {
        "_count": "most versions on a page",
        "_since": "an instant: versions of this time or later",
        "_at": "a date or dateTime: versions that were current then",
    }
)

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "What is asked twice under one key happens once, with one answer; visible ASCII, best a UUID.",
    "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
}


def openapi_document(service: Service, registry: Registry, base_url: str) -> dict[str, Any]:
    """Paths of every interaction and operation that the registry serves."""
    prefix = f"/{service.name}/fhir"
    paths: dict[str, Any] = {
        f"{prefix}/metadata": {"get": _operation("What this service serves", "CapabilityStatement", secured=False)}
    }
    for served_type in registry:
        _type_paths(paths, prefix, served_type)
    of_everything = _operation("Versions of all resources, newest first", "Bundle")
    paths[f"{prefix}/_history"] = {"get": {**of_everything, "parameters": _HISTORY}}
    several = _operation("Several interactions: each for itself (batch), or all or none", "Bundle", body="Bundle")
    del several["responses"]["201"]
    paths[prefix] = {**paths.get(prefix, {}), "post": _keyed(several)}
    return {
        "openapi": "3.1.0",
        "info": {"title": service.title, "version": VERSION, "description": service.description},
        "servers": [{"url": base_url.removesuffix(prefix)}],
        "security": [{"smart": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(registry),
            "parameters": {"IdempotencyKey": _KEY},
            "securitySchemes": _security(),
        },
    }


def _keyed(operation: dict[str, Any]) -> dict[str, Any]:
    """The operation as one that takes an Idempotency-Key."""
    key = {"$ref": "#/components/parameters/IdempotencyKey"}
    return {**operation, "parameters": [*operation.get("parameters", []), key]}


def _type_paths(paths: dict[str, Any], prefix: str, served_type: ServedType) -> None:
    name = served_type.name
    of_type: dict[str, Any] = {}
    of_instance: dict[str, Any] = {"parameters": [_ID]}
    if served_type.allows(Interaction.SEARCH_TYPE):
        of_type["get"] = {**_operation(f"Search {name}", "Bundle"), "parameters": _search_parameters(served_type)}
    if served_type.allows(Interaction.CREATE):
        of_type["post"] = _keyed(_operation(f"Create a {name}", name, body=name, status="201"))
    if served_type.allows(Interaction.READ):
        read = _operation(f"Read a {name}", name, more={"410": "It was deleted."})
        of_instance["get"] = {**read, "parameters": _VIEW}
    _changes(of_instance, name, served_type, f"a {name}", [])
    _changes(of_type, name, served_type, f"the one {name} that the criteria match", _criteria(served_type))
    paths[f"{prefix}/{name}"] = of_type
    paths[f"{prefix}/{name}/{{id}}"] = of_instance
    if served_type.allows(Interaction.HISTORY_INSTANCE):
        history = {**_operation(f"Versions of a {name}, newest first", "Bundle"), "parameters": _HISTORY}
        paths[f"{prefix}/{name}/{{id}}/_history"] = {"parameters": [_ID], "get": history}
    if served_type.allows(Interaction.HISTORY_TYPE):
        history = {**_operation(f"Versions of every {name}, newest first", "Bundle"), "parameters": _HISTORY}
        paths[f"{prefix}/{name}/_history"] = {"get": history}
    if served_type.allows(Interaction.VREAD):
        version = {"name": "version_id", "in": "path", "required": True, "schema": {"type": "string"}}
        read = _operation(f"Read one version of a {name}", name, more={"410": "It was deleted."})
        read = {**read, "parameters": _VIEW}
        paths[f"{prefix}/{name}/{{id}}/_history/{{version_id}}"] = {"parameters": [_ID, version], "get": read}
    validate = _operation(f"Would this {name} be accepted? Nothing is stored.", "OperationOutcome", body=name)
    paths[f"{prefix}/{name}/$validate"] = {"post": validate}
    paths[f"{prefix}/{name}/{{id}}/$validate"] = {"parameters": [_ID], "post": validate}
    for operation in served_type.operations:
        _operation_path(paths, prefix, served_type, operation)


def _changes(
    path: dict[str, Any], name: str, served_type: ServedType, what: str, criteria: list[dict[str, Any]]
) -> None:
    """Update, patch and delete of the resource at an id or of the one that criteria match."""
    more = {"parameters": criteria} if criteria else {}
    if served_type.allows(Interaction.UPDATE):
        path["put"] = {**_operation(f"Update {what}", name, body=name, more={"405": "Not made by clients."}), **more}
        patch = _operation(f"Change parts of {what}", name, body="Parameters", more={"410": "It was deleted."})
        del patch["responses"]["201"]
        patch["requestBody"]["content"][JSON_PATCH] = {"schema": _PATCH_BODY}
        path["patch"] = _keyed({**patch, **more})
    if served_type.allows(Interaction.DELETE):
        delete = _operation(f"Delete {what}", None, status="204")
        delete["responses"]["412"] = {
            "description": _WRITE_REFUSALS["412"],
            "content": {FHIR_JSON: {"schema": _OUTCOME}},
        }
        path["delete"] = {**delete, **more}


def _operation_path(paths: dict[str, Any], prefix: str, served_type: ServedType, operation: Operation) -> None:
    middle = "/{id}" if operation.instance else ""
    summary, result = f"${operation.name}: {operation.documentation}", operation.result or served_type.name
    body = _operation(summary, result, body="Parameters")
    body["requestBody"]["required"] = False
    path: dict[str, Any] = {"post": _keyed(body) if operation.affects_state else body}
    if not operation.affects_state:
        path["get"] = _operation(summary, result)
    if operation.instance:
        path["parameters"] = [_ID]
    paths[f"{prefix}/{served_type.name}{middle}/${operation.name}"] = path


def _operation(
    summary: str,
    result: str | None,
    *,
    body: str | None = None,
    status: str = "200",
    secured: bool = True,
    more: dict[str, str] | None = None,
) -> dict[str, Any]:
    refusals = {**_REFUSALS, **(_WRITE_REFUSALS if body else {}), **(more or {})} if secured else {}
    answer: dict[str, Any] = {"description": "Done."}
    if result is not None:
        answer["content"] = {FHIR_JSON: {"schema": {"$ref": f"#/components/schemas/{result}"}}}
    responses = {status: answer}
    if body is not None and status == "201":
        responses["200"] = {**answer, "description": "It existed already: sent again, or found by If-None-Exist."}
    if body is not None and status == "200":
        responses["201"] = {**answer, "description": "It was new."}
    for code, text in sorted(refusals.items()):
        responses[code] = {"description": text, "content": {FHIR_JSON: {"schema": _OUTCOME}}}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if not secured:
        operation["security"] = []
    if body is not None:
        content = {FHIR_JSON: {"schema": {"$ref": f"#/components/schemas/{body}"}}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _criteria(served_type: ServedType) -> list[dict[str, Any]]:
    """Search parameters that choose, without those that only present a result."""
    return [each for each in _search_parameters(served_type) if each["name"] not in {"_count", "_sort", "_total"}]


def _search_parameters(served_type: ServedType) -> list[dict[str, Any]]:
    names = {"_id": "token", "_lastUpdated": "date", "_count": "number", "_sort": "name", "_total": "code"}
    names |= {parameter.name: parameter.type for parameter in served_type.parameters.values()}
    return [
        {"name": name, "in": "query", "description": f"search parameter of type {kind}", "schema": {"type": "string"}}
        for name, kind in names.items()
    ]


def _schemas(registry: Registry) -> dict[str, Any]:
    """The least that is true of each type; the full rules are those of FHIR R4, which every write is held to."""
    names = {*registry.types, "Bundle", "CapabilityStatement", "OperationOutcome", "Parameters"}
    return {"PatchOperation": _patch_operation()} | {
        name: {
            "type": "object",
            "description": f"https://hl7.org/fhir/R4/{name.lower()}.html",
            "required": ["resourceType"],
            "properties": {"resourceType": {"const": name}},
        }
        for name in sorted(names)
    }


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
