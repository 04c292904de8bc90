"""Search over several types at once: `[base]?_type=A,B` and `Patient/1/*`.

https://hl7.org/fhir/R4/http.html#vsearch
"""

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import resolved_query, stored_of
from stepwell_shared.fhir.messages import Request, Response, address_of, bundle, match_entry
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.parameters import COMMON_PARAMETERS
from stepwell_shared.fhir.presentation import PARAMETERS, view_of
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.criteria import COMPARTMENT, compartment_parameters
from stepwell_shared.fhir.search.order import CURSOR, Cursor, Order
from stepwell_shared.fhir.search.paging import Paging, check_common_order, ends_of_types, page_of_types
from stepwell_shared.fhir.search.query import PRESENTATION, SearchQuery
from stepwell_shared.fhir.search.terms import refused

_COMMON = {
    "_id",
    "_lastUpdated",
    *COMMON_PARAMETERS,
    COMPARTMENT,
    "_count",
    "_sort",
    "_total",
    CURSOR,
    *PARAMETERS,
    *PRESENTATION,
}


async def search_types(engine: Engine, request: Request) -> Response:
    """Matches in the order that was asked for, else type by type; only parameters that all these types have.

    Raises FhirError INVALID.
    """
    given = [(name, value) for name, value in request.parameters if name != "_type" and value]
    types = _types(engine, request, given)
    for name, _ in given:
        if name.partition(":")[0] not in _COMMON and not _is_named(request, types, name):
            raise refused(name[:64], "is not a parameter of every one of these types; search one type by it")
    plain = [(name, value) for name, value in given if name != CURSOR]
    queries = [await _query(engine, request, served_type, plain) for served_type in types]
    check_common_order(queries)
    paging = _paging(engine, request, queries, given, plain)
    count = queries[0].count if queries else 0
    statement = page_of_types(queries, paging.cursor, count + 1)
    records = []
    if count:
        is_brief = all(query.plan.is_anchored for query in queries)
        records = await engine.store.search_anywhere(request.access.tenant, *statement, is_brief=is_brief)
    page = records[:count][:: -1 if paging.is_backward else 1]
    around = paging.links(ends_of_types(queries, page), is_full=len(records) > count > 0)
    links = [(relation, address_of(engine.base_url, parameters)) for relation, parameters in around]
    view = view_of(request.parameters)
    entries = []
    for row in page:
        served_type = types[row["position"]]
        entries.append(match_entry(engine.base_url, served_type, stored_of(served_type, row), view))
    total = await _total(engine, request, queries)
    return Response(200, bundle("searchset", total, links, entries, engine.clock()))


def _is_named(request: Request, types: list[ServedType], name: str) -> bool:
    """Whether a parameter is one of every type that `_type` names."""
    plain = name.partition(":")[0]
    return any(each == "_type" for each, _ in request.parameters) and all(plain in each.parameters for each in types)


def _paging(
    engine: Engine,
    request: Request,
    queries: list[SearchQuery],
    given: list[tuple[str, str]],
    plain: list[tuple[str, str]],
) -> Paging:
    """A cursor belongs to these types in this order."""
    used = [(name, value) for name, value in request.parameters if name == "_type"] + plain
    names = ",".join(query.served_type.name for query in queries)
    place = f"{names} {queries[0].order.name if queries else ''}"
    text = next((value for name, value in given if name == CURSOR), "")
    cursor = Cursor.opened(place, text, engine.cursor_key) if text else None
    return Paging(used, place, engine.cursor_key, text, cursor)


async def _query(
    engine: Engine, request: Request, served_type: ServedType, parameters: list[tuple[str, str]]
) -> SearchQuery:
    granted = request.access.filters(served_type.name, Interaction.SEARCH_TYPE)
    query = await resolved_query(engine, request, served_type, parameters, granted)
    if not any(name == "_sort" for name, _ in parameters):
        query.order = Order()  # the order that one type has by default says nothing about the others
    return query


def _types(engine: Engine, request: Request, given: list[tuple[str, str]]) -> list[ServedType]:
    """The types that are asked for; without `_type` all that the caller may search and
    that are kept as resources, and of a compartment its own."""
    named = [each for name, value in request.parameters if name == "_type" for each in value.split(",") if each]
    compartment = next((value.partition("/")[0] for name, value in given if name == COMPARTMENT), "")
    found = []
    for name in dict.fromkeys(named):
        request.access.require(name, Interaction.SEARCH_TYPE)
        found.append(engine.served(name, Interaction.SEARCH_TYPE))
    if not named:
        searched = [each for each in engine.registry if each.view is None and each.allows(Interaction.SEARCH_TYPE)]
        found = [each for each in searched if _may(request, each)]
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
        is_brief, statement = query.plan.is_anchored, query.total_statement()
        (row,) = await engine.store.search_anywhere(request.access.tenant, *statement, is_brief=is_brief)
        if row["total"] is None:
            return None
        total += row["total"]
    return total
