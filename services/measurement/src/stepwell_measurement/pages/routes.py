"""`GET /measurement/trajectory/{patient}`: one person's way as data or as a picture, for bearers of a token."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.languages import best
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange, error_response
from stepwell_shared.runtime import Runtime

from stepwell_measurement.data import words
from stepwell_measurement.pages.plot import trajectory_svg
from stepwell_measurement.pages.report import trajectory_report
from stepwell_measurement.use_cases.viewing import view_of

PATH = "/measurement/trajectory/"
JSON, SVG = "application/json", "image/svg+xml"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")  # https://hl7.org/fhir/R4/datatypes.html#id
FORMATS = {"json": JSON, JSON: JSON, "svg": SVG, SVG: SVG}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Language",
}

log = structlog.get_logger("stepwell.pages")

Authenticate = Callable[[str | None], Awaitable[Any]]
Page = Callable[[Exchange], Awaitable[None]]


def trajectory_pages(runtime: Runtime, authenticate: Authenticate) -> tuple[str, Page]:
    """What answers below the address of trajectories."""
    return PATH, partial(_answer, runtime, authenticate)


async def _answer(runtime: Runtime, authenticate: Authenticate, exchange: Exchange) -> None:
    try:
        media_type, response = await _page(runtime, authenticate, exchange)
    except FhirError as error:
        log.log(WIRE[error.category].log_level, "a trajectory was refused", status=error.status)
        await exchange.answer(error_response(error))
    except UNAVAILABLE_ERRORS:
        log.exception("a trajectory waits for the database", request_id=exchange.request_id)
        await exchange.answer(error_response(FhirError(Category.UNAVAILABLE, "try again shortly")))
    except Exception:
        log.exception("a trajectory failed", request_id=exchange.request_id)
        await exchange.answer(error_response(FhirError(Category.FAULT, "an error on our side; the log has it")))
    else:
        await exchange.answer(response, media_type)


async def _page(runtime: Runtime, authenticate: Authenticate, exchange: Exchange) -> tuple[str, Response]:
    """The person's way in the format and language that are asked for, put on record. Raises FhirError."""
    access = await authenticate(exchange.headers.get("authorization"))
    id_ = exchange.path.removeprefix(PATH)
    if not _ID.fullmatch(id_):
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    if exchange.method not in {"GET", "HEAD"}:
        text = "this address takes GET"
        raise FhirError(Category.METHOD_NOT_ALLOWED, text, headers={"Allow": "GET, HEAD"})
    media_type, language = _format(exchange), _language(exchange)

    def witness(interaction: str, resource_id: str, status: int) -> Effect:
        return audit_effect(
            access,
            recorded=runtime.clock(),
            interaction=interaction,
            resource_type="Patient",
            resource_id=resource_id,
            request_id=exchange.request_id,
            status=status,
        )

    view = await view_of(runtime, Request(access, witness, "Patient", id=id_))
    svg = media_type == SVG
    body = trajectory_svg(view, language) if svg else encode(trajectory_report(view, language))
    await runtime.store.commit(UnitOfWork(access.tenant, effects=[witness("$trajectory", id_, 200)]))
    return media_type, Response(200, body, {**HEADERS, "Content-Language": language})


def _format(exchange: Exchange) -> str:
    """JSON unless a picture is asked for, by `_format` or else by Accept. Raises FhirError NOT_ACCEPTABLE."""
    wanted = exchange.parameter("_format")
    if wanted is None:
        return SVG if SVG in exchange.headers.get("accept", "") else JSON
    if wanted.replace(" ", "+") not in FORMATS:
        raise FhirError(Category.NOT_ACCEPTABLE, "_format is json or svg")
    return FORMATS[wanted.replace(" ", "+")]


def _language(exchange: Exchange) -> str:
    """The language of the words: `language`, else Accept-Language, else the first. Raises FhirError NOT_ACCEPTABLE."""
    offered = words.languages()
    wanted = exchange.parameter("language")
    if wanted is None:
        return best(exchange.headers.get("accept-language", ""), offered) or offered[0]
    if wanted not in offered:
        raise FhirError(Category.NOT_ACCEPTABLE, f"language is one of {', '.join(offered)}")
    return wanted
