"""The REST interactions as functions of (engine, request): no web framework, no database driver.

https://hl7.org/fhir/R4/http.html
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode, same_content, with_meta
from stepwell_shared.fhir.indexing import Localise, columns_of, rows_of
from stepwell_shared.fhir.messages import (
    Request,
    Response,
    address_of,
    bundle,
    check_if_match,
    etag,
    history_entry,
    is_unchanged,
    match_entry,
    outgoing,
    version_headers,
    written,
)
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Registry, ServedType, Write
from stepwell_shared.fhir.search.query import SearchQuery, parse_search, reach_statement, whole_number
from stepwell_shared.fhir.store import Store, WriteConflictError
from stepwell_shared.fhir.unit import Change, Method, Stored, UnitOfWork

HISTORY_PAGE_MAX = 100
WRITE_ATTEMPTS_MAX = 8
PLACES_MAX = 100
_PAGING = frozenset({"_count", "_before"})
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Engine:
    """What the interactions of one service share. Clock and ids are passed in, so that tests can fix them."""

    registry: Registry
    store: Store
    base_url: str
    localise: Localise
    cursor_key: bytes
    clock: Callable[[], datetime]
    new_id: Callable[[], str]

    def served(self, resource_type: str, interaction: Interaction) -> ServedType:
        """The type, or 404 when it is not served, or 405 when the interaction is not."""
        served_type = self.registry.types.get(resource_type)
        if served_type is None:
            raise FhirError(Category.NOT_FOUND, f"{self.registry.service} does not serve {resource_type[:64]}")
        if not served_type.allows(interaction):
            text = f"{interaction} on {resource_type} is not supported by {self.registry.service}"
            raise FhirError(Category.METHOD_NOT_ALLOWED, text)
        return served_type

    def permitted(self, request: Request, interaction: Interaction) -> ServedType:
        """The type, if it is served so and the caller may."""
        served_type = self.served(request.resource_type, interaction)
        request.access.require(request.resource_type, interaction)
        return served_type


async def read(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#read"""
    served_type = engine.permitted(request, Interaction.READ)
    found = await engine.store.read(request.access.tenant, request.resource_type, request.id)
    stored = await _visible(engine, request, served_type, found)
    if is_unchanged(request, stored):
        return Response(304, b"", version_headers(stored), stored.id)
    return Response(200, outgoing(served_type, stored), version_headers(stored), stored.id)


async def vread(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#vread"""
    served_type = engine.permitted(request, Interaction.VREAD)
    version = int(request.version_id) if _VERSION.fullmatch(request.version_id) else 0
    tenant = request.access.tenant
    found = await engine.store.versions(tenant, request.resource_type, request.id, version=version, most=1)
    stored = await _visible(engine, request, served_type, found[0] if found else None)
    return Response(200, outgoing(served_type, stored), version_headers(stored), stored.id)


async def history(engine: Engine, request: Request) -> Response:
    """Versions of one resource, newest first. https://hl7.org/fhir/R4/http.html#history"""
    served_type = engine.permitted(request, Interaction.HISTORY_INSTANCE)
    tenant = request.access.tenant
    current = await engine.store.read(tenant, request.resource_type, request.id)
    if current is None or current.body is not None:
        current = await _visible(engine, request, served_type, current)
    elif request.access.filters(request.resource_type, Interaction.READ):
        raise _not_found(request)  # a deletion has no content that a granular scope could match
    most, before = _history_page(request)
    versions = await engine.store.versions(tenant, request.resource_type, request.id, before=before, most=most + 1)
    address = f"{engine.base_url}/{request.resource_type}/{request.id}/_history"
    used = [(name, value) for name, value in request.parameters if name in _PAGING]
    links = [("self", address_of(address, used))]
    if len(versions) > most > 0:
        links.append(("next", f"{address}?{urlencode({'_count': most, '_before': versions[most - 1].version})}"))
    entries = [history_entry(engine.base_url, served_type, stored) for stored in versions[:most]]
    return Response(200, bundle("history", current.version, links, entries, engine.clock()), {}, request.id)


async def create(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#create; with If-None-Exist a conditional create.

    A type that is unique by its business identifier is created once however often it is sent.
    """
    served_type = engine.permitted(request, Interaction.CREATE)
    resource = validation.check(request.body, request.resource_type)
    await _require_reach(engine, request, served_type, Interaction.CREATE, "", resource)
    criteria = request.headers.get("if-none-exist")
    if criteria is not None:
        request.access.require(request.resource_type, Interaction.SEARCH_TYPE)
        return await _create_unless_found(engine, request, served_type, resource, criteria)
    identifier = resource.get("identifier")
    if served_type.unique_identifier and isinstance(identifier, dict) and "value" in identifier:
        token = f"{_escaped(identifier.get('system', ''))}|{_escaped(identifier['value'])}"
        return await _create_unless_found(
            engine, request, served_type, resource, urlencode({"identifier": token}), must_say_the_same=True
        )
    for _ in range(WRITE_ATTEMPTS_MAX):
        try:
            return await _write(engine, request, served_type, Interaction.CREATE, engine.new_id(), None, resource)
        except WriteConflictError:
            continue  # the id is taken, or something that the type's hook reads has moved on
    raise _contended()


async def update(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#update; creates when the id is new, resurrects when it was deleted."""
    served_type = engine.permitted(request, Interaction.UPDATE)
    resource = validation.check(request.body, request.resource_type)
    if resource.get("id") != request.id:
        text = "the id in the body must be the id in the URL"
        raise FhirError(Category.INVALID, [Issue(text, "invalid", f"{request.resource_type}.id")])
    await _require_reach(engine, request, served_type, Interaction.UPDATE, request.id, resource)
    for _ in range(WRITE_ATTEMPTS_MAX):
        previous = await engine.store.read(request.access.tenant, request.resource_type, request.id)
        existed = previous is not None and previous.body is not None
        if existed:
            await _visible(engine, request, served_type, previous, Interaction.UPDATE)
        check_if_match(request, previous)
        if not existed and not served_type.allows_update_create:
            text = f"{request.resource_type} with new ids are not made by clients; there is none with this id"
            raise FhirError(Category.METHOD_NOT_ALLOWED, text)
        try:
            return await _write(engine, request, served_type, Interaction.UPDATE, request.id, previous, resource)
        except WriteConflictError:
            continue  # another writer was first: look again; If-Match then says no
    raise _contended()


async def delete(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#delete; what is already gone stays gone."""
    served_type = engine.permitted(request, Interaction.DELETE)
    for _ in range(WRITE_ATTEMPTS_MAX):
        previous = await engine.store.read(request.access.tenant, request.resource_type, request.id)
        if previous is None or previous.body is None:
            return Response(204, id=request.id)
        await _visible(engine, request, served_type, previous, Interaction.DELETE)
        check_if_match(request, previous)
        try:
            return await _write(engine, request, served_type, Interaction.DELETE, request.id, previous, None)
        except WriteConflictError:
            continue
    raise _contended()


async def search(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#search"""
    served_type = engine.permitted(request, Interaction.SEARCH_TYPE)
    granted = request.access.filters(request.resource_type, Interaction.SEARCH_TYPE)
    query = _query(engine, served_type, request.parameters, granted, strict=request.strict)
    tenant = request.access.tenant
    records = await engine.store.search(tenant, *query.page_statement()) if query.count else []
    total = (await engine.store.search(tenant, *query.total_statement()))[0]["total"] if query.total else None
    page = records[: query.count]
    address = f"{engine.base_url}/{request.resource_type}"
    links = [("self", address_of(address, query.page_parameters))]
    if len(records) > query.count > 0:
        links.append(("next", address_of(address, query.page_after(page[-1]["sort_key"], page[-1]["id"]))))
    entries = [match_entry(engine.base_url, served_type, _stored(served_type, record)) for record in page]
    return Response(200, bundle("searchset", total, links, entries, engine.clock()))


def change_of(engine: Engine, stored: Stored, resource: dict[str, Any] | None) -> Change:
    """The change that stores this version, with its search values."""
    served_type = engine.registry.types[stored.resource_type]
    columns = columns_of(served_type, resource, engine.localise)
    return Change(stored, columns, rows_of(served_type, resource, engine.localise) if resource else ())


def built(engine: Engine, resource: dict[str, Any], now: datetime, *, version: int = 1) -> Change:
    """The change that stores a resource which we built ourselves; its id is already in it."""
    body = with_meta(encode(resource), resource, resource["id"], version, now)
    method = Method.POST if version == 1 else Method.PUT
    return change_of(engine, Stored(resource["resourceType"], resource["id"], version, now, body, method), resource)


async def _write(
    engine: Engine,
    request: Request,
    served_type: ServedType,
    interaction: Interaction,
    id_: str,
    previous: Stored | None,
    resource: dict[str, Any] | None,
) -> Response:
    """Builds the next version, lets the type's hook add to it or refuse it, and commits everything at once."""
    now, tenant = engine.clock(), request.access.tenant
    stored = next_version(served_type, interaction, id_, previous, resource, request.body, now)
    unit = UnitOfWork(tenant, [change_of(engine, stored, resource)])
    read = partial(engine.store.read, tenant)
    write = Write(request.access, interaction, resource, previous, stored, unit, now, read)
    response = await complete(engine, request, served_type, write)
    await engine.store.commit(unit)
    return response


def next_version(
    served_type: ServedType,
    interaction: Interaction,
    id_: str,
    previous: Stored | None,
    resource: dict[str, Any] | None,
    body: bytes,
    now: datetime,
) -> Stored:
    """The version that a write makes of a received body; a deletion has no resource."""
    version = previous.version + 1 if previous else 1
    method = {Interaction.CREATE: Method.POST, Interaction.DELETE: Method.DELETE}.get(interaction, Method.PUT)
    text = with_meta(body, resource, id_, version, now) if resource is not None else None
    return Stored(served_type.name, id_, version, now, text, method)


async def complete(engine: Engine, request: Request, served_type: ServedType, write: Write) -> Response:
    """Lets the type's hook refuse the write or add to its unit of work, and puts access and answer on record there.

    The answer is the write's as soon as the unit is committed.
    """
    if served_type.on_write is not None:
        await served_type.on_write(write)
    if write.interaction is Interaction.DELETE:
        response = Response(204, b"", {"ETag": etag(write.stored)}, write.stored.id, witnessed=True)
    else:
        created = write.previous is None or write.previous.body is None
        response = written(engine.base_url, request, served_type, write.stored, created=created)
    write.unit.effects += request.records(write.interaction, response)
    return response


async def _create_unless_found(
    engine: Engine,
    request: Request,
    served_type: ServedType,
    resource: dict[str, Any],
    criteria: str,
    *,
    must_say_the_same: bool = False,
) -> Response:
    """https://hl7.org/fhir/R4/http.html#ccreate

    The new resource's id is derived from the criteria, so that of many identical requests at one moment one
    creates and the others find what it created. With `must_say_the_same` the criteria are the server's own: they
    look at everything, and what they find is answered only to who sent the same.
    """
    tenant, parameters = request.access.tenant, sorted(parse_qsl(criteria))
    granted = () if must_say_the_same else request.access.filters(request.resource_type, Interaction.SEARCH_TYPE)
    query = _query(engine, served_type, parameters, (), strict=True)
    if not query.conditions:
        raise FhirError(Category.INVALID, "If-None-Exist takes search parameters of the resource type")
    query = _query(engine, served_type, parameters, granted, strict=True)
    query.count = 1
    for _ in range(WRITE_ATTEMPTS_MAX):
        found = await engine.store.search(tenant, *query.page_statement())
        if len(found) > 1:
            raise FhirError(Category.MULTIPLE_MATCHES, "more than one resource matches If-None-Exist")
        if found:
            stored = _stored(served_type, found[0])
            if must_say_the_same and not same_content(stored.body or b"", resource):
                text = "another one with this identifier and different content exists; correct it with PUT"
                raise FhirError(Category.CONFLICT, [Issue(text, "conflict", f"{served_type.name}.identifier")])
            return written(engine.base_url, request, served_type, stored, created=False, witnessed=False)
        id_, previous = await free_place(engine, tenant, request.resource_type, parameters)
        try:
            return await _write(engine, request, served_type, Interaction.CREATE, id_, previous, resource)
        except WriteConflictError:
            continue
    raise _contended()


async def free_place(
    engine: Engine, tenant: str, resource_type: str, parameters: Sequence[tuple[str, str]]
) -> tuple[str, Stored | None]:
    """The id of a resource that sorted criteria did not find, and what was deleted there before.

    It follows from the criteria: all who find nothing at one moment take the same, and pass over places in use alike.
    """
    for number in range(PLACES_MAX):
        id_ = derived_id(engine.base_url, tenant, resource_type, urlencode(parameters), str(number))
        previous = await engine.store.read(tenant, resource_type, id_)
        if previous is None or previous.body is None:
            return id_, previous
    raise _contended()


async def _visible(
    engine: Engine,
    request: Request,
    served_type: ServedType,
    stored: Stored | None,
    interaction: Interaction = Interaction.READ,
) -> Stored:
    """The version if it exists and the caller's granular scopes reach the resource; 404 and 410 otherwise."""
    if stored is None:
        raise _not_found(request)
    granted = request.access.filters(request.resource_type, interaction)
    if granted:
        query = _query(engine, served_type, [("_id", request.id)], granted, strict=True)
        if not await engine.store.search(request.access.tenant, *query.page_statement()):
            raise _not_found(request)
    if stored.body is None:
        text = f"this {request.resource_type} was deleted"
        raise FhirError(Category.DELETED, text, headers={"ETag": etag(stored)})
    return stored


async def _require_reach(
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


def _query(
    engine: Engine,
    served_type: ServedType,
    parameters: Sequence[tuple[str, str]],
    granted: Sequence[str],
    *,
    strict: bool,
) -> SearchQuery:
    return parse_search(
        served_type,
        parameters,
        localise=engine.localise,
        now=engine.clock(),
        strict=strict,
        cursor_key=engine.cursor_key,
        granted=granted,
    )


def _stored(served_type: ServedType, record: Any) -> Stored:
    return Stored(served_type.name, record["id"], record["version"], record["last_updated"], record["body"])


def _history_page(request: Request) -> tuple[int, int | None]:
    """How many versions, and older than which one."""
    given = {name: whole_number(name, value) for name, value in request.parameters if value and name in _PAGING}
    return min(given.get("_count", HISTORY_PAGE_MAX), HISTORY_PAGE_MAX), given.get("_before")


def _escaped(text: str) -> str:
    """A token value with the characters that separate values made literal."""
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


def _not_found(request: Request) -> FhirError:
    return FhirError(Category.NOT_FOUND, f"there is no {request.resource_type} with this id")


def _contended() -> FhirError:
    return FhirError(Category.CONFLICT, "this resource is being changed by too many at once; try again")
