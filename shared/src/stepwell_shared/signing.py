"""Texts that only this deployment can make: links, sessions and forms of pages, signed with the service's own key.

All replicas have the same key file, and it outlives restarts. What is signed can be read, so it names nobody.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256

from stepwell_shared.runtime import Runtime

SEPARATOR = "."


def signed(runtime: Runtime, purpose: str, *parts: str) -> str:
    """The parts with their signature; none of them may hold a full stop."""
    if any(SEPARATOR in part for part in parts):
        raise ValueError("a signed part holds no full stop")
    return SEPARATOR.join((*parts, _signature(runtime, purpose, parts)))


def opened(runtime: Runtime, purpose: str, text: str) -> tuple[str, ...] | None:
    """The parts of a text that was signed for this purpose; None for any other text."""
    *parts, signature = text.split(SEPARATOR)
    expected = _signature(runtime, purpose, tuple(parts))
    return tuple(parts) if hmac.compare_digest(expected.encode(), signature.encode()) else None


def digest(text: str) -> str:
    """A text that cannot be turned back, for what is only ever compared."""
    return sha256(text.encode()).hexdigest()


def _signature(runtime: Runtime, purpose: str, parts: tuple[str, ...]) -> str:
    said = "\n".join((purpose, *parts)).encode()
    return urlsafe_b64encode(hmac.digest(_key(runtime), said, "sha256")).rstrip(b"=").decode()


def _key(runtime: Runtime) -> bytes:
    kept = runtime.cache.get(_key)
    if not isinstance(kept, bytes):
        key = runtime.settings.service_key_file.read_bytes()
        kept = runtime.cache[_key] = sha256(b"form links and sessions\n" + key).digest()
    return kept
