"""Addresses below /forms: the link that opens a form, the form itself, and its two assets.

Nothing about an address is logged. The link is followed once to a plain address, so that it stays neither in the
address bar nor in what a page says of where it came from.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.pages.forms import Posted, posted
from stepwell_shared.pages.refusing import HTML, attempted
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import find_instrument
from stepwell_screening.pages.filling import Answer, Filling, door_of, reads_as
from stepwell_screening.pages.layout import ACT, ASSETS, HEADERS, Frame, asset
from stepwell_screening.pages.session import Session, cookie_of, is_ours, new_session, session_in
from stepwell_screening.pages.texts import texts_for
from stepwell_screening.pages.views import AT, CSRF, VERIFY, closed_page
from stepwell_screening.use_cases.form_links import Link, find_link, forms_url, link_of
from stepwell_screening.use_cases.site import Site, site_of, sites_in

DATA = "application/json"
CLOSED = {"unknown": 404, "expired": 410, "session": 403, "away": 503}
# Whoever is at the form when its link expires can still send what they have filled in.
GRACE = timedelta(hours=2)

Page = Callable[[Exchange], Awaitable[None]]


def form_pages(runtime: Runtime) -> tuple[str, Page]:
    """What answers below the address of the forms. Raises SiteFileError where the site's file cannot be used."""
    sites_in(runtime)
    return f"{_path(runtime)}/", partial(_answer, runtime)


def _path(runtime: Runtime) -> str:
    return urlsplit(forms_url(runtime)).path


async def _answer(runtime: Runtime, exchange: Exchange) -> None:
    """Every answer is a page for people; what fails is in the log, without the address and without answers."""
    exchange.parameters = []
    parts = exchange.path.removeprefix(f"{_path(runtime)}/").split("/")
    if isinstance(await attempted(_page(runtime, exchange, parts), "a form page", exchange.request_id), FhirError):
        await _closed(runtime, exchange, "away")


async def _page(runtime: Runtime, exchange: Exchange, parts: Sequence[str]) -> None:
    if len(parts) == 2 and parts[0] == "assets" and parts[1] in ASSETS:
        await _asset(exchange, parts[1])
    elif len(parts) == 2 and parts[0] == "open" and exchange.method in {"GET", "HEAD"}:
        await _open(runtime, exchange, parts[1])
    elif len(parts) == 1 and exchange.method in {"GET", "HEAD", "POST"}:
        await _form(runtime, exchange, parts[0])
    else:
        await _closed(runtime, exchange, "unknown")


async def _asset(exchange: Exchange, name: str) -> None:
    kept = {"Cache-Control": "public, max-age=31536000, immutable"}
    await exchange.answer(Response(200, asset(name), {**HEADERS, **kept}), ASSETS[name])


async def _open(runtime: Runtime, exchange: Exchange, token: str) -> None:
    """The link: a session of this browser begins, and leads to the form."""
    link = await link_of(runtime, token)
    if link is None or link.is_expired(runtime.clock()):
        await _closed(runtime, exchange, "unknown" if link is None else "expired", link)
        return
    before = session_in(runtime, exchange.headers.get("cookie", ""), secure=_is_secure(runtime))
    headers = {"Location": _address(runtime, link), **_cookie(runtime, new_session(link, before), link)}
    await exchange.answer(Response(303, headers={**HEADERS, **headers}))


async def _form(runtime: Runtime, exchange: Exchange, questionnaire_id: str) -> None:
    """The form of a session's link."""
    session = session_in(runtime, exchange.headers.get("cookie", ""), secure=_is_secure(runtime))
    link = None if session is None else await find_link(runtime, session.tenant, session.link_id)
    if session is None or link is None or link.questionnaire_id != questionnaire_id:
        why = "session" if exchange.method == "POST" else "unknown"
        await _closed(runtime, exchange, why)
        return
    instrument = await find_instrument(runtime, link.tenant, link.questionnaire)
    if instrument is None or link.is_expired(runtime.clock() - GRACE):
        await _closed(runtime, exchange, "expired", link, session)
        return
    fields: Posted = await posted(exchange) if exchange.method == "POST" else {}
    act = fields.get(ACT, [""])[0]
    if exchange.method == "POST" and not is_ours(runtime, session, fields.get(CSRF, [""])[0]):
        await _closed(runtime, exchange, "session", link, session)
        return
    session = reads_as(session, act)
    frame = _frame(runtime, exchange, link, session)
    door = door_of(runtime, session, _address(runtime, link))
    filling = Filling(runtime, link, instrument, session, frame, door, runtime.clock())
    if exchange.method != "POST" or (act != VERIFY and VERIFY in fields.get(AT, ())):
        answer = await filling.opened()  # looked at, or another language chosen on the page that asks who they are
    elif act == VERIFY:
        answer = await filling.proved(fields)
    else:
        answer = await filling.filled(fields, act, is_data=_wants_data(exchange))
    await _send(runtime, exchange, link, answer)


def _wants_data(exchange: Exchange) -> bool:
    return exchange.headers.get("accept", "").startswith(DATA)


async def _send(runtime: Runtime, exchange: Exchange, link: Link, answer: Answer) -> None:
    headers = {**HEADERS, **_cookie(runtime, answer.session, link)}
    await exchange.answer(Response(answer.status, answer.body, headers), DATA if answer.is_data else HTML)


async def _closed(
    runtime: Runtime, exchange: Exchange, why: str, link: Link | None = None, session: Session | None = None
) -> None:
    """A page without a form, or its status for the script."""
    body = b"{}" if _wants_data(exchange) else closed_page(_frame(runtime, exchange, link, session), why)
    await exchange.answer(Response(CLOSED[why], body, dict(HEADERS)), DATA if _wants_data(exchange) else HTML)


def _frame(runtime: Runtime, exchange: Exchange, link: Link | None, session: Session | None) -> Frame:
    """Around a page: without a link it is nobody's site yet, but for what all sites have in common."""
    chosen = session.language if session is not None else ""
    texts = texts_for(exchange.headers.get("accept-language", ""), chosen)
    site = site_of(runtime, link.tenant) if link is not None else Site()
    return Frame(texts, site, _path(runtime), is_large=session is not None and session.is_large)


def _address(runtime: Runtime, link: Link) -> str:
    return f"{_path(runtime)}/{link.questionnaire_id}"


def _cookie(runtime: Runtime, session: Session, link: Link) -> dict[str, str]:
    return {"Set-Cookie": cookie_of(runtime, session, _address(runtime, link), secure=_is_secure(runtime))}


def _is_secure(runtime: Runtime) -> bool:
    return forms_url(runtime).startswith("https:")
