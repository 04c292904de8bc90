"""The rows of exports: asked for, gone on with, ended, read. Each statement sees one tenant's alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from stepwell_shared.database.leases import LEASE_SECONDS
from stepwell_shared.database.pool import Connection, Database
from stepwell_shared.export.functions import CLAIM
from stepwell_shared.export.recipe import Recipe, decode_recipe, encode_recipe
from stepwell_shared.fhir.outcome import Category, FhirError

PLANNING, COMPLETE, FAILED, REMOVED = "planning", "complete", "failed", "removed"
CLAIMED_MAX = 4
RETRY_SECONDS = 2
_JOB = "id, client_id, request, recipe, transaction_time, horizon::text AS horizon, status, reason, place, selection"
_SELECT = f"SELECT {_JOB}, after_id, resources, expires_at FROM export_job WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Job:
    """One export as it stands."""

    id: str
    client_id: str
    request: str
    recipe: Recipe
    transaction_time: datetime
    horizon: str
    status: str
    reason: str
    place: int
    selection: int
    after_id: str
    resources: int
    expires_at: datetime


class Part(NamedTuple):
    """One file: which selection, the ids between which its resources lie, and how many they are."""

    number: int
    selection: int
    after_id: str
    last_id: str
    resources: int


class Bounds(NamedTuple):
    """How many exports a tenant may have at work at once, and a client may keep."""

    at_work: int
    kept: int


async def horizon_of(connection: Connection) -> str:
    """The number of the next transaction: what was begun before it is what an export waits for and shows."""
    found: str = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    return found


async def add(connection: Connection, tenant: str, job: Job, bounds: Bounds, now: datetime) -> None:
    """Adds an export to be worked on. Raises FhirError THROTTLED when there are too many already."""
    # Who counts and adds at the same time counts one too few.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('stepwell.export ' || $1, 0))", tenant)
    counts = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE status = $1) AS at_work,"
        " count(*) FILTER (WHERE client_id = $2 AND status <> $3) AS kept FROM export_job WHERE status <> $3",
        *(PLANNING, job.client_id, REMOVED),
    )
    if counts["at_work"] >= bounds.at_work:
        raise _throttled(f"{bounds.at_work} exports are being made ready for this tenant", "5")
    if counts["kept"] >= bounds.kept:
        raise _throttled(f"this client keeps {bounds.kept} exports: delete those that are done", "3600")
    await connection.execute(
        "INSERT INTO export_job (tenant, id, client_id, request, recipe, transaction_time, horizon, status, reason,"
        " place, selection, after_id, resources, expires_at, due_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7::text::xid8, $8, '', 0, 0, '', 0, $9, $10)",
        *(tenant, job.id, job.client_id, job.request, encode_recipe(job.recipe), job.transaction_time, job.horizon),
        *(PLANNING, job.expires_at, now),
    )


def _throttled(text: str, seconds: str) -> FhirError:
    return FhirError(Category.THROTTLED, text, headers={"Retry-After": seconds})


async def find(database: Database, tenant: str, id_: str) -> Job | None:
    """An export with its files, or None when there is none or it was removed."""
    async with database.transaction(tenant) as connection:
        row = await connection.fetchrow(f"{_SELECT} AND status <> $2", id_, REMOVED)
    return None if row is None else _job(row)


async def parts(database: Database, tenant: str, id_: str) -> list[Part]:
    """The files of an export that were found so far."""
    async with database.transaction(tenant) as connection:
        rows = await connection.fetch(
            "SELECT number, selection, after_id, last_id, resources FROM export_part WHERE job_id = $1 ORDER BY number",
            id_,
        )
    return [Part(*row) for row in rows]


async def claim(database: Database, tenants: Sequence[str], now: datetime) -> list[tuple[str, str]]:
    """Exports with something left to do, each leased to whoever asked: (tenant, id)."""
    statement = f"SELECT tenant, id FROM {CLAIM}($1, $2, $3, $4)"
    rows = await database.fetch(statement, list(tenants), now, LEASE_SECONDS, CLAIMED_MAX)
    return [(row["tenant"], row["id"]) for row in rows]


async def is_settled(database: Database, horizon: str) -> bool:
    """Whether all transactions that an export is to show have ended."""
    (row,) = await database.fetch(
        "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8 AS is_settled", horizon
    )
    return bool(row["is_settled"])


async def advance(
    database: Database, tenant: str, job: Job, *, found: Part | None, selection: int, after_id: str
) -> bool:
    """Goes one step on, with the file that it found, and keeps the lease; False when another replica was first."""
    async with database.transaction(tenant) as connection:
        moved = await connection.fetchval(
            "UPDATE export_job SET place = place + 1, selection = $3, after_id = $4, resources = resources + $5,"
            " lease_until = clock_timestamp() + make_interval(secs => $6)"
            " WHERE id = $1 AND place = $2 AND status = 'planning' RETURNING id",
            *(job.id, job.place, selection, after_id, found.resources if found else 0, LEASE_SECONDS),
        )
        if moved is not None and found is not None:
            await connection.execute(
                "INSERT INTO export_part (tenant, job_id, number, selection, after_id, last_id, resources)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                *(tenant, job.id, *found),
            )
    return moved is not None


async def finish(database: Database, tenant: str, job: Job, *, expires_at: datetime, reason: str = "") -> None:
    """Nothing is left to do but to remove it when its time has come; with a reason it has failed."""
    async with database.transaction(tenant) as connection:
        await connection.execute(
            "UPDATE export_job SET status = $3, reason = $4, expires_at = $5, due_at = $5, lease_until = '-infinity'"
            " WHERE id = $1 AND place = $2 AND status = 'planning'",
            *(job.id, job.place, FAILED if reason else COMPLETE, reason, expires_at),
        )


async def postpone(database: Database, tenant: str, job: Job, until: datetime) -> None:
    """Lets an export wait, for whichever replica comes by then."""
    async with database.transaction(tenant) as connection:
        await connection.execute(
            "UPDATE export_job SET due_at = $2, lease_until = '-infinity' WHERE id = $1 AND status = 'planning'",
            *(job.id, until),
        )


async def remove(database: Database, tenant: str, id_: str) -> None:
    """Takes the files away, and all that it says but when it was."""
    async with database.transaction(tenant) as connection:
        await connection.execute("DELETE FROM export_part WHERE job_id = $1", id_)
        await connection.execute(
            "UPDATE export_job SET status = $2, recipe = '', request = '', due_at = NULL WHERE id = $1", id_, REMOVED
        )


def _job(row: Any) -> Job:
    return Job(**{**dict(row), "recipe": decode_recipe(row["recipe"])})
