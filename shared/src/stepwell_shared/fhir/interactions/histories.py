"""Versions, newest first: of one resource, of a type, of everything. https://hl7.org/fhir/R4/http.html#history

Types are shown below the oldest transaction that is still open, so that who comes again with `_since` misses nothing.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import orjson

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.narrowing import reached
from stepwell_shared.fhir.interactions.reach import not_found, visible
from stepwell_shared.fhir.messages import Request, Response, address_of, bundle, history_entry
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.presentation import PARAMETERS, View, view_of
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.search.order import open_cursor, seal_cursor
from stepwell_shared.fhir.search.query import whole_number
from stepwell_shared.fhir.unit import Place, Span, Stored
from stepwell_shared.fhir.values import date_range

HISTORY_PAGE_MAX = 100
HISTORY_SYSTEM = "history-system"
LOOKS_MAX = 10  # reads of one page
_ONCE = frozenset({"_count", "_since", "_at", "_list", "_before", "_cursor"})
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_ANY = "*"
_Placed = tuple[Place, Stored]
_Version = TypeVar("_Version")


@dataclass(frozen=True)
class _Asked:
    """What a request wants of a history. `used` are its parameters for links, without the place of the page."""

    count: int
    span: Span
    view: View
    used: list[tuple[str, str]]
    before: int | None
    cursor: str


async def history(engine: Engine, request: Request) -> Response:
    """The history of the resource, the type or the service that the request names."""
    if request.id:
        return await _of_instance(engine, request)
    return await _of_types(engine, request)


async def _of_instance(engine: Engine, request: Request) -> Response:
    served_type = engine.permitted(request, Interaction.HISTORY_INSTANCE)
    asked, tenant = _asked(request), request.access.tenant
    is_narrowed = _is_narrowed(request, [served_type], Interaction.HISTORY_INSTANCE, asked)
    current = await engine.store.read(tenant, request.resource_type, request.id)
    if current is None or current.body is not None:
        current = await visible(engine, request, served_type, current, Interaction.HISTORY_INSTANCE)
    elif is_narrowed:
        raise not_found(request)  # a deletion has no content that a granular scope could match

    async def read(last: Stored | None, most: int) -> list[Stored]:
        before = last.version if last is not None else asked.before
        return await engine.store.versions(
            tenant, request.resource_type, request.id, before=before, span=asked.span, most=most
        )

    page, last = await _page(engine, request, Interaction.HISTORY_INSTANCE, asked, read, lambda stored: stored)
    address = f"{engine.base_url}/{request.resource_type}/{request.id}/_history"
    links = _links(address, asked, ("_before", str(last.version)) if last is not None else None)
    entries = [history_entry(engine.base_url, served_type, stored, asked.view) for stored in page]
    total = current.version if asked.span == Span() and not is_narrowed else None
    return Response(200, bundle("history", total, links, entries, engine.clock()), {}, request.id)


async def _of_types(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#history for a type, or for all types that have one."""
    served_types = _types(engine, request)
    asked = _asked(request)
    if asked.view.is_count:
        raise _refused("_summary", "count is for searches and for the history of one resource")
    names = [served_type.name for served_type in served_types]
    kind = f"history {request.resource_type}"
    after = _opened(kind, asked.cursor, engine.cursor_key) if asked.cursor else None

    async def read(last: _Placed | None, most: int) -> list[_Placed]:
        place = last[0] if last is not None else after
        return await engine.store.history(request.access.tenant, names, after=place, span=asked.span, most=most)

    page, last = await _page(engine, request, Interaction.HISTORY_TYPE, asked, read, lambda placed: placed[1])
    address = "/".join(part for part in (engine.base_url, request.resource_type, "_history") if part)
    links = _links(address, asked, ("_cursor", _sealed(kind, last[0], engine.cursor_key)) if last is not None else None)
    entries = [_entry(engine, stored, asked.view) for _, stored in page]
    return Response(200, bundle("history", None, links, entries, engine.clock()))


async def _page(
    engine: Engine,
    request: Request,
    interaction: Interaction,
    asked: _Asked,
    read: Callable[[_Version | None, int], Awaitable[list[_Version]]],
    stored_of: Callable[[_Version], Stored],
) -> tuple[list[_Version], _Version | None]:
    """The versions that the caller's scopes reach, and the last one that was looked at when there may be more.

    Who is reached by few gets shorter pages with a link, and not a request that reads everything.
    """
    page: list[_Version] = []
    last: _Version | None = None
    for _ in range(LOOKS_MAX if asked.count else 0):
        left = asked.count - len(page)
        given = await read(last, left + 1)
        looked_at = given[:left]
        shown = await reached(engine, request, interaction, [stored_of(each) for each in looked_at])
        kept = {id(stored) for stored in shown}
        page += [each for each in looked_at if id(stored_of(each)) in kept]
        last = looked_at[-1] if len(given) > left else None
        if last is None or len(page) == asked.count:
            break
    return page, last


def _is_narrowed(request: Request, served_types: Iterable[ServedType], interaction: Interaction, asked: _Asked) -> bool:
    """Whether the caller's scopes reach only some versions. Raises FhirError INVALID for counting them."""
    is_narrowed = any(request.access.filters(each.name, interaction) for each in served_types)
    if is_narrowed and asked.view.is_count:
        raise _refused("_summary", "count of a history is not for scopes that are narrowed")
    return is_narrowed


def _entry(engine: Engine, stored: Stored, view: View) -> bytes:
    return history_entry(engine.base_url, engine.registry.types[stored.resource_type], stored, view)


def _types(engine: Engine, request: Request) -> list[ServedType]:
    """The types whose versions are asked for: of the whole service those that the caller may ask for."""
    if request.resource_type:
        return [engine.permitted(request, Interaction.HISTORY_TYPE)]
    request.access.require(_ANY, HISTORY_SYSTEM)
    return [served_type for served_type in engine.registry if served_type.allows(Interaction.HISTORY_TYPE)]


def _asked(request: Request) -> _Asked:
    """Raises FhirError INVALID for what a history does not take, and for what is given twice."""
    given: dict[str, str] = {}
    for name, value in request.parameters:
        if name in given:
            raise _refused(name, "is given at most once")
        if name in _ONCE and value:
            given[name] = value
    if "_list" in given:
        raise FhirError(Category.INVALID, [Issue("a history by _list is not served", "not-supported")])
    view = view_of(request.parameters)
    count = min(whole_number("_count", given.get("_count", str(HISTORY_PAGE_MAX))), HISTORY_PAGE_MAX)
    used = [
        (name, value)
        for name, value in request.parameters
        if value and (name in {"_count", "_since", "_at"} or name in PARAMETERS)
    ]
    before = whole_number("_before", given["_before"]) if "_before" in given else None
    return _Asked(0 if view.is_count else count, _span(given), view, used, before, given.get("_cursor", ""))


def _span(given: dict[str, str]) -> Span:
    since, low, high = None, None, None
    if "_since" in given:
        text = given["_since"].replace(" ", "+")  # a plus sign that was not escaped
        found = date_range(text) if _INSTANT.fullmatch(text) else None
        if found is None:
            raise _refused("_since", "is an instant such as 2026-11-21T20:54:00Z")
        since = found[0]
    if "_at" in given:
        found = date_range(given["_at"].replace(" ", "+"))
        if found is None:
            raise _refused("_at", "is a date or dateTime")
        low, high = found
    return Span(since, low, high)


def _refused(name: str, text: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(f"{name} {text}", "invalid")])


def _links(address: str, asked: _Asked, place: tuple[str, str] | None) -> list[tuple[str, str]]:
    """self states what was used; next leads on from a place."""
    here = [("_before", str(asked.before))] if asked.before is not None else []
    here += [("_cursor", asked.cursor)] if asked.cursor else []
    links = [("self", address_of(address, [*asked.used, *here]))]
    if place is not None:
        counted = asked.used if any(name == "_count" for name, _ in asked.used) else [*asked.used, _count(asked)]
        links.append(("next", address_of(address, [*counted, place])))
    return links


def _count(asked: _Asked) -> tuple[str, str]:
    return "_count", str(asked.count)


def _sealed(kind: str, place: Place, cursor_key: bytes) -> str:
    assert place.last_updated is not None, "only a place to start from has no time"
    moment = place.last_updated.isoformat()
    key = orjson.dumps([place.transaction, moment, place.resource_type, place.version]).decode()
    return seal_cursor(kind, [key, place.id], cursor_key)


def _opened(kind: str, cursor: str, cursor_key: bytes) -> Place:
    key, id_ = open_cursor(kind, cursor, cursor_key)
    assert key is not None, "a place of a history always has its key"
    assert id_ is not None, "a place of a history always has its key"
    transaction, moment, resource_type, version = orjson.loads(key)
    return Place(transaction, datetime.fromisoformat(moment), resource_type, id_, version)
