"""Search of one type. https://hl7.org/fhir/R4/http.html#search"""

from functools import partial

import asyncpg

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import filters_of, query_of, resolved_query, stored_of
from stepwell_shared.fhir.messages import Request, Response, address_of, bundle, match_entries, match_entry
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.presentation import view_of
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.search.includes import INCLUDED_MAX, included
from stepwell_shared.fhir.search.paging import paging_of
from stepwell_shared.fhir.search.query import SearchQuery
from stepwell_shared.fhir.unit import Stored


async def search(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#search"""
    served_type = engine.permitted(request, Interaction.SEARCH_TYPE)
    granted = request.access.filters(request.resource_type, Interaction.SEARCH_TYPE)
    view = view_of(request.parameters)
    query = await resolved_query(engine, request, served_type, request.parameters, granted, strict=request.strict)
    tenant = request.access.tenant
    is_witnessed = request.stands_alone and query.count > 0
    records = await _page(engine, request, query, is_witnessed=is_witnessed) if query.count else []
    total = (await engine.store.search(tenant, *query.total_statement()))[0]["total"] if query.total != "none" else None
    paging = paging_of(query)
    page = records[: query.count][:: -1 if paging.is_backward else 1]
    address = f"{engine.base_url}/{request.resource_type}"
    is_full = len(records) > query.count > 0
    ends = [query.order.keys_of(row) for row in (page[0], page[-1])] if page and (is_full or paging.cursor) else []
    around = paging.links(ends, is_full=is_full)
    links = [(relation, address_of(address, parameters)) for relation, parameters in around]
    entries = match_entries(engine.base_url, served_type, page, view)
    if query.includes:
        matches = [stored_of(served_type, record) for record in page]
        find = partial(_find, engine, request)
        along = await included(query.includes, matches, engine.registry, engine.localise, find)
        types = engine.registry.types
        entries += [match_entry(engine.base_url, types[each.resource_type], each, view, "include") for each in along]
    return Response(200, bundle("searchset", total, links, entries, engine.clock()), witnessed=is_witnessed)


async def _page(engine: Engine, request: Request, query: SearchQuery, *, is_witnessed: bool) -> list[asyncpg.Record]:
    """The rows of one page; the record of the search goes with them, where it stands alone."""
    tenant, (statement, values) = request.access.tenant, query.page_statement()
    if not is_witnessed:
        return await engine.store.search(tenant, statement, values)
    is_plain = query.served_type.mask is None and not query.includes and view_of(request.parameters).is_whole
    return await engine.store.recorded.search(
        tenant,
        statement,
        values,
        request.witness(Interaction.SEARCH_TYPE, request.id, 200),
        is_brief=query.plan.is_anchored,
        selected=f"f.id, f.body{query.order.taken}" if is_plain else "f.*",
    )


async def _find(engine: Engine, request: Request, resource_type: str, name: str, value: str) -> list[Stored]:
    """Resources to include: what the caller could find by a search of its own, and nothing else."""
    served_type = engine.registry.types[resource_type]
    try:
        granted = filters_of(request, resource_type)
    except FhirError:
        return []
    query = query_of(engine, served_type, [(name, value)], granted, strict=True)
    query.count = INCLUDED_MAX
    records = await engine.store.search(request.access.tenant, *query.page_statement())
    return [stored_of(served_type, record) for record in records]
