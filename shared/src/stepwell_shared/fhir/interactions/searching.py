"""Search of one type. https://hl7.org/fhir/R4/http.html#search"""

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import query_of, stored_of
from stepwell_shared.fhir.messages import Request, Response, address_of, bundle, match_entry
from stepwell_shared.fhir.presentation import view_of
from stepwell_shared.fhir.registry import Interaction


async def search(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#search"""
    served_type = engine.permitted(request, Interaction.SEARCH_TYPE)
    granted = request.access.filters(request.resource_type, Interaction.SEARCH_TYPE)
    view = view_of(request.parameters)
    query = query_of(engine, served_type, request.parameters, granted, strict=request.strict)
    tenant = request.access.tenant
    records = await engine.store.search(tenant, *query.page_statement()) if query.count else []
    total = (await engine.store.search(tenant, *query.total_statement()))[0]["total"] if query.total else None
    page = records[: query.count]
    address = f"{engine.base_url}/{request.resource_type}"
    links = [("self", address_of(address, query.page_parameters))]
    if len(records) > query.count > 0:
        links.append(("next", address_of(address, query.page_after(page[-1]["sort_key"], page[-1]["id"]))))
    entries = [match_entry(engine.base_url, served_type, stored_of(served_type, record), view) for record in page]
    return Response(200, bundle("searchset", total, links, entries, engine.clock()))
