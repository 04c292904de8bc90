"""Loops that run beside the requests for as long as the process is open."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import structlog

PAUSE_SECONDS = 1.0

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
