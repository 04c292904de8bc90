"""From an Authorization header to a Caller: the door of every request that is not public."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from stepwell_shared.auth.break_glass import PURPOSE
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.external_issuers import read_external_issuers
from stepwell_shared.auth.issuer_keys import IssuerKeys
from stepwell_shared.auth.key_ring import KeyRing
from stepwell_shared.auth.keys import SigningKey
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.auth.signatures import SignatureRefusedError, moment, names, read_unverified, verify
from stepwell_shared.auth.trust import TrustedIssuer, claimed_issuer, trusted_issuer
from stepwell_shared.database.pool import TENANT_PATTERN, Database
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.http_client import HttpClient
from stepwell_shared.settings import Settings

LEEWAY_SECONDS: Final = 60
TOKENS_REMEMBERED_MAX: Final = 4096

Narrow = Callable[[Caller], Awaitable[Caller]]


async def no_consents(caller: Caller) -> Caller:
    """For a service that keeps no Consents: whoever acts under them alone may do nothing."""
    return caller.narrowed_to(Scopes())


class TokenVerifier:
    """Verifies access tokens for one service, and remembers those it has verified until they expire.

    They are of our own issuer, or of one of those of others that are `trusted`.

    `audience` is this service's public base URL: a token for another service or deployment is refused. `narrow` leaves
    to who acts under Consents what these permit; it is asked on each request, and never for anybody else.
    """

    def __init__(
        self,
        keys: IssuerKeys,
        *,
        issuer_url: str,
        audience: str,
        clock: Callable[[], float] = time.time,
        narrow: Narrow = no_consents,
        trusted: Sequence[TrustedIssuer] = (),
    ) -> None:
        self._trusted = trusted
        self._keys = keys
        self._issuer = issuer_url.rstrip("/")
        self._audience = audience.rstrip("/")
        self._clock = clock
        self._narrow = narrow
        self._verified: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    @classmethod
    def for_service(
        cls, service: str, settings: Settings, database: Database, http: HttpClient, narrow: Narrow = no_consents
    ) -> "TokenVerifier":
        """The verifier of one of our services. The process that hosts the issuer has its keys at hand."""
        audience = settings.url_of(service)
        trusted = [
            TrustedIssuer(each, database, http, audience, time.time)
            for each in read_external_issuers(settings.issuers_file)
        ]
        keys = IssuerKeys(database, http, settings.issuer_url, local=local_keys(settings))
        return cls(keys, issuer_url=settings.issuer_url, audience=audience, narrow=narrow, trusted=trusted)

    async def close(self) -> None:
        """Ends what runs in the background."""
        await self._keys.close()
        for each in self._trusted:
            await each.close()

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller behind the header `Authorization: Bearer <token>`.

        Raises FhirError UNAUTHENTICATED when there is no such header or the token is not good here and now
        (RFC 6750), and UNAVAILABLE while the issuer's keys cannot be had.
        """
        token = _bearer(authorization)
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        remembered = self._verified.get(digest)
        if remembered is not None and self._clock() < remembered[1]:
            self._verified.move_to_end(digest)
            caller = remembered[0]
            return caller if caller.actor is None else await self._narrow(caller)
        try:
            caller, expires_at = await self._verify(token)
        except SignatureRefusedError as error:
            raise _unauthenticated(str(error), 'Bearer error="invalid_token"') from error
        self._verified[digest] = (caller, expires_at)
        self._verified.move_to_end(digest)
        if len(self._verified) > TOKENS_REMEMBERED_MAX:
            self._verified.popitem(last=False)
        return caller if caller.actor is None else await self._narrow(caller)

    async def _verify(self, token: str) -> tuple[Caller, float]:
        if self._trusted and claimed_issuer(token) != self._issuer:
            trusted = trusted_issuer(self._trusted, token)
            if trusted is not None:
                return await trusted.caller(token)
        unverified = read_unverified(token)
        if str(unverified.claims.get("iss")).rstrip("/") != self._issuer:
            raise SignatureRefusedError("the token comes from another issuer")
        key = await self._keys.find(unverified.key_id, unverified.algorithm)
        if key is None:
            raise SignatureRefusedError("the issuer has no such key")
        claims = verify(token, unverified, key)
        expires_at = check_access_claims(claims, self._audience, self._clock())
        return caller_of(claims), expires_at


def local_keys(settings: Settings) -> Callable[[], Sequence[SigningKey]] | None:
    """The keys of an issuer in this process; None in all others. Raises KeyFileError."""
    file = settings.issuer_signing_key_file
    return None if file is None else KeyRing(file).published


def check_access_claims(claims: Mapping[str, Any], audience: str, now: float) -> float:
    """Whether verified claims hold here and now; returns the expiry in seconds since 1970.

    Raises SignatureRefusedError.
    """
    if not names(claims.get("aud"), audience):
        raise SignatureRefusedError("the token is meant for another service")
    expires_at = moment(claims, "exp")
    if expires_at is None:
        raise SignatureRefusedError("the token never expires")
    if now >= expires_at + LEEWAY_SECONDS:
        raise SignatureRefusedError("the token has expired")
    if any((moment(claims, name) or 0) > now + LEEWAY_SECONDS for name in ("nbf", "iat")):
        raise SignatureRefusedError("the token is not valid yet")
    return expires_at


def caller_of(claims: Mapping[str, Any]) -> Caller:
    """The caller that verified claims describe. Raises SignatureRefusedError when they name no tenant or client."""
    tenant = _text(claims, "tenant")
    if not TENANT_PATTERN.fullmatch(tenant):
        raise SignatureRefusedError("the token names no tenant")
    return Caller(
        tenant=tenant,
        client_id=_text(claims, "client_id"),
        scopes=Scopes.understood(_text(claims, "scope")),
        token_id=_text(claims, "jti"),
        roles=tuple(_text(claims, "roles", "").split()),
        fhir_user=_text(claims, "fhirUser", "") or None,
        patient=_text(claims, "patient", "") or None,
        breaks_glass=claims.get("purpose_of_use") == PURPOSE,
    )


def _text(claims: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = claims.get(name, default)
    if not isinstance(value, str):
        raise SignatureRefusedError(f"the token's claim {name} is missing or no text")
    return value


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthenticated("send a token: Authorization: Bearer <access token>", "Bearer")
    return token.strip()


def _unauthenticated(reason: str, challenge: str) -> FhirError:
    return FhirError(Category.UNAUTHENTICATED, [Issue(reason, "login")], headers={"WWW-Authenticate": challenge})
