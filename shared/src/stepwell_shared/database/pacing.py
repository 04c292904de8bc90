"""Writers wait a moment while what follows from their writes is behind: a queue between services stays short."""

import asyncio
from collections.abc import Iterable
from time import monotonic

from stepwell_shared.database.functions import Effect

WAIT_SECONDS_MAX = 0.05
# Who has not moved on for so long is not slow but away: nobody waits for him.
MOVING_SECONDS = 0.25


class Pacing:
    """Who is behind, by tenant. A tenant waits for its own only, never long, and never for who does not move at all.

    It is writes that leave a row in `table` that wait, after their commit.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._behind: dict[str, dict[str, float]] = {}
        self._caught_up: dict[str, asyncio.Event] = {}

    def moves(self, tenant: str, who: str, *, behind: bool) -> None:
        """Somebody has just gone on with a tenant's work, and has more of it waiting, or not."""
        if behind:
            self._behind.setdefault(tenant, {})[who] = monotonic()
            return
        late = self._behind.get(tenant)
        if late is not None and late.pop(who, None) is not None and not late:
            self._open(tenant)

    def concerns(self, tenant: str, effects: Iterable[Effect]) -> bool:
        """Whether who has written this is to wait; while nobody is behind, this is one look into a dictionary."""
        return tenant in self._behind and any(effect.table == self._table for effect in effects)

    async def wait(self, tenant: str) -> None:
        """Returns at once unless somebody who moves is behind, and then as soon as nobody is, or after a moment."""
        late = self._behind.get(tenant)
        if late is None:
            return
        until = monotonic() + WAIT_SECONDS_MAX
        while late and max(late.values()) > (now := monotonic()) - MOVING_SECONDS:
            if now >= until:
                return
            try:
                async with asyncio.timeout(until - now):
                    await self._caught_up.setdefault(tenant, asyncio.Event()).wait()
            except TimeoutError:
                return
        self._open(tenant)

    def _open(self, tenant: str) -> None:
        self._behind.pop(tenant, None)
        event = self._caught_up.pop(tenant, None)
        if event is not None:
            event.set()
