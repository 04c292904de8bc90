"""Registered EHRs: which issuers may ask for cards, with which keys, and from which tenant they are answered."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from stepwell_shared.auth import client_keys
from stepwell_shared.auth.clients import Client
from stepwell_shared.auth.keys import SigningKey, choose_key, read_public_keys
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.database.pool import Database

# A client that was removed or got other keys is answered as before for so long at most.
REMEMBERED_SECONDS: Final = 30.0
REMEMBERED_MAX: Final = 1024

_COLUMNS = "issuer, organisation, serves, jwks, jwks_url, patient_system, app_url"
_FIND = f"SELECT {_COLUMNS} FROM cds_client WHERE issuer = $1 AND organisation = $2"
_LIST = f"SELECT {_COLUMNS} FROM cds_client WHERE serves = $1 ORDER BY issuer, organisation"
_REGISTER = f"""INSERT INTO cds_client ({_COLUMNS}, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (issuer, organisation) DO UPDATE SET jwks = excluded.jwks, jwks_url = excluded.jwks_url,
  patient_system = excluded.patient_system, app_url = excluded.app_url
WHERE cds_client.serves = excluded.serves RETURNING serves"""
_REMOVE = "DELETE FROM cds_client WHERE issuer = $1 AND organisation = $2 AND serves = $3 RETURNING issuer"


@dataclass(frozen=True, slots=True)
class CdsClient:
    """One registered EHR of one organisation; `serves` is the tenant that it is answered from."""

    issuer: str
    organisation: str
    serves: str
    jwks: Mapping[str, Any] | None = None
    jwks_url: str | None = None
    patient_system: str | None = None
    app_url: str | None = None
    # The usable keys of `jwks`, read once.
    _keys: list[SigningKey] = field(default_factory=list, compare=False, repr=False)

    @property
    def replay_name(self) -> str:
        """Whose token numbers these are, beside those of other clients."""
        return f"cds {self.issuer} {self.organisation}".rstrip()


class CdsClients:
    """Finds clients and their keys, and remembers both for a short while: each call asks."""

    def __init__(
        self, database: Database, keys: client_keys.ClientKeys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._found: dict[tuple[str, str], tuple[CdsClient, float]] = {}

    async def find(self, issuer: str, organisation: str) -> CdsClient | None:
        """The client of this issuer and organisation. Nobody is remembered as unknown."""
        remembered = self._found.get((issuer, organisation))
        if remembered is not None and self._clock() < remembered[1]:
            return remembered[0]
        self._found.pop((issuer, organisation), None)
        rows = await self._database.fetch(_FIND, issuer, organisation)
        if not rows:
            return None
        client = _client(rows[0])
        if len(self._found) >= REMEMBERED_MAX:
            self._found.clear()
        self._found[issuer, organisation] = client, self._clock() + REMEMBERED_SECONDS
        return client

    async def key(self, client: CdsClient, key_id: str, algorithm: str) -> SigningKey | None:
        """The client's only key of this id and kind. Raises FetchError when its URL gives no keys."""
        if client.jwks_url is None:
            return choose_key(client._keys, key_id, algorithm)
        published = Client(client.issuer, Scopes(), jwks_url=client.jwks_url)
        return await self._keys.find(published, key_id, algorithm)


async def register_cds_client(database: Database, client: CdsClient, now: datetime) -> bool:
    """Adds the client or gives it other keys; False when the issuer's organisation belongs to another tenant.

    Raises KeyFileError for a key set that cannot be used, ValueError without exactly one source of keys.
    """
    if (client.jwks is None) == (client.jwks_url is None):
        raise ValueError("a CDS client has either a JWK set or the URL of one")
    if client.jwks is not None and not read_public_keys(client.jwks):
        raise ValueError("the JWK set holds no key that can be used: EC P-384, or RSA of 2048 bits or more")
    jwks = None if client.jwks is None else json.dumps(client.jwks)
    row = (client.issuer, client.organisation, client.serves, jwks, client.jwks_url, client.patient_system)
    return bool(await database.fetch(_REGISTER, *row, client.app_url, now))


async def list_cds_clients(database: Database, tenant: str) -> list[CdsClient]:
    """The clients that are answered from a tenant."""
    return [_client(row) for row in await database.fetch(_LIST, tenant)]


async def remove_cds_client(database: Database, issuer: str, organisation: str, tenant: str) -> bool:
    """Whether there was one; it is answered until it is no longer remembered."""
    return bool(await database.fetch(_REMOVE, issuer, organisation, tenant))


def _client(row: Mapping[str, Any]) -> CdsClient:
    jwks = None if row["jwks"] is None else json.loads(row["jwks"])
    others = {name: row[name] for name in ("issuer", "organisation", "serves", "jwks_url", "patient_system", "app_url")}
    return CdsClient(jwks=jwks, _keys=[] if jwks is None else read_public_keys(jwks), **others)
