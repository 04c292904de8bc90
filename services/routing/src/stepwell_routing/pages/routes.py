"""Pages of policies and of case reviews, below /routing/policies and /routing/reviews, for bearers of a token."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import Exchange, error_response
from stepwell_shared.runtime import Runtime

from stepwell_routing.pages.case_review import list_page, sheet_page
from stepwell_routing.pages.equity import equity_page
from stepwell_routing.pages.parts import HEADERS
from stepwell_routing.pages.simulation import simulation_page
from stepwell_routing.use_cases.case_reviews import open_reviews, review_list
from stepwell_routing.use_cases.people import require_whole
from stepwell_routing.use_cases.review_sheets import sheet_of, told_by_rules
from stepwell_routing.use_cases.simulating import simulated, watched

POLICIES, REVIEWS = "/routing/policies/", "/routing/reviews/"
# What somebody must be able to read, all of it, to see the page of a case review.
READ_FOR_REVIEWS = ("List", "Task", "ServiceRequest", "EpisodeOfCare", "Observation", "CarePlan", "Communication")

_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")

log = structlog.get_logger("stepwell.pages")

Authenticate = Callable[[str | None], Awaitable[Any]]
Page = Callable[[Exchange], Awaitable[None]]


def staff_pages(runtime: Runtime, authenticate: Authenticate) -> tuple[tuple[str, ...], Page]:
    """What answers below the addresses of these pages."""
    return (POLICIES, REVIEWS), partial(_answer, runtime, authenticate)


async def _answer(runtime: Runtime, authenticate: Authenticate, exchange: Exchange) -> None:
    try:
        response = await _page(runtime, authenticate, exchange)
    except FhirError as error:
        log.log(WIRE[error.category].log_level, "a page was refused", status=error.status)
        await exchange.answer(error_response(error))
    except UNAVAILABLE_ERRORS:
        log.exception("a page waits for the database", request_id=exchange.request_id)
        await exchange.answer(error_response(FhirError(Category.UNAVAILABLE, "try again shortly")))
    except Exception:
        log.exception("a page failed", request_id=exchange.request_id)
        await exchange.answer(error_response(FhirError(Category.FAULT, "an error on our side; the log has it")))
    else:
        await exchange.answer(response, "text/html")


async def _page(runtime: Runtime, authenticate: Authenticate, exchange: Exchange) -> Response:
    """The page at an address. Raises FhirError."""
    access = await authenticate(exchange.headers.get("authorization"))
    if exchange.method not in {"GET", "HEAD"}:
        raise FhirError(Category.METHOD_NOT_ALLOWED, "this address takes GET", headers={"Allow": "GET, HEAD"})
    about_reviews = exchange.path.startswith(REVIEWS)
    id_, _, name = exchange.path.removeprefix(REVIEWS if about_reviews else POLICIES).partition("/")

    if not _ID.fullmatch(id_) or (name and not _ID.fullmatch(name)):
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    resource_type = "PlanDefinition" if not about_reviews else "Task" if name else "List"

    def witness(interaction: str, resource_id: str, status: int) -> Effect:
        return audit_effect(
            access,
            recorded=runtime.clock(),
            interaction=interaction,
            resource_type=resource_type,
            resource_id=resource_id,
            request_id=exchange.request_id,
            status=status,
        )

    request = Request(access, witness, resource_type, id=id_, parameters=exchange.parameters)
    if about_reviews:
        interaction, page = "$case-review", await _review(runtime, request, name)
    elif name == "simulation":
        access.require("PlanDefinition", Interaction.READ)
        found = await simulated(runtime, request)
        interaction, page = "$simulate", simulation_page(found.report, found.about)
    elif name == "equity":
        access.require("PlanDefinition", Interaction.READ)
        interaction, page = "$equity-watch", equity_page(*await watched(runtime, request))
    else:
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    await runtime.store.commit(
        UnitOfWork(access.tenant, effects=[witness(interaction, name if resource_type == "Task" else id_, 200)])
    )
    return Response(200, page, dict(HEADERS))


async def _review(runtime: Runtime, request: Request, task_id: str) -> bytes:
    """`{list}`: who is to be reviewed; `{list}/{task}`: what reviewers need to know of one of them."""
    for each in READ_FOR_REVIEWS:
        request.access.require(each, Interaction.SEARCH_TYPE)
        require_whole(request, each, Interaction.SEARCH_TYPE)
    tenant, now = request.access.tenant, runtime.clock()
    _, found = await review_list(runtime, tenant, request.id)
    tasks = await open_reviews(runtime, tenant, found)
    if not task_id:
        told = await told_by_rules(runtime, tenant)
        return list_page(str(found.get("title", "Case reviews")), request.id, tasks, told, now)
    task = next((each for each in tasks if each["id"] == task_id), None)
    if task is None:
        raise FhirError(Category.NOT_FOUND, "there is no open review with this id on this list")
    return sheet_page(await sheet_of(runtime, tenant, task), now)
