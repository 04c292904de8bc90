"""The public keys of the token issuer: in memory, in the service's own database, and at the issuer.

Whoever has fetched them once verifies tokens for as long as the issuer is away, also after a restart.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from stepwell_shared.auth.fetching import FetchError, fetch_json
from stepwell_shared.auth.keys import CURVE, KeyFileError, SigningKey, choose_key, read_public_keys
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.http_client import HttpClient

REFRESH_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 10.0

_LOAD = "SELECT jwks, fetched_at FROM issuer_key_set WHERE issuer = $1"
_KEEP = """INSERT INTO issuer_key_set (issuer, jwks, fetched_at) VALUES ($1, $2, $3)
ON CONFLICT (issuer) DO UPDATE SET jwks = excluded.jwks, fetched_at = excluded.fetched_at"""

_log = structlog.get_logger(__name__)


class IssuerKeys:
    """Answers with the issuer's key of an id. `local` has the keys of an issuer in this process: no fetch at all.

    An issuer of our own may well live on a private network; one of others is `guarded`, unless its setting says that
    it does too.

    Keys older than REFRESH_SECONDS are fetched again behind the answer; an unknown id fetches at once. Neither
    happens more often than every RETRY_SECONDS, so that forged tokens make no load at the issuer.
    """

    def __init__(
        self,
        database: Database,
        http: HttpClient,
        issuer_url: str,
        *,
        jwks_url: str | None = None,
        local: Callable[[], Sequence[SigningKey]] | None = None,
        guarded: bool = False,
        curves: Sequence[str] = (CURVE,),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._http = http
        self._issuer_url = issuer_url.rstrip("/")
        self._jwks_url = jwks_url or f"{self._issuer_url}/jwks.json"
        self._local = local
        self._guarded = guarded
        self._curves = curves
        self._keys: Sequence[SigningKey] = []
        self._fetched_at = 0.0
        self._tried_at = 0.0
        self._clock = clock
        self._lock = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, key_id: str, algorithm: str) -> SigningKey | None:
        """The key, or None when the issuer has none of this id.

        Raises FhirError UNAVAILABLE while no key of the issuer was ever seen.
        """
        if self._local is not None:
            return choose_key(self._local(), key_id, algorithm)
        if not self._keys:
            await self._load()
        key = choose_key(self._keys, key_id, algorithm)
        if key is None:
            await self._refresh()
            key = choose_key(self._keys, key_id, algorithm)
        elif self._clock() - self._fetched_at > REFRESH_SECONDS and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        if not self._keys:
            text = "the token issuer does not answer and its keys were never fetched; try again shortly"
            raise FhirError(Category.UNAVAILABLE, text, headers={"Retry-After": "5"})
        return key

    async def close(self) -> None:
        """Ends a refresh that is under way."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    def _refreshed(self, _task: asyncio.Task[None]) -> None:
        self._refreshing = None

    async def _load(self) -> None:
        """What this or another replica has kept in the database."""
        try:
            rows = await self._database.fetch(_LOAD, self._issuer_url)
        except UNAVAILABLE_ERRORS as error:
            _log.warning("issuer keys not read from the database", error=type(error).__name__)
            return
        if rows and not self._keys:
            self._keys = read_public_keys(json.loads(rows[0]["jwks"]), self._curves)
            self._fetched_at = rows[0]["fetched_at"].timestamp()

    async def _refresh(self) -> None:
        """Fetches the keys unless that was tried just now; what we have stays when it fails."""
        async with self._lock:
            now = self._clock()
            if now - self._tried_at < RETRY_SECONDS:
                return
            self._tried_at = now
            try:
                fetched = await fetch_json(self._http, self._jwks_url, guarded=self._guarded)
                keys = read_public_keys(fetched.content, self._curves)
            except (FetchError, KeyFileError) as error:
                _log.warning("issuer keys not fetched", issuer=self._issuer_url, reason=str(error))
                return
            if not keys:
                _log.warning("issuer publishes no key that can be used", issuer=self._issuer_url)
                return
            self._keys, self._fetched_at = keys, now
            await self._keep(json.dumps(fetched.content), now)

    async def _keep(self, jwks: str, now: float) -> None:
        try:
            await self._database.fetch(_KEEP, self._issuer_url, jwks, datetime.fromtimestamp(now, UTC))
        except UNAVAILABLE_ERRORS as error:
            _log.warning("issuer keys not kept in the database", error=type(error).__name__)
