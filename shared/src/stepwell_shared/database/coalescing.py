"""Look-ups that arrive together share one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar

Found = TypeVar("Found")

Batch: TypeAlias = dict[Hashable, list[asyncio.Future[Found | None]]]

# Of one group so many statements run at once; what arrives meanwhile goes with the next one, all of it together.
LANES = 2
# So many who come at once after a rest are those whom the last statement answered all together.
CROWD = 8


def next_share(waiting: int, last: int) -> int:
    """How many of those who wait go with the next statement, when the last one had so many; 0 after a rest.

    Those whom the last one answered come back while this one runs. With no more than half of them all in the database,
    the other half is worked on here, and neither waits for the other.
    """
    return min(waiting, (waiting + last + 1) // 2) if last else waiting


class Coalescer(Generic[Found]):
    """Collects keys per group (tenant and kind) and fetches them together: those of one turn of the loop, and under
    load those that came while the statements before them ran.
    """

    def __init__(
        self, fetch: Callable[[tuple[str, ...], Sequence[Any]], Awaitable[Mapping[Any, Found]]], *, lanes: int = LANES
    ) -> None:
        self._fetch = fetch
        self._lanes = lanes
        self._waiting: dict[tuple[str, ...], Batch[Found]] = {}
        self._running: dict[tuple[str, ...], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, group: tuple[str, ...], key: Hashable) -> asyncio.Future[Found | None]:
        """What the fetch found for the key, or None; an error of the fetch reaches everybody who waits for it."""
        batch = self._waiting.get(group)
        if batch is None:
            batch = self._waiting[group] = {}
            if self._running.get(group, 0) < self._lanes:
                self._start(group)
        future: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        batch.setdefault(key, []).append(future)
        return future

    def _start(self, group: tuple[str, ...]) -> None:
        self._running[group] = self._running.get(group, 0) + 1
        task = asyncio.create_task(self._run(group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, group: tuple[str, ...]) -> None:
        last = 0
        try:
            await asyncio.sleep(0)  # the other readers of this turn of the loop join first
            while (batch := self._take(group, last)) is not None:
                # Beside another lane that one is the other half.
                last = len(batch) if self._lanes == 1 else 0
                await self._answer(group, batch)
        finally:
            self._running[group] -= 1
            if not self._running[group]:
                del self._running[group]

    def _take(self, group: tuple[str, ...], last: int) -> Batch[Found] | None:
        """What the next statement looks up, if anything waits."""
        batch = self._waiting.pop(group, None)
        if batch is None or (share := self._share(len(batch), last)) == len(batch):
            return batch
        keys = iter(batch.items())
        first = dict(islice(keys, share))
        self._waiting[group] = dict(keys)
        return first

    def _share(self, waiting: int, last: int) -> int:
        if self._lanes == 1 and not last and waiting >= CROWD:
            return (waiting + 1) // 2  # or they would all be in the database, and all here, by turns for ever
        return next_share(waiting, last)

    async def _answer(self, group: tuple[str, ...], batch: Batch[Found]) -> None:
        try:
            found = await self._fetch(group, list(batch))
        except Exception as error:  # noqa: BLE001  whatever it was, somebody waits for the answer
            for future in _open(batch):
                future.set_exception(error)
            return
        for key, futures in batch.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(key))


def _open(batch: Batch[Found]) -> list[asyncio.Future[Found | None]]:
    """Those who still wait: a reader may have gone away."""
    return [future for futures in batch.values() for future in futures if not future.done()]
