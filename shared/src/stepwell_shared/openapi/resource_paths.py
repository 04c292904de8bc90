"""The addresses of one resource type: what each interaction and operation takes and answers."""

from typing import Any

from stepwell_shared.fhir.patch import JSON_PATCH
from stepwell_shared.fhir.registry import Content, Interaction, Operation, ServedType
from stepwell_shared.fhir.search.criteria import compartment_parameters
from stepwell_shared.fhir.wire import FHIR_JSON
from stepwell_shared.openapi import parameters
from stepwell_shared.openapi.examples import operation_example, validation_example
from stepwell_shared.openapi.operation import FORM, operation, refusals, schema_of

Json = dict[str, Any]
_PATCH_BODY = {
    "description": "JSON Patch (RFC 6902)",
    "type": "array",
    "items": {"$ref": "#/components/schemas/PatchOperation"},
}


def type_paths(prefix: str, served_type: ServedType, example: Json | None, *, is_sent: bool) -> Json:
    """Every address of the type below the prefix; `example` is a resource of it, which clients send if `is_sent`."""
    name = served_type.name
    sent = example if is_sent else None
    paths: Json = {
        f"{prefix}/{name}": _of_type(served_type, sent),
        f"{prefix}/{name}/{{id}}": _of_instance(served_type, sent),
        **_search_paths(prefix, served_type),
        **_history_paths(prefix, served_type),
        **_validate_paths(prefix, served_type, example, as_create=is_sent and served_type.allows(Interaction.CREATE)),
    }
    for each in served_type.operations:
        middle = "/{id}" if each.instance else ""
        paths[f"{prefix}/{name}{middle}/${each.name}"] = _operation_path(served_type, each)
    return paths


def _of_type(served_type: ServedType, example: Json | None) -> Json:
    name = served_type.name
    found: Json = {}
    if served_type.allows(Interaction.SEARCH_TYPE):
        found["get"] = {**_search(served_type, ""), "parameters": _searching(served_type)}
    if served_type.allows(Interaction.CREATE):
        without_id = {key: value for key, value in (example or {}).items() if key != "id"} or None
        # 405: some resources come with others, or from partners only.
        create = operation(
            f"create-{name}",
            f"Create a {name}",
            name,
            body=name,
            status="201",
            more=("405",),
            tag=name,
            example=without_id,
        )
        create["parameters"] = [parameters.IF_NONE_EXIST, parameters.PREFER, parameters.KEY]
        if served_type.content is not None:
            create["parameters"].append(parameters.SECURITY_CONTEXT)
            create["requestBody"]["content"] |= _contents(served_type.content)
        for status in ("200", "201"):
            create["responses"][status]["links"] = _links(served_type)
        found["post"] = create
    matched = f"the one {name} that the criteria match"
    _changes(found, served_type, "-matching", matched, parameters.criteria(served_type), None)
    return found


def _of_instance(served_type: ServedType, example: Json | None) -> Json:
    name = served_type.name
    found: Json = {"parameters": [parameters.ID]}
    if served_type.allows(Interaction.READ):
        read = operation(f"read-{name}", f"Read a {name}", name, more=("410",), tag=name)
        read["parameters"] = [parameters.IF_NONE_MATCH, *parameters.VIEW]
        links = _links(served_type)
        read["responses"]["200"]["links"] = {key: link for key, link in links.items() if key == "version"}
        if served_type.content is not None:
            read["responses"]["200"]["content"] |= _contents(served_type.content)
        read["responses"]["304"] = {"description": "The client has this version already."}
        found["get"] = read
    _changes(found, served_type, "", f"a {name}", [parameters.IF_MATCH], example)
    return found


def _contents(content: Content) -> Json:
    """What a type holds as it is, by its media types."""
    return {name: {"schema": {"type": "string", "format": "binary"}} for name in content.endings}


def _searching(served_type: ServedType) -> list[Json]:
    return [*parameters.search(served_type), *parameters.VIEW, parameters.HANDLING]


def _search(served_type: ServedType, suffix: str, summary: str = "") -> Json:
    name = served_type.name
    search = operation(f"search-{name}{suffix}", summary or f"Search {name}", "Bundle", tag=name)
    match = {"id": "$response.body#/entry/0/resource/id"}
    search["responses"]["200"]["links"] = {"first match": {"operationId": f"read-{name}", "parameters": match}}
    return search


def _search_paths(prefix: str, served_type: ServedType) -> Json:
    """Search by POST, and within the record of one patient."""
    name = served_type.name
    if not served_type.allows(Interaction.SEARCH_TYPE):
        return {}
    post = _search(served_type, "-by-post", f"Search {name}, with the parameters in a form instead of the URL")
    post["responses"] |= refusals("408", "413", "415")
    post["parameters"] = [parameters.HANDLING]
    content = {"schema": parameters.form(served_type), "example": {"_count": "20", "_sort": "-_lastUpdated"}}
    post["requestBody"] = {"required": False, "content": {FORM: content}}
    paths: Json = {f"{prefix}/{name}/_search": {"post": post}}
    if compartment_parameters(served_type, "Patient"):
        within = _search(served_type, "-of-patient", f"Search {name} within the record of one patient")
        within["parameters"] = _searching(served_type)
        paths[f"{prefix}/Patient/{{id}}/{name}"] = {"parameters": [parameters.ID], "get": within}
    return paths


def _changes(
    path: Json, served_type: ServedType, suffix: str, what: str, conditions: list[Json], example: Json | None
) -> None:
    """Update, patch and delete of the resource at an id or of the one that criteria match."""
    name = served_type.name
    if served_type.allows(Interaction.UPDATE):
        update = operation(
            f"update-{name}{suffix}", f"Update {what}", name, body=name, more=("405",), tag=name, example=example
        )
        path["put"] = {**update, "parameters": [*conditions, parameters.PREFER]}
    if served_type.allows(Interaction.PATCH):
        patch = operation(
            f"patch-{name}{suffix}", f"Change parts of {what}", name, body="Parameters", more=("410",), tag=name
        )
        del patch["responses"]["201"]
        patch["requestBody"]["content"][JSON_PATCH] = {"schema": _PATCH_BODY}
        path["patch"] = {**patch, "parameters": [*conditions, parameters.PREFER, parameters.KEY]}
    if served_type.allows(Interaction.DELETE):
        delete = operation(f"delete-{name}{suffix}", f"Delete {what}", None, status="204", tag=name)
        delete["responses"] |= refusals("409", "412")
        path["delete"] = {**delete, "parameters": conditions}


def _history_paths(prefix: str, served_type: ServedType) -> Json:
    name = served_type.name
    paths: Json = {}
    if served_type.allows(Interaction.HISTORY_INSTANCE):
        history = operation(f"history-{name}", f"Versions of a {name}, newest first", "Bundle", tag=name)
        get = {**history, "parameters": parameters.HISTORY}
        paths[f"{prefix}/{name}/{{id}}/_history"] = {"parameters": [parameters.ID], "get": get}
    if served_type.allows(Interaction.HISTORY_TYPE):
        history = operation(f"history-{name}s", f"Versions of every {name}, newest first", "Bundle", tag=name)
        paths[f"{prefix}/{name}/_history"] = {"get": {**history, "parameters": parameters.HISTORY}}
    if served_type.allows(Interaction.VREAD):
        vread = operation(f"vread-{name}", f"Read one version of a {name}", name, more=("410",), tag=name)
        get = {**vread, "parameters": parameters.VIEW}
        at = [parameters.ID, parameters.VERSION_ID]
        paths[f"{prefix}/{name}/{{id}}/_history/{{version_id}}"] = {"parameters": at, "get": get}
    return paths


def _validate_paths(prefix: str, served_type: ServedType, example: Json | None, *, as_create: bool) -> Json:
    name = served_type.name
    validate = operation(
        f"validate-{name}",
        f"Would this {name} be accepted? Nothing is stored.",
        "OperationOutcome",
        body=name,
        tag=name,
    )
    del validate["responses"]["201"]
    content = validate["requestBody"]["content"][FHIR_JSON]
    content["schema"] = {"anyOf": [schema_of(name), schema_of("Parameters")]}
    if example is not None:
        asked = validation_example(example, creates=as_create)
        content["examples"] = {"profile": {"summary": "Held to a profile", "value": asked}}
    validate["parameters"] = parameters.query(
        {
            "mode": "create, update or delete: what the write would be refused for",
            "profile": "a canonical to hold it to",
        }
    )
    in_place = {**validate, "operationId": f"validate-{name}-in-place"}
    return {
        f"{prefix}/{name}/$validate": {"post": validate},
        f"{prefix}/{name}/{{id}}/$validate": {"parameters": [parameters.ID], "post": in_place},
    }


def _operation_path(served_type: ServedType, each: Operation) -> Json:
    name = f"{each.name}-{served_type.name}{'' if each.instance else 's'}"
    path = operation_item(each, name, served_type.name, each.result or served_type.name)
    return {"parameters": [parameters.ID], **path} if each.instance else path


def operation_item(each: Operation, name: str, tag: str | None, result: str) -> Json:
    """POST, and GET where nothing is changed, of one operation."""
    if each.is_asynchronous:
        return _asynchronous_item(each, name, tag)
    summary, example = f"${each.name}", operation_example(tag, each.name)
    post = operation(name, summary, result, body="Parameters", more=("410",), tag=tag, example=example)
    post["requestBody"]["required"] = False
    if each.affects_state:
        post["parameters"] = [parameters.KEY]
    path: Json = {"post": {**post, "description": each.documentation}}
    if not each.affects_state:
        get = operation(f"get-{name}", summary, result, more=("410", "422"), tag=tag)
        path["get"] = {**get, "description": each.documentation}
    return path


def _asynchronous_item(each: Operation, name: str, tag: str | None) -> Json:
    """https://hl7.org/fhir/R4/async.html"""
    summary = f"${each.name}"
    get = operation(f"get-{name}", summary, None, status="202", more=("410", "422"), tag=tag)
    post = operation(name, summary, None, status="202", body="Parameters", more=("410",), tag=tag)
    post["requestBody"]["required"] = False
    get["parameters"] = [*parameters.query(dict(each.parameters)), parameters.HANDLING]
    post["parameters"] = [parameters.HANDLING]
    location = {"Content-Location": {"description": "Where the status is told.", "schema": {"type": "string"}}}
    for one in (get, post):
        one["description"] = each.documentation
        one["responses"]["202"] = {"description": "It has begun.", "headers": location}
    return {"post": post, "get": get}


def _links(served_type: ServedType) -> Json:
    """What can be asked of a resource that was just answered."""
    id_ = {"id": "$response.body#/id"}
    verbs = {
        "read": Interaction.READ,
        "update": Interaction.UPDATE,
        "delete": Interaction.DELETE,
        "history": Interaction.HISTORY_INSTANCE,
    }
    links: Json = {
        verb: {"operationId": f"{verb}-{served_type.name}", "parameters": id_}
        for verb, interaction in verbs.items()
        if served_type.allows(interaction)
    }
    if served_type.allows(Interaction.VREAD):
        version = {**id_, "version_id": "$response.body#/meta/versionId"}
        links["version"] = {"operationId": f"vread-{served_type.name}", "parameters": version}
    return links
