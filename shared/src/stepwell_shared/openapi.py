"""The OpenAPI document of a service, from the same registry as its routes.

https://spec.openapis.org/oas/v3.1.0
"""

from typing import Any

from stepwell_shared.fhir.patch import JSON_PATCH
from stepwell_shared.fhir.registry import Interaction, Operation, Registry, ServedType
from stepwell_shared.fhir.wire import FHIR_JSON
from stepwell_shared.openapi_examples import example_of, operation_example
from stepwell_shared.openapi_schemas import component_schemas
from stepwell_shared.runtime import Service

VERSION = "0.1.0"
_OUTCOME = {"$ref": "#/components/schemas/OperationOutcome"}
_ALWAYS = {
    "414": "The URL is too long; long searches go to POST _search.",
    "431": "There are too many headers, or they are too long.",
    "503": "The database does not answer, or too much is being worked on; try again shortly.",
}
_REFUSALS = {
    **_ALWAYS,
    "400": "The request is not valid; every issue says where.",
    "401": "A bearer token is needed (SMART Backend Services).",
    "403": "The token's scopes do not grant this.",
    "404": "There is no such resource for this tenant.",
    "406": "Only FHIR JSON is served.",
}
_WRITE_REFUSALS = {
    "408": "The body did not arrive in time.",
    "409": "It contradicts what is stored.",
    "412": "It is not at the version that If-Match names, or several match.",
    "413": "The body is too large.",
    "415": "The body is not FHIR JSON.",
    "422": "A business rule or the Questionnaire is not met; every finding says where.",
}
_DELETED = {"410": "It was deleted."}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}}
_VERSION_ID = {**_ID, "name": "version_id"}
_SYSTEM_TYPES = ("Bundle", "OperationOutcome", "Parameters")


_PATCH_BODY = {
    "description": "JSON Patch (RFC 6902)",
    "type": "array",
    "items": {"$ref": "#/components/schemas/PatchOperation"},
}


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


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


_IF_MATCH = _header("If-Match", 'only if it is still at this version, such as W/"3"')
_IF_NONE_MATCH = _header("If-None-Match", "304 where the client has this version already")
_IF_NONE_EXIST = _header("If-None-Exist", "a search; what it finds is answered instead of creating another one")
_PREFER = _header("Prefer", "return=minimal, return=representation or return=OperationOutcome")
_KEY = {
    **_header("Idempotency-Key", "What is asked twice under one key happens once, with one answer; best a UUID."),
    "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
}


def openapi_document(service: Service, registry: Registry, base_url: str) -> dict[str, Any]:
    """Paths of every interaction and operation that the registry serves."""
    prefix = f"/{service.name}/fhir"
    topics = tuple(topic.canonical for topic in service.topics)
    metadata = _operation("metadata", "What this service serves", "CapabilityStatement", secured=False)
    bundle = _operation("process-Bundle", "Several requests at once (batch or transaction)", "Bundle", body="Bundle")
    del bundle["responses"]["201"]
    bundle["parameters"] = [_KEY]
    paths: dict[str, Any] = {f"{prefix}/metadata": {"get": metadata}, prefix: {"post": bundle}}
    for served_type in registry:
        _type_paths(paths, prefix, served_type, example_of(served_type.name, topics))
    history = _operation("history", "Versions of all resources, newest first", "Bundle")
    paths[f"{prefix}/_history"] = {"get": {**history, "parameters": _HISTORY}}
    return {
        "openapi": "3.1.0",
        "info": {"title": service.title, "version": VERSION, "description": service.description},
        "servers": [{"url": base_url.removesuffix(prefix)}],
        "security": [{"smart": []}],
        "tags": [{"name": each.name, "description": each.documentation} for each in registry],
        "paths": paths,
        "components": {"schemas": _schemas(registry), "securitySchemes": _security()},
    }


def _type_paths(paths: dict[str, Any], prefix: str, served_type: ServedType, example: dict[str, Any] | None) -> None:
    name, allows = served_type.name, served_type.allows
    links = _links(served_type)
    of_type: dict[str, Any] = {}
    of_instance: dict[str, Any] = {"parameters": [_ID]}
    if allows(Interaction.SEARCH_TYPE):
        search = _operation(f"search-{name}", f"Search {name}", "Bundle", tag=name)
        search["parameters"] = _search_parameters(served_type)
        found = {"id": "$response.body#/entry/0/resource/id"}
        search["responses"]["200"]["links"] = {"first match": {"operationId": f"read-{name}", "parameters": found}}
        of_type["get"] = search
    if allows(Interaction.CREATE):
        without_id = {key: value for key, value in (example or {}).items() if key != "id"} or None
        create = _operation(f"create-{name}", f"Create a {name}", name, body=name, status="201", example=without_id)
        create["parameters"] = [_IF_NONE_EXIST, _PREFER, _KEY]
        for status in ("200", "201"):
            create["responses"][status]["links"] = links
        of_type["post"] = {**create, "tags": [name]}
    if allows(Interaction.READ):
        read = _operation(f"read-{name}", f"Read a {name}", name, more=_DELETED, tag=name)
        read["parameters"] = [_IF_NONE_MATCH, *_VIEW]
        read["responses"]["200"]["links"] = {key: link for key, link in links.items() if key == "version"}
        read["responses"]["304"] = {"description": "The client has this version already."}
        of_instance["get"] = read
    _changes(of_instance, served_type, "", f"a {name}", [_IF_MATCH], example)
    matched = f"the one {name} that the criteria match"
    _changes(of_type, served_type, "-matching", matched, _criteria(served_type), None)
    paths[f"{prefix}/{name}"] = of_type
    paths[f"{prefix}/{name}/{{id}}"] = of_instance
    _history_paths(paths, prefix, served_type)
    validate = _operation(
        f"validate-{name}",
        f"Would this {name} be accepted? Nothing is stored.",
        "OperationOutcome",
        body=name,
        tag=name,
    )
    paths[f"{prefix}/{name}/$validate"] = {"post": validate}
    in_place = {**validate, "operationId": f"validate-{name}-in-place"}
    paths[f"{prefix}/{name}/{{id}}/$validate"] = {"parameters": [_ID], "post": in_place}
    for operation in served_type.operations:
        _operation_path(paths, prefix, served_type, operation)


def _changes(
    path: dict[str, Any],
    served_type: ServedType,
    suffix: str,
    what: str,
    parameters: list[dict[str, Any]],
    example: dict[str, Any] | None,
) -> None:
    """Update, patch and delete of the resource at an id or of the one that criteria match."""
    name = served_type.name
    if served_type.allows(Interaction.UPDATE):
        more = {"405": "Clients do not make new ones."}
        update = _operation(
            f"update-{name}{suffix}", f"Update {what}", name, body=name, more=more, tag=name, example=example
        )
        path["put"] = {**update, "parameters": [*parameters, _PREFER]}
    if served_type.allows(Interaction.PATCH):
        patch = _operation(
            f"patch-{name}{suffix}", f"Change parts of {what}", name, body="Parameters", more=_DELETED, tag=name
        )
        del patch["responses"]["201"]
        patch["requestBody"]["content"][JSON_PATCH] = {"schema": _PATCH_BODY}
        path["patch"] = {**patch, "parameters": [*parameters, _PREFER, _KEY]}
    if served_type.allows(Interaction.DELETE):
        delete = _operation(f"delete-{name}{suffix}", f"Delete {what}", None, status="204", tag=name)
        delete["responses"] |= _refusals({"409": _WRITE_REFUSALS["409"], "412": _WRITE_REFUSALS["412"]})
        path["delete"] = {**delete, "parameters": parameters}


def _history_paths(paths: dict[str, Any], prefix: str, served_type: ServedType) -> None:
    name = served_type.name
    if served_type.allows(Interaction.HISTORY_INSTANCE):
        history = _operation(f"history-{name}", f"Versions of a {name}, newest first", "Bundle", tag=name)
        get = {**history, "parameters": _HISTORY}
        paths[f"{prefix}/{name}/{{id}}/_history"] = {"parameters": [_ID], "get": get}
    if served_type.allows(Interaction.HISTORY_TYPE):
        history = _operation(f"history-{name}s", f"Versions of every {name}, newest first", "Bundle", tag=name)
        paths[f"{prefix}/{name}/_history"] = {"get": {**history, "parameters": _HISTORY}}
    if served_type.allows(Interaction.VREAD):
        vread = _operation(f"vread-{name}", f"Read one version of a {name}", name, more=_DELETED, tag=name)
        get = {**vread, "parameters": _VIEW}
        paths[f"{prefix}/{name}/{{id}}/_history/{{version_id}}"] = {"parameters": [_ID, _VERSION_ID], "get": get}


def _links(served_type: ServedType) -> dict[str, Any]:
    """What can be asked of a resource that was just answered."""
    id_ = {"id": "$response.body#/id"}
    verbs = {
        "read": Interaction.READ,
        "update": Interaction.UPDATE,
        "delete": Interaction.DELETE,
        "history": Interaction.HISTORY_INSTANCE,
    }
    links: dict[str, Any] = {
        verb: {"operationId": f"{verb}-{served_type.name}", "parameters": id_}
        for verb, interaction in verbs.items()
        if served_type.allows(interaction)
    }
    if served_type.allows(Interaction.VREAD):
        version = {**id_, "version_id": "$response.body#/meta/versionId"}
        links["version"] = {"operationId": f"vread-{served_type.name}", "parameters": version}
    return links


def _operation_path(paths: dict[str, Any], prefix: str, served_type: ServedType, operation: Operation) -> None:
    middle = "/{id}" if operation.instance else ""
    summary, result = f"${operation.name}", operation.result or served_type.name
    name = f"{operation.name}-{served_type.name}{'' if operation.instance else 's'}"
    example = operation_example(operation.name)
    body = _operation(name, summary, result, body="Parameters", more=_DELETED, tag=served_type.name, example=example)
    body["requestBody"]["required"] = False
    if operation.affects_state:
        body["parameters"] = [_KEY]
    path: dict[str, Any] = {"post": {**body, "description": operation.documentation}}
    if not operation.affects_state:
        get = _operation(f"get-{name}", summary, result, more=_DELETED, tag=served_type.name)
        path["get"] = {**get, "description": operation.documentation}
    if operation.instance:
        path["parameters"] = [_ID]
    paths[f"{prefix}/{served_type.name}{middle}/${operation.name}"] = path


def _operation(
    operation_id: str,
    summary: str,
    result: str | None,
    *,
    body: str | None = None,
    status: str = "200",
    secured: bool = True,
    more: dict[str, str] | None = None,
    tag: str | None = None,
    example: dict[str, Any] | None = None,
) -> dict[str, Any]:
    refusals = {**_REFUSALS, **(_WRITE_REFUSALS if body else {}), **(more or {})} if secured else _ALWAYS
    answer: dict[str, Any] = {"description": "Done."}
    if result is not None:
        answer["content"] = {FHIR_JSON: {"schema": {"$ref": f"#/components/schemas/{result}"}}}
    responses = {status: answer}
    if body is not None and status == "201":
        responses["200"] = {**answer, "description": "It existed already: sent again, or found by If-None-Exist."}
    if body is not None and status == "200":
        responses["201"] = {**answer, "description": "It was new."}
    responses |= _refusals(refusals)
    operation: dict[str, Any] = {"operationId": operation_id, "summary": summary, "responses": responses}
    if tag is not None:
        operation["tags"] = [tag]
    if not secured:
        operation["security"] = []
    if body is not None:
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{body}"}}
        if example is not None:
            content["examples"] = {"accepted": {"summary": "Accepted as it stands", "value": example}}
        operation["requestBody"] = {"required": True, "content": {FHIR_JSON: content}}
    return operation


def _refusals(texts: dict[str, str]) -> dict[str, Any]:
    return {
        code: {"description": text, "content": {FHIR_JSON: {"schema": _OUTCOME}}}
        for code, text in sorted(texts.items())
    }


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
    """Every element of each type; the full rules are those of FHIR R4, which every write is held to."""
    schemas = component_schemas({*registry.types, *_SYSTEM_TYPES})
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
