"""Reads on a standby that shows all that was committed before they were asked; where none does, the primary answers.

Whoever has been answered a write finds it, whichever process took it: the primary says where its log is, and the
standby has replayed it up to there before it is asked. How old a standby is by the clock plays no part.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Connection, Database, TooSlowError

Rows: TypeAlias = list[asyncpg.Record]

# So long may a connection and the replay of what was just committed take together: a network away it is milliseconds.
CATCH_UP_SECONDS_MAX = 0.2
CATCH_UP_STEP_SECONDS = 0.001
# One that was passed over is tried again so often, beside the requests; the first connection may take longer then.
PAUSE_SECONDS = 1.0
CONNECTION_SECONDS_MAX = 10.0
# The standby ends what takes longer than it may; if it is silent for so long after that, it is gone.
SILENCE_SECONDS_MAX = 1.0

# Commits are answered when they are on the disk, or, where nobody waits for the disk, when they are in the log at all.
# A timeline belongs to one promotion: a standby that follows the one before may have as much log, and another. The
# numbers of the cluster and of the database are the same on a standby, and on nothing else that a URL may name.
_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"
POSITION = f"""SELECT CASE current_setting('synchronous_commit')
    WHEN 'off' THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END::text AS place,
  substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) AS timeline,
  (pg_control_system()).system_identifier AS cluster, {_DATABASE} AS database"""
_PRIMARY_AWAY = (*UNAVAILABLE_ERRORS, asyncpg.ObjectNotInPrerequisiteStateError)

log = logging.getLogger(__name__)


class Position(NamedTuple):
    """A place in the log of one primary, and the database that is asked for."""

    place: str
    timeline: int
    cluster: int
    database: int

    @property
    def is_replayed(self) -> str:
        """A statement with a row at this database on a standby of this primary that has replayed its log up to here."""
        return (
            "SELECT WHERE pg_is_in_recovery() AND (pg_control_recovery()).min_recovery_end_timeline"
            f" = {self.timeline:d} AND (pg_control_system()).system_identifier = {self.cluster:d}"
            f" AND {_DATABASE} = {self.database:d}"
            f" AND pg_last_wal_replay_lsn() >= '{self.place}'"
        )


class Follower:
    """A standby that is asked once it has caught up. `answered` and `passed_over` count what was asked of it."""

    def __init__(self, primary: Database, standby: Database) -> None:
        self._standby = standby
        self._primary = primary
        self._positions = Coalescer(self._position, lanes=1)
        self._is_good = False
        self._not_before = 0.0
        self._trial: asyncio.Task[None] | None = None
        self.answered = 0
        self.passed_over = 0

    async def fetch(self, statement: str, *arguments: Any, seconds_max: float) -> Rows | None:
        """Rows of a statement that sets the tenant itself and only reads; None when the primary has to answer.

        Raises TooSlowError, and the server has stopped, when it took longer than it may.
        """
        rows = await self._fetched(statement, arguments, seconds_max) if self._may_be_asked() else None
        if rows is None:
            self.passed_over += 1
        else:
            self.answered += 1
        return rows

    async def close(self) -> None:
        """Ends what still tries the standby."""
        if self._trial is not None:
            self._trial.cancel()
            with suppress(asyncio.CancelledError):
                await self._trial

    async def _fetched(self, statement: str, arguments: Sequence[Any], seconds_max: float) -> Rows | None:
        try:
            position = await self._positions.get((), None)
        except _PRIMARY_AWAY:
            return None  # it has its own way to say so
        assert position is not None
        try:
            async with self._caught_up(position, seconds_max) as connection:
                rows: Rows = await connection.fetch(statement, *arguments, timeout=seconds_max + SILENCE_SECONDS_MAX)
                return rows
        except asyncpg.QueryCanceledError as error:
            raise TooSlowError from error
        except asyncpg.TransactionRollbackError:
            return None  # what it read was in the way of the replay
        except UNAVAILABLE_ERRORS as error:
            await self._pass_over(error)
            return None

    async def _position(self, _group: tuple[str, ...], keys: Sequence[Hashable]) -> dict[Hashable, Position]:
        """Where the log is now; those who ask together are told together."""
        (row,) = await self._primary.fetch(POSITION)
        return dict.fromkeys(keys, Position(row["place"], int(row["timeline"], 16), row["cluster"], row["database"]))

    @asynccontextmanager
    async def _caught_up(self, position: Position, seconds_max: float) -> AsyncIterator[Connection]:
        """A transaction on the standby, begun when it has replayed up to here.

        One transaction, so that a pooler does not lend another server half-way; a statement of its own, because what a
        statement sees is settled before anything in it is looked at.
        """
        begin = (
            "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;"
            f"SET LOCAL statement_timeout = {max(1, round(1000 * seconds_max)):d};{position.is_replayed}"
        )
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(CATCH_UP_SECONDS_MAX):
                connection = await stack.enter_async_context(self._standby.connection())
                stack.push(partial(_end_if_failed, connection))
                while await connection.execute(begin) != "SELECT 1":
                    await connection.execute("ROLLBACK")
                    await asyncio.sleep(CATCH_UP_STEP_SECONDS)
            yield connection
            await connection.execute("COMMIT")

    def _may_be_asked(self) -> bool:
        """Whether to ask it; one that was passed over, or never asked, is tried in the meantime."""
        if not self._is_good and self._trial is None and monotonic() >= self._not_before:
            self._trial = asyncio.create_task(self._try())
        return self._is_good

    async def _try(self) -> None:
        try:
            async with asyncio.timeout(CONNECTION_SECONDS_MAX), self._standby.connection():
                pass  # it is at hand from now on
            position = await self._positions.get((), None)
            assert position is not None
            async with self._caught_up(position, CONNECTION_SECONDS_MAX):
                self._is_good = True
        except Exception as error:  # noqa: BLE001  whatever it was, the primary answers
            await self._pass_over(error)
        finally:
            self._trial = None

    async def _pass_over(self, error: Exception) -> None:
        """Leaves it alone for a while, and its connections: of several servers in a URL another may be right next."""
        if self._is_good or not self._not_before:
            log.warning("the standby is passed over: %s", type(error).__name__)
        self._is_good, self._not_before = False, monotonic() + PAUSE_SECONDS
        await self._standby.drop_idle()


def _end_if_failed(connection: Connection, _kind: object, error: BaseException | None, _trace: object) -> None:
    """Nothing is known of a connection on which something failed, nor is its transaction over."""
    if error is not None:
        connection.terminate()
