"""Connections to one service's PostgreSQL database, always on behalf of one tenant."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

import asyncpg
import asyncpg.pool

from stepwell_shared.database.address import address_of
from stepwell_shared.database.arrays import know_arrays
from stepwell_shared.database.connecting import Connector, WatchedConnection

Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy

IDLE_SECONDS_MAX = 300
ACQUIRE_SECONDS_MAX = 10
TENANT_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
STATEMENTS_KEPT_MAX = 512
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


class PoolLoad(NamedTuple):
    """Connections that are in use, those that are open at all, and statements that wait for one."""

    used: int
    open: int
    waiting: int


class TooSlowError(Exception):
    """A statement took longer than its caller allows."""


class _Connection(WatchedConnection):
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

    def __init__(self, pool: asyncpg.Pool, connector: Connector) -> None:
        self._pool = pool
        self._connector = connector
        # Connections between two statements, with the time of the last one. To hand one back to asyncpg's pool and
        # to ask for it again costs as much as a small statement, so only what nobody wants for a while goes there.
        self._at_hand: list[tuple[Connection, float]] = []
        self._waiting = 0
        self._is_closing = False

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, connections_max: int = 16) -> AsyncIterator["Database"]:
        """The database at this URL (address.py) while the context lasts; no connection is made before it is needed."""
        know_arrays()
        address = address_of(url)
        connector = Connector(address.url)
        pool = asyncpg.create_pool(
            address.url,
            connect=connector.connect,
            min_size=0,
            max_size=connections_max,
            connection_class=_Connection,
            statement_cache_size=STATEMENTS_KEPT_MAX if address.keeps_statements else 0,
            max_inactive_connection_lifetime=IDLE_SECONDS_MAX,
            command_timeout=30,
        )
        await pool
        database = cls(pool, connector)
        try:
            yield database
        finally:
            await database._close()

    @property
    def load(self) -> "PoolLoad":
        """How many connections there are and work, and how many statements wait for one."""
        size = self._pool.get_size()
        return PoolLoad(size - self._pool.get_idle_size() - len(self._at_hand), size, self._waiting)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection with no tenant: for functions that set it themselves and for tables without one."""
        connection = await self._take()
        try:
            yield connection
            self._refuse_the_past(connection)
        except BaseException as error:
            await self._let_go(connection, error)
            raise
        await self._give_back(connection)

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[Connection]:
        """A transaction in which row-level security shows exactly this tenant's rows."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute(SET_TENANT, tenant)
            yield connection

    async def fetch(self, statement: str, *arguments: Any, seconds_max: float | None = None) -> list[asyncpg.Record]:
        """Rows of one statement outside any tenant, or of a function that sets the tenant itself.

        Raises TooSlowError, and the server has stopped, when it took longer than it may.
        """
        connection = await self._take()
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments, timeout=seconds_max)
            self._refuse_the_past(connection)
        except BaseException as error:
            await self._let_go(connection, error)
            if seconds_max is not None and isinstance(error, TimeoutError):
                raise TooSlowError from error
            raise
        await self._give_back(connection)
        return rows

    async def drop_idle(self) -> None:
        """Ends the connections that nobody uses at the moment; the next ones are made anew."""
        while self._at_hand:
            connection, _ = self._at_hand.pop()
            connection.terminate()
            await self._pool.release(connection)

    async def _take(self) -> Connection:
        """A connection that is at hand and alive, or else the pool's next one."""
        while self._at_hand:
            connection, used_at = self._at_hand.pop()
            if _is_alive(connection):
                if monotonic() - used_at < IDLE_SECONDS_MAX and not self._connector.is_of_the_past(connection):
                    return connection
                connection.terminate()  # who knows what has become of the way between here and the server
            await self._pool.release(connection)
        self._waiting += 1
        try:
            while True:
                connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS_MAX)
                if not self._connector.is_of_the_past(connection):
                    return connection
                connection.terminate()
                await self._pool.release(connection)
        finally:
            self._waiting -= 1

    def _refuse_the_past(self, connection: Connection) -> None:
        """A server that hung while another took its place can still answer, and does not know what was written since.

        Raises ConnectionError, and ends the connection.
        """
        if self._connector.is_of_the_past(connection):
            connection.terminate()
            raise ConnectionError("another server has taken the place of the one that answered")

    async def _give_back(self, connection: Connection) -> None:
        """Keeps the connection at hand, unless somebody waits for one at the pool, or for all of them at the end."""
        if self._waiting or self._is_closing or not _is_alive(connection):
            await self._pool.release(connection)
        else:
            self._at_hand.append((connection, monotonic()))

    async def _let_go(self, connection: Connection, error: BaseException) -> None:
        """Gives a connection back after an error; asyncpg clears up what was cut off."""
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            connection.terminate()  # its server was the primary once
        await self._pool.release(connection)

    async def _close(self) -> None:
        self._is_closing = True
        while self._at_hand:
            await self._pool.release(self._at_hand.pop()[0])
        await self._pool.close()


def _is_alive(connection: Connection) -> bool:
    """Whether it is connected still; a connection that broke has left the pool by itself."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False
