"""Addresses below /cds-services: discovery, one for each service, and one for feedback on its cards.

https://cds-hooks.hl7.org/2.0/. Refusals are OperationOutcomes; browsers of any origin may ask, for what counts is the
token. A call leaves an audit row, committed before the answer leaves; its body is neither kept nor logged.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import orjson
import structlog
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.client_keys import ClientKeys
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import WIRE, Category, FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.fhir.wire import JSON_TYPES, Exchange, check_content_type, error_response
from stepwell_shared.runtime import Runtime

from stepwell_routing.cds.calls import read_call, read_feedback
from stepwell_routing.cds.clients import CdsClients
from stepwell_routing.cds.content import REASON_SYSTEM, catalogue, kinds, languages, limits, texts_for, texts_in
from stepwell_routing.cds.documentation import JSON, PATH
from stepwell_routing.cds.feedback import keep_feedback
from stepwell_routing.cds.guidance import guidance, person_of
from stepwell_routing.cds.services import SERVICES, CdsService, discovery
from stepwell_routing.cds.tokens import CdsCaller, admit, authenticate
from stepwell_routing.policies import active_policies

CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "X-Request-Id"}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, Accept-Language",
    "Access-Control-Max-Age": "86400",
}
FAULT = "an error on our side; the log has it under the request id"

log = structlog.get_logger("stepwell.cds")

Page = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True)
class Desk:
    """What every call needs. `base_url` is the public address that the paths below are appended to."""

    runtime: Runtime
    clients: CdsClients
    base_url: str
    discovery: bytes


def cds_services(runtime: Runtime) -> tuple[str, Page]:
    """What answers below the address of the CDS services.

    What ships is read and compiled now: it took 140 ms of CPU, which the first call of a process would wait for.
    """
    active_policies()
    for language in languages():
        texts_in(language)
    for read in (kinds, limits, catalogue):
        read()
    url = runtime.settings.url_of("routing")
    # Clients' own key URLs are guarded wherever the deployment itself is on https.
    keys = ClientKeys(runtime.http, guarded=url.startswith("https://"))
    desk = Desk(
        runtime=runtime,
        clients=CdsClients(runtime.database, keys),
        base_url=base_url(url),
        discovery=orjson.dumps(discovery()),
    )
    return PATH, partial(_answer, desk)


def base_url(routing_url: str) -> str:
    """The address of the CDS services beside that of routing's FHIR base."""
    return f"{routing_url.removesuffix('/fhir')}/cds-services"


async def _answer(desk: Desk, exchange: Exchange) -> None:
    try:
        response = await _response(desk, exchange)
    except FhirError as error:
        log.log(WIRE[error.category].log_level, "a CDS call was refused", status=error.status)
        response = error_response(error)
    except UNAVAILABLE_ERRORS:
        log.exception("a CDS call waits for the database", request_id=exchange.request_id)
        away = FhirError(Category.UNAVAILABLE, "try again shortly", headers={"Retry-After": "1"})
        response = error_response(away)
    except Exception:
        log.exception("a CDS call failed", request_id=exchange.request_id)
        response = error_response(FhirError(Category.FAULT, FAULT))
    headers = {**CORS, **response.headers}
    if response.status >= 400:
        await exchange.answer(Response(response.status, response.body, headers))
    else:
        await exchange.answer(Response(response.status, response.body, headers), JSON)


async def _response(desk: Desk, exchange: Exchange) -> Response:
    """The answer at an address. Raises FhirError."""
    head, _, tail = exchange.path.removeprefix(PATH).removeprefix("/").partition("/")
    service = SERVICES.get(head)
    is_discovery = exchange.path in {PATH, f"{PATH}/"}
    if not is_discovery and (
        service is None or tail not in {"", "feedback"} or not exchange.path.startswith(f"{PATH}/")
    ):
        raise FhirError(Category.NOT_FOUND, "there is no such CDS service; GET /routing/cds-services lists them")
    if exchange.method == "OPTIONS":
        return Response(204, headers=PREFLIGHT)
    if service is None:
        _require(exchange, "GET", "HEAD")
        return _discovered(desk, exchange)
    _require(exchange, "POST")
    return await (_feedback if tail else _called)(desk, exchange, service)


def _discovered(desk: Desk, exchange: Exchange) -> Response:
    tag = f'W/"{sha256(desk.discovery).hexdigest()[:16]}"'
    if tag in exchange.headers.get("if-none-match", ""):
        return Response(304, headers={"ETag": tag})
    return Response(200, desk.discovery, {"ETag": tag})


async def _called(desk: Desk, exchange: Exchange, service: CdsService) -> Response:
    """One hook: the cards. Token, audit row and the cards' rows are committed before they leave."""
    caller = await _caller(desk, exchange, service.id)
    patient: list[str] = []

    async def answered() -> tuple[bytes, list[Effect]]:
        call = read_call(await _json(exchange), service)
        person = await person_of(desk.runtime, caller, call)
        patient.extend([person.id] if person.id else [])
        texts = texts_for(exchange.headers.get("accept-language", ""))
        found = await guidance(desk.runtime, caller, service, call, person, texts)
        return orjson.dumps({"cards": found.cards}), found.effects

    return await _recorded(desk, exchange, caller, f"$cds-{service.id}", patient, answered)


async def _feedback(desk: Desk, exchange: Exchange, service: CdsService) -> Response:
    """What became of cards."""
    caller = await _caller(desk, exchange, f"{service.id}/feedback")

    async def answered() -> tuple[bytes, list[Effect]]:
        codes = frozenset(code for kind in kinds().values() for code in kind.reasons)
        given = read_feedback(await _json(exchange), codes, REASON_SYSTEM)
        await keep_feedback(desk.runtime.database, caller.tenant, service.id, given, desk.runtime.clock())
        return b"{}", []

    return await _recorded(desk, exchange, caller, f"$cds-{service.id}-feedback", [], answered)


async def _caller(desk: Desk, exchange: Exchange, path: str) -> CdsCaller:
    """The client that may call this very address, with a token that is used up from now on."""
    now = desk.runtime.clock().timestamp()
    address = f"{desk.base_url}/{path}"
    caller = await authenticate(desk.clients, exchange.headers.get("authorization"), address, now)
    await admit(desk.runtime.database, caller, now)
    return caller


async def _recorded(
    desk: Desk,
    exchange: Exchange,
    caller: CdsCaller,
    interaction: str,
    patient: list[str],
    answered: Callable[[], Awaitable[tuple[bytes, list[Effect]]]],
) -> Response:
    """The answer of a known client, once its audit row is durable; a refusal is on record as well."""
    effects: list[Effect] = []
    refusal = None
    try:
        body, effects = await answered()
        response = Response(200, body, {"Cache-Control": "no-store"})
    except FhirError as error:
        refusal, response = error, error_response(error)
    record = audit_effect(
        caller.audited,
        recorded=desk.runtime.clock(),
        interaction=interaction,
        resource_type="Patient" if patient else None,
        resource_id=patient[0] if patient else None,
        request_id=exchange.request_id,
        status=response.status,
    )
    await desk.runtime.store.commit(UnitOfWork(caller.tenant, effects=[*effects, record]))
    if refusal is not None:
        raise refusal
    return response


async def _json(exchange: Exchange) -> bytes:
    check_content_type(exchange.headers.get("content-type", ""), JSON_TYPES)
    return await exchange.body()


def _require(exchange: Exchange, *methods: str) -> None:
    if exchange.method not in methods:
        allowed = ", ".join(methods)
        text = f"this address takes {allowed}"
        raise FhirError(Category.METHOD_NOT_ALLOWED, text, headers={"Allow": allowed})
