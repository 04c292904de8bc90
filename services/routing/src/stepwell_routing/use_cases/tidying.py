"""What nobody needs any more is forgotten: comparisons of policies in shadow, marks of evidence that was decided on.

Every replica does so, now and again; rows that another one has at hand are left to it.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.background import DATABASE_AWAY
from stepwell_shared.runtime import Runtime

from stepwell_routing.data.course import shadows_kept
from stepwell_routing.shadow_decisions import forget_shadows
from stepwell_routing.timers import forget_settled

EVERY_SECONDS = 3600.0
FORGOTTEN_AT_ONCE = 1_000

log = structlog.get_logger("stepwell.course")


def tidying(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The loop of one process."""

    async def keep_tidy() -> None:
        while True:
            try:
                for tenant in await list_tenants(runtime.database):
                    await tidy(runtime, tenant)
            except DATABASE_AWAY as error:
                log.warning("tidying waits for the database", reason=type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)

    return [keep_tidy]


async def tidy(runtime: Runtime, tenant: str) -> int:
    """Forgets what is old enough, a part at a time; how many rows that were."""
    before = runtime.clock() - shadows_kept()
    shadows = await _all(lambda: forget_shadows(runtime.database, tenant, before, FORGOTTEN_AT_ONCE))
    return shadows + await _all(lambda: forget_settled(runtime.database, tenant, FORGOTTEN_AT_ONCE))


async def _all(forget: Callable[[], Awaitable[int]]) -> int:
    """Forgets part after part until one is not full."""
    forgotten = many = await forget()
    while many == FORGOTTEN_AT_ONCE:
        many = await forget()
        forgotten += many
    return forgotten
