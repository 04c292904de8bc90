"""Look-ups that arrive in one turn of the event loop share one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Coalescer(Generic[Found]):
    """Collects keys per group (tenant and kind) and fetches them together, once per turn of the loop."""

    def __init__(self, fetch: Callable[[tuple[str, ...], Sequence[str]], Awaitable[Mapping[str, Found]]]) -> None:
        self._fetch = fetch
        self._batches: dict[tuple[str, ...], dict[str, asyncio.Future[Found | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, group: tuple[str, ...], key: str) -> Found | None:
        """What the fetch found for the key, or None; an error of the fetch reaches every waiting reader."""
        batch = self._batches.get(group)
        if batch is None:
            batch = self._batches[group] = {}
            task = asyncio.create_task(self._run(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future = batch.get(key)
        if future is None:
            future = batch[key] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(future)

    async def _run(self, group: tuple[str, ...]) -> None:
        await asyncio.sleep(0)  # the other readers of this turn of the loop join first
        batch = self._batches.pop(group)
        try:
            found = await self._fetch(group, list(batch))
        except Exception as error:  # noqa: BLE001  whatever it was, somebody waits for the answer
            for future in batch.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # a reader who went away must not leave a warning behind
            return
        for key, future in batch.items():
            if not future.done():
                future.set_result(found.get(key))
