"""Reads and searches of types that people read in their language: Accept-Language picks the view, nothing is stored.

https://hl7.org/fhir/R4/http.html#Localization
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.languages import best, in_language, languages_of
from stepwell_shared.fhir.messages import Request, Response

Verb = Callable[[Engine, Request], Awaitable[Response]]

# A translated view has the version of what it is a view of, so a client's copy cannot be told apart by it.
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})


def translated(verb: Verb) -> Verb:
    """The verb as one that honours Accept-Language on types that are `translated`; others pay for one look."""

    def answer(engine: Engine, request: Request) -> Awaitable[Response]:
        served_type = engine.registry.types.get(request.resource_type)
        if served_type is None or not served_type.translated:
            return verb(engine, request)
        return _translated(verb, engine, request)

    return answer


async def _translated(verb: Verb, engine: Engine, request: Request) -> Response:
    header = request.headers.get("accept-language", "")
    if header and header.strip() != "*":
        others = {name: value for name, value in request.headers.items() if name not in _CONDITIONS}
        response = await verb(engine, replace(request, headers=others))
        if response.status == 200 and response.body:
            return _view(response, header, request.resource_type)
    else:
        response = await verb(engine, request)
    return replace(response, headers={**response.headers, "Vary": "Accept-Language"})


def _view(response: Response, header: str, resource_type: str) -> Response:
    """The answer in the wanted language; the bytes as they were where that is the language that they are in."""
    resource = json.loads(response.body, parse_float=Decimal)  # a weight of 1.0 stays 1.0
    if resource["resourceType"] == "Bundle":
        said = [_entry_in(entry, header, resource_type) for entry in resource.get("entry", ())]
        view: Any = resource
        changed = any(is_view for _, is_view in said)
        languages = dict.fromkeys(language for language, _ in said if language)
    else:
        language, is_view = _language(resource, header)
        view = in_language(resource, language) if is_view else resource
        changed, languages = is_view, {language: None}
    headers = {**response.headers, "Vary": "Accept-Language"}
    if languages:
        headers["Content-Language"] = ", ".join(languages)
    return replace(response, body=encode(view) if changed else response.body, headers=headers)


def _entry_in(entry: dict[str, Any], header: str, resource_type: str) -> tuple[str, bool]:
    """Puts the view into the entry; its language and whether it is one."""
    resource = entry.get("resource", {})
    if resource.get("resourceType") != resource_type:
        return "", False
    language, is_view = _language(resource, header)
    if is_view:
        entry["resource"] = in_language(resource, language)
    return language, is_view


def _language(resource: dict[str, Any], header: str) -> tuple[str, bool]:
    offered = languages_of(resource)
    language = best(header, offered) or offered[0]
    return language, language != offered[0]
