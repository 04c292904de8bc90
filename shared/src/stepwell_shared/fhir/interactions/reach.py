"""What a caller's granular scopes reach: of what is stored, and of what a write would store."""

from collections.abc import Callable, Sequence
from typing import Any

from stepwell_shared.fhir.interactions.engine import Engine, change_of
from stepwell_shared.fhir.messages import Request, etag
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.query import SearchQuery, parse_search, reach_statement
from stepwell_shared.fhir.unit import Stored


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
    statement = reach_statement(served_type, change, granted, engine.localise, now)
    if not (await engine.store.search(request.access.tenant, *statement))[0]["total"]:
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
    )


def stored_of(served_type: ServedType, record: Any) -> Stored:
    return Stored(served_type.name, record["id"], record["version"], record["last_updated"], record["body"])


def not_found(request: Request) -> FhirError:
    return FhirError(Category.NOT_FOUND, f"there is no {request.resource_type} with this id")
