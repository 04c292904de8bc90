"""The published figures of the dashboards, one row for each measure: made beside the requests, read by every page."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any, NamedTuple

from stepwell_shared.database.pool import Database


class KeptSheet(NamedTuple):
    """One row as it is read."""

    measure: str
    made_at: datetime
    start: date
    end: date
    body: str


_KEEP = """INSERT INTO dashboard_sheet (tenant, measure, made_at, start_on, end_on, body)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant, measure) DO UPDATE
SET made_at = excluded.made_at, start_on = excluded.start_on, end_on = excluded.end_on, body = excluded.body"""


async def claim(database: Database, tenant: str, now: datetime, before: datetime) -> bool:
    """Whether this process is to make the figures now: nobody has begun to since `before`, and nobody else does now."""
    today = now.date()
    async with database.transaction(tenant) as connection:
        taken: Any = await connection.fetchval(
            f"{_KEEP} WHERE dashboard_sheet.made_at < $7 RETURNING true", tenant, "", now, today, today, "", before
        )
    return bool(taken)


async def keep(database: Database, tenant: str, *sheets: KeptSheet) -> None:
    """Puts new figures in the place of the old ones, all at once: nobody sees some that were published with others."""
    async with database.transaction(tenant) as connection:
        for sheet in sheets:
            await connection.execute(_KEEP, tenant, *sheet)


async def stamps(database: Database, tenant: str) -> dict[str, datetime]:
    """When the figures of each measure of a tenant were made; none when none have been made yet."""
    async with database.transaction(tenant) as connection:
        rows = await connection.fetch(
            "SELECT measure, made_at FROM dashboard_sheet WHERE tenant = $1 AND measure <> ''", tenant
        )
    return {row["measure"]: row["made_at"] for row in rows}


async def kept(database: Database, tenant: str, measures: Collection[str]) -> list[KeptSheet]:
    """The figures of these measures, as far as they have been made."""
    async with database.transaction(tenant) as connection:
        rows = await connection.fetch(
            "SELECT measure, made_at, start_on, end_on, body FROM dashboard_sheet"
            " WHERE tenant = $1 AND measure = ANY($2)",
            tenant,
            list(measures),
        )
    return [KeptSheet(*row) for row in rows]
