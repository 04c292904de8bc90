"""What stands in front of a service's Pods in a cluster: a new connection goes to one that was ready when last asked.

As Kubernetes does, it asks `/readyz` and `/livez` now and then, by the probes of the manifests, and learns of a Pod
that goes by no other way. It repeats nothing: a connection that breaks, breaks for the client.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"
ASK = "GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Probe:
    """As a manifest has it: what is asked, how often, and how often in a row it must fail to count."""

    path: str
    period_seconds: float
    timeout_seconds: float
    failures: int

    @classmethod
    def of(cls, probe: Mapping[str, Any]) -> Self:
        """A probe of a container."""
        return cls(
            probe["httpGet"]["path"],
            probe.get("periodSeconds", 10),
            probe.get("timeoutSeconds", 1),
            probe.get("failureThreshold", 3),
        )

    async def passes(self, port: int) -> bool:
        """Whether the process on this port answers 200 in time."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                reader, writer = await asyncio.open_connection(HOST, port)
                writer.write(ASK.format(path=self.path).encode())
                line = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return b" 200 " in line


@dataclass
class Balancer:
    """Listens on `port` of loopback. An asynchronous context manager."""

    port: int
    ready: Probe
    live: Probe
    is_ready: dict[int, bool] = field(default_factory=dict)
    """The ports behind it."""
    would_be_killed: list[int] = field(default_factory=list)
    """Ports whose process was taken for dead."""
    _turn: int = 0
    _asking: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [*self._asking.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def add(self, port: int) -> None:
        """A process is starting; returns when it gets connections."""
        self.is_ready[port] = False
        self._asking[port] = asyncio.create_task(self._ask(port))
        async with asyncio.timeout(120):
            while not self.is_ready[port]:  # noqa: ASYNC110  it is the probe's own pace
                await asyncio.sleep(0.05)

    async def remove(self, port: int) -> None:
        """The process is gone."""
        task = self._asking.pop(port)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del self.is_ready[port]

    async def _ask(self, port: int) -> None:
        await asyncio.gather(self._ask_whether_ready(port), self._ask_whether_alive(port))

    async def _ask_whether_ready(self, port: int) -> None:
        failed = 0
        while True:
            passes = await self.ready.passes(port)
            failed = 0 if passes else failed + 1
            if passes or failed >= self.ready.failures:
                self.is_ready[port] = passes
            await asyncio.sleep(self.ready.period_seconds if self.is_ready[port] else 0.2)

    async def _ask_whether_alive(self, port: int) -> None:
        failed = 0
        while True:
            failed = 0 if not self.is_ready[port] or await self.live.passes(port) else failed + 1
            if failed >= self.live.failures:
                self.would_be_killed.append(port)
            await asyncio.sleep(self.live.period_seconds)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports = sorted(port for port, is_ready in self.is_ready.items() if is_ready)
        if not ports:
            writer.close()
            return
        self._turn += 1
        try:
            pod_reader, pod_writer = await asyncio.open_connection(HOST, ports[self._turn % len(ports)])
        except OSError:
            writer.close()
            return
        for task in (_pass_on(reader, pod_writer), _pass_on(pod_reader, writer)):
            running = asyncio.create_task(task)
            self._tasks.add(running)
            running.add_done_callback(self._tasks.discard)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything, until one side ends; then the other is told."""
    with suppress(OSError):
        try:
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()
