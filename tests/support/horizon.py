"""Waiting for the horizon: all tests of a run share one PostgreSQL, and an open transaction of any holds it back."""

import asyncio

from stepwell_shared.database.pool import Database

from tests.support.runtime import NORTH

SECONDS_MAX = 20


async def settled(database: Database, tenant: str = NORTH) -> None:
    """Waits until no open transaction on this PostgreSQL, of whatever database, is older than the tenant's writes."""
    async with asyncio.timeout(SECONDS_MAX), database.transaction(tenant) as connection:
        newest = await connection.fetchval("SELECT max(transaction::text::bigint) FROM fhir_version")
        while True:
            if await connection.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") > newest:
                return
            await asyncio.sleep(0.01)
