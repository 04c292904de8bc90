"""Search over several types at once: `[base]?_type=A,B` and `Patient/1/*`.

https://hl7.org/fhir/R4/http.html#vsearch
"""

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import query_of, stored_of
from stepwell_shared.fhir.messages import Request, Response, address_of, bundle, match_entry
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.parameters import COMMON_PARAMETERS
from stepwell_shared.fhir.presentation import PARAMETERS, view_of
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.criteria import COMPARTMENT, compartment_parameters
from stepwell_shared.fhir.search.order import CURSOR
from stepwell_shared.fhir.search.query import PRESENTATION, SearchQuery
from stepwell_shared.fhir.search.terms import refused

_COMMON = {
    "_id",
    "_lastUpdated",
    *COMMON_PARAMETERS,
    COMPARTMENT,
    "_count",
    "_total",
    CURSOR,
    *PARAMETERS,
    *PRESENTATION,
}
_BETWEEN = "~"


async def search_types(engine: Engine, request: Request) -> Response:
    """Matches type by type, in the order of ids; only parameters that all types have. Raises FhirError INVALID."""
    given = [(name, value) for name, value in request.parameters if name != "_type" and value]
    for name, _ in given:
        if name.partition(":")[0] not in _COMMON:
            raise refused(name[:64], "is not a parameter of every type; search one type by it")
    types = _types(engine, request, given)
    place = next((value for name, value in given if name == CURSOR), "")
    plain = [(name, value) for name, value in given if name != CURSOR]
    first, _, inner = place.partition(_BETWEEN)
    if place and first not in [each.name for each in types]:
        raise refused(CURSOR, "is not a page link of this search")
    queries = [_query(engine, request, served_type, plain) for served_type in types]
    left = queries[0].count if queries else 0
    used = [(name, value) for name, value in request.parameters if name == "_type"] + plain
    view = view_of(request.parameters)
    entries: list[bytes] = []
    following = ""
    passed = not place
    for query in queries:
        passed = passed or query.served_type.name == first
        if not passed:
            continue
        if left == 0:
            following = query.served_type.name + _BETWEEN
            break
        query.count, query.page = left, inner if query.served_type.name == first else ""
        records = await engine.store.search(request.access.tenant, *query.page_statement())
        page = records[:left]
        stored = [stored_of(query.served_type, record) for record in page]
        entries += [match_entry(engine.base_url, query.served_type, each, view) for each in stored]
        left -= len(page)
        if len(records) > len(page):
            following = query.served_type.name + _BETWEEN + dict(query.page_after(page[-1]))[CURSOR]
            break
    links = [("self", address_of(engine.base_url, [*used, (CURSOR, place)] if place else used))]
    if following and entries:
        links.append(("next", address_of(engine.base_url, [*used, (CURSOR, following)])))
    total = await _total(engine, request, queries)
    return Response(200, bundle("searchset", total, links, entries, engine.clock()))


def _query(engine: Engine, request: Request, served_type: ServedType, parameters: list[tuple[str, str]]) -> SearchQuery:
    granted = request.access.filters(served_type.name, Interaction.SEARCH_TYPE)
    return query_of(engine, served_type, parameters, granted, strict=True)


def _types(engine: Engine, request: Request, given: list[tuple[str, str]]) -> list[ServedType]:
    """The types that are asked for; without `_type` all that the caller may search, and of a compartment its own."""
    named = [each for name, value in request.parameters if name == "_type" for each in value.split(",") if each]
    compartment = next((value.partition("/")[0] for name, value in given if name == COMPARTMENT), "")
    found = []
    for name in dict.fromkeys(named):
        request.access.require(name, Interaction.SEARCH_TYPE)
        found.append(engine.served(name, Interaction.SEARCH_TYPE))
    if not named:
        found = [each for each in engine.registry if each.allows(Interaction.SEARCH_TYPE) and _may(request, each)]
    return [each for each in found if not compartment or compartment_parameters(each, compartment)]


def _may(request: Request, served_type: ServedType) -> bool:
    try:
        request.access.require(served_type.name, Interaction.SEARCH_TYPE)
    except FhirError:
        return False
    return True


async def _total(engine: Engine, request: Request, queries: list[SearchQuery]) -> int | None:
    """All matches in all types, if it was asked for and is known."""
    if not queries or queries[0].total == "none":
        return None
    total = 0
    for query in queries:
        counted = (await engine.store.search(request.access.tenant, *query.total_statement()))[0]["total"]
        if counted is None:
            return None
        total += counted
    return total
