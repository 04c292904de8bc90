"""Waiting for what another process does."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The condition's answer, awaited where it is a coroutine, once it is true; AssertionError after so long."""
    deadline = time.monotonic() + seconds
    while not (found := await _answer(condition)):
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)
    return found


async def _answer(condition: Callable[[], Any]) -> Any:
    found = condition()
    return await found if inspect.isawaitable(found) else found
