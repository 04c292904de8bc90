"""The exchange with partners as one running process has it: what the delivery loop and the door are given."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stepwell_shared.auth.caller import Caller
from stepwell_shared.database.pool import Database
from stepwell_shared.events.courier import Courier, TokenProvider
from stepwell_shared.events.delivery import TenantList
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.sender import Matches
from stepwell_shared.events.withholding import Withhold
from stepwell_shared.federation.capacity import PartnerCapacity
from stepwell_shared.federation.courier import PartnerCourier
from stepwell_shared.federation.exchange import Exchange
from stepwell_shared.federation.filters import partner_filters
from stepwell_shared.federation.receiving import PartnerCatchUp, PartnerReceiver
from stepwell_shared.federation.tokens import PartnerTokens
from stepwell_shared.fhir import wire
from stepwell_shared.fhir.messages import Response
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.http_client import HttpClient, guarded_client


@dataclass(frozen=True)
class Federation:
    """One service's side of the exchange; `endpoints` says which addresses this deployment may call."""

    exchange: Exchange
    tokens: PartnerTokens
    http: HttpClient
    endpoints: EndpointPolicy
    receiver: PartnerReceiver
    catch_up: PartnerCatchUp
    capacity: PartnerCapacity
    authenticate: Callable[[str | None], Awaitable[Caller]]

    def courier(self, client: HttpClient, base_url: str, token: TokenProvider, withhold: Withhold) -> Courier:
        """What brings events to subscribers and partners alike."""
        return PartnerCourier(
            client,
            base_url,
            token,
            self.endpoints,
            partners=self.exchange.partners,
            tokens=self.tokens,
            http=self.http,
            exchange=self.exchange,
            withhold=withhold,
        )

    def matches(self, others: Matches) -> Matches:
        """Which events go to a subscription; `others` answers for all that feed no partner."""
        return partner_filters(others, self.exchange.partners, self.exchange)

    async def take(self, request: wire.Exchange) -> None:
        """Where partners post what became of referrals: answered 200 only when everything is committed."""
        try:
            caller = await self.authenticate(request.headers.get("authorization"))
            response = Response(200, await self.receiver.take(caller, await request.body()))
        except FhirError as error:
            response = wire.error_response(error)
        await request.answer(response)


@asynccontextmanager
async def open_federation(
    exchange: Exchange,
    database: Database,
    *,
    key_file: Path,
    endpoints: EndpointPolicy,
    tenants: TenantList,
    authenticate: Callable[[str | None], Awaitable[Caller]],
) -> AsyncIterator[Federation]:
    """The federation of a process while the context lasts."""
    async with guarded_client(endpoints.is_configured) as http:
        tokens = PartnerTokens(http, key_file)
        receiver = PartnerReceiver(exchange, database)
        catch_up = PartnerCatchUp(database, http, receiver, exchange.partners, tokens, tenants=tenants)
        capacity = PartnerCapacity(http, exchange, tokens, tenants=tenants)
        yield Federation(exchange, tokens, http, endpoints, receiver, catch_up, capacity, authenticate)
