"""What a caller's granular scopes reach: of what is stored, and of what a write would store."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import orjson

from stepwell_shared.fhir.interactions.engine import Engine, change_of
from stepwell_shared.fhir.messages import Request, etag
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.contents import reached_statement
from stepwell_shared.fhir.search.includes import refuse_text_only
from stepwell_shared.fhir.search.query import SearchQuery, parse_search
from stepwell_shared.fhir.search.terms import escape, refused, too_costly
from stepwell_shared.fhir.search.value_sets import KNOWN_TO_ALL, Terminology, UnknownCanonicalError
from stepwell_shared.fhir.unit import Stored

LOOKED_UP_MAX = 20
Result = TypeVar("Result")


async def visible(
    engine: Engine,
    request: Request,
    served_type: ServedType,
    stored: Stored | None,
    interaction: Interaction = Interaction.READ,
) -> Stored:
    """The version if it exists and the caller's granular scopes reach the resource; 404 and 410 otherwise."""
    if stored is None:
        raise not_found(request)
    granted = request.access.filters(request.resource_type, interaction)
    if granted:
        query = query_of(engine, served_type, [("_id", request.id)], granted, strict=True)
        if not await engine.store.search(request.access.tenant, *query.page_statement()):
            raise not_found(request)
    if stored.body is None:
        text = f"this {request.resource_type} was deleted"
        raise FhirError(Category.DELETED, text, headers={"ETag": etag(stored)})
    return stored


async def require_reach(
    engine: Engine,
    request: Request,
    served_type: ServedType,
    interaction: Interaction,
    id_: str,
    resource: dict[str, Any],
) -> None:
    """Raises FORBIDDEN when granular scopes do not reach what would be stored."""
    granted = request.access.filters(request.resource_type, interaction)
    if not granted:
        return
    now = engine.clock()
    change = change_of(engine, Stored(served_type.name, id_, 1, now, request.body), resource)
    statement = reached_statement(served_type, [change], granted, localise=engine.localise, now=now)
    if not await engine.store.search(request.access.tenant, *statement):
        text = f"the scopes of this token are narrowed, and this {request.resource_type} is outside of them"
        raise FhirError(Category.FORBIDDEN, text)


def query_of(
    engine: Engine,
    served_type: ServedType,
    parameters: Sequence[tuple[str, str]],
    granted: Sequence[str],
    *,
    strict: bool,
    filters: Callable[[str], Sequence[str]] = lambda resource_type: (),
    terminology: Terminology = KNOWN_TO_ALL,
) -> SearchQuery:
    """The query of these parameters; `filters` gives the caller's granular scopes on the types that chains reach."""
    return parse_search(
        served_type,
        parameters,
        localise=engine.localise,
        now=engine.clock(),
        strict=strict,
        cursor_key=engine.cursor_key,
        granted=granted,
        registry=engine.registry,
        filters=filters,
        terminology=terminology,
    )


async def resolved_query(
    engine: Engine,
    request: Request,
    served_type: ServedType,
    parameters: Sequence[tuple[str, str]],
    granted: Sequence[str],
    *,
    strict: bool = True,
) -> SearchQuery:
    """The query of these parameters as the caller may ask it, once what it names has been looked up.

    Value sets and code systems that not everybody knows are those of the caller's tenant. A bare id that means
    resources of several types is refused. Raises FhirError.
    """
    refuse_text_only(parameters)
    filters = partial(filters_of, request)

    def parsed(terminology: Terminology) -> SearchQuery:
        return query_of(
            engine, served_type, parameters, granted, strict=strict, filters=filters, terminology=terminology
        )

    query = await with_terminology(engine, request, parsed)
    await _refuse_ambiguous(engine, request, query)
    return query


async def with_terminology(
    engine: Engine, request: Request, work: Callable[[Terminology], Result], terminology: Terminology = KNOWN_TO_ALL
) -> Result:
    """What `work` gives once the value sets and code systems that it asks for are looked up in the caller's tenant.

    Raises UnknownCanonicalError for what is not to be found, other than the content of a code system that `work` can
    do without; FhirError for what needs too much.
    """
    for _ in range(LOOKED_UP_MAX):
        try:
            return work(terminology)
        except UnknownCanonicalError as unknown:
            resource = await _looked_up(engine, request, unknown)
            if resource is not None and (unknown.resource_type, unknown.reference) not in terminology.fetched:
                terminology = terminology.joined(unknown.resource_type, unknown.reference, resource)
            elif (
                terminology.asks_for_content
                and unknown.resource_type == "CodeSystem"
                and unknown.reference not in terminology.missing
            ):
                terminology = terminology.without(unknown.reference)
            else:
                raise
    raise too_costly(f"one request needs at most {LOOKED_UP_MAX} value sets and code systems")


def filters_of(request: Request, resource_type: str) -> Sequence[str]:
    """What the caller's scopes reach of another type. Raises FhirError FORBIDDEN."""
    request.access.require(resource_type, Interaction.SEARCH_TYPE)
    return request.access.filters(resource_type, Interaction.SEARCH_TYPE)


async def _looked_up(engine: Engine, request: Request, unknown: UnknownCanonicalError) -> dict[str, Any] | None:
    """The newest resource of the tenant that the caller may find by this canonical URL or address."""
    served_type = engine.registry.types.get(unknown.resource_type)
    if served_type is None or "url" not in served_type.parameters or not served_type.allows(Interaction.SEARCH_TYPE):
        return None
    literal = unknown.reference.removeprefix(f"{unknown.resource_type}/")
    url, _, version = unknown.reference.partition("|")
    parameters = [("url", escape(url)), *([("version", escape(version))] if version else [])]
    if literal != unknown.reference:
        parameters = [("_id", escape(literal))]
    granted = filters_of(request, unknown.resource_type)
    query = query_of(
        engine, served_type, [*parameters, ("_sort", "-_lastUpdated"), ("_count", "1")], granted, strict=True
    )
    found = await engine.store.search(request.access.tenant, *query.page_statement())
    resource: dict[str, Any] | None = orjson.loads(found[0]["body"]) if found else None
    return resource


async def _refuse_ambiguous(engine: Engine, request: Request, query: SearchQuery) -> None:
    """https://hl7.org/fhir/R4/search.html section 3.1.1.4.12: name the type, as in `subject=Patient/1`."""
    checks = query.values.checks
    if not checks:
        return
    columns = ", ".join(f"({check.statement}) AS check_{number}" for number, check in enumerate(checks))
    (answers,) = await engine.store.search(request.access.tenant, f"SELECT {columns}", query.values.entries)
    for check, is_ambiguous in zip(checks, answers, strict=True):
        if is_ambiguous:
            raise refused(check.name, "this id is that of resources of several types; take Type/id")


def stored_of(served_type: ServedType, record: Any) -> Stored:
    return Stored(served_type.name, record["id"], record["version"], record["last_updated"], record["body"])


def not_found(request: Request) -> FhirError:
    return FhirError(Category.NOT_FOUND, f"there is no {request.resource_type} with this id")
