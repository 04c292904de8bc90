"""The token with which an EHR proves who it is: signed by its own key, for exactly the address that it calls, once.

https://cds-hooks.hl7.org/2.0/#trusting-cds-clients; the tenant is that of the registered client, never of the body.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.fetching import FetchError
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.signatures import SignatureRefusedError, moment, names, read_unverified, verify
from stepwell_shared.database.pool import Database
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

from stepwell_routing.cds.clients import CdsClient, CdsClients
from stepwell_routing.cds.tables import admit_call

LIFETIME_SECONDS_MAX: Final = 300
LEEWAY_SECONDS: Final = 30
CHARACTERS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class CdsCaller:
    """The client behind a good token; `expires_at` is in seconds since 1970."""

    client: CdsClient
    token_id: str
    expires_at: float

    @property
    def tenant(self) -> str:
        return self.client.serves

    @property
    def audited(self) -> Caller:
        """Who called, as the audit names clients: the issuer and the number of its token."""
        return Caller(self.tenant, self.client.issuer, Scopes(), self.token_id)


async def authenticate(clients: CdsClients, authorization: str | None, address: str, now: float) -> CdsCaller:
    """The caller behind `Authorization: Bearer <JWT>`, where `address` is the exact URL that was called.

    Whether the token was used before is asked by `admit`. Raises FhirError UNAUTHENTICATED.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _refused("send a token: Authorization: Bearer <JWT signed by the registered client>", "Bearer")
    try:
        return await _verified(clients, token.strip(), address, now)
    except (SignatureRefusedError, FetchError) as error:
        raise _refused(str(error)) from error


async def admit(database: Database, caller: CdsCaller, now: float) -> None:
    """Uses the token up, for all replicas. Raises FhirError UNAUTHENTICATED when it was used before."""
    digest = hashlib.sha256(caller.token_id.encode(errors="surrogatepass")).digest()
    forgettable = datetime.fromtimestamp(caller.expires_at + LEEWAY_SECONDS, UTC)
    at = datetime.fromtimestamp(now, UTC)
    if not await admit_call(database, caller.tenant, caller.client.replay_name, digest, forgettable, at):
        raise _refused("this token was used before: each call needs a jti of its own")


async def _verified(clients: CdsClients, token: str, address: str, now: float) -> CdsCaller:
    unverified = read_unverified(token)
    if unverified.header.get("typ", "JWT") != "JWT":
        raise SignatureRefusedError("typ in the header must be JWT")
    issuer, organisation = (unverified.claims.get(name, "") for name in ("iss", "tenant"))
    is_text = all(isinstance(each, str) and len(each) <= CHARACTERS_MAX for each in (issuer, organisation))
    client = await clients.find(issuer, organisation) if is_text and "\0" not in issuer + organisation else None
    if client is None:
        raise SignatureRefusedError("iss is not a client that is registered here")
    key_url = unverified.header.get("jku")
    if key_url is not None and key_url != client.jwks_url:
        raise SignatureRefusedError("jku is not the URL that is registered for this client")
    key = await clients.key(client, unverified.key_id, unverified.algorithm)
    if key is None:
        raise SignatureRefusedError("the client has no key, or more than one, of this kid and algorithm")
    claims = verify(token, unverified, key)
    return CdsCaller(client, *_checked(claims, address, now))


def _checked(claims: Mapping[str, Any], address: str, now: float) -> tuple[str, float]:
    """The number of a token whose claims hold here and now, and when it expires."""
    if not names(claims.get("aud"), address):
        raise SignatureRefusedError(f"aud must be {address}")
    issued_at, expires_at = moment(claims, "iat"), moment(claims, "exp")
    if issued_at is None or expires_at is None:
        raise SignatureRefusedError("the token needs iat and exp")
    if now >= expires_at + LEEWAY_SECONDS:
        raise SignatureRefusedError("the token has expired")
    if expires_at > now + LIFETIME_SECONDS_MAX + LEEWAY_SECONDS:
        raise SignatureRefusedError(f"exp must be at most {LIFETIME_SECONDS_MAX} seconds ahead")
    if max(issued_at, moment(claims, "nbf") or 0) > now + LEEWAY_SECONDS:
        raise SignatureRefusedError("the token is not valid yet")
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not 0 < len(token_id) <= CHARACTERS_MAX or "\0" in token_id:
        raise SignatureRefusedError(f"jti must be a text of 1 to {CHARACTERS_MAX} characters")
    return token_id, expires_at


def _refused(reason: str, challenge: str = 'Bearer error="invalid_token"') -> FhirError:
    return FhirError(Category.UNAUTHENTICATED, [Issue(reason, "login")], headers={"WWW-Authenticate": challenge})
