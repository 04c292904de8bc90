"""Who cannot be shown a page is told so: in plain words where a person reads it, as an OperationOutcome elsewhere."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

import structlog

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.fhir.languages import best
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError
from stepwell_shared.fhir.routes import FAULT
from stepwell_shared.fhir.wire import Exchange, error_response
from stepwell_shared.markup import element
from stepwell_shared.pages.layout import page_headers, whole_page
from stepwell_shared.pages.words import LANGUAGES, phrase, refusal
from stepwell_shared.runtime import Page

HTML = "text/html"

log = structlog.get_logger("stepwell.pages")

T = TypeVar("T")


async def attempted(act: Awaitable[T], what: str, request_id: str) -> T | FhirError:
    """What an act comes to, or the refusal that its failure is; logged without anything about anybody.

    `what` is done, such as "a form page". The address is never in the log.
    """
    try:
        return await act
    except FhirError as error:
        log.log(WIRE[error.category].log_level, "refused", what=what, status=error.status)
        return error
    except UNAVAILABLE_ERRORS:
        log.exception("the database is away", what=what, request_id=request_id)
        return FhirError(Category.UNAVAILABLE, "try again shortly")
    except Exception:
        log.exception("failed", what=what, request_id=request_id)
        return FhirError(Category.FAULT, FAULT)


def taking(methods: Sequence[str], page: Page) -> Page:
    """A page for programs at an address that takes these methods alone; a fault in it is an answer as well."""

    async def answer(exchange: Exchange) -> None:
        if exchange.method not in methods:
            await exchange.answer(error_response(method_refused(methods)))
            return
        failed = await attempted(page(exchange), "a request", exchange.request_id)
        if failed is not None:
            await exchange.answer(error_response(failed))

    return answer


def require_method(exchange: Exchange, allowed: Sequence[str]) -> None:
    """Raises METHOD_NOT_ALLOWED with the header Allow for any other method (RFC 9110 section 15.5.6)."""
    if exchange.method not in allowed:
        raise method_refused(allowed)


def method_refused(allowed: Sequence[str]) -> FhirError:
    """The refusal of a method; an address that takes HEAD takes GET, which is all that the words name."""
    text = f"this address takes {' or '.join(each for each in allowed if each != 'HEAD')}"
    return FhirError(Category.METHOD_NOT_ALLOWED, text, headers={"Allow": ", ".join(allowed)})


async def refuse(exchange: Exchange, error: FhirError) -> None:
    """Answers with the refusal, as a page for whoever asks for one."""
    if HTML in exchange.headers.get("accept", ""):
        await exchange.answer(_refusal_page(exchange, error), HTML)
    else:
        await exchange.answer(error_response(error, {"Vary": "Accept"}))


def _refusal_page(exchange: Exchange, error: FhirError) -> Response:
    language = best(exchange.headers.get("accept-language", ""), LANGUAGES) or LANGUAGES[0]
    title, advice = refusal(error.status, language)
    said = " ".join(issue.diagnostics for issue in error.issues)
    body = whole_page(
        title,
        element("p", advice),
        element("p", phrase("said", language), " ", element("span", said, lang="en"), class_="faint"),
        element("p", phrase("reference", language), " ", element("code", exchange.request_id), class_="faint"),
        language=language,
    )
    return Response(error.status, body, {**page_headers(), **error.headers, "Content-Language": language})
