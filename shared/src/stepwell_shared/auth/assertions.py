"""The assertion with which a client proves who it is at the token endpoint: what it must say, and that it is said once.

SMART App Launch 2.2, "Client Authentication: Asymmetric"; RFC 7523.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from stepwell_shared.auth.keys import SigningKey
from stepwell_shared.auth.signatures import SignatureRefusedError, moment, names, sign
from stepwell_shared.database.pool import Database

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_SECONDS_MAX: Final = 300
LEEWAY_SECONDS: Final = 30
JTI_CHARACTERS_MAX: Final = 255

_FORGET_EXPIRED = """DELETE FROM assertion_seen WHERE (tenant, client_id, jti_digest) IN (
  SELECT tenant, client_id, jti_digest FROM assertion_seen WHERE tenant = $1 AND expires_at < $2
  LIMIT 100 FOR UPDATE SKIP LOCKED)"""
_REMEMBER = """INSERT INTO assertion_seen (tenant, client_id, jti_digest, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING 1"""


@dataclass(frozen=True, slots=True)
class Assertion:
    """What remains of a good assertion: its number and when it would expire, in seconds since 1970."""

    jti: str
    expires_at: float


def check_assertion_claims(
    claims: Mapping[str, Any], client_id: str, audiences: Sequence[str], now: float
) -> Assertion:
    """The verified claims of a client's assertion, meant for one of the `audiences`, the usual one first.

    Raises SignatureRefusedError with what the client should change.
    """
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise SignatureRefusedError("iss and sub must both be the client_id")
    if not any(names(claims.get("aud"), each) for each in audiences):
        raise SignatureRefusedError(f"aud must be {audiences[0]}")
    expires_at = moment(claims, "exp")
    if expires_at is None or now >= expires_at + LEEWAY_SECONDS:
        raise SignatureRefusedError("the assertion has expired, or has no exp")
    if expires_at > now + LIFETIME_SECONDS_MAX + LEEWAY_SECONDS:
        raise SignatureRefusedError(f"exp must be at most {LIFETIME_SECONDS_MAX} seconds ahead")
    if any((moment(claims, name) or 0) > now + LEEWAY_SECONDS for name in ("nbf", "iat")):
        raise SignatureRefusedError("the assertion is not valid yet")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= JTI_CHARACTERS_MAX:
        raise SignatureRefusedError(f"jti must be a text of 1 to {JTI_CHARACTERS_MAX} characters")
    return Assertion(jti, expires_at)


async def remember_assertion(database: Database, tenant: str, client_id: str, assertion: Assertion, now: float) -> None:
    """Marks the assertion as used, for all replicas. Raises SignatureRefusedError when it was used before."""
    digest = hashlib.sha256(assertion.jti.encode(errors="surrogatepass")).digest()
    forgettable = datetime.fromtimestamp(assertion.expires_at + LEEWAY_SECONDS, UTC)
    async with database.transaction(tenant) as connection:
        await connection.execute(_FORGET_EXPIRED, tenant, datetime.fromtimestamp(now, UTC))
        fresh = await connection.fetchval(_REMEMBER, tenant, client_id, digest, forgettable)
    if fresh is None:
        raise SignatureRefusedError("this assertion was used before: each needs a jti of its own")


def make_assertion(client_id: str, token_url: str, key: SigningKey, jti: str, now: float) -> str:
    """A client's own side: the assertion that it signs for one token request."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "iat": int(now),
        "exp": int(now) + LIFETIME_SECONDS_MAX,
        "jti": jti,
    }
    return sign(claims, key)
