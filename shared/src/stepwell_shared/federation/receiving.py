"""Takes what partners announce: only from whom it says it is, only about its own resources, each event once.

A skipped number is asked for at the partner. What was handled is answered with an OperationOutcome, so that no page on
the way can be taken for our answer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg

from stepwell_shared.auth.caller import Caller
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.events.catch_up import CatchUp, CatchUpPolicy
from stepwell_shared.events.delivery import TenantList
from stepwell_shared.events.notification import Notification, ReceivedEvent, parse_notification
from stepwell_shared.events.receiver import Receiver
from stepwell_shared.events.traces import Arrived
from stepwell_shared.federation.exchange import Exchange
from stepwell_shared.federation.partners import Partner, Partners
from stepwell_shared.federation.tokens import PartnerTokens
from stepwell_shared.fhir.outcome import Category, FhirError, Issue, outcome_bytes
from stepwell_shared.http_client import HttpClient

log = logging.getLogger(__name__)


class PartnerReceiver(Receiver):
    """A receiver that believes each partner about its own subscription and its own resources alone."""

    def __init__(self, exchange: Exchange, database: Database) -> None:
        handlers = {topic.canonical: self._handle_event for topic in exchange.topics}
        super().__init__(handlers, database, lambda sender, notification: False)
        self._exchange = exchange
        self._partners = exchange.partners

    async def take(self, caller: Caller, body: bytes) -> bytes:
        """Returns the answer when everything is committed. Raises the FhirError to answer otherwise."""
        caller.require("Bundle", "create")
        partner = await self._partners.of_client(caller.tenant, caller.client_id)
        notification = parse_notification(body)
        if partner is None or not _may_tell(partner, notification):
            raise FhirError(Category.FORBIDDEN, "this client may not notify for this subscription")
        await self._exchange.heard(partner)
        if notification.kind == "event-notification":
            await self.handle(caller.tenant, notification)
        return outcome_bytes([Issue("received", "informational", severity="information")])

    async def handle(self, tenant: str, notification: Notification, arrived: Arrived | None = None) -> None:
        """See `Receiver.handle`. Raises FORBIDDEN for events about what is not the partner's."""
        partner = await self._partners.of_subscription_there(tenant, notification.subscription)
        if partner is None:
            raise FhirError(Category.FORBIDDEN, "no partner of ours has this subscription")
        for event in notification.events:
            if event.focus is None or not partner.sent(event.focus):
                text = "an event is about a resource of the service that announces it"
                raise FhirError(Category.FORBIDDEN, [Issue(text, "forbidden", event.expression)])
        await super().handle(tenant, notification, arrived)

    async def _handle_event(self, event: ReceivedEvent, tenant: str) -> None:
        partner = await self._partners.of_resource(tenant, event.focus or "")
        if partner is None:
            raise FhirError(Category.UNAVAILABLE, "the partner has just been removed")
        await self._exchange.take(partner, event)


class PartnerCatchUp:
    """Asks each partner for the numbers that never came."""

    def __init__(
        self,
        database: Database,
        http: HttpClient,
        receiver: PartnerReceiver,
        partners: Partners,
        tokens: PartnerTokens,
        *,
        tenants: TenantList,
        policy: CatchUpPolicy | None = None,
    ) -> None:
        self._database = database
        self._http = http
        self._receiver = receiver
        self._partners = partners
        self._tokens = tokens
        self._tenants = tenants
        self._policy = policy or CatchUpPolicy()
        self._asking: dict[Partner, CatchUp] = {}

    async def run(self) -> None:
        """Runs until it is cancelled; a gap is looked at when its numbers have had time to come by themselves."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._policy.poll_seconds):
                    await self._receiver.gap.wait()
                    self._receiver.gap.clear()
                    await asyncio.sleep(self._policy.grace_seconds)
            try:
                await self.ask()
            except (*UNAVAILABLE_ERRORS, asyncpg.PostgresError) as error:
                log.warning("catching up with partners waits for the database: %s", type(error).__name__)

    async def ask(self) -> None:
        """Asks every partner once for everything that has been missing for long enough."""
        for tenant in await self._tenants():
            for partner in await self._partners.all(tenant):
                if partner.subscription_there:
                    await self._of(partner).ask([tenant])

    def _of(self, partner: Partner) -> CatchUp:
        """What asks this partner; it remembers for how long to leave one alone that does not answer."""
        if partner not in self._asking:
            self._asking[partner] = CatchUp(
                self._database,
                self._http,
                self._receiver,
                tenants=self._tenants,
                token=_token_of(self._tokens, partner),
                may_ask=partner.subscriptions_there.__contains__,
                policy=self._policy,
            )
        return self._asking[partner]


def _may_tell(partner: Partner, notification: Notification) -> bool:
    return partner.referred_to and notification.subscription in partner.subscriptions_there


def _token_of(tokens: PartnerTokens, partner: Partner) -> Callable[[str], Awaitable[str]]:
    async def token(tenant: str) -> str:
        return await tokens.token_for(partner)

    return token
