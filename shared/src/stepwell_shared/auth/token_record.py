"""The record of tokens: each that is given is an entry of its tenant's audit before it is out, and so are refusals.

An entry of a refusal needs a registered client, whose tenant it is; all others are lines of the log. Refusals cost
whoever asks nothing, so that both are bounded: nobody fills a disk by being refused.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from stepwell_shared.auth.audit import AUDIT_TABLE, LOGIN, audit_effect
from stepwell_shared.auth.break_glass import BrokenGlass
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.client_authentication import OAuthError
from stepwell_shared.auth.limits import Buckets
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.database.pool import Database

BREAK_GLASS: Final = "$break-glass"
# Product defaults: enough to see that a client has a wrong key, or that somebody tries; 14,400 entries a day at most.
ENTRIES_OF_A_CLIENT_PER_MINUTE: Final = 10
LINES_PER_MINUTE: Final = 600

_RECORD: Final = f"""INSERT INTO {AUDIT_TABLE} (tenant, recorded, action, interaction, resource_type, resource_id,
  client_id, token_id, request_id, status, fhir_user) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
  RETURNING id"""

# (the connection of the record's transaction, tenant, patient, number of the entry, when) -> what tells of it
Telling = Callable[[asyncpg.Connection, str, str, int, datetime], Awaitable[None]]

log = structlog.get_logger("stepwell.audit")


async def tell_nobody(
    connection: asyncpg.Connection, tenant: str, patient: str, entry: int, recorded: datetime
) -> None:
    """For an issuer beside which nothing is published."""


@dataclass(frozen=True)
class RefusalLimits:
    """How many refusals are put down: entries of the audit for each client, lines of the log for all together."""

    entries: Buckets = field(default_factory=lambda: Buckets(ENTRIES_OF_A_CLIENT_PER_MINUTE))
    lines: Buckets = field(default_factory=lambda: Buckets(LINES_PER_MINUTE))


async def record_given(database: Database, caller: Caller, now: float) -> None:
    """An entry for a token that is about to be given, at `now` in seconds since 1970."""
    await _record(database, caller, now)


async def record_broken_glass(
    database: Database, caller: Caller, glass: BrokenGlass, now: float, telling: Telling
) -> None:
    """An entry for a token that breaks the glass; whoever wants to know is told of it with the same commit.

    The line in the log is for an alert to rest on.
    """
    await _record(database, caller, now, glass=glass, telling=telling)
    log.warning("the glass was broken", tenant=caller.tenant, client=caller.client_id, reason=glass.reason)


async def record_refusal(database: Database, limits: RefusalLimits, error: OAuthError, now: float) -> None:
    """What is kept of a request that got nothing: never what it carried, which may be a secret."""
    client = error.client
    tenant, client_id = (None, None) if client is None else (client.tenant, client.client_id)
    if limits.lines.admits("", now):
        log.warning(
            "a client was refused a token", tenant=tenant, client=client_id, reason=error.code, status=error.status
        )
    if client is not None and limits.entries.admits(client.client_id, now):
        refused = Caller(client.tenant, client.client_id, Scopes(), "", fhir_user=client.fhir_user)
        await _record(database, refused, now, status=error.status)


async def _record(
    database: Database,
    caller: Caller,
    now: float,
    *,
    status: int = 200,
    glass: BrokenGlass | None = None,
    telling: Telling = tell_nobody,
) -> None:
    recorded = datetime.fromtimestamp(now, UTC)
    row = audit_effect(
        caller,
        recorded=recorded,
        interaction=LOGIN if glass is None else BREAK_GLASS,
        resource_type=None if glass is None else "Patient",
        resource_id=None if glass is None else glass.patient,
        request_id=caller.token_id or secrets.token_urlsafe(16),
        status=status,
    )
    async with database.transaction(caller.tenant) as connection:
        entry = await connection.fetchval(_RECORD, caller.tenant, *row.values)
        if glass is not None:
            await telling(connection, caller.tenant, glass.patient, entry, recorded)
