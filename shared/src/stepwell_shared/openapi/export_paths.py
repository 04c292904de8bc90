"""Status and files of bulk exports: what the address in the Content-Location of `$export` answers.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from typing import Any

from stepwell_shared.openapi.operation import READING, refusals

Json = dict[str, Any]
TAG = "Bulk export"
ABOUT = "How an export stands, its files of one resource a line, and its end; see docs/export.md"
_TEXT: Json = {"type": "string"}
_EXPORT: Json = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The export, as the Content-Location of its kick-off names it.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"},
}
_NUMBER: Json = {
    "name": "number",
    "in": "path",
    "required": True,
    "description": "The file, as the manifest names it.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
}
_REFUSED = (*READING, "405")


def export_paths(service: str) -> Json:
    """The two addresses, which are beside those of FHIR."""
    status, file = f"/{service}/exports/{{id}}", f"/{service}/exports/{{id}}/{{number}}"
    return {
        status: {"parameters": [_EXPORT], "get": _status(), "delete": _cancel()},
        file: {"parameters": [_EXPORT, _NUMBER], "get": _file()},
    }


def _status() -> Json:
    ready = {
        "description": "It is ready: where its files are. Expires says until when.",
        "headers": _headers("Expires"),
        "content": {"application/json": {"schema": _manifest()}},
    }
    working = {
        "description": "It is being made ready: X-Progress says how far, Retry-After when to ask again.",
        "headers": _headers("X-Progress", "Retry-After"),
    }
    return _operation("export-status", "How an export stands", {"200": ready, "202": working}, "422")


def _cancel() -> Json:
    done = {"description": "It is ended, and its files are gone."}
    return _operation("end-export", "End an export, or remove what it has found", {"202": done})


def _file() -> Json:
    lines = {
        "description": "One resource a line, as it was at the transactionTime; gzip where Accept-Encoding takes it.",
        "content": {"application/fhir+ndjson": {"schema": _TEXT}},
    }
    return _operation("export-file", "One file of an export", {"200": lines})


def _operation(id_: str, summary: str, answers: Json, *refused: str) -> Json:
    responses = {**answers, **refusals(*_REFUSED, *refused)}
    return {"operationId": id_, "summary": summary, "tags": [TAG], "responses": responses}


def _headers(*names: str) -> Json:
    return {name: {"schema": _TEXT} for name in names}


def _manifest() -> Json:
    listed = {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["type", "url"],
            "properties": {"type": _TEXT, "url": _TEXT, "count": {"type": "integer"}},
        },
    }
    properties = {
        "transactionTime": _TEXT,
        "request": _TEXT,
        "requiresAccessToken": {"const": True},
        **dict.fromkeys(("output", "deleted", "error"), listed),
    }
    return {"type": "object", "required": list(properties), "properties": properties}
