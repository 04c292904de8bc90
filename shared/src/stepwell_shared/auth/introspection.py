"""Introspection at our own issuer (RFC 7662): whether a token is good, for whoever serves data and got it.

SMART App Launch 2.2, "Token Introspection".
"""

from collections.abc import Mapping
from typing import Any, Final

from stepwell_shared.auth.client_authentication import authenticate_client, required
from stepwell_shared.auth.clients import Client, find_client
from stepwell_shared.auth.issuer import TYPE_HEADER, Issuer
from stepwell_shared.auth.keys import choose_key
from stepwell_shared.auth.signatures import SignatureRefusedError, moment, read_unverified, verify

INACTIVE: Final[Mapping[str, Any]] = {"active": False}
# What is told of a good token, in the order of RFC 7662 section 2.2; what SMART adds and what is ours comes last.
TOLD: Final = (
    *("scope", "client_id", "exp", "iat", "nbf", "sub", "aud", "iss", "jti"),
    *("patient", "fhirUser", "tenant", "roles", "purpose_of_use", "purpose_of_use_reason"),
)


async def introspect(issuer: Issuer, form: Mapping[str, str], now: float, address: str = "") -> Mapping[str, Any]:
    """What a registered client is told of a token, at `now` in seconds since 1970. Raises OAuthError.

    Whatever is no good token of the asking client's own tenant is `{"active": false}`, without a reason.
    """
    asking = await authenticate_client(
        form,
        audiences=[issuer.introspection_url, issuer.token_url],
        database=issuer.database,
        client_keys=issuer.client_keys,
        limits=issuer.introspection_limits,
        address=address,
        now=now,
    )
    try:
        claims = _good(issuer, required(form, "token"), asking, now)
    except SignatureRefusedError:
        return INACTIVE
    # Whoever was removed may still hold a token for minutes; who asks here hears of it at once.
    if await find_client(issuer.database, str(claims["client_id"])) is None:
        return INACTIVE
    return {"active": True, "token_type": "bearer", **{name: claims[name] for name in TOLD if name in claims}}


def _good(issuer: Issuer, token: str, asking: Client, now: float) -> dict[str, Any]:
    """The claims of a good token. Raises SignatureRefusedError for all others."""
    unverified = read_unverified(token)
    key = choose_key(issuer.keys.published(), unverified.key_id, unverified.algorithm)
    if key is None or unverified.header.get("typ") != TYPE_HEADER:
        raise SignatureRefusedError("this is no access token of this issuer")
    claims = verify(token, unverified, key)
    expires_at = moment(claims, "exp") or 0.0
    if claims.get("iss") != issuer.url.rstrip("/") or claims.get("tenant") != asking.tenant:
        raise SignatureRefusedError("this token is of somebody else")
    if now >= expires_at or now < (moment(claims, "nbf") or 0.0):
        raise SignatureRefusedError("this token is not good now")
    return claims
