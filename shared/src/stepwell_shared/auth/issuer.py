"""The token endpoint of SMART Backend Services as a function: a form comes in, a token or an OAuth error goes out.

SMART App Launch 2.2, "Backend Services"; RFC 6749 sections 4.4 and 5; RFC 7523.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from stepwell_shared.auth.break_glass import EMERGENCY_SCOPES, broken_glass
from stepwell_shared.auth.client_authentication import OAuthError, authenticate_client, required
from stepwell_shared.auth.client_keys import ClientKeys
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.key_ring import KeyRing
from stepwell_shared.auth.keys import SigningKey, public_key_set
from stepwell_shared.auth.limits import INTROSPECTIONS_PER_MINUTE, TOKENS_PER_MINUTE, Buckets, ClientLimits
from stepwell_shared.auth.roles import FIGURES_ROLE, PARTNER_ROLE
from stepwell_shared.auth.scopes import ScopeError, Scopes
from stepwell_shared.auth.signatures import sign
from stepwell_shared.auth.token_record import (
    RefusalLimits,
    Telling,
    record_broken_glass,
    record_given,
    tell_nobody,
)
from stepwell_shared.auth.verification import caller_of
from stepwell_shared.database.pool import Database
from stepwell_shared.http_client import HttpClient
from stepwell_shared.settings import EXCHANGING_SERVICE, REPORTING_SERVICE, SERVICES, Settings

TOKEN_SECONDS: Final = 300
TYPE_HEADER: Final = "at+jwt"  # RFC 9068, so that no other signed token is taken for an access token


class Keys(Protocol):
    """The issuer's own keys, which may change while it runs."""

    def signing(self) -> SigningKey:
        """The one that signs now."""

    def published(self) -> Sequence[SigningKey]:
        """Those that verify now."""


@dataclass(frozen=True)
class Issuer:
    """One deployment's issuer. `audiences` are the base URLs of the services that its tokens open.

    `audiences_by_role` are narrower ones, for clients that have such a role.
    """

    url: str
    keys: Keys
    audiences: Sequence[str]
    database: Database
    client_keys: ClientKeys
    audiences_by_role: Mapping[str, Sequence[str]] = field(default_factory=dict)
    limits: ClientLimits = field(default_factory=lambda: ClientLimits(Buckets(TOKENS_PER_MINUTE)))
    introspection_limits: ClientLimits = field(default_factory=lambda: ClientLimits(Buckets(INTROSPECTIONS_PER_MINUTE)))
    refusal_limits: RefusalLimits = field(default_factory=RefusalLimits)
    telling: Telling = tell_nobody

    @classmethod
    def from_settings(
        cls, settings: Settings, database: Database, http: HttpClient, telling: Telling = tell_nobody
    ) -> "Issuer | None":
        """The issuer that this process hosts; None when it has no signing key. Raises KeyFileError.

        Clients' own key URLs are guarded wherever the deployment itself is on https.
        """
        if settings.issuer_signing_key_file is None:
            return None
        return cls(
            url=settings.issuer_url,
            keys=KeyRing(settings.issuer_signing_key_file),
            audiences=[settings.url_of(service) for service in SERVICES],
            database=database,
            client_keys=ClientKeys(http, guarded=settings.issuer_url.startswith("https://")),
            audiences_by_role={
                PARTNER_ROLE: [settings.url_of(EXCHANGING_SERVICE)],
                FIGURES_ROLE: [settings.url_of(REPORTING_SERVICE)],
            },
            telling=telling,
        )

    def audiences_of(self, client: Client) -> list[str]:
        """The services that a token of this client opens."""
        narrower = [self.audiences_by_role[role] for role in client.roles if role in self.audiences_by_role]
        return [url.rstrip("/") for url in (narrower[0] if narrower else self.audiences)]

    @property
    def token_url(self) -> str:
        return f"{self.url.rstrip('/')}/token"

    @property
    def introspection_url(self) -> str:
        return f"{self.url.rstrip('/')}/introspect"

    @property
    def public_keys(self) -> dict[str, list[dict[str, Any]]]:
        """The JWK set that verifies its tokens."""
        return public_key_set(self.keys.published())


async def issue_token(issuer: Issuer, form: Mapping[str, str], now: float, address: str = "") -> dict[str, Any]:
    """The token response to a form from an address, at `now` in seconds since 1970. Raises OAuthError."""
    grant_type = required(form, "grant_type")
    if grant_type != "client_credentials":
        raise OAuthError("unsupported_grant_type", "grant_type must be client_credentials")
    client = await authenticate_client(
        form,
        audiences=[issuer.token_url],
        database=issuer.database,
        client_keys=issuer.client_keys,
        limits=issuer.limits,
        address=address,
        now=now,
    )
    try:
        return await _given(issuer, form, client, now)
    except OAuthError as error:
        error.client = client
        raise


async def _given(issuer: Issuer, form: Mapping[str, str], client: Client, now: float) -> dict[str, Any]:
    """The answer to a client that proved itself, on record before it is out. Raises OAuthError."""
    glass = broken_glass(form, client)
    scopes = _granted(client if glass is None else replace(client, scopes=EMERGENCY_SCOPES), form.get("scope", ""))
    claims = _claims(issuer, client, scopes, now)
    if glass is None:
        await record_given(issuer.database, caller_of(claims), now)
    else:
        claims |= glass.claims(secrets.token_urlsafe(16))
        await record_broken_glass(issuer.database, caller_of(claims), glass, now, issuer.telling)
    return {
        "access_token": sign(claims, issuer.keys.signing(), kind=TYPE_HEADER),
        "token_type": "bearer",
        "expires_in": TOKEN_SECONDS,
        "scope": str(scopes),
    }


def _granted(client: Client, requested: str) -> Scopes:
    """What is asked for, or all that is registered when nothing is. Raises OAuthError at the first scope too many."""
    if not requested.strip():
        return client.scopes
    try:
        scopes = Scopes.parse(requested)
    except ScopeError as error:
        raise OAuthError("invalid_scope", str(error)) from error
    if missing := client.scopes.missing(scopes):
        raise OAuthError("invalid_scope", f"this client is not registered for {missing[0]}")
    return scopes


def _claims(issuer: Issuer, client: Client, scopes: Scopes, now: float) -> dict[str, Any]:
    issued = int(now)
    optional = {"roles": " ".join(client.roles), "fhirUser": client.fhir_user, "patient": client.patient}
    return {
        "iss": issuer.url.rstrip("/"),
        "sub": client.client_id,
        "client_id": client.client_id,
        "aud": issuer.audiences_of(client),
        "iat": issued,
        "nbf": issued,
        "exp": issued + TOKEN_SECONDS,
        "jti": secrets.token_urlsafe(16),
        "scope": str(scopes),
        "tenant": client.tenant,
        **{name: value for name, value in optional.items() if value},
    }
