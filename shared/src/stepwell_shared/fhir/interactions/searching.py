"""Search of one type. https://hl7.org/fhir/R4/http.html#search"""

from functools import partial

import asyncpg

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import filters_of, query_of, resolved_query, stored_of
from stepwell_shared.fhir.messages import Request, Response, address_of, bundle, match_entries, match_entry
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.presentation import View, view_of
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
    records, is_witnessed = await _page(engine, request, query, view) if query.count else ([], False)
    total = None
    if query.total != "none":
        is_brief = query.plan.is_anchored
        total = (await engine.store.search_anywhere(tenant, *query.total_statement(), is_brief=is_brief))[0]["total"]
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


async def _page(engine: Engine, request: Request, query: SearchQuery, view: View) -> tuple[list[asyncpg.Record], bool]:
    """The rows of one page, and whether the record of the search went with them: so it is where it stands alone, unless
    a standby answers, which keeps nothing."""
    store, tenant, (statement, values) = engine.store, request.access.tenant, query.page_statement()
    is_brief = query.plan.is_anchored
    found = await store.search_elsewhere(tenant, statement, values, is_brief=is_brief)
    if found is not None:
        return found, False
    if not request.stands_alone:
        return await store.search(tenant, statement, values), False
    is_plain = query.served_type.mask is None and not query.includes and view.is_whole
    found = await store.recorded.search(
        tenant,
        statement,
        values,
        request.witness(Interaction.SEARCH_TYPE, request.id, 200),
        is_brief=is_brief,
        selected=f"f.id, f.body{query.order.taken}" if is_plain else "f.*",
    )
    return found, True


async def _find(engine: Engine, request: Request, resource_type: str, name: str, value: str) -> list[Stored]:
    """Resources to include: what the caller could find by a search of its own, and nothing else."""
    served_type = engine.registry.types[resource_type]
    try:
        granted = filters_of(request, resource_type)
    except FhirError:
        return []
    query = query_of(engine, served_type, [(name, value)], granted, strict=True)
    query.count = INCLUDED_MAX
    tenant, statement = request.access.tenant, query.page_statement()
    records = await engine.store.search_anywhere(tenant, *statement, is_brief=query.plan.is_anchored)
    return [stored_of(served_type, record) for record in records]
