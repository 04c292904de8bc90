"""Create and conditional create. https://hl7.org/fhir/R4/http.html#create"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import same_content
from stepwell_shared.fhir.interactions.contents import received
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import query_of, require_reach, stored_of
from stepwell_shared.fhir.interactions.writing import WRITE_ATTEMPTS_MAX, contended, write
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.store import Wanted, WriteConflictError
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.fhir.values import index_key

PLACES_MAX = 100


async def create(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#create; with If-None-Exist a conditional create.

    A type that is unique by its business identifier is created once however often it is sent.
    """
    served_type = engine.permitted(request, Interaction.CREATE)
    if request.parameters and any(not name.startswith("_") for name, _ in request.parameters):
        # Ignored, they would make a second one of what the client believes to be unique.
        text = "a create takes no criteria in its URL; If-None-Exist carries them"
        raise FhirError(Category.INVALID, [Issue(text, "invalid", "http.If-None-Exist")])
    if served_type.content is not None:
        request = received(request, served_type.content)
    resource = validation.check(request.body, request.resource_type)
    await require_reach(engine, request, served_type, Interaction.CREATE, "", resource)
    criteria = request.headers.get("if-none-exist")
    if criteria is not None:
        request.access.require(request.resource_type, Interaction.SEARCH_TYPE)
        return await _create_unless_found(engine, request, served_type, resource, criteria)
    criteria = unique_criteria(served_type, resource)
    if criteria is not None:
        return await _create_once(engine, request, served_type, resource, criteria)
    for _ in range(WRITE_ATTEMPTS_MAX):
        try:
            return await write(engine, request, served_type, Interaction.CREATE, engine.new_id(), None, resource)
        except WriteConflictError:
            continue  # the id is taken, or something that the type's hook reads has moved on
    raise contended()


async def _create_unless_found(
    engine: Engine, request: Request, served_type: ServedType, resource: dict[str, Any], criteria: str
) -> Response:
    """https://hl7.org/fhir/R4/http.html#ccreate

    The new resource's id is derived from the criteria, so that of many identical requests at one moment one
    creates and the others find what it created.
    """
    tenant, parameters = request.access.tenant, sorted(parse_qsl(criteria))
    granted = request.access.filters(request.resource_type, Interaction.SEARCH_TYPE)
    query = query_of(engine, served_type, parameters, (), strict=True)
    if not query.conditions:
        raise FhirError(Category.INVALID, "If-None-Exist takes search parameters of the resource type")
    query = query_of(engine, served_type, parameters, granted, strict=True)
    query.count = 1
    for _ in range(WRITE_ATTEMPTS_MAX):
        # The place first: whoever takes another one afterwards is found by the search, whoever takes this one is met.
        id_, previous = await free_place(engine, tenant, request.resource_type, parameters)
        found = await engine.store.search(tenant, *query.page_statement())
        if len(found) > 1:
            raise several_found()
        if found:
            stored = stored_of(served_type, found[0])
            return written(engine.base_url, request, served_type, stored, created=False, witnessed=False)
        try:
            return await write(engine, request, served_type, Interaction.CREATE, id_, previous, resource)
        except WriteConflictError:
            continue
    raise contended()


async def _create_once(
    engine: Engine, request: Request, served_type: ServedType, resource: dict[str, Any], criteria: str
) -> Response:
    """A create of what is unique by its business identifier: the criteria are the server's own.

    They look at everything, whatever the caller may search, and what they find is answered only to who sent the same.
    Place and identifier are looked up at one moment, together with those of other creates.
    """
    tenant, type_, identifier = request.access.tenant, request.resource_type, resource["identifier"]
    key = index_key(identifier.get("system", "")), index_key(identifier["value"])
    attempts = number = 0
    while attempts < WRITE_ATTEMPTS_MAX and number < PLACES_MAX:
        id_ = _place(engine, tenant, type_, criteria, number)
        found = await engine.store.identified(tenant, type_, Wanted(id_, *key))
        if len(found.having) > 1:
            raise several_found()
        if found.having:
            stored = found.having[0]
            if not same_content(stored.body or b"", resource):
                text = "another one with this identifier and different content exists; correct it with PUT"
                raise FhirError(Category.CONFLICT, [Issue(text, "conflict", f"{served_type.name}.identifier")])
            return written(engine.base_url, request, served_type, stored, created=False, witnessed=False)
        if found.at_place is not None and found.at_place.body is not None:
            number += 1  # it had this identifier once, and has another now
            continue
        try:
            return await write(engine, request, served_type, Interaction.CREATE, id_, found.at_place, resource)
        except WriteConflictError:
            attempts, number = attempts + 1, 0
    raise contended()


def several_found() -> FhirError:
    """The criteria of a conditional create fit more than one."""
    return FhirError(Category.MULTIPLE_MATCHES, "more than one resource matches If-None-Exist")


async def free_place(
    engine: Engine, tenant: str, resource_type: str, parameters: Sequence[tuple[str, str]]
) -> tuple[str, Stored | None]:
    """The id of a resource that sorted criteria did not find, and what was deleted there before.

    It follows from the criteria: all who find nothing at one moment take the same, and pass over places in use alike.
    Ask for it before the search that finds nothing: what is made at this place in between is then found.
    """
    for number in range(PLACES_MAX):
        id_ = _place(engine, tenant, resource_type, urlencode(parameters), number)
        previous = await engine.store.read(tenant, resource_type, id_)
        if previous is None or previous.body is None:
            return id_, previous
    raise contended()


def _place(engine: Engine, tenant: str, resource_type: str, criteria: str, number: int) -> str:
    return derived_id(engine.base_url, tenant, resource_type, criteria, str(number))


def unique_criteria(served_type: ServedType, resource: dict[str, Any]) -> str | None:
    """The criteria by which a type that is unique by its business identifier is created once."""
    identifier = resource.get("identifier")
    if not served_type.unique_identifier or not isinstance(identifier, dict) or "value" not in identifier:
        return None
    return urlencode({"identifier": f"{_escaped(identifier.get('system', ''))}|{_escaped(identifier['value'])}"})


def _escaped(text: str) -> str:
    """A token value with the characters that separate values made literal."""
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text
