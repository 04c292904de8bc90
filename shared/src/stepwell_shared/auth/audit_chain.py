"""The chain over each tenant's audit: entries are sealed in batches, and each seal holds a digest of the one before.

Whoever changes, removes or adds an entry behind the service's back breaks the chain from there on. Whoever could also
write all seals anew is found out by a seal that was noted elsewhere: each is said in the log as it is made, and
`stepwell audit verify --seal` takes one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import asyncpg
import structlog

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database

ENTRIES_PER_SEAL_MAX: Final = 10_000
# Longer than any transaction of ours lives: nothing can still come in before what is sealed.
SETTLED_AFTER: Final = timedelta(seconds=120)
SEALING_SECONDS: Final = 60.0

_COLUMNS = "action, interaction, resource_type, resource_id, client_id, token_id, request_id, status, fhir_user"
_MICROSECONDS = "(extract(epoch FROM recorded) * 1000000)::bigint"
_ENTRY = f"json_build_array(id, {_MICROSECONDS}, {_COLUMNS})::text"

SEAL_FUNCTION: Final = f"""CREATE OR REPLACE FUNCTION seal_audit(
  tenant_in text, settled_in timestamptz, now_in timestamptz, first_in bytea, entries_max integer
) RETURNS TABLE (number bigint, entries integer, digest bytea)
LANGUAGE plpgsql SET enable_seqscan TO off AS $function$
#variable_conflict use_column
DECLARE
  before record;
  until bigint;
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  IF NOT pg_try_advisory_xact_lock(hashtextextended('audit seal ' || tenant_in, 0)) THEN
    RETURN;  -- another replica is at it
  END IF;
  SELECT s.number, s.last_id, s.digest INTO before FROM audit_seal AS s
    WHERE s.tenant = tenant_in ORDER BY s.number DESC LIMIT 1;
  SELECT max(a.id) INTO until FROM (
    SELECT a.id, a.recorded FROM audit AS a
      WHERE a.tenant = tenant_in AND a.id > coalesce(before.last_id, 0) ORDER BY a.id LIMIT entries_max
  ) AS a WHERE a.recorded < settled_in;
  IF until IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY INSERT INTO audit_seal AS s (tenant, number, last_id, entries, digest, sealed_at)
    SELECT tenant_in, coalesce(before.number, 0) + 1, until, count(*)::integer,
      sha256(coalesce(before.digest, first_in)
        || string_agg(sha256(convert_to({_ENTRY}, 'UTF8')), ''::bytea ORDER BY id)), now_in
    FROM audit WHERE tenant = tenant_in AND id > coalesce(before.last_id, 0) AND id <= until
    RETURNING s.number, s.entries, s.digest;
END $function$"""

log = structlog.get_logger("stepwell.audit")


@dataclass(frozen=True)
class Fault:
    """A place where the chain does not hold: the number of the seal, and what is wrong there."""

    number: int
    text: str


@dataclass(frozen=True)
class Verified:
    """What a walk along a tenant's chain found. `head` is the digest of the last seal in hexadecimal."""

    seals: int
    entries: int
    unsealed: int
    head: str
    faults: Sequence[Fault]


def first_link(tenant: str) -> bytes:
    """What the first seal of a tenant follows."""
    return sha256(f"stepwell audit of {tenant}".encode()).digest()


async def seal(database: Database, tenants: Sequence[str], now: datetime) -> int:
    """Seals the settled entries of these tenants; how many. Two replicas at once seal each entry once."""
    total = 0
    for tenant in tenants:
        sealed = ENTRIES_PER_SEAL_MAX
        while sealed == ENTRIES_PER_SEAL_MAX:
            rows = await database.fetch(
                "SELECT * FROM seal_audit($1, $2, $3, $4, $5)",
                *(tenant, now - SETTLED_AFTER, now, first_link(tenant), ENTRIES_PER_SEAL_MAX),
            )
            sealed = rows[0]["entries"] if rows else 0
            total += sealed
            if rows:
                log.info("audit sealed", tenant=tenant, reason=f"{rows[0]['number']}:{rows[0]['digest'].hex()}")
    return total


async def keep_sealing(
    database: Database, tenants: Callable[[], Awaitable[Sequence[str]]], now: Callable[[], datetime]
) -> None:
    """Runs until it is cancelled; while the database is away it waits. Every replica may run it."""
    while True:
        await asyncio.sleep(SEALING_SECONDS)
        try:
            await seal(database, await tenants(), now())
        except UNAVAILABLE_ERRORS:
            log.warning("the audit is sealed once the database answers")


async def verify(database: Database, tenant: str, noted: Sequence[tuple[int, str]] = ()) -> Verified:
    """Walks a tenant's chain from its first seal. `noted` are seals known from elsewhere, as number and digest.

    What a seal covers is read again and its digest computed here, not by the database.
    """
    faults: list[Fault] = []
    digest, last_id, seals, total = first_link(tenant), 0, 0, 0
    wanted = dict(noted)
    async for each in _seals(database, tenant):
        if each["number"] != seals + 1:
            faults.append(Fault(seals + 1, "seals are missing"))
        seals = each["number"]
        entries, computed = await _digest(database, tenant, last_id, each["last_id"], digest)
        if entries != each["entries"]:
            faults.append(Fault(seals, f"{entries} entries where {each['entries']} were sealed"))
        elif computed != each["digest"]:
            faults.append(Fault(seals, "an entry, or the seal before, is not what was sealed"))
        if wanted.pop(seals, each["digest"].hex()) != each["digest"].hex():
            faults.append(Fault(seals, "the seal is not the one that was noted"))
        digest, last_id, total = each["digest"], each["last_id"], total + entries
    faults += [Fault(number, "the seal that was noted is not there") for number in wanted]
    unsealed = await _rows(database, tenant, "SELECT count(*) FROM audit WHERE tenant = $1 AND id > $2", last_id)
    return Verified(seals, total, unsealed[0][0], digest.hex() if seals else "", faults)


async def _digest(database: Database, tenant: str, after: int, until: int, before: bytes) -> tuple[int, bytes]:
    """How many entries stand between two ids, and the digest over them and over what was before."""
    rows = await _rows(
        database,
        tenant,
        f"SELECT id, {_MICROSECONDS}, {_COLUMNS} FROM audit WHERE tenant = $1 AND id > $2 AND id <= $3 ORDER BY id",
        after,
        until,
    )
    together = sha256(before)
    for row in rows:
        together.update(sha256(json.dumps(list(row), ensure_ascii=False).encode()).digest())
    return len(rows), together.digest()


async def _seals(database: Database, tenant: str) -> AsyncIterator[asyncpg.Record]:
    """The seals in their order, a page at a time."""
    number = 0
    statement = "SELECT * FROM audit_seal WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT 1000"
    while page := await _rows(database, tenant, statement, number):
        for each in page:
            yield each
        number = page[-1]["number"]


async def _rows(database: Database, tenant: str, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    async with database.transaction(tenant) as connection:
        rows: list[asyncpg.Record] = await connection.fetch(statement, tenant, *arguments)
        return rows
