"""Connections to one service's PostgreSQL database, always on behalf of one tenant."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import asyncpg.pool

Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy

TENANT_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SET_TENANT = "SELECT set_config('stepwell.tenant', $1, true)"

# What asyncpg raises when the server is away, restarting, full or failing over; a retry later can succeed.
UNAVAILABLE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that is given back without the hidden reset round trip.

    Nothing here may therefore set session state: the tenant is set per transaction, never per session.
    """

    def get_reset_query(self) -> str:
        return ""


class Database:
    """A pool of connections. Every statement on tenant data runs in a transaction that names its tenant.

    The row-level security of the tables compares with that name, so that a statement that forgot it sees
    nothing and writes nothing.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, connections_max: int = 16) -> AsyncIterator["Database"]:
        """The database at this URL while the context lasts; no connection is made before it is needed."""
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=connections_max,
            connection_class=_Connection,
            statement_cache_size=512,
            max_inactive_connection_lifetime=300,
            command_timeout=30,
        )
        await pool
        try:
            yield cls(pool)
        finally:
            await pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection with no tenant: for functions that set it themselves and for tables without one."""
        async with self._pool.acquire(timeout=10) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[Connection]:
        """A transaction in which row-level security shows exactly this tenant's rows."""
        async with self._pool.acquire(timeout=10) as connection, connection.transaction():
            await connection.execute(SET_TENANT, tenant)
            yield connection

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of one statement outside any tenant, or of a function that sets the tenant itself."""
        async with self._pool.acquire(timeout=10) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
            return rows
