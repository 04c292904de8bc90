"""The worklist in referral's OpenAPI document: addresses, what they take and answer."""

from typing import Any

from stepwell_shared.openapi.operation import refusals

from stepwell_referral.use_cases.worklist import LISTS
from stepwell_referral.use_cases.worklist_reach import SORTS

TAG = "Worklist"

Json = dict[str, Any]


def documented() -> Json:
    """Paths and tag, to be put beside those of FHIR."""
    service = _in_path("service", "The id of the HealthcareService.")
    line = _in_path("task", "The id of the Task.")
    view = {"name": "list", "in": "path", "required": True, "description": "Which list; docs/worklist.md.",
            "schema": {"enum": [*LISTS, "unanswered", "queues", "load"]}}  # fmt: skip
    base = "/referral/worklist"
    return {
        "paths": {
            base: {"get": _get("worklist", "How much is on each list, and the first few lines of each", _chosen())},
            f"{base}/{{list}}": {
                "parameters": [view],
                "get": _get("worklist-list", "One list, a page at a time", [*_chosen(), *_paged()]),
            },
            f"{base}/queues/{{service}}": {
                "parameters": [service],
                "get": _get("worklist-queue", "Who waits at a service, the next one first, and why", [_from()]),
            },
            f"{base}/lines/{{task}}": {
                "parameters": [line],
                "get": _get("worklist-line", "One Task with what can be done next", []),
            },
            f"{base}/sign-in": {"post": _sign_in()},
        },
        "tags": [{"name": TAG, "description": "What needs those who coordinate referrals; as pages and as data"}],
    }


def _get(operation_id: str, summary: str, parameters: list[Json]) -> Json:
    form = _query("_format", {"enum": ["html", "json"]}, "As Accept, and before it.")
    language = _query("language", {"enum": ["en", "de", "es", "fr"]}, "As Accept-Language, and before it.")
    content = {"text/html": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": [TAG],
        "parameters": [*parameters, form, language],
        "responses": {
            "200": {"description": "The page, or the same as data.", "content": content},
            **refusals("400", "401", "403", "404", "405", "406", "410", "414", "422", "431", "503"),
        },
    }


def _sign_in() -> Json:
    answer = {"type": "object", "required": ["link", "expires"], "properties": {
        "link": {"type": "string", "format": "uri"}, "expires": {"type": "string", "format": "date-time"}
    }}  # fmt: skip
    return {
        "operationId": "worklist-sign-in",
        "summary": "A link that opens the worklist in a browser with the rights of this token; good once, for minutes",
        "tags": [TAG],
        "responses": {
            "200": {"description": "The link.", "content": {"application/json": {"schema": answer}}},
            **refusals("400", "401", "403", "405", "413", "414", "422", "431", "503"),
        },
    }


def _chosen() -> list[Json]:
    id_ = "[A-Za-z0-9.-]{1,64}"
    return [
        _query("site", {"type": "string", "pattern": f"^((Location|Organization)/{id_})?$"}, "Services of this site."),
        _query("tier", {"type": "string", "pattern": f"^({id_})?$"}, "Services of this tier, such as tier-3."),
        _query("service", {"type": "string", "pattern": f"^({id_})?$"}, "This service, by its id."),
        _query("team", {"enum": ["", "mine"]}, "Services where the person whom the token names works."),
    ]


def _paged() -> list[Json]:
    return [
        _query("sort", {"enum": ["", *SORTS]}, "What comes first."),
        _query("count", {"type": "integer", "minimum": 1, "maximum": 100}, "How many lines."),
        _query("after", {"type": "string"}, "Where the page begins, as the page before says it."),
    ]


def _from() -> Json:
    return _query("from", {"type": "integer", "minimum": 0, "maximum": 999999}, "The position after which it begins.")


def _in_path(name: str, text: str) -> Json:
    schema = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _query(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}
