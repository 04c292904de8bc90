"""Start here: one web application per service, assembled from its declarations. The same for all four."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.endpoints import issuer_router, smart_configuration
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.service_tokens import ServiceTokens, TokenRequestError, service_client_id
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.auth.verification import TokenVerifier
from stepwell_shared.canonical import topic as topic_canonical
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.door import Guard, Limits
from stepwell_shared.events.catch_up import CatchUp
from stepwell_shared.events.courier import TokenProvider
from stepwell_shared.events.delivery import Delivery
from stepwell_shared.events.filters import EngineFilters
from stepwell_shared.events.notification import Notification
from stepwell_shared.events.outbox import OutboxNotifier
from stepwell_shared.events.receiver import Receiver, Sender
from stepwell_shared.events.sender import DeliveryPolicy
from stepwell_shared.events.showing import show_status
from stepwell_shared.events.upkeep import Upkeep, UpkeepPolicy
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.capability import capability_statement
from stepwell_shared.fhir.idempotency import keep_forgetting
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Registry
from stepwell_shared.fhir.routes import FHIR_JSON, Door, error_response, fhir_routes, read_body, request_id_of
from stepwell_shared.fhir.validation import prepare
from stepwell_shared.http_client import HttpClient, http_client
from stepwell_shared.openapi import openapi_document
from stepwell_shared.runtime import Runtime, Service, open_runtime
from stepwell_shared.served import endpoint_policy
from stepwell_shared.settings import Settings
from stepwell_shared.telemetry import configure_logging

RELEASED = datetime(2026, 11, 21, tzinfo=UTC)
NOTIFICATION_BYTES_MAX = 64 * 1024 * 1024
BACKGROUND_PAUSE_SECONDS = 1.0
DELIVERY_CONNECTIONS_MAX = 256
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")

log = structlog.get_logger("stepwell.app")


@dataclass(frozen=True)
class Parts:
    """What a running process needs beside its runtime."""

    service: Service
    registry: Registry
    runtime: Runtime
    http: HttpClient
    verifier: TokenVerifier
    token: TokenProvider


def create_app(service: Service, settings: Settings | None = None) -> FastAPI:
    """The application of one service. Settings come from the environment unless given.

    Raises pydantic's ValidationError naming every variable that is missing.
    """
    settings = settings or Settings()  # type: ignore[call-arg]  # the environment fills it
    configure_logging(service.name, settings.log_level)
    runtime = Runtime()
    registry = service.resources(runtime)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(app, service, registry, runtime, settings, stack)
            _spare_the_collector()
            yield

    app = FastAPI(title=service.title, lifespan=lifespan, docs_url=f"/{service.name}/docs", redoc_url=None,
                  openapi_url=f"/{service.name}/openapi.json")  # fmt: skip
    app.add_middleware(Guard, limits=_limits(service.name, settings))
    document = openapi_document(service, registry, settings.url_of(service.name))
    app.openapi = lambda: document  # type: ignore[method-assign]  # FastAPI's documented way to replace it
    return app


def _limits(name: str, settings: Settings) -> Limits:
    """What the door lets in: notifications carry many resources, and are let in when others are turned away."""
    notifications = f"/{name}/notifications"
    return Limits(
        body_bytes_max=settings.body_bytes_max,
        body_seconds_max=settings.body_seconds_max,
        body_bytes_max_at={notifications: NOTIFICATION_BYTES_MAX},
        reserved=frozenset({notifications}),
    )


def _spare_the_collector() -> None:
    """What stands after the start stays for ever: walking it again took up to a fifth of a busy process's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def _start(
    app: FastAPI, service: Service, registry: Registry, runtime: Runtime, settings: Settings, stack: AsyncExitStack
) -> None:
    """Opens what the process needs, in order; the stack closes it in reverse."""
    events: list[Events] = []

    def committed(tenant: str, tables: frozenset[str]) -> None:
        for each in events:
            each.committed(tenant, tables)

    http = await stack.enter_async_context(http_client())
    await stack.enter_async_context(open_runtime(service, registry, runtime, settings, committed))
    verifier = TokenVerifier.for_service(service.name, settings, runtime.database, http)
    stack.push_async_callback(verifier.close)
    token = _token_of(ServiceTokens(http, settings, service.name))
    parts = Parts(service, registry, runtime, http, verifier, token)
    prepare(*registry.types)
    await _seed(service, runtime)
    events.append(await _start_events(parts, settings, stack))
    receiving = _receiving(parts)
    await _run_while_open(receiving.catch_up.run, stack)
    await _run_while_open(_forgetting(runtime), stack)
    issuer = Issuer.from_settings(settings, runtime.database, http)
    if issuer is not None:
        app.include_router(issuer_router(issuer), prefix=f"/{service.name}/auth")
    app.router.routes += _routes(parts, receiving)


def _forgetting(runtime: Runtime) -> Callable[[], Awaitable[None]]:
    """The loop that removes answers which nobody asks for again."""
    listed, hours = partial(list_tenants, runtime.database), runtime.settings.idempotency_hours
    return partial(keep_forgetting, runtime.store, listed, runtime.clock, hours)


async def _seed(service: Service, runtime: Runtime) -> None:
    """Puts what this release ships into every tenant; a database that is away now is served at the next start."""
    if service.seed is None:
        return
    try:
        for tenant in await list_tenants(runtime.database):
            await service.seed(runtime, tenant)
    except (*UNAVAILABLE_ERRORS, FhirError):
        log.warning("the database does not answer yet; what ships with this release waits for the next start")


@dataclass(frozen=True)
class Events:
    """What must be told of commits: the first two of new events, the last of written subscriptions."""

    delivery: Delivery
    notifier: OutboxNotifier
    upkeep: Upkeep

    def committed(self, tenant: str, tables: frozenset[str]) -> None:
        """Effects of a tenant's unit of work went to these tables."""
        if not tables.isdisjoint({"outbox", "subscription_state"}):
            self.delivery.wake(tenant)
            self.notifier.notify(tenant)
        if "subscription_state" in tables:
            self.upkeep.wake(tenant)


async def _start_events(parts: Parts, settings: Settings, stack: AsyncExitStack) -> Events:
    """Runs the delivery loop of this replica, and the upkeep around it."""
    database, engine = parts.runtime.database, parts.runtime.engine
    replica = f"{socket.gethostname()}-{os.getpid()}"
    listen_url = settings.listen_url or settings.database_url
    # Its own connections: an endpoint that never answers must not keep the others waiting.
    http = await stack.enter_async_context(http_client(connections_max=DELIVERY_CONNECTIONS_MAX))
    upkeep = Upkeep(
        database,
        tenants=partial(list_tenants, database),
        show=partial(show_status, engine),
        clock=parts.runtime.clock,
        policy=UpkeepPolicy(
            retention_days=settings.event_retention_days,
            give_up_days=settings.subscription_give_up_days,
            age_warning_seconds=settings.outbox_age_warning_seconds,
        ),
    )
    delivery = Delivery(
        database,
        http,
        base_url=settings.url_of(parts.service.name),
        tenants=partial(list_tenants, database),
        token=parts.token,
        matches=EngineFilters(engine, parts.service.topics),
        endpoints=endpoint_policy(settings),
        changed=upkeep.wake,
        replica=replica,
        listen_url=listen_url.get_secret_value(),
        policy=DeliveryPolicy(
            poll_seconds=settings.delivery_poll_seconds,
            lease_seconds=settings.delivery_lease_seconds,
            batch_max=settings.delivery_batch_max,
            backoff_seconds_max=settings.delivery_backoff_seconds_max,
        ),
    )
    notifier = OutboxNotifier(database, replica)
    await _run_while_open(upkeep.run, stack)
    running = asyncio.create_task(_keep_delivering(delivery))

    async def stop() -> None:
        await delivery.stop()
        await running
        await notifier.close()

    stack.push_async_callback(stop)
    return Events(delivery, notifier, upkeep)


async def _run_while_open(run: Callable[[], Awaitable[None]], stack: AsyncExitStack) -> None:
    """Runs a loop beside the requests, and again after a defect in it, until the process stops."""

    async def keep_running() -> None:
        while True:
            try:
                await run()
            except Exception:
                log.exception("a background loop failed and starts again")
                await asyncio.sleep(BACKGROUND_PAUSE_SECONDS)

    task = asyncio.create_task(keep_running())

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)


def _token_of(tokens: ServiceTokens) -> TokenProvider:
    """This service's own tokens; having none now is something that passes."""

    async def token_for(tenant: str) -> str:
        try:
            return await tokens.token_for(tenant)
        except TokenRequestError as error:
            raise FhirError(Category.UNAVAILABLE, str(error)) from error

    return token_for


async def _keep_delivering(delivery: Delivery) -> None:
    """A defect in the loop is logged and the loop goes on: what was accepted must not wait for a restart."""
    while True:
        try:
            await delivery.run()
        except Exception:
            log.exception("delivery failed and starts again")
            await asyncio.sleep(1)
        else:
            return


def _routes(parts: Parts, receiving: "Receiving") -> list[Route]:
    """Health, discovery, notifications and FHIR, in this order: the last one takes every path below its prefix."""
    name = parts.service.name
    engine, settings = parts.runtime.engine, parts.runtime.settings
    statement = capability_statement(
        parts.registry,
        title=parts.service.title,
        description=parts.service.description,
        base_url=engine.base_url,
        topics=[topic.canonical for topic in parts.service.topics],
        released=RELEASED,
    )
    metadata = encode(statement)
    configuration = smart_configuration(settings.issuer_url)
    door = Door(
        engine=engine,
        authenticate=parts.verifier.authenticate,
        access_record=_access_record(parts.runtime),
    )

    async def live(_: HttpRequest) -> HttpResponse:
        return JSONResponse({"status": "alive"})

    async def ready(_: HttpRequest) -> HttpResponse:
        return await _readiness(parts.runtime.database)

    async def capabilities(http: HttpRequest) -> HttpResponse:
        return _page(http, HttpResponse(metadata, media_type=FHIR_JSON))

    async def discovery(http: HttpRequest) -> HttpResponse:
        return _page(http, JSONResponse(configuration))

    return [
        Route("/livez", live),
        Route("/readyz", ready),
        Route(f"/{name}/fhir/metadata", capabilities, methods=METHODS),
        Route(f"/{name}/fhir/.well-known/smart-configuration", discovery, methods=METHODS),
        Route(f"/{name}/notifications", _notifications(parts, receiving.receiver), methods=["POST"]),
        *fhir_routes(door, f"/{name}/fhir"),
    ]


def _page(http: HttpRequest, page: HttpResponse) -> HttpResponse:
    """A page for everybody, which takes no other method than those that read it."""
    if http.method in {"GET", "HEAD"}:
        return page
    refusal = error_response(FhirError(Category.METHOD_NOT_ALLOWED, "this address takes GET, HEAD"))
    return HttpResponse(refusal.body, 405, {"Allow": "GET, HEAD", "X-Request-Id": request_id_of(http)}, FHIR_JSON)


async def _readiness(database: Database) -> HttpResponse:
    """Ready means that the database answers now."""
    try:
        async with asyncio.timeout(1):
            await database.fetch("SELECT 1")
    except UNAVAILABLE_ERRORS:
        return JSONResponse({"status": "the database does not answer"}, status_code=503)
    return JSONResponse({"status": "ready"})


def _access_record(runtime: Runtime) -> Callable[[Any, str, str, str, int, str], Effect]:
    def record(caller: Any, interaction: str, type_: str, id_: str, status: int, request_id: str) -> Effect:
        return audit_effect(
            caller,
            recorded=runtime.clock(),
            interaction=interaction,
            resource_type=type_ or None,
            resource_id=id_ or None,
            request_id=request_id,
            status=status,
        )

    return record


@dataclass(frozen=True)
class Receiving:
    """The receiving side: what is pushed, and what must be asked for because it never came."""

    receiver: Receiver
    catch_up: CatchUp


def _receiving(parts: Parts) -> Receiving:
    settings, database = parts.runtime.settings, parts.runtime.database
    listens = parts.service.listens(parts.runtime)
    publishers = sorted({publisher for publisher, _ in listens})

    def may_notify(sender: Sender, notification: Notification) -> bool:
        return any(
            sender.client_id == service_client_id(sender.tenant, publisher)
            and notification.subscription.startswith(f"{settings.url_of(publisher)}/Subscription/")
            for publisher in publishers
        )

    def may_ask(subscription: str) -> bool:
        return any(subscription.startswith(f"{settings.url_of(each)}/Subscription/") for each in publishers)

    handlers = {topic_canonical(name): handler for (_, name), handler in listens.items()}
    receiver = Receiver(handlers, database, may_notify)
    catch_up = CatchUp(
        database, parts.http, receiver, tenants=partial(list_tenants, database), token=parts.token, may_ask=may_ask
    )
    return Receiving(receiver, catch_up)


def _notifications(parts: Parts, receiver: Receiver) -> Callable[[HttpRequest], Any]:
    """Where the other services post what happened: answered 200 only when everything is committed."""

    async def take(http: HttpRequest) -> HttpResponse:
        try:
            caller: Caller = await parts.verifier.authenticate(http.headers.get("authorization"))
            caller.require("Bundle", "create")
            body = await read_body(http)
            await receiver.receive(caller.tenant, caller.client_id, body)
            response = Response(200)
        except FhirError as error:
            response = error_response(error)
        headers = {**response.headers, "X-Request-Id": request_id_of(http)}
        return HttpResponse(response.body, response.status, headers, FHIR_JSON if response.body else None)

    return take
