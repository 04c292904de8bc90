"""Loops that run beside the requests for as long as the process is open."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress

import asyncpg
import structlog

from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

PAUSE_SECONDS = 1.0
POLL_SECONDS = 1.0
DATABASE_AWAY = (*UNAVAILABLE_ERRORS, asyncpg.PostgresError, FhirError)

log = structlog.get_logger("stepwell.app")


async def run_while_open(run: Callable[[], Awaitable[None]], stack: AsyncExitStack) -> None:
    """Runs a loop beside the requests, and again after a defect in it, until the process stops."""

    async def keep_running() -> None:
        while True:
            try:
                await run()
            except Exception:
                log.exception("a background loop failed and starts again")
                await asyncio.sleep(PAUSE_SECONDS)

    task = asyncio.create_task(keep_running())

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)


async def poll(runtime: Runtime, look: Callable[[Sequence[str]], Awaitable[None]], what: str) -> None:
    """Looks after all tenants for what is due, again and again, until it is cancelled; while the database is away it
    waits, and `what` waits is said in the log."""
    while True:
        try:
            await look(await list_tenants(runtime.database))
        except DATABASE_AWAY as error:
            log.warning("timers wait for the database", timers=what, reason=type(error).__name__)
        await asyncio.sleep(POLL_SECONDS)
