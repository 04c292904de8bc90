"""The public keys of clients: those written down at registration, or those a client publishes at its own URL."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.fetching import FetchError, fetch_json
from stepwell_shared.auth.keys import KeyFileError, SigningKey, choose_key, read_public_keys
from stepwell_shared.http_client import HttpClient

KEEP_SECONDS_MAX: Final = 300.0
RETRY_SECONDS: Final = 10.0
URLS_MAX: Final = 1024


@dataclass(slots=True)
class _Published:
    """What a URL answered last; the lock lets one fetch serve all who wait for it."""

    keys: list[SigningKey] = field(default_factory=list)
    keep_until: float = 0.0
    retry_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ClientKeys:
    """Finds the key with which a client signs.

    A published set is kept no longer than its Cache-Control allows and never beyond KEEP_SECONDS_MAX. After an
    unknown key id or a failure the URL is left alone for RETRY_SECONDS. `guarded=False` allows http and private
    addresses, for development.
    """

    def __init__(self, http: HttpClient, *, guarded: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._guarded = guarded
        self._clock = clock
        self._published: OrderedDict[str, _Published] = OrderedDict()

    async def find(self, client: Client, key_id: str, algorithm: str) -> SigningKey | None:
        """The client's only key of this id and kind, or None. Raises FetchError when its URL gives no keys."""
        if client.jwks_url is None:
            return choose_key(read_public_keys(client.jwks), key_id, algorithm)
        published = self._entry(client.jwks_url)
        async with published.lock:
            now = self._clock()
            key = choose_key(published.keys, key_id, algorithm) if now < published.keep_until else None
            if key is None and now >= published.retry_at:
                published.retry_at = now + RETRY_SECONDS
                await self._fetch(client.jwks_url, published)
                key = choose_key(published.keys, key_id, algorithm)
                if key is not None:
                    published.retry_at = now
        return key

    def _entry(self, url: str) -> _Published:
        entry = self._published.setdefault(url, _Published())
        self._published.move_to_end(url)
        if len(self._published) > URLS_MAX:
            self._published.popitem(last=False)
        return entry

    async def _fetch(self, url: str, published: _Published) -> None:
        fetched = await fetch_json(self._http, url, guarded=self._guarded)
        try:
            published.keys = read_public_keys(fetched.content)
        except KeyFileError as error:
            raise FetchError(f"{url} does not answer with public keys") from error
        lifetime = KEEP_SECONDS_MAX if fetched.seconds_max is None else min(fetched.seconds_max, KEEP_SECONDS_MAX)
        published.keep_until = self._clock() + lifetime
