"""Read and vread. https://hl7.org/fhir/R4/http.html#read"""

import re

from stepwell_shared.fhir.interactions.contents import read_content
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.narrowing import reached
from stepwell_shared.fhir.interactions.reach import not_found, visible
from stepwell_shared.fhir.messages import Request, Response, is_unchanged, outgoing, version_headers
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.presentation import View, view_of
from stepwell_shared.fhir.registry import Interaction

_VERSION = re.compile(r"[1-9][0-9]{0,8}")


async def read(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#read"""
    served_type = engine.permitted(request, Interaction.READ)
    if served_type.content is not None:
        return await read_content(engine, request, served_type, served_type.content)
    view = _view(request)
    tenant, type_, id_ = request.access.tenant, request.resource_type, request.id
    # Nothing but the record stands between most requests and their resource: one statement keeps it and looks up.
    on_record = request.stands_alone and not _is_conditional(request) and not _is_narrowed(request)
    if on_record:
        record = request.witness(Interaction.READ, id_, 200)
        found = await engine.store.recorded.read(tenant, type_, id_, record)
    else:
        found = await engine.store.read(tenant, type_, id_)
    stored = await visible(engine, request, served_type, found)
    if not on_record and is_unchanged(request, stored):
        return Response(304, b"", version_headers(stored), stored.id)
    body = outgoing(served_type, stored, view)
    return Response(200, body, version_headers(stored), stored.id, witnessed=on_record)


def _is_narrowed(request: Request) -> bool:
    """Whether the caller's scopes reach only some resources of the type."""
    return bool(request.access.filters(request.resource_type, Interaction.READ))


def _is_conditional(request: Request) -> bool:
    """Whether the answer may be that nothing has changed."""
    return "if-none-match" in request.headers or "if-modified-since" in request.headers


async def vread(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#vread"""
    served_type = engine.permitted(request, Interaction.VREAD)
    view = _view(request)
    version = int(request.version_id) if _VERSION.fullmatch(request.version_id) else 0
    tenant = request.access.tenant
    found = await engine.store.versions(tenant, request.resource_type, request.id, version=version, most=1)
    stored = await visible(engine, request, served_type, found[0] if found else None)
    if not await reached(engine, request, Interaction.VREAD, [stored]):
        raise not_found(request)
    return Response(200, outgoing(served_type, stored, view), version_headers(stored), stored.id)


def _view(request: Request) -> View:
    """How much of the resource is wanted; counting makes no sense of one."""
    view = view_of(request.parameters)
    if view.is_count:
        raise FhirError(Category.INVALID, [Issue("_summary=count is for searches and histories", "not-supported")])
    return view
