"""Addresses below /routing/policies: the page of a policy's simulation, for bearers of a token."""

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

from stepwell_routing.pages.simulation import HEADERS, simulation_page
from stepwell_routing.use_cases.simulating import simulated

PATH = "/routing/policies/"

log = structlog.get_logger("stepwell.pages")

Authenticate = Callable[[str | None], Awaitable[Any]]
Page = Callable[[Exchange], Awaitable[None]]


def policy_pages(runtime: Runtime, authenticate: Authenticate) -> tuple[str, Page]:
    """What answers below the address of the policies' pages."""
    return PATH, partial(_answer, runtime, authenticate)


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
    """`{id}/simulation`, with the parameters of `$simulate` in its query. Raises FhirError."""
    access = await authenticate(exchange.headers.get("authorization"))
    id_, _, name = exchange.path.removeprefix(PATH).partition("/")
    if name != "simulation":
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    if exchange.method not in {"GET", "HEAD"}:
        raise FhirError(Category.METHOD_NOT_ALLOWED, "this address takes GET")
    access.require("PlanDefinition", Interaction.READ)

    def witness(interaction: str, resource_id: str, status: int) -> Effect:
        return audit_effect(
            access,
            recorded=runtime.clock(),
            interaction=interaction,
            resource_type="PlanDefinition",
            resource_id=resource_id,
            request_id=exchange.request_id,
            status=status,
        )

    request = Request(access, witness, "PlanDefinition", id=id_, parameters=exchange.parameters)
    found = await simulated(runtime, request)
    await runtime.store.commit(UnitOfWork(access.tenant, effects=[witness("$simulate", id_, 200)]))
    return Response(200, simulation_page(found.report, found.about), dict(HEADERS))
