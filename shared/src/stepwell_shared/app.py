"""Start here: one web application per service, assembled from its declarations. The same for all four."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import sha256
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stepwell_shared.announcing import Announcing, own_tokens, start_announcing
from stepwell_shared.auth.addresses import networks
from stepwell_shared.auth.audit import audit_effect
from stepwell_shared.auth.audit_chain import keep_sealing
from stepwell_shared.auth.endpoints import issuer_router, smart_configuration
from stepwell_shared.auth.issuer import Issuer
from stepwell_shared.auth.service_tokens import ServiceTokens
from stepwell_shared.auth.shares import Shares
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.auth.token_record import tell_nobody
from stepwell_shared.auth.verification import TokenVerifier
from stepwell_shared.background import run_while_open
from stepwell_shared.consent.sharing import Sharing
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.door import ALWAYS_OPEN, Guard, Limits
from stepwell_shared.emergencies import GLASS_BROKEN, telling_of_emergencies
from stepwell_shared.events.observing import observe
from stepwell_shared.export.planning import keep_planning
from stepwell_shared.export.serving import ExportPages
from stepwell_shared.federation.running import Federation, open_federation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.capability import capability_statement
from stepwell_shared.fhir.idempotency import keep_forgetting
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import Registry
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.fhir.wire import Exchange, accepted, error_response
from stepwell_shared.gate import Gate
from stepwell_shared.health import Health
from stepwell_shared.http_client import http_client
from stepwell_shared.openapi import openapi_document
from stepwell_shared.pages.door import READ
from stepwell_shared.pages.reference import reference
from stepwell_shared.pages.refusing import taking
from stepwell_shared.receiving import Receiving, receiving
from stepwell_shared.revisions import superseded
from stepwell_shared.runtime import Page, Runtime, Service, open_runtime
from stepwell_shared.served import endpoint_policy, exports_of
from stepwell_shared.settings import Settings
from stepwell_shared.telemetry.logs import configure_logging
from stepwell_shared.telemetry.metrics import CONTENT_TYPE, Metrics
from stepwell_shared.telemetry.requests import Watch
from stepwell_shared.telling import keep_looking, start_telling, watch_stores
from stepwell_shared.urgent import Urgent

RELEASED = datetime(2026, 11, 21, tzinfo=UTC)
NOTIFICATION_BYTES_MAX = 64 * 1024 * 1024

log = structlog.get_logger("stepwell.app")


@dataclass
class Doors:
    """What answers before the web framework is asked: single addresses, everything below the FHIR base, and the pages
    for people."""

    pages: dict[str, Page] = field(default_factory=dict)
    fhir_base: str = ""
    fhir_below: str = ""
    fhir: ASGIApp | None = None
    people_below: str = ""
    people: Page | None = None
    staff_below: str | tuple[str, ...] = ""
    staff: Page | None = None
    exports_below: str = ""
    exports: Page | None = None
    watch: Watch = field(default_factory=Watch)

    def beside_fhir(self, path: str) -> tuple[str, Page] | None:
        """The pages at an address that is not FHIR, and what they are called in figures."""
        if self.people is not None and path.startswith(self.people_below):
            return "page", self.people
        if self.exports is not None and path.startswith(self.exports_below):
            return "export-file", self.exports
        if self.staff is not None and path.startswith(self.staff_below):
            return "staff-page", self.staff
        return None


class Application(FastAPI):
    """FastAPI with the door in front: FHIR requests and notifications never pass its middleware and its routes,
    which would be a third of what a read costs.
    """

    def __init__(self, limits: Limits, **given: Any) -> None:
        super().__init__(**given)
        self.doors = Doors()
        self.health = Health()
        self.leave = self.health.leave
        self.guard = Guard(self._behind_the_guard, limits)
        self.gate = Gate(self.guard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.guard(scope, receive, send)

    def _behind_the_guard(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            path = scope["path"]
            page = self.doors.pages.get(path)
            if page is not None:
                return page(Exchange(scope, receive, send))
            fhir = self.doors.fhir
            if fhir is not None and (path.startswith(self.doors.fhir_below) or path == self.doors.fhir_base):
                return fhir(scope, receive, send)
            found = self.doors.beside_fhir(path)
            if found is not None:
                interaction, page = found
                return _seen(self.doors.watch, interaction, page)(Exchange(scope, receive, send))
            if path not in ALWAYS_OPEN:
                return self._routed(scope, receive, send)
        return super().__call__(scope, receive, send)

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What FastAPI's routes answer."""
        with self.doors.watch.request("route", "", None) as seen:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    seen.status = message["status"]
                await send(message)

            await super().__call__(scope, receive, noted)


def create_app(service: Service, settings: Settings | None = None) -> Application:
    """The application of one service. Settings come from the environment unless given.

    Raises pydantic's ValidationError naming every variable that is missing.
    """
    settings = settings or Settings()  # type: ignore[call-arg]  # the environment fills it
    configure_logging(service.name, settings.log_level)
    runtime = Runtime()
    registry = service.resources(runtime)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(app, service, registry, runtime, settings, stack)
            _spare_the_collector()
            yield

    app = Application(_limits(service, settings, runtime), title=service.title, lifespan=lifespan,
                      docs_url=None, redoc_url=None,  # pages/reference.py: FastAPI's own run scripts from elsewhere
                      openapi_url=f"/{service.name}/openapi.json")  # fmt: skip
    # Made when first asked for, and kept: most are never asked. To replace the method is FastAPI's documented way.
    app.openapi = cache(lambda: openapi_document(service, registry, settings.url_of(service.name)))  # type: ignore[method-assign]
    return app


def _limits(service: Service, settings: Settings, runtime: Runtime) -> Limits:
    """What the door lets in: notifications carry many resources, and are let in when others are turned away."""
    notifications = f"/{service.name}/notifications"
    return Limits(
        body_bytes_max=settings.body_bytes_max,
        body_seconds_max=settings.body_seconds_max,
        body_bytes_max_at={notifications: NOTIFICATION_BYTES_MAX},
        reserved=frozenset({notifications}),
        urgent=Urgent(f"/{service.name}/fhir", service.urgent(runtime), service.urgent_pages),
    )


def _spare_the_collector() -> None:
    """What stands after the start stays for ever: walking it again took up to a fifth of a busy process's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def _start(
    app: Application,
    service: Service,
    registry: Registry,
    runtime: Runtime,
    settings: Settings,
    stack: AsyncExitStack,
) -> None:
    """Opens what the process needs, in order; the stack closes it in reverse."""
    await start_telling(app.guard, service.name, runtime, settings, stack)
    listeners: list[Announcing] = []

    def committed(tenant: str, tables: frozenset[str]) -> None:
        for each in listeners:
            each.committed(tenant, tables)

    http = runtime._http = await stack.enter_async_context(http_client())
    await stack.enter_async_context(open_runtime(service, registry, runtime, settings, committed))
    narrow = Sharing.of(runtime.engine).narrowed
    verifier = TokenVerifier.for_service(service.name, settings, runtime.database, http, narrow)
    stack.push_async_callback(verifier.close)
    token = own_tokens(ServiceTokens(http, settings, service.name))
    await _seed(service, runtime)
    federation = await _federation(service, runtime, verifier, stack)
    announcing = await start_announcing(service, runtime, token, settings, stack, federation)
    listeners.append(announcing)
    received = receiving(service, runtime, http, token, verifier.authenticate)
    await run_while_open(received.catch_up.run, stack)
    await run_while_open(_forgetting(runtime), stack)
    await run_while_open(
        partial(keep_sealing, runtime.database, partial(list_tenants, runtime.database), runtime.clock), stack
    )
    telling = telling_of_emergencies(runtime.engine.base_url) if GLASS_BROKEN in service.topics else tell_nobody
    issuer = Issuer.from_settings(settings, runtime.database, http, telling)
    if issuer is not None:
        proxies = networks(settings.proxies_trusted)
        app.include_router(issuer_router(issuer, proxies=proxies), prefix=f"/{service.name}/auth")
    app.router.routes += app.health.routes(runtime.database, superseded(service))
    shares = Shares(settings.client_requests_per_minute, app.guard.room)  # of which the gate gives each a part
    app.doors = _doors(service, registry, runtime, verifier, received, shares)
    app.gate.open_for(shares, settings.client_share_max, app.doors.fhir_below, app.doors.pages)
    if service.pages is not None:
        app.doors.people_below, app.doors.people = service.pages(runtime)
    if service.staff_pages is not None:
        app.doors.staff_below, app.doors.staff = service.staff_pages(runtime, verifier.authenticate)
    exports = exports_of(runtime)
    app.doors.exports_below, app.doors.exports = f"{exports.path}/", ExportPages(exports, verifier.authenticate)
    await run_while_open(partial(keep_planning, exports, partial(list_tenants, runtime.database)), stack)
    observe(runtime.metrics, announcing.upkeep)
    watch_stores(runtime)
    await run_while_open(partial(keep_looking, runtime), stack)
    for loop in service.loops(runtime):
        await run_while_open(loop, stack)
    app.doors.pages["/metrics"] = _figures(runtime.metrics)
    if federation is not None:
        page = _seen(runtime.watch, "partner-notify", federation.take)
        app.doors.pages[f"/{service.name}/partners/notifications"] = taking(("POST",), page)


async def _federation(
    service: Service, runtime: Runtime, verifier: TokenVerifier, stack: AsyncExitStack
) -> Federation | None:
    """The exchange with partners, for a service that has one."""
    if service.exchange is None:
        return None
    settings = runtime.settings
    federation = await stack.enter_async_context(
        open_federation(
            service.exchange(runtime),
            runtime.database,
            key_file=settings.service_key_file,
            endpoints=endpoint_policy(settings),
            tenants=partial(list_tenants, runtime.database),
            authenticate=verifier.authenticate,
        )
    )
    await run_while_open(federation.catch_up.run, stack)
    await run_while_open(federation.capacity.run, stack)
    return federation


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


def _doors(
    service: Service,
    registry: Registry,
    runtime: Runtime,
    verifier: TokenVerifier,
    received: Receiving,
    shares: Shares,
) -> Doors:
    """Discovery, notifications and FHIR."""
    prefix = f"/{service.name}/fhir"
    configuration = smart_configuration(runtime.settings.issuer_url)
    statement = capability_statement(
        registry,
        title=service.title,
        description=service.description,
        base_url=runtime.engine.base_url,
        topics=[topic.canonical for topic in service.topics],
        released=RELEASED,
        token_url=configuration["token_endpoint"],
    )
    door = Door(
        engine=runtime.engine,
        authenticate=verifier.authenticate,
        access_record=_access_record(runtime),
        watch=runtime.watch,
        shares=shares,
        urgent=Urgent(prefix, service.urgent(runtime), service.urgent_pages),
    )
    return Doors(
        watch=runtime.watch,
        pages={
            f"{prefix}/metadata": _seen(runtime.watch, "capabilities", _fhir_page(encode(statement))),
            f"{prefix}/.well-known/smart-configuration": _page(encode(configuration), "application/json"),
            f"/{service.name}/notifications": taking(("POST",), received.take),
            **{each.path: _page_when_asked(*each[1:]) for each in reference(service.name, service.title)},
        },
        fhir_base=prefix,
        fhir_below=f"{prefix}/",
        fhir=FhirApplication(door, prefix),
    )


def _seen(watch: Watch, interaction: str, page: Page) -> Page:
    """The same page, watched."""

    async def answer(exchange: Exchange) -> None:
        with watch.request(interaction, "", exchange.headers.get("traceparent")) as seen:
            await page(exchange)
            seen.status = exchange.status

    return answer


def _page(body: bytes, media_type: str, more: Mapping[str, str] | None = None) -> Page:
    """A page for everybody, which takes no other method than those that read it."""
    tag = f'W/"{sha256(body).hexdigest()[:16]}"'
    # It may be kept, and is asked for again, unless it says otherwise.
    headers = {"ETag": tag, "Cache-Control": "no-cache", **(more or {})}

    async def answer(exchange: Exchange) -> None:
        is_kept = tag in exchange.headers.get("if-none-match", "")
        await exchange.answer(Response(304 if is_kept else 200, b"" if is_kept else body, headers), media_type)

    return taking(READ, answer)


def _page_when_asked(read: Callable[[], bytes], media_type: str, more: Mapping[str, str]) -> Page:
    """The same of a body that is read when somebody asks for it first, and kept."""
    page = cache(lambda: _page(read(), media_type, more))

    async def answer(exchange: Exchange) -> None:
        await page()(exchange)

    return answer


def _fhir_page(body: bytes) -> Page:
    """The same in the JSON type that is asked for; whoever asks for another version of FHIR is told before all else."""
    page_of = cache(partial(_page, body))

    async def answer(exchange: Exchange) -> None:
        try:
            page = page_of(accepted(exchange))
        except FhirError as error:
            await exchange.answer(error_response(error))
        else:
            await page(exchange)

    return answer


def _figures(metrics: Metrics) -> Page:
    """What Prometheus scrapes. It stands outside of `/{service}/`, which is all that is reached from outside."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(Response(200, metrics.text()), CONTENT_TYPE)

    return taking(READ, answer)


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
