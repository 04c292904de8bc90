"""The client's side of the token endpoint: how a service, or a person at a terminal, gets an access token."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from stepwell_shared.auth.assertions import ASSERTION_TYPE, make_assertion
from stepwell_shared.auth.keys import SigningKey, load_private_key
from stepwell_shared.http_client import HttpClient, HttpError, HttpResponse
from stepwell_shared.settings import Settings

RENEW_SECONDS_BEFORE: Final = 60.0


class TokenRequestError(Exception):
    """The issuer gave no token; the message says why."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token and for how many seconds from now it is good."""

    text: str = field(repr=False)
    lifetime_seconds: float


async def request_token(
    http: HttpClient, issuer_url: str, client_id: str, key: SigningKey, *, scope: str = "", now: float
) -> AccessToken:
    """Asks the issuer for a token of this client; without a scope, for all that it is registered for.

    Raises TokenRequestError.
    """
    token_url = f"{issuer_url.rstrip('/')}/token"
    try:
        response = await http.post(token_url, data=token_form(token_url, client_id, key, scope=scope, now=now))
    except HttpError as error:
        raise TokenRequestError(f"the token issuer at {issuer_url} does not answer") from error
    return read_token(response)


def token_form(token_url: str, client_id: str, key: SigningKey, *, scope: str = "", now: float) -> dict[str, str]:
    """The form of one token request; its assertion is good for one use, at `now` in seconds since 1970."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": make_assertion(client_id, token_url, key, secrets.token_urlsafe(16), now),
        **({"scope": scope} if scope else {}),
    }


def read_token(response: HttpResponse) -> AccessToken:
    """The token in an issuer's answer. Raises TokenRequestError."""
    try:
        answer = response.json()
        if response.status_code == 200:
            return AccessToken(str(answer["access_token"]), float(answer["expires_in"]))
        reason = f"{answer['error']}: {answer.get('error_description', 'no reason given')}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TokenRequestError(f"the token issuer answered {response.status_code} without a token") from error
    raise TokenRequestError(f"the token issuer refused: {reason}")


def service_client_id(tenant: str, service: str) -> str:
    """The client as which a service acts in a tenant."""
    return f"{tenant}.service-{service}"


@dataclass(slots=True)
class _Held:
    """The token of one tenant; the lock lets one request serve all who wait for it."""

    token: str = ""
    good_until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ServiceTokens:
    """This service's own tokens, one per tenant, signed for with the service's key and renewed before they expire."""

    def __init__(
        self,
        http: HttpClient,
        settings: Settings,
        service_name: str,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._issuer_url = settings.issuer_url
        self._key_file = settings.service_key_file
        self._service_name = service_name
        self._wall_clock = wall_clock
        self._clock = clock
        self._held: dict[str, _Held] = {}

    async def token_for(self, tenant: str) -> str:
        """A token that is good for this tenant now.

        A token in hand is used to its end when the issuer is away. Raises TokenRequestError when there is none.
        """
        held = self._held.setdefault(tenant, _Held())
        if self._clock() < held.good_until - RENEW_SECONDS_BEFORE:
            return held.token
        async with held.lock:
            if self._clock() >= held.good_until - RENEW_SECONDS_BEFORE:
                await self._renew(tenant, held)
        return held.token

    async def _renew(self, tenant: str, held: _Held) -> None:
        asked_at = self._clock()
        # The file is read each time, so that a rotated key is taken without a restart.
        key = load_private_key(self._key_file)
        client_id = service_client_id(tenant, self._service_name)
        try:
            fresh = await request_token(self._http, self._issuer_url, client_id, key, now=self._wall_clock())
        except TokenRequestError:
            if asked_at < held.good_until:
                return
            raise
        held.token, held.good_until = fresh.text, asked_at + fresh.lifetime_seconds
