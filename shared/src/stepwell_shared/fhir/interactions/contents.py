"""Binary: content that is no FHIR is taken and given back as it came, or as a resource to who asks for FHIR.

Who may read it is said by its security context, never by the Binary itself. https://hl7.org/fhir/R4/binary.html
"""

from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import orjson

from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import not_found, query_of, visible
from stepwell_shared.fhir.messages import Request, Response, is_unchanged, outgoing, version_headers
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.presentation import view_of
from stepwell_shared.fhir.registry import Content, Interaction, ServedType
from stepwell_shared.fhir.unit import Stored

FHIR_JSON = "application/fhir+json"
_FHIR = frozenset({FHIR_JSON, "application/json", "text/json"})
# What is served is looked at by no browser: it is saved, and can load and run nothing. No type is guessed, as anywhere.
_SAFELY = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "no-store",
}

Resource = dict[str, Any]


def received(request: Request, content: Content) -> Request:
    """The create of a Binary as FHIR asks for it; content that was sent as it is becomes one.

    Raises FhirError TOO_LARGE for more bytes than are taken.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in content.endings:
        return request
    if len(request.body) > content.bytes_max:
        raise FhirError(Category.TOO_LARGE, f"at most {content.bytes_max} bytes are taken")
    binary: Resource = {"resourceType": request.resource_type, "contentType": media_type}
    if request.headers.get("x-security-context"):
        binary["securityContext"] = {"reference": request.headers["x-security-context"]}
    if request.body:
        binary["data"] = b64encode(request.body).decode()
    return replace(request, body=encode(binary))


async def read_content(engine: Engine, request: Request, served_type: ServedType, content: Content) -> Response:
    """The content as it came, or the resource where the request names FHIR.

    Raises FhirError: FORBIDDEN for a token that is narrowed, which says nothing of whose it is, NOT_FOUND where the
    caller may not read its security context, NOT_ACCEPTABLE for another media type than it has.
    """
    if request.access.filters(request.resource_type, Interaction.READ):
        raise FhirError(Category.FORBIDDEN, "the scopes of this token are narrowed, which a Binary cannot be held to")
    found = await engine.store.read(request.access.tenant, request.resource_type, request.id)
    stored = await visible(engine, request, served_type, found)
    binary: Resource = orjson.loads(stored.body or b"{}")
    if not await _may_read(engine, request, str(binary.get("securityContext", {}).get("reference", ""))):
        raise not_found(request)
    if is_unchanged(request, stored):
        return Response(304, b"", version_headers(stored), stored.id)
    if _asks_for_fhir(request):
        body = outgoing(served_type, stored, view_of(request.parameters))
        return Response(200, body, version_headers(stored), stored.id)
    return _as_it_came(request, content, stored, binary)


def _as_it_came(request: Request, content: Content, stored: Stored, binary: Resource) -> Response:
    media_type = str(binary["contentType"])
    if not _is_accepted(request.headers.get("accept", "*/*"), media_type):
        raise FhirError(Category.NOT_ACCEPTABLE, f"this is {media_type}; as FHIR it is JSON")
    name = f"{stored.id}{content.endings.get(media_type, '')}"
    headers = {**version_headers(stored), **_SAFELY, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(200, b64decode(binary.get("data", "")), headers, stored.id, media_type=media_type)


async def _may_read(engine: Engine, request: Request, reference: str) -> bool:
    """Whether the caller may read what says whose it is; what is not here says nothing."""
    kind, _, id_ = engine.localise(reference).partition("/")
    served_type = engine.registry.types.get(kind)
    if served_type is None:
        return False
    try:
        granted = request.access.filters(kind, Interaction.READ)
    except FhirError:
        return False
    query = query_of(engine, served_type, [("_id", id_.partition("/")[0])], granted, strict=True)
    return bool(await engine.store.search(request.access.tenant, *query.page_statement()))


def _asks_for_fhir(request: Request) -> bool:
    """Whether FHIR is named, as for entries of a Bundle."""
    if any(name == "_format" for name, _ in request.parameters):
        return True
    named = {part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")}
    return bool(named & _FHIR)


def _is_accepted(header: str, media_type: str) -> bool:
    named = {part.partition(";")[0].strip().lower() for part in header.split(",")}
    return bool(named & {"", "*/*", f"{media_type.partition('/')[0]}/*", media_type})
