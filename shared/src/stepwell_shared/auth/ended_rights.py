"""Since when a client, or a person whoever's client it is, may no longer what it could: browser sessions end by it.

A session of a browser lives for hours on the rights of a token that lived for minutes, in a service that does not know
the clients. Whoever takes rights away leaves a mark in each service's database, beside the marks of used assertions.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from stepwell_shared.database.pool import Database

# Product default: a working day. No session lives longer, so that no mark has to.
SESSION_LIVES: Final = timedelta(hours=10)
ANY_CLIENT: Final = ""

_MARK = """INSERT INTO assertion_seen (tenant, client_id, jti_digest, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, client_id, jti_digest) DO UPDATE SET expires_at = greatest(assertion_seen.expires_at, $4)"""
_FIND = """SELECT max(expires_at) FROM assertion_seen
WHERE tenant = $1 AND (client_id = $2 AND jti_digest = $3 OR client_id = '' AND jti_digest = $4)"""


async def end_rights(
    database: Database, tenant: str, now: datetime, *, client_id: str = ANY_CLIENT, person: str = ""
) -> None:
    """All sessions that began until now are over: those of a client, or of a person such as `Practitioner/x`."""
    async with database.transaction(tenant) as connection:
        await connection.execute(_MARK, tenant, client_id, _digest(person), now + SESSION_LIVES)


async def rights_ended_at(database: Database, tenant: str, client_id: str, person: str | None) -> float:
    """When rights were last taken from this client or person, in seconds since 1970; 0 when they were not."""
    async with database.transaction(tenant) as connection:
        until = await connection.fetchval(_FIND, tenant, client_id, _digest(""), _digest(person or "nobody"))
    return 0.0 if until is None else (until.astimezone(UTC) - SESSION_LIVES).timestamp()


def _digest(person: str) -> bytes:
    return hashlib.sha256(f"rights ended {person}".encode()).digest()
