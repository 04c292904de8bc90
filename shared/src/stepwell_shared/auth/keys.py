"""Private keys in files, public keys in JWK sets: EC P-384 and RSA, the two kinds that SMART asks for.

A key file holds one private JWK, or a JWK set of them. `nbf` on a key says when it begins to sign, `exp` until when it
is published (the members that OpenID Federation 1.0 gives keys); without them it does both always. Of several that sign
the one that began last does, and of those the first in the file.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

SigningKey = ECKey | RSAKey

# The algorithms we take and make, with the key type of each (SMART App Launch 2.2, asymmetric authentication).
ALGORITHMS: Final[Mapping[str, str]] = {"ES384": "EC", "RS384": "RSA"}
ALGORITHM_OF: Final[Mapping[str, str]] = {key_type: algorithm for algorithm, key_type in ALGORITHMS.items()}
CURVE: Final = "P-384"
# What others sign with, each where a setting names it: the key type, and the curve of an elliptic one (RFC 7518).
FOREIGN_ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", CURVE),
}
RSA_BITS_MIN: Final = 2048
KEYS_MAX: Final = 32
TIME_MEMBERS: Final[Mapping[str, float]] = {"nbf": 0.0, "exp": float("inf")}
PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeyFileError(Exception):
    """A key that cannot be used as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class RingKey:
    """One private key and the time that it is for, in seconds since 1970."""

    key: SigningKey
    signs_from: float = 0.0
    published_until: float = float("inf")


def new_private_key() -> ECKey:
    """A new private EC P-384 key."""
    return ECKey.generate_key(CURVE, {"use": "sig", "alg": "ES384"}, auto_kid=True)


def make_private_key(path: Path) -> ECKey:
    """Writes a new private EC P-384 key, readable by its owner alone.

    Raises KeyFileError when the file exists: a key is never overwritten.
    """
    key = new_private_key()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as handle:
            json.dump(key.as_dict(private=True), handle)
    except FileExistsError as error:
        raise KeyFileError(f"The key file {path} is already there: name another, or move it away.") from error
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be written: {error.strerror}.") from error
    return key


def read_ring(path: Path) -> list[RingKey]:
    """The private keys of a file in its order, each with the time that it is for.

    Raises KeyFileError when it is missing, no private P-384 or RSA key, or readable by every user of the machine.
    """
    try:
        if path.stat().st_mode & 0o007:
            raise KeyFileError(f"Every user of this machine can use the private key {path}: run chmod 600 {path}.")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise KeyFileError(f"The key file {path} is not JSON: it should hold a private JWK.") from error
    described = content.get("keys", [content]) if isinstance(content, dict) else []
    ring = [found for each in described if (found := _ring_key(each)) is not None]
    if not ring or len(ring) != len(described):
        raise KeyFileError(f"The key file {path} should hold a private JWK: EC {CURVE}, or RSA of 2048 bits or more.")
    return ring


def signing_key(ring: Sequence[RingKey], now: float) -> SigningKey:
    """The key that signs. There is one always, whatever the clock says."""
    begun = [each for each in ring if each.signs_from <= now < each.published_until]
    return max(begun, key=lambda each: each.signs_from).key if begun else ring[0].key


def published_keys(ring: Sequence[RingKey], now: float) -> list[SigningKey]:
    """The keys that verify: also the one that will sign next, and those whose last tokens still live."""
    return [each.key for each in ring if now < each.published_until] or [signing_key(ring, now)]


def load_private_keys(path: Path) -> tuple[SigningKey, ...]:
    """The private keys of a file that are published now. Raises KeyFileError as `read_ring` does."""
    return tuple(published_keys(read_ring(path), time.time()))


def load_private_key(path: Path) -> SigningKey:
    """The key of the file that signs now. Raises KeyFileError."""
    return signing_key(read_ring(path), time.time())


def public_key_set(keys: Iterable[SigningKey]) -> dict[str, list[dict[str, Any]]]:
    """The JWK set that everybody may see."""
    return {"keys": [{**key.as_dict(private=False), "use": "sig", "alg": ALGORITHM_OF[key.key_type]} for key in keys]}


def read_public_keys(jwks: object, curves: Sequence[str] = (CURVE,)) -> list[SigningKey]:
    """The usable keys of a JWK set: those of other kinds and of too small a size are passed over.

    Raises KeyFileError when it is no JWK set, or gives a private key away.
    """
    described = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(described, list) or len(described) > KEYS_MAX:
        raise KeyFileError(f'A JWK set is an object such as {{"keys": [...]}} with at most {KEYS_MAX} keys.')
    if any(isinstance(each, dict) and PRIVATE_MEMBERS & each.keys() for each in described):
        raise KeyFileError("The JWK set holds a private key: publish the public part alone, and make a new key.")
    return [key for each in described if (key := _key(each, curves)) is not None]


def choose_key(keys: Sequence[SigningKey], key_id: str, algorithm: str) -> SigningKey | None:
    """The only key of this id that fits the algorithm; None when there is none or more than one."""
    wanted = FOREIGN_ALGORITHMS.get(algorithm)
    fitting = [key for key in keys if key.kid == key_id and (key.key_type, _curve(key)) == wanted]
    return fitting[0] if len(fitting) == 1 else None


def _curve(key: SigningKey) -> str | None:
    return key.curve_name if isinstance(key, ECKey) else None


def _ring_key(described: object) -> RingKey | None:
    if not isinstance(described, dict):
        return None
    key = _key({name: value for name, value in described.items() if name not in TIME_MEMBERS})
    if key is None or not key.is_private:
        return None
    signs_from, until = (described.get(name, default) for name, default in TIME_MEMBERS.items())
    return RingKey(key, float(signs_from), float(until)) if _are_times(signs_from, until) else None


def _are_times(*values: object) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _key(described: object, curves: Sequence[str] = (CURVE,)) -> SigningKey | None:
    """The key, or None when it is of a kind that we do not use."""
    if not isinstance(described, dict) or described.get("use", "sig") != "sig":
        return None
    try:
        if described.get("kty") == "EC" and described.get("crv") in curves:
            return _identified(ECKey.import_key(described))
        if described.get("kty") == "RSA" and _bits(described.get("n")) >= RSA_BITS_MIN:
            return _identified(RSAKey.import_key(described))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None


def _bits(modulus: object) -> int:
    return int.from_bytes(urlsafe_b64decode(str(modulus).encode()), "big").bit_length()


def _identified(key: SigningKey) -> SigningKey:
    key.ensure_kid()
    return key
