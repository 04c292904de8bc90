"""Reads that may be a little old, such as figures over everybody, from a standby: the primary has the rest to do.

Decisions, and what a client has just written, are never read here. A standby that is away, or further behind than it
may be, is passed over: the primary answers.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

import asyncpg

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Connection, Database

Answer = TypeVar("Answer")
Work = Callable[[Connection], Awaitable[Answer]]

log = logging.getLogger(__name__)

# A standby that failed or was behind is left alone for so long.
PAUSE_SECONDS = 10.0
# While nothing is written a standby cannot know how old it is: then it counts as behind, and the primary has time.
IS_FRESH = """SELECT NOT pg_is_in_recovery() OR coalesce(
  pg_last_xact_replay_timestamp() >= clock_timestamp() - make_interval(secs => $1), false)"""


class _BehindError(Exception):
    """The standby has not heard of anything for too long."""


@dataclass
class Reader:
    """Reads one tenant's rows on the standby if there is one and it is fresh, and else on the primary."""

    primary: Database
    standby: Database | None = None
    staleness_seconds_max: float = 10.0
    _not_before: float = field(default=0.0, init=False)

    async def read(self, tenant: str, work: Work[Answer]) -> Answer:
        """What the work finds in one transaction; it may be done twice. It must only read.

        Raises TimeoutError when the work itself took too long, wherever that was.
        """
        took_long = False

        async def watched(connection: Connection) -> Answer:
            nonlocal took_long
            try:
                return await work(connection)
            except TimeoutError:
                took_long = True
                raise

        if self.standby is not None and monotonic() >= self._not_before:
            try:
                return await self._on(self.standby, tenant, watched)
            except (*UNAVAILABLE_ERRORS, asyncpg.SerializationError, _BehindError) as error:
                if took_long:  # the primary would take as long; leaving the transaction may have failed besides
                    raise TimeoutError from error
                self._not_before = monotonic() + PAUSE_SECONDS
                log.warning("the standby is passed over: %s", type(error).__name__)
        async with self.primary.transaction(tenant) as connection:
            return await work(connection)

    async def _on(self, standby: Database, tenant: str, work: Work[Answer]) -> Answer:
        async with standby.transaction(tenant) as connection:
            if not await connection.fetchval(IS_FRESH, self.staleness_seconds_max):
                raise _BehindError
            return await work(connection)
