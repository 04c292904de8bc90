"""The token endpoint of SMART Backend Services as a function: a form comes in, a token or an OAuth error goes out.

SMART App Launch 2.2, "Backend Services"; RFC 6749 sections 4.4 and 5; RFC 7523.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stepwell_shared.auth.assertions import ASSERTION_TYPE, check_assertion_claims, remember_assertion
from stepwell_shared.auth.client_keys import ClientKeys
from stepwell_shared.auth.clients import Client, find_client
from stepwell_shared.auth.fetching import FetchError
from stepwell_shared.auth.keys import SigningKey, load_private_keys, public_key_set
from stepwell_shared.auth.roles import PARTNER_ROLE
from stepwell_shared.auth.scopes import ScopeError, Scopes
from stepwell_shared.auth.signatures import SignatureRefusedError, read_unverified, sign, verify
from stepwell_shared.database.pool import Database
from stepwell_shared.http_client import HttpClient
from stepwell_shared.settings import EXCHANGING_SERVICE, SERVICES, Settings

TOKEN_SECONDS: Final = 300
TYPE_HEADER: Final = "at+jwt"  # RFC 9068, so that no other signed token is taken for an access token

STATUS: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "invalid_client": 401,
    "invalid_scope": 400,
    "unsupported_grant_type": 400,
}


class OAuthError(Exception):
    """A refused token request: an error code of RFC 6749 section 5.2, and a sentence for the integrator."""

    def __init__(self, code: str, description: str) -> None:
        self.code = code
        self.description = description
        super().__init__(f"{code}: {description}")

    @property
    def status(self) -> int:
        return STATUS[self.code]


@dataclass(frozen=True)
class Issuer:
    """One deployment's issuer. `audiences` are the base URLs of the services that its tokens open.

    `audiences_by_role` are narrower ones, for clients that have such a role.
    """

    url: str
    signing_keys: Sequence[SigningKey]
    audiences: Sequence[str]
    database: Database
    client_keys: ClientKeys
    audiences_by_role: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Settings, database: Database, http: HttpClient) -> "Issuer | None":
        """The issuer that this process hosts; None when it has no signing key. Raises KeyFileError.

        Clients' own key URLs are guarded wherever the deployment itself is on https.
        """
        if settings.issuer_signing_key_file is None:
            return None
        return cls(
            url=settings.issuer_url,
            signing_keys=load_private_keys(settings.issuer_signing_key_file),
            audiences=[settings.url_of(service) for service in SERVICES],
            database=database,
            client_keys=ClientKeys(http, guarded=settings.issuer_url.startswith("https://")),
            audiences_by_role={PARTNER_ROLE: [settings.url_of(EXCHANGING_SERVICE)]},
        )

    def audiences_of(self, client: Client) -> list[str]:
        """The services that a token of this client opens."""
        narrower = [self.audiences_by_role[role] for role in client.roles if role in self.audiences_by_role]
        return [url.rstrip("/") for url in (narrower[0] if narrower else self.audiences)]

    @property
    def token_url(self) -> str:
        return f"{self.url.rstrip('/')}/token"

    @property
    def public_keys(self) -> dict[str, list[dict[str, Any]]]:
        """The JWK set that verifies its tokens."""
        return public_key_set(self.signing_keys)


async def issue_token(issuer: Issuer, form: Mapping[str, str], now: float) -> dict[str, Any]:
    """The token response to a form, at `now` in seconds since 1970. Raises OAuthError."""
    grant_type = _required(form, "grant_type")
    if grant_type != "client_credentials":
        raise OAuthError("unsupported_grant_type", "grant_type must be client_credentials")
    if _required(form, "client_assertion_type") != ASSERTION_TYPE:
        raise OAuthError("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}")
    assertion = _required(form, "client_assertion")
    try:
        client = await _authenticate(issuer, assertion, form.get("client_id"), now)
    except (SignatureRefusedError, FetchError) as error:
        raise OAuthError("invalid_client", str(error)) from error
    scopes = _granted(client, form.get("scope", ""))
    return {
        "access_token": sign(_claims(issuer, client, scopes, now), issuer.signing_keys[0], kind=TYPE_HEADER),
        "token_type": "bearer",
        "expires_in": TOKEN_SECONDS,
        "scope": str(scopes),
    }


async def _authenticate(issuer: Issuer, assertion: str, named: str | None, now: float) -> Client:
    """The client that signed the assertion, which from then on is used up."""
    unverified = read_unverified(assertion)
    if unverified.header.get("typ", "JWT") != "JWT":
        raise SignatureRefusedError("typ in the header must be JWT")
    client_id = unverified.claims.get("iss")
    client = await find_client(issuer.database, client_id) if isinstance(client_id, str) else None
    if client is None or named not in (None, client.client_id):
        raise SignatureRefusedError("iss is not a client that is registered here")
    key_url = unverified.header.get("jku")
    if key_url is not None and key_url != client.jwks_url:
        raise SignatureRefusedError("jku is not the URL that is registered for this client")
    key = await issuer.client_keys.find(client, unverified.key_id, unverified.algorithm)
    if key is None:
        raise SignatureRefusedError("the client has no key, or more than one, of this kid and algorithm")
    claims = verify(assertion, unverified, key)
    checked = check_assertion_claims(claims, client.client_id, issuer.token_url, now)
    await remember_assertion(issuer.database, client.tenant, client.client_id, checked, now)
    return client


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


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise OAuthError("invalid_request", f"{name} is missing")
    return value
