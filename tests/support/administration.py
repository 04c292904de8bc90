"""A superuser's connection for making and dropping databases, which outlives the event loops of the tests."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

import asyncpg

Work = Callable[[asyncpg.Connection], Awaitable[None]]


class Administration:
    """One connection on a thread with a loop of its own: to connect for each statement would cost more than it does.

    Everything is done in the order in which it was asked for.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._later: list[Future[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="administration", daemon=True)
        self._thread.start()

    async def run(self, work: Work) -> None:
        """Returns when it is done."""
        await asyncio.wrap_future(self._begin(work))

    def run_later(self, work: Work) -> None:
        """Returns at once. An error in it is raised by a later call, or by `close`."""
        self._later.append(self._begin(work))
        while self._later and self._later[0].done():
            self._later.pop(0).result()

    def close(self) -> None:
        """Finishes what was begun, and hangs up."""
        try:
            for each in self._later:
                each.result()
            asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _begin(self, work: Work) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(self._in_turn(work), self._loop)

    async def _in_turn(self, work: Work) -> None:
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._url)
            await work(self._connection)

    async def _hang_up(self) -> None:
        if self._connection is not None:
            await self._connection.close()
