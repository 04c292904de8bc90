"""Asks partners how many people their places can take, and tells the service: the newest answer is all that counts.

It is asked for and not announced: what was true while a line was away is nothing that anybody wants to catch up with.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic
from typing import Any

import asyncpg
import msgspec

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.events.delivery import TenantList
from stepwell_shared.federation.exchange import Exchange
from stepwell_shared.federation.partners import Partner
from stepwell_shared.federation.tokens import PartnerTokens
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.http_client import AddressError, HttpClient, HttpError

log = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 4 * 1024 * 1024

_bundle = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class CapacityPolicy:
    """A partner is asked every `every_seconds` (SDOH Clinical Care: polling not under 15 minutes), and after a failure
    again in `retry_seconds`; new partners are seen within `look_seconds`."""

    every_seconds: float = 900.0
    retry_seconds: float = 120.0
    look_seconds: float = 15.0
    answer_seconds: float = 60.0


class PartnerCapacity:
    """Asks every partner that we refer to, one after another."""

    def __init__(
        self,
        http: HttpClient,
        exchange: Exchange,
        tokens: PartnerTokens,
        *,
        tenants: TenantList,
        policy: CapacityPolicy | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._http = http
        self._exchange = exchange
        self._tokens = tokens
        self._tenants = tenants
        self._policy = policy or CapacityPolicy()
        self._clock = clock
        self._ask_again: dict[Partner, float] = {}

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            try:
                await self.ask()
            except (*UNAVAILABLE_ERRORS, asyncpg.PostgresError, FhirError) as error:
                log.warning("asking partners for capacity waits for the database: %s", type(error).__name__)
            await asyncio.sleep(self._policy.look_seconds)

    async def ask(self) -> None:
        """Asks each partner whose turn it is."""
        for tenant in await self._tenants():
            for partner in await self._exchange.partners.all(tenant):
                if partner.referred_to and self._clock() >= self._ask_again.get(partner, 0.0):
                    told = await self._told(partner)
                    again = self._policy.retry_seconds if told is None else self._policy.every_seconds
                    self._ask_again[partner] = self._clock() + again
                    await self._learn(partner, told)

    async def _learn(self, partner: Partner, told: dict[str, Any] | None) -> None:
        """What one partner says must hold up no other."""
        try:
            await self._exchange.learn(partner, told)
        except (*UNAVAILABLE_ERRORS, asyncpg.PostgresError, FhirError):
            self._ask_again[partner] = self._clock() + self._policy.retry_seconds
            raise
        except Exception:
            log.exception("what %s says of its capacity could not be kept", partner.name)

    async def _told(self, partner: Partner) -> dict[str, Any] | None:
        """The partner's answer; None when there is none that could be read."""
        url = f"{partner.base_url}/{self._exchange.capacity}"
        try:
            async with asyncio.timeout(self._policy.answer_seconds):
                headers = {"Authorization": f"Bearer {await self._tokens.token_for(partner)}"}
                status, text = await self._answer(url, headers)
        except (FhirError, HttpError, AddressError, OSError, TimeoutError):
            return None
        if status == 401:
            self._tokens.forget(partner)
        if status != 200:
            return None
        try:
            found = _bundle.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, RecursionError):
            return None
        if found.get("resourceType") != "Bundle":
            return None
        await self._exchange.heard(partner)
        return found

    async def _answer(self, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
        answer = bytearray()
        async with self._http.stream("GET", url, headers={**headers, "Accept": "application/fhir+json"}) as response:
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > ANSWER_BYTES_MAX:
                    return 0, b""
            return response.status_code, bytes(answer)
