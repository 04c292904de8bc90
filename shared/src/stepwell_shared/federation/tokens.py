"""Our tokens at partners' issuers, whatever their clocks and ours say.

An assertion must be young by the issuer's clock. That clock stands in the `Date` header of each of its answers, so that
an organisation whose clock is days off can still sign for itself. An assertion is only good at the issuer it names: one
that lies about the time gains nothing.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from stepwell_shared.auth.assertions import LIFETIME_SECONDS_MAX
from stepwell_shared.auth.keys import load_private_key
from stepwell_shared.auth.service_tokens import (
    RENEW_SECONDS_BEFORE,
    AccessToken,
    TokenRequestError,
    read_token,
    token_form,
)
from stepwell_shared.federation.partners import Partner
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.http_client import HttpClient, HttpError, HttpResponse

# Clocks this close need no correction: assertions live longer.
SKEW_SECONDS_IGNORED: Final = LIFETIME_SECONDS_MAX / 10
REQUEST_SECONDS_MAX: Final = 30.0


@dataclass(slots=True)
class _Held:
    """The token for one partner, and how far its issuer's clock is ahead of ours."""

    token: str = ""
    good_until: float = 0.0
    ahead_seconds: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class PartnerTokens:
    """One token per tenant and partner, signed for with this service's key and renewed before it ends."""

    def __init__(
        self,
        http: HttpClient,
        key_file: Path,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._key_file = key_file
        self._wall_clock = wall_clock
        self._clock = clock
        self._held: dict[tuple[str, str, str], _Held] = {}

    async def token_for(self, partner: Partner) -> str:
        """A token that is good at this partner now. Raises FhirError UNAVAILABLE when there is none."""
        held = self._of(partner)
        async with held.lock:
            if self._clock() >= held.good_until - RENEW_SECONDS_BEFORE:
                await self._renew(partner, held)
        return held.token

    def forget(self, partner: Partner) -> None:
        """The partner did not take the token: the next one is asked for anew."""
        self._of(partner).good_until = 0.0

    def _of(self, partner: Partner) -> _Held:
        return self._held.setdefault((partner.tenant, partner.issuer_url, partner.client_id), _Held())

    async def _renew(self, partner: Partner, held: _Held) -> None:
        asked_at = self._clock()
        try:
            fresh = await self._request(partner, held)
        except TokenRequestError as error:
            if asked_at < held.good_until:
                return
            raise FhirError(Category.UNAVAILABLE, str(error)) from error
        held.token, held.good_until = fresh.text, asked_at + fresh.lifetime_seconds

    async def _request(self, partner: Partner, held: _Held) -> AccessToken:
        """Asks once; and once more with the issuer's own time when it differs from what we took it for."""
        response = await self._post(partner, held)
        ahead = _seconds_ahead(response, self._wall_clock())
        if response.status_code == 401 and ahead is not None and abs(ahead - held.ahead_seconds) > SKEW_SECONDS_IGNORED:
            held.ahead_seconds = ahead
            response = await self._post(partner, held)
        return read_token(response)

    async def _post(self, partner: Partner, held: _Held) -> HttpResponse:
        token_url = f"{partner.issuer_url}/token"
        # The file is read each time, so that a rotated key is taken without a restart.
        key = load_private_key(self._key_file)
        form = token_form(token_url, partner.client_id, key, now=self._wall_clock() + held.ahead_seconds)
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                return await self._http.post(token_url, data=form)
        except (HttpError, TimeoutError) as error:
            raise TokenRequestError(f"the token issuer of {partner.name} does not answer") from error


def _seconds_ahead(response: HttpResponse, now: float) -> float | None:
    """How far the sender's clock is ahead of ours; None when it does not tell the time."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).timestamp() - now
    except ValueError:
        return None
