"""The line between two organisations: a TCP proxy that can be cut, slowed down, and made to break now and then."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 2048


@dataclass
class Cable:
    """Leads from `port` to `target_port` on loopback.

    `bytes_per_second` is shared by all connections and both ways. `break_after` is asked once for each connection, and
    says after how many bytes it breaks; None lets it be. `carried` is everything that went over it, both ways.
    """

    port: int
    target_port: int
    host: str = "127.0.0.1"
    inside: str = "127.0.0.1"
    listens: str = "127.0.0.1"
    within: Sequence[str] = ()
    is_cut: bool = False
    bytes_per_second: float | None = None
    break_after: Callable[[], int | None] = lambda: None
    connections: int = 0
    broken: int = 0
    carried: bytearray = field(default_factory=bytearray)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _free_at: float = 0.0

    def cut(self) -> None:
        """From now on nobody answers, and what was under way is lost."""
        self.is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        """The line is there again."""
        self.is_cut = False

    def crossed(self) -> bytes:
        """Everything that went over it so far, both ways."""
        return bytes(self.carried)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._writers |= ends
        left = [self.break_after()]
        try:
            await asyncio.gather(self._carry(reader, back, left), self._carry(there, writer, left))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int | None]) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._pace(len(chunk))
                if left[0] is not None:
                    left[0] -= len(chunk)
                    if left[0] <= 0:
                        self.broken += 1
                        break
                self.carried += chunk
                writer.write(chunk)
                await writer.drain()
            else:
                if writer.can_write_eof():
                    writer.write_eof()
                return
        for end in list(self._writers & {writer}):
            end.transport.abort()

    async def _pace(self, size_bytes: int) -> None:
        if self.bytes_per_second is None:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size_bytes / self.bytes_per_second
        await asyncio.sleep(self._free_at - now)


@asynccontextmanager
async def cable(port: int, target_port: int) -> AsyncIterator[Cable]:
    """The line while the context lasts."""
    line = Cable(port, target_port)
    server = await asyncio.start_server(line._serve, "127.0.0.1", port)
    try:
        yield line
    finally:
        line.cut()
        server.close()
        await server.wait_closed()
