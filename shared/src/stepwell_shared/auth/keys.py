"""Private keys in files, public keys in JWK sets: EC P-384 and RSA, the two kinds that SMART asks for.

A key file holds one private JWK, or a JWK set whose first key signs while all are published: a new key is added at
the end, moved to the front once everybody has fetched it, and the old one removed when its last token has expired.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
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
RSA_BITS_MIN: Final = 2048
KEYS_MAX: Final = 32
PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeyFileError(Exception):
    """A key that cannot be used as it is; the message says why and what to do."""


def make_private_key(path: Path) -> ECKey:
    """Writes a new private EC P-384 key, readable by its owner alone.

    Raises KeyFileError when the file exists: a key is never overwritten.
    """
    key = ECKey.generate_key(CURVE, {"use": "sig", "alg": "ES384"}, auto_kid=True)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as handle:
            json.dump(key.as_dict(private=True), handle)
    except FileExistsError as error:
        raise KeyFileError(f"The key file {path} is already there: name another, or move it away.") from error
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be written: {error.strerror}.") from error
    return key


def load_private_keys(path: Path) -> tuple[SigningKey, ...]:
    """The private keys of a file, the signing one first.

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
    keys = [key for each in described if (key := _key(each)) is not None and key.is_private]
    if not keys or len(keys) != len(described):
        raise KeyFileError(f"The key file {path} should hold a private JWK: EC {CURVE}, or RSA of 2048 bits or more.")
    return tuple(keys)


def load_private_key(path: Path) -> SigningKey:
    """The key of the file that signs. Raises KeyFileError."""
    return load_private_keys(path)[0]


def public_key_set(keys: Iterable[SigningKey]) -> dict[str, list[dict[str, Any]]]:
    """The JWK set that everybody may see."""
    return {"keys": [{**key.as_dict(private=False), "use": "sig", "alg": ALGORITHM_OF[key.key_type]} for key in keys]}


def read_public_keys(jwks: object) -> list[SigningKey]:
    """The usable keys of a JWK set: those of other kinds and of too small a size are passed over.

    Raises KeyFileError when it is no JWK set, or gives a private key away.
    """
    described = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(described, list) or len(described) > KEYS_MAX:
        raise KeyFileError(f'A JWK set is an object such as {{"keys": [...]}} with at most {KEYS_MAX} keys.')
    if any(isinstance(each, dict) and PRIVATE_MEMBERS & each.keys() for each in described):
        raise KeyFileError("The JWK set holds a private key: publish the public part alone, and make a new key.")
    return [key for each in described if (key := _key(each)) is not None]


def choose_key(keys: Sequence[SigningKey], key_id: str, algorithm: str) -> SigningKey | None:
    """The only key of this id that fits the algorithm; None when there is none or more than one."""
    fitting = [key for key in keys if key.kid == key_id and key.key_type == ALGORITHMS.get(algorithm)]
    return fitting[0] if len(fitting) == 1 else None


def _key(described: object) -> SigningKey | None:
    """The key, or None when it is of a kind that we do not use."""
    if not isinstance(described, dict) or described.get("use", "sig") != "sig":
        return None
    try:
        if described.get("kty") == "EC" and described.get("crv") == CURVE:
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
