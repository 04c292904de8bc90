"""A Postman collection of one service, from its OpenAPI document; Postman, Bruno, Insomnia and newman read it.

https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
METHODS = ("get", "post", "put", "patch", "delete")
# What every type has in the same way, and the twins of what is there already.
_EVERYWHERE = re.compile(r"/_search$|/_history(/|$)|/\$validate$|/fhir/Patient/\{id\}/([A-Z*])")
# An id for what is asked about: the examples' own person.
EXAMPLE_ID = "example"
HOW_TO = """
Set the variable `token`: the answer of the token endpoint (SMART Backend Services; `stepwell token TENANT.NAME` asks
for one, and so does Postman's own OAuth 2.0 with a client assertion). It lives five minutes; a request without a good
one is not sent. `base` is where the service is. Examples are accepted as they stand, once `Patient/example` is there
(PUT it first). Histories, `$validate`, writes by criteria, searches by POST and through a person's compartment work
for every type in the same way and are left out, as is GET where an operation is there by POST.
"""
# Runs before each request that needs the token. It reads `exp` and trusts nothing: the service decides.
_BEFORE = """
const token = pm.variables.get('token');
if (!token) { throw new Error('Set the variable token: stepwell token TENANT.NAME prints one.'); }
const claims = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
if (JSON.parse(atob(claims)).exp * 1000 < Date.now()) { throw new Error('The token has ended: ask for a new one.'); }
"""
_AFTER = """
pm.test('is understood: no fault, and nothing wrong with how it was asked', () => {
    pm.expect(pm.response.code).to.be.below(500);
    pm.expect([406, 415]).to.not.include(pm.response.code);
    if (pm.request.headers.get('Authorization') === `Bearer ${pm.variables.get('token')}`) {
        pm.expect(pm.response.code).to.not.equal(401);
    }
});
"""


def collection(document: Mapping[str, Any]) -> Json:
    """Folders by tag, a request for each operation. The variable `base` is the document's first server."""
    folders: dict[str, list[Json]] = {}
    for path, method, operation, shared in _operations(document):
        request = _request(document, path, method, operation, shared)
        folders.setdefault(operation["tags"][0], []).append(request)
    about = {tag["name"]: tag.get("description", "") for tag in document["tags"]}
    return {
        "info": {
            "name": document["info"]["title"],
            "description": f"{document['info']['description'].strip()}\n{HOW_TO}",
            "version": document["info"]["version"],
            "schema": SCHEMA,
        },
        "auth": _bearer("token"),
        "event": [_script("prerequest", _BEFORE), _script("test", _AFTER)],
        "variable": [{"key": "base", "value": document["servers"][0]["url"]}, {"key": "token", "value": ""}],
        "item": [{"name": tag, "description": about.get(tag, ""), "item": items} for tag, items in folders.items()],
    }


def collection_text(made: Mapping[str, Any]) -> str:
    """The file, the same on every machine."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Json, list[Json]]]:
    for path, item in document["paths"].items():
        if _EVERYWHERE.search(path):
            continue
        for method in METHODS:
            if method in item and not _is_twin(method, item[method]["operationId"]):
                yield path, method, item[method], item.get("parameters", [])


def _is_twin(method: str, operation_id: str) -> bool:
    return operation_id.endswith("-matching") or (method == "get" and operation_id.startswith("get-"))


def _request(document: Mapping[str, Any], path: str, method: str, operation: Json, shared: list[Json]) -> Json:
    parameters = [_resolved(document, each) for each in (*shared, *operation.get("parameters", []))]
    request: Json = {
        "method": method.upper(),
        "header": _headers(parameters),
        "url": _url(path, parameters),
        "description": operation.get("description", ""),
    }
    media_type, example = _example(document, operation)
    if media_type:
        request["header"] = [{"key": "Content-Type", "value": media_type}, *request["header"]]
    if example is not None:
        request["body"] = {"mode": "raw", "raw": json.dumps(example, indent=1, ensure_ascii=False)}
    if "security" in operation:
        request["auth"] = _own_auth(operation["security"])
    return {"name": f"{operation['summary']} ({operation['operationId']})", "request": request}


def _url(path: str, parameters: list[Json]) -> Json:
    """Path parameters as Postman's variables; what may be asked for is listed, and sent only when it is needed."""
    text = re.sub(r"\{(\w+)\}", r":\1", path)
    query = [
        {"key": each["name"], "value": _value(each), "disabled": not each.get("required", False)}
        for each in parameters
        if each["in"] == "query"
    ]
    variables = [{"key": each["name"], "value": _value(each)} for each in parameters if each["in"] == "path"]
    sent = "&".join(f"{each['key']}={each['value']}" for each in query if not each["disabled"])
    return {
        "raw": "{{base}}" + text + (f"?{sent}" if sent else ""),
        "host": ["{{base}}"],
        "path": text.removeprefix("/").split("/"),
        **({"query": query} if query else {}),
        **({"variable": variables} if variables else {}),
    }


def _own_auth(security: list[Json]) -> Json:
    """What is open, or opened by a token of another kind: a variable of its own (`cds_token`)."""
    if not security:
        return {"type": "noauth"}
    return _bearer(f"{next(iter(security[0]))}_token")


def _bearer(variable: str) -> Json:
    return {"type": "bearer", "bearer": [{"key": "token", "value": f"{{{{{variable}}}}}", "type": "string"}]}


def _headers(parameters: list[Json]) -> list[Json]:
    return [
        {"key": each["name"], "value": _value(each), "disabled": True} for each in parameters if each["in"] == "header"
    ]


def _value(parameter: Json) -> str:
    schema = parameter.get("schema", {})
    found = parameter.get("example", schema.get("example", schema.get("default")))
    if found is None and schema.get("enum"):
        found = schema["enum"][0]
    return str(found) if found is not None else EXAMPLE_ID if parameter["in"] == "path" else ""


def _example(document: Mapping[str, Any], operation: Json) -> tuple[str, Any]:
    """The media type of the body with its first example, or else the least that has its shape."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        examples = [each["value"] for each in content.get("examples", {}).values()]
        if "example" in content:
            examples.append(content["example"])
        return media_type, examples[0] if examples else _least(document, content.get("schema", {}))
    return "", None


def _least(document: Mapping[str, Any], schema: Json) -> Any:
    if schema.get("type") == "array":
        return [_resolved(document, schema["items"]).get("example")]
    name = schema.get("$ref", "").rpartition("/")[2]
    return {"resourceType": name} if name else None


def _resolved(document: Mapping[str, Any], parameter: Json) -> Json:
    if "$ref" not in parameter:
        return parameter
    found: Any = document
    for part in parameter["$ref"].removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    resolved: Json = found
    return resolved


def _script(listen: str, text: str) -> Json:
    return {"listen": listen, "script": {"type": "text/javascript", "exec": text.strip().splitlines()}}
