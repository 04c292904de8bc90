"""The list of tenants, the same in each service's database."""

from datetime import datetime

from stepwell_shared.database.pool import Database


async def add_tenant(database: Database, tenant: str, now: datetime) -> bool:
    """Whether the tenant is new in this database."""
    statement = "INSERT INTO tenant (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id"
    return bool(await database.fetch(statement, tenant, now))


async def list_tenants(database: Database) -> list[str]:
    """The tenants by name."""
    return [row["id"] for row in await database.fetch("SELECT id FROM tenant ORDER BY id")]
