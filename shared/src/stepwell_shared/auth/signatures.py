"""Signed JSON Web Tokens: read without trust to find the key, then verified with exactly that key and algorithm."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError

from stepwell_shared.auth.keys import ALGORITHM_OF, ALGORITHMS, FOREIGN_ALGORITHMS, SigningKey

TOKEN_CHARACTERS_MAX: Final = 16_384


class SignatureRefusedError(Exception):
    """The token is not one that we can trust; the message says why, without quoting it."""


class _Registry(jws.JWSRegistry):
    """Room for a `jku` beside the key id, and no complaint about header members that we never read."""

    max_header_length = 2048


# Which of them a token may be signed with is decided before any signature is looked at.
_REGISTRY: Final = _Registry(algorithms=tuple(FOREIGN_ALGORITHMS), strict_check_header=False)


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself, before anything is believed."""

    algorithm: str
    key_id: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def read_unverified(token: str, algorithms: Collection[str] = tuple(ALGORITHMS)) -> Unverified:
    """Raises SignatureRefusedError when the token is malformed, or not signed by one of these with a key id."""
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise SignatureRefusedError("the token is too long")
    try:
        content = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
        header, claims = content.headers(), json.loads(content.payload)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise SignatureRefusedError("the token is not a signed JSON Web Token") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise SignatureRefusedError("the token is not a signed JSON Web Token")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise SignatureRefusedError(f"the token must be signed with {' or '.join(algorithms)}")
    if not isinstance(key_id, str) or "crit" in header:
        raise SignatureRefusedError("the header must name its key by kid, and have no critical extension")
    return Unverified(algorithm, key_id, header, claims)


def verify(token: str, unverified: Unverified, key: SigningKey) -> dict[str, Any]:
    """The claims, once the signature holds. Raises SignatureRefusedError."""
    try:
        return dict(jwt.decode(token, key, algorithms=[unverified.algorithm], registry=_REGISTRY).claims)
    except (JoseError, ValueError, TypeError) as error:
        raise SignatureRefusedError("the signature does not hold") from error


def sign(claims: Mapping[str, Any], key: SigningKey, *, kind: str = "JWT") -> str:
    """The claims as a signed token whose header names the key; `kind` is its `typ`."""
    algorithm = ALGORITHM_OF[key.key_type]
    return jwt.encode({"alg": algorithm, "kid": key.kid, "typ": kind}, dict(claims), key, registry=_REGISTRY)


def moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate claim in seconds since 1970; None when it is absent.

    Raises SignatureRefusedError when it is no finite number of that range.
    """
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise SignatureRefusedError(f"the claim {name} is not a time in seconds since 1970")
    return float(value)


def names(audience: object, wanted: str) -> bool:
    """Whether an `aud` claim, one text or a list of them, names us."""
    return audience == wanted or (isinstance(audience, list) and wanted in audience)
