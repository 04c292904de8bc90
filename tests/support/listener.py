"""An HTTP endpoint that takes notifications and remembers them, as an EHR would."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Listener:
    """`bodies` are what was posted so far, in order, `paths` where to; `answer` gives the status for a body."""

    port: int
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answer: Callable[[bytes], int] = lambda body: 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/notifications"


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[Listener]:
    """A listener on this port while the context lasts."""
    listener = Listener(port)
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        while head := await _head(reader):
            length = next(
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            try:
                body = await reader.readexactly(length)
            except asyncio.IncompleteReadError:
                break
            listener.bodies.append(body)
            listener.paths.append(head.split(b" ")[1].decode())
            writer.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % listener.answer(body))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield listener
    finally:
        server.close()
        for writer in connections:
            writer.close()
        for writer in connections:
            await writer.wait_closed()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
