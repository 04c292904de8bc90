"""The sending side of a process: what must be told of commits, and the loops that deliver events."""

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import structlog

from stepwell_shared.auth.service_tokens import ServiceTokens, TokenRequestError
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.background import PAUSE_SECONDS, run_while_open
from stepwell_shared.consent.sharing import Sharing
from stepwell_shared.consent.withholding import withholding
from stepwell_shared.database.address import listening_url
from stepwell_shared.events.courier import Courier, TokenProvider
from stepwell_shared.events.delivery import Delivery
from stepwell_shared.events.filters import EngineFilters
from stepwell_shared.events.outbox import OutboxNotifier
from stepwell_shared.events.sender import DeliveryPolicy
from stepwell_shared.events.showing import show_status
from stepwell_shared.events.upkeep import Upkeep, UpkeepPolicy
from stepwell_shared.federation.running import Federation
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.http_client import http_client
from stepwell_shared.runtime import Runtime, Service
from stepwell_shared.served import endpoint_policy
from stepwell_shared.settings import Settings

DELIVERY_CONNECTIONS_MAX = 256

log = structlog.get_logger("stepwell.app")


@dataclass(frozen=True)
class Announcing:
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


def own_tokens(tokens: ServiceTokens) -> TokenProvider:
    """This service's own tokens; having none now is something that passes."""

    async def token_for(tenant: str) -> str:
        try:
            return await tokens.token_for(tenant)
        except TokenRequestError as error:
            raise FhirError(Category.UNAVAILABLE, str(error)) from error

    return token_for


async def start_announcing(
    service: Service,
    runtime: Runtime,
    token: TokenProvider,
    settings: Settings,
    stack: AsyncExitStack,
    federation: Federation | None = None,
) -> Announcing:
    """Runs the delivery loop of this replica, to partners too, and the upkeep around it."""
    database, engine = runtime.database, runtime.engine
    replica = f"{socket.gethostname()}-{os.getpid()}"
    direct = settings.listen_url.get_secret_value() if settings.listen_url else None
    # Its own connections: an endpoint that never answers must not keep the others waiting.
    http = await stack.enter_async_context(http_client(connections_max=DELIVERY_CONNECTIONS_MAX))
    upkeep = Upkeep(
        database,
        tenants=partial(list_tenants, database),
        show=partial(show_status, engine),
        clock=runtime.clock,
        policy=UpkeepPolicy(
            retention_days=settings.event_retention_days,
            give_up_days=settings.subscription_give_up_days,
            backlog_max=settings.subscription_backlog_max,
            age_warning_seconds=settings.outbox_age_warning_seconds,
        ),
    )
    endpoints, withhold = endpoint_policy(settings), withholding(database, Sharing.of(engine))
    base_url, filters = settings.url_of(service.name), EngineFilters(engine, service.topics)
    courier = (
        Courier(http, base_url, token, endpoints, withhold)
        if federation is None
        else federation.courier(http, base_url, token, withhold)
    )
    courier.tracer = runtime.watch.tracer
    delivery = Delivery(
        database,
        http,
        base_url=base_url,
        tenants=partial(list_tenants, database),
        token=token,
        matches=filters if federation is None else federation.matches(filters),
        courier=courier,
        endpoints=endpoints,
        changed=upkeep.wake,
        replica=replica,
        listen_url=listening_url(settings.database_url.get_secret_value(), direct),
        pacing=runtime.pacing,
        policy=DeliveryPolicy(
            poll_seconds=settings.delivery_poll_seconds,
            lease_seconds=settings.delivery_lease_seconds,
            batch_max=settings.delivery_batch_max,
            backoff_seconds_max=settings.delivery_backoff_seconds_max,
        ),
    )
    notifier = OutboxNotifier(database, replica)
    await run_while_open(upkeep.run, stack)
    running = asyncio.create_task(_keep_delivering(delivery))

    async def stop() -> None:
        await delivery.stop()
        await running
        await notifier.close()

    stack.push_async_callback(stop)
    return Announcing(delivery, notifier, upkeep)


async def _keep_delivering(delivery: Delivery) -> None:
    """A defect in the loop is logged and the loop goes on: what was accepted must not wait for a restart."""
    while True:
        try:
            await delivery.run()
        except Exception:
            log.exception("delivery failed and starts again")
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
