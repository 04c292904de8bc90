"""Versions, newest first. https://hl7.org/fhir/R4/http.html#history"""

from urllib.parse import urlencode

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import not_found, visible
from stepwell_shared.fhir.messages import Request, Response, address_of, bundle, history_entry
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.search.query import whole_number

HISTORY_PAGE_MAX = 100
_PAGING = frozenset({"_count", "_before"})


async def history(engine: Engine, request: Request) -> Response:
    """Versions of one resource, newest first. https://hl7.org/fhir/R4/http.html#history"""
    served_type = engine.permitted(request, Interaction.HISTORY_INSTANCE)
    tenant = request.access.tenant
    current = await engine.store.read(tenant, request.resource_type, request.id)
    if current is None or current.body is not None:
        current = await visible(engine, request, served_type, current)
    elif request.access.filters(request.resource_type, Interaction.READ):
        raise not_found(request)  # a deletion has no content that a granular scope could match
    most, before = _history_page(request)
    versions = await engine.store.versions(tenant, request.resource_type, request.id, before=before, most=most + 1)
    address = f"{engine.base_url}/{request.resource_type}/{request.id}/_history"
    used = [(name, value) for name, value in request.parameters if name in _PAGING]
    links = [("self", address_of(address, used))]
    if len(versions) > most > 0:
        links.append(("next", f"{address}?{urlencode({'_count': most, '_before': versions[most - 1].version})}"))
    entries = [history_entry(engine.base_url, served_type, stored) for stored in versions[:most]]
    return Response(200, bundle("history", current.version, links, entries, engine.clock()), {}, request.id)


def _history_page(request: Request) -> tuple[int, int | None]:
    """How many versions, and older than which one."""
    given = {name: whole_number(name, value) for name, value in request.parameters if value and name in _PAGING}
    return min(given.get("_count", HISTORY_PAGE_MAX), HISTORY_PAGE_MAX), given.get("_before")
