"""Whose tokens are taken beside those of our own issuer, and what each of them says."""

import base64
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.external_claims import check_external_claims, external_caller
from stepwell_shared.auth.external_issuers import ExternalIssuer
from stepwell_shared.auth.introspection_client import IntrospectionClient
from stepwell_shared.auth.issuer_keys import IssuerKeys
from stepwell_shared.auth.keys import CURVE
from stepwell_shared.auth.signatures import TOKEN_CHARACTERS_MAX, SignatureRefusedError, read_unverified, verify
from stepwell_shared.database.pool import Database
from stepwell_shared.http_client import HttpClient

CURVES: Final = (CURVE, "P-256")
# RFC 9068 section 2.1; most issuers still write JWT. Signed logouts, introspections and the like are no access tokens.
ACCESS_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


class TrustedIssuer:
    """One issuer of others: proves its tokens by its published keys, or by asking it."""

    def __init__(
        self,
        setting: ExternalIssuer,
        database: Database,
        http: HttpClient,
        audience: str,
        clock: Callable[[], float],
    ) -> None:
        self.setting = setting
        self._audience = audience
        self._clock = clock
        self._asking = None
        self._keys = None
        if setting.introspection is not None:
            self._asking = IntrospectionClient(setting, setting.introspection, http, clock)
        else:
            self._keys = IssuerKeys(
                database,
                http,
                setting.issuer,
                jwks_url=setting.jwks_url,
                guarded=setting.network == "public",
                curves=CURVES,
                clock=clock,
            )

    async def close(self) -> None:
        """Ends what runs in the background."""
        for each in (self._keys, self._asking):
            if each is not None:
                await each.close()

    async def caller(self, token: str) -> tuple[Caller, float]:
        """The caller, and until when that may be remembered.

        Raises SignatureRefusedError, and FhirError UNAVAILABLE while the issuer's word cannot be had.
        """
        if self._keys is not None:
            claims = await self._verified(token, self._keys)
        else:
            assert self._asking is not None
            claims = await self._asking.claims(token)
        expires_at = check_external_claims(self.setting, claims, self._audience, self._clock())
        caller = external_caller(self.setting, claims, token)
        if self.setting.introspection is None:
            assert expires_at is not None
            return caller, expires_at
        known_until = self._clock() + self.setting.introspection.seconds_kept_max
        return caller, known_until if expires_at is None else min(known_until, expires_at)

    async def _verified(self, token: str, keys: IssuerKeys) -> dict[str, object]:
        unverified = read_unverified(token, self.setting.algorithms)
        if str(unverified.header.get("typ", "JWT")).lower() not in ACCESS_TYPES:
            raise SignatureRefusedError("this is no access token")
        key = await keys.find(unverified.key_id, unverified.algorithm)
        if key is None:
            raise SignatureRefusedError("the issuer has no such key")
        return verify(token, unverified, key)


def trusted_issuer(trusted: Sequence[TrustedIssuer], token: str) -> TrustedIssuer | None:
    """The issuer that a token says it is from, if it is one of these.

    A token that names no issuer goes to the one that is asked about such tokens. One that names somebody else is
    shown to nobody.
    """
    named = claimed_issuer(token)
    if named is None:
        return next((each for each in trusted if each.setting.opaque), None)
    return next((each for each in trusted if each.setting.issuer.rstrip("/") == named), None)


def claimed_issuer(token: str) -> str | None:
    """The `iss` of a JSON Web Token, unproved; empty when it has none, and None for a token of another kind."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > TOKEN_CHARACTERS_MAX:
        return None
    with suppress(ValueError, RecursionError):
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        if isinstance(claims, dict):
            issuer = claims.get("iss")
            return issuer.rstrip("/") if isinstance(issuer, str) else ""
    return None
