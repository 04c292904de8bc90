"""Addresses below /measurement/dashboard: for leaders, for a practice, for everybody, and one for each measure."""

import re
from collections.abc import Callable
from functools import partial

from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.markup import Markup, element
from stepwell_shared.pages.door import Authenticate, Shown, Visit, doors_at, language_of, public_door, staff_door
from stepwell_shared.pages.layout import page_headers
from stepwell_shared.pages.sign_in import signed_in
from stepwell_shared.partnering import partners_of
from stepwell_shared.runtime import Page, Runtime

from stepwell_measurement.data.dashboard_words import Words, languages
from stepwell_measurement.data.measures import measures
from stepwell_measurement.pages.board import board_page, measure_page, practice_page, public_page, waiting_page
from stepwell_measurement.pages.document import marked_part
from stepwell_measurement.pages.improvement import report
from stepwell_measurement.pages.minutes import minutes
from stepwell_measurement.pages.organisations import organisations
from stepwell_measurement.pages.quarter import done_part
from stepwell_measurement.pages.suggestions import ADDRESS as SUGGESTING
from stepwell_measurement.pages.suggestions import suggesting, suggestions
from stepwell_measurement.pages.thresholds import thresholds
from stepwell_measurement.pages.tiles import STYLE, Voice
from stepwell_measurement.rules.board import Board
from stepwell_measurement.rules.minutes import told_in
from stepwell_measurement.use_cases.dashboards import board_of, public_region
from stepwell_measurement.use_cases.minutes import decisions_of
from stepwell_measurement.use_cases.suggestions import is_open

ADDRESS = "/measurement/dashboard"
PUBLIC, PRACTICES, MEASURES = f"{ADDRESS}/public/", f"{ADDRESS}/practices/", f"{ADDRESS}/measures/"
REPORT = "MeasureReport"
WRITTEN, WRITTEN_MAX = "dashboards written", 16
"""So many pages are kept as they were written: of thousands of practices each has a megabyte, and is not written in the
time that a view may take."""
_NAME = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_MONTH = re.compile(r"2[0-9]{3}-(0[1-9]|1[0-2])")


def dashboard_pages(runtime: Runtime, authenticate: Authenticate) -> dict[str, Page]:
    """What answers at each of the addresses."""

    async def everybody(exchange: Exchange) -> Shown:
        return await _public(runtime, exchange)

    def for_staff(who: Authenticate) -> Page:
        read = partial(staff_door, runtime, who, languages=languages())
        write = partial(read, methods=("GET", "HEAD", "POST"))
        pages = {
            ADDRESS: read(_page),
            f"{ADDRESS}/report": read(partial(report, base=ADDRESS)),
            f"{ADDRESS}/organisations": read(partial(organisations, base=ADDRESS)),
            f"{ADDRESS}/thresholds": read(partial(thresholds, base=ADDRESS)),
            f"{ADDRESS}/suggestions": write(partial(suggestions, base=ADDRESS)),
            f"{ADDRESS}/minutes": write(partial(minutes, base=ADDRESS)),
        }
        return doors_at(pages)[1]

    return {
        **signed_in(runtime, authenticate, ADDRESS, REPORT).doors(for_staff),
        PUBLIC: public_door(everybody),
        SUGGESTING: public_door(partial(suggesting, runtime), methods=("GET", "HEAD", "POST")),
    }


async def _page(visit: Visit) -> Shown:
    """The page at an address for staff. Raises FhirError."""
    path = visit.exchange.path
    asked = visit.exchange.parameter("language")
    voice = Voice(Words(visit.language), ADDRESS, f"?language={asked}" if asked else "")
    if path.rstrip("/") == ADDRESS:
        body = await _region(visit, voice)
    elif path.startswith(PRACTICES):
        body = await _practice(visit, _name(path, PRACTICES), voice)
    elif path.startswith(MEASURES):
        body = await _measure(visit, _name(path, MEASURES), voice)
    else:
        raise _absent()
    return _shown(body, voice, "$dashboard", REPORT)


async def _region(visit: Visit, voice: Voice) -> bytes:
    visit.access.require_unrestricted(REPORT, Interaction.SEARCH_TYPE)
    since = visit.exchange.parameter("since") or ""
    if since and not _MONTH.fullmatch(since):
        raise FhirError(Category.INVALID, "since is a month such as 2026-05")
    board = await board_of(visit.runtime, visit.access.tenant)
    partners = await partners_of(visit.runtime).all(visit.access.tenant)
    is_hub = any(each.gives_figures for each in partners)
    if board is None:
        return waiting_page(voice)
    said = f"{voice.query} {since} {is_hub}"
    return _written(visit, board, said, lambda: board_page(board, voice, since, is_hub=is_hub))


def _written(visit: Visit, board: Board, said: str, write: Callable[[], bytes]) -> bytes:
    """A page as it was written for whoever came before, unless the figures are others: nothing in it is a visitor's."""
    known = visit.runtime.cache.setdefault(WRITTEN, {})
    pages: dict[tuple[str, ...], tuple[Board, bytes]] = known if isinstance(known, dict) else {}
    name = (visit.access.tenant, visit.exchange.path, visit.language, said)
    found = pages.pop(name, None)
    if found is None or found[0] != board:
        found = board, write()
    pages[name] = found  # the last one that was asked for
    while len(pages) > WRITTEN_MAX:
        del pages[next(iter(pages))]
    return found[1]


async def _practice(visit: Visit, practice: str, voice: Voice) -> bytes:
    """Somebody whose scopes reach the reports of one practice alone sees that one."""
    allowed = visit.access.filters(REPORT, Interaction.SEARCH_TYPE)
    if allowed and f"reporter=Organization/{practice}" not in allowed:
        raise FhirError(Category.FORBIDDEN, "this token does not reach the reports of this practice")
    board = await board_of(visit.runtime, visit.access.tenant)
    body = waiting_page(voice) if board is None else practice_page(board, practice, voice)
    if body is None:
        raise _absent()
    return body


async def _measure(visit: Visit, name: str, voice: Voice) -> bytes:
    visit.access.require_unrestricted(REPORT, Interaction.SEARCH_TYPE)
    measure = measures().get(name)
    if measure is None:
        raise _absent()
    board = await board_of(visit.runtime, visit.access.tenant)
    if board is None:
        return measure_page(None, measure, voice)
    return _written(visit, board, voice.query, lambda: measure_page(board, measure, voice))


async def _public(runtime: Runtime, exchange: Exchange) -> Shown:
    """The page for everybody, of a tenant that has one."""
    tenant = _name(exchange.path, PUBLIC)
    region = public_region(runtime, tenant)
    board = None if region is None else await board_of(runtime, tenant)
    if region is None or board is None:
        raise _absent()
    voice = Voice(Words(language_of(exchange, languages())), exchange.path, has_definitions=True)
    more = await _for_everybody(runtime, tenant, board, voice.words)
    return _shown(public_page(board, region, voice, more), voice)


async def _for_everybody(runtime: Runtime, tenant: str, board: Board, words: Words) -> list[Markup]:
    """What was said and done, as far as it is published, and the way to suggest something."""
    today = runtime.clock().date()
    told = told_in(await decisions_of(runtime, tenant), board.start, today, public_only=True)
    more = [marked_part(done_part(told, words), words.language)] if told else []
    if is_open(runtime, tenant):
        address = f"{SUGGESTING}{tenant}?language={words.language}"
        more.append(element("p", element("a", words.phrase("suggest-link"), href=address)))
    return more


def _shown(body: bytes, voice: Voice, interaction: str = "", resource_type: str = "") -> Shown:
    headers = {**page_headers(STYLE, has_forms=True), "Content-Language": voice.words.language}
    return Shown(body, interaction, resource_type, headers=headers)


def _name(path: str, below: str) -> str:
    name = path.removeprefix(below)
    if not _NAME.fullmatch(name):
        raise _absent()
    return name


def _absent() -> FhirError:
    return FhirError(Category.NOT_FOUND, "there is no such page")
