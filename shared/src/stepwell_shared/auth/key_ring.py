"""Keys that change while a process runs: a new one is published, then signs, and the old one goes when it can."""

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from stepwell_shared.auth.keys import KeyFileError, RingKey, SigningKey, published_keys, read_ring, signing_key

# Whoever keeps our keys fetches them again after five minutes (Cache-Control, REFRESH_SECONDS): a key begins to sign
# when everybody has it, and goes when no token lives that it signed.
PUBLISHED_BEFORE_SECONDS: Final = 660
PUBLISHED_AFTER_SECONDS: Final = 660
LOOKED_AGAIN_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class FixedKeys:
    """Keys that stay as they are: the first signs."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._keys = keys

    def signing(self) -> SigningKey:
        """The first."""
        return self._keys[0]

    def published(self) -> Sequence[SigningKey]:
        """All of them."""
        return self._keys


class KeyRing:
    """A key file, read again when it changes. A file that went bad is told in the log, and what was read last stands.

    Raises KeyFileError when the file cannot be used at the start.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._stamp = _stamp(path)
        self._ring = read_ring(path)
        self._looked_at = clock()

    def signing(self) -> SigningKey:
        """The key that signs now."""
        self._look()
        return signing_key(self._ring, self._clock())

    def published(self) -> list[SigningKey]:
        """The keys that verify now."""
        self._look()
        return published_keys(self._ring, self._clock())

    def _look(self) -> None:
        now = self._clock()
        if 0 <= now - self._looked_at < LOOKED_AGAIN_SECONDS:
            return
        self._looked_at = now
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        try:
            self._ring = read_ring(self._path)
        except KeyFileError as error:
            _log.error("the key file cannot be used: the keys that were read before stay", reason=str(error))
        self._stamp = stamp


def rotate(
    path: Path,
    fresh: SigningKey,
    now: float,
    *,
    wait_seconds: float = PUBLISHED_BEFORE_SECONDS,
    overlap_seconds: float = PUBLISHED_AFTER_SECONDS,
) -> float:
    """Puts a new private key beside those of the file, and returns when it begins to sign, in seconds since 1970.

    Those before it are published until the tokens that they signed have expired; those that are over are removed. The
    file is replaced in one step. Raises KeyFileError, also while the rotation before this one has not come to its end.
    """
    ring = read_ring(path)
    if any(each.signs_from > now for each in ring):
        raise KeyFileError("A key of this file has not begun to sign yet: rotate again when it has.")
    begins = now + wait_seconds
    ends = begins + overlap_seconds
    kept = [_described(each, min(each.published_until, ends)) for each in ring if now < each.published_until]
    content = json.dumps({"keys": [{**fresh.as_dict(private=True), "nbf": begins}, *kept]})
    beside = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        before = path.stat()
        with suppress(PermissionError):  # whoever may not give a file away is its owner already
            os.chown(beside, before.st_uid, before.st_gid)
        beside.chmod(before.st_mode & 0o770)
        beside.replace(path)
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be written: {error.strerror}.") from error
    return begins


def _described(ring_key: RingKey, until: float) -> dict[str, Any]:
    return {**ring_key.key.as_dict(private=True), "nbf": ring_key.signs_from, "exp": until}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
