"""The slow work around delivery: shows each subscription's status, removes what nobody needs, watches the age.

Every replica runs it; what two do at once is done once. It never removes an event that somebody is still owed. What
bounds the outbox: a subscriber outside that does not answer is owed nothing any more after some days or so many events
(it is switched off, and says why); a service of the deployment is owed everything, and its age is alerted on. Writes
are never refused for the sake of a subscriber.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import asyncpg

from stepwell_shared.database.pool import UNAVAILABLE_ERRORS, Database
from stepwell_shared.events.delivery import TenantList
from stepwell_shared.events.standing import Figures, Standing, backlogs, figures, standing
from stepwell_shared.fhir.outcome import FhirError

log = logging.getLogger(__name__)

# (tenant, subscription id, status, error) -> the resource says so
Show = Callable[[str, str, str, str], Awaitable[None]]

SECONDS_PER_DAY = 86_400.0
# A sweep removes at most this many of each topic and each subscription, so that no statement runs for long.
SWEEP_ROWS_MAX = 2_000
SHOWN_AT_ONCE_MAX = 4


@dataclass(frozen=True, slots=True)
class UpkeepPolicy:
    """How often each kind of work is done, and for how long things are kept."""

    poll_seconds: float = 5.0
    watch_seconds: float = 15.0
    sweep_seconds: float = 300.0
    retention_days: float = 14.0
    give_up_days: float = 45.0
    backlog_max: int = 1_000_000
    age_warning_seconds: float = 300.0


class Upkeep:
    """The upkeep of one service's events."""

    def __init__(
        self,
        database: Database,
        *,
        tenants: TenantList,
        show: Show,
        clock: Callable[[], datetime],
        policy: UpkeepPolicy | None = None,
    ) -> None:
        self.figures = Figures(0.0, 0, 0, 0)
        self.standings: Sequence[Standing] = ()
        self.backlogs: Mapping[tuple[str, str], int] = {}
        self.looked = clock()
        self.looked_at = monotonic()
        self._database = database
        self._tenants = tenants
        self._show = show
        self._clock = clock
        self._policy = policy or UpkeepPolicy()
        self._woken: set[str] = set()
        self._signal = asyncio.Event()

    def wake(self, tenant: str) -> None:
        """A subscription of this tenant was written, or has another status than before."""
        self._woken.add(tenant)
        self._signal.set()

    async def run(self) -> None:
        """Runs until it is cancelled; while the database is away it waits."""
        watch_at = monotonic()
        sweep_at = monotonic() + self._policy.sweep_seconds
        while True:
            woken = await self._wait()
            try:
                tenants = woken or await self._tenants()
                await self.show(tenants)
                if monotonic() >= watch_at:
                    watch_at = monotonic() + self._policy.watch_seconds
                    await self.watch(await self._tenants())
                if monotonic() >= sweep_at:
                    sweep_at = monotonic() + self._policy.sweep_seconds
                    await self.sweep(await self._tenants())
            except (*UNAVAILABLE_ERRORS, asyncpg.PostgresError, FhirError) as error:
                log.warning("upkeep of events waits: %s", type(error).__name__)
                self._woken.update(woken)

    async def _wait(self) -> Sequence[str]:
        """The tenants that were woken; nobody when the poll is due."""
        try:
            async with asyncio.timeout(self._policy.poll_seconds):
                await self._signal.wait()
        except TimeoutError:
            return ()
        self._signal.clear()
        woken, self._woken = sorted(self._woken), set()
        return woken

    async def show(self, tenants: Sequence[str]) -> None:
        """Brings Subscription resources in line with their delivery; one that cannot be written holds up no other."""
        rows = await self._database.fetch("SELECT * FROM outdated_subscriptions($1)", list(tenants))
        turns = asyncio.Semaphore(SHOWN_AT_ONCE_MAX)
        outcomes = await asyncio.gather(*(self._show_one(row, turns) for row in rows), return_exceptions=True)
        for error in outcomes:
            if error is not None:
                raise error

    async def _show_one(self, row: Any, turns: asyncio.Semaphore) -> None:
        async with turns:
            await self._show(row["tenant"], row["subscription_id"], row["status"], row["last_error"])
            await self._database.fetch(
                "SELECT subscription_shown($1, $2, $3)", row["tenant"], row["subscription_id"], row["status"]
            )

    async def watch(self, tenants: Sequence[str]) -> Figures:
        """Takes the numbers, and warns when events are owed for too long."""
        found = await standing(self._database, tenants)
        self.backlogs = await backlogs(self._database, tenants)
        self.standings, self.looked, self.looked_at = found, self._clock(), monotonic()
        self.figures = figures(found, self.looked)
        if self.figures.outbox_age_seconds > self._policy.age_warning_seconds:
            log.warning("the oldest event that was not delivered is %.0f s old", self.figures.outbox_age_seconds)
        return self.figures

    async def sweep(self, tenants: Sequence[str]) -> int:
        """Gives up subscribers that were silent for too long, removes what is old and delivered; how many rows."""
        keep_seconds = self._policy.retention_days * SECONDS_PER_DAY
        removed = 0
        for tenant in tenants:
            await self._give_up(tenant)
            for function in ("sweep_events", "sweep_received"):
                rows = await self._database.fetch(
                    f"SELECT {function}($1, $2, $3)", tenant, keep_seconds, SWEEP_ROWS_MAX
                )
                removed += rows[0][0]
        return removed

    async def _give_up(self, tenant: str) -> None:
        days, most = self._policy.give_up_days, self._policy.backlog_max
        for row in await self._database.fetch(
            "SELECT subscription_id FROM shed_subscriptions($1, $2, $3)",
            *(tenant, most, f"given up: no answer, and more than {most} events behind"),
        ):
            log.warning("subscription %s is off: no answer, %d events behind", row["subscription_id"], most)
        rows = await self._database.fetch(
            "SELECT subscription_id FROM give_up_subscriptions($1, $2, $3)",
            *(tenant, days * SECONDS_PER_DAY, f"given up: no answer for {days:g} days"),
        )
        for row in rows:
            log.warning("subscription %s is off: no answer for %g days", row["subscription_id"], days)
