"""What figures and traces cost a request: the same requests at a service that by turns is silent, tells as it does by
default, and records everything. Processor time of the one process, as it counts it itself (untold.py).
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table
from stepwell_shared.cli.processes import Command, free_port

from tests.bench.engine_stage import MARKER, OPERATIONS, PRODUCT, EngineStage
from tests.bench.goals import GOAL_CLIENTS, TELEMETRY_SHARE_MAX, limit_mark
from tests.bench.load import HttpJob, LoadProcess
from tests.bench.population import SERVICE
from tests.bench.untold import DEFAULT, EVERYTHING, SILENT
from tests.support.collector import Collector

WATCHED = "watched"
SIDES = 3
TOLD_SECONDS_MAX = 30.0
REQUESTS_OF_A_TURN_MIN = 5
# The one client that asks without a pause would have had a minute's share of the process before the end.
UNBOUNDED = {"STEPWELL_CLIENT_REQUESTS_PER_MINUTE": "1000000000"}


@dataclass(frozen=True)
class Told:
    """One operation: microseconds of processor time for a request in each way, medians over the turns, and how much of
    it telling adds to silence."""

    name: str
    costs: dict[str, float]
    shares: dict[str, float]


@dataclass
class TelemetryRounds:
    """Runs the rounds and tells `advance` how many seconds of the plan have passed."""

    stage: EngineStage
    load: LoadProcess
    rounds: int
    seconds: float
    advance: Callable[[str, float], None] = lambda _what, _seconds: None

    @property
    def planned_seconds(self) -> float:
        return len(OPERATIONS) * SIDES * (2 * self.rounds + 0.5) * self.seconds

    async def run(self) -> list[Told]:
        """Starts a service beside the usual one, with a collector, and measures it."""
        collector = Collector(keeps=False)
        try:
            with TemporaryDirectory(prefix="stepwell-") as folder:
                file = Path(folder) / "turns.json"
                port = self._start(collector.endpoint, file)
                return [await self._operation(name, port, file) for name in OPERATIONS]
        finally:
            collector.close()

    def _start(self, endpoint: str, file: Path) -> int:
        processes, port = self.stage.suite.processes, free_port()
        whole = next(each for each in processes.commands if each.name == SERVICE)
        command = Command(
            name=WATCHED,
            argv=[sys.executable, "-m", "tests.bench.untold", SERVICE, str(port), str(file)],
            port=port,
            environment={**whole.environment, **UNBOUNDED, "STEPWELL_TRACE_ENDPOINT": endpoint, "PYTHONPATH": "."},
        )
        processes.commands = [*processes.commands, command]
        processes.start_one(WATCHED)
        processes.wait_until_ready(WATCHED)
        return port

    async def _operation(self, name: str, port: int, file: Path) -> Told:
        await self._load(name, port, SIDES * self.seconds / 2)
        await asyncio.to_thread(self._told, file)
        for _ in range(self.rounds):
            await self._load(name, port, SIDES * 2 * self.seconds)
        turns = await asyncio.to_thread(self._told, file)
        costs = {
            side: median(1e6 * seconds / count for seconds, count in found if count >= REQUESTS_OF_A_TURN_MIN)
            for side, found in turns.items()
        }
        return Told(name, costs, {side: costs[side] / costs[SILENT] - 1 for side in (DEFAULT, EVERYTHING)})

    async def _load(self, operation: str, port: int, seconds: float) -> None:
        job = await self.stage.job(PRODUCT, operation, GOAL_CLIENTS, seconds)
        assert isinstance(job, HttpJob)
        job = HttpJob(port, job.request, MARKER, job.values, job.status, GOAL_CLIENTS, seconds)
        await asyncio.to_thread(self.load.run, job)
        self.advance(operation, seconds)

    def _told(self, file: Path) -> dict[str, list[tuple[float, int]]]:
        """What the turns took since this was asked last."""
        file.unlink(missing_ok=True)
        os.kill(self.stage.suite.processes.pid_of(WATCHED), signal.SIGUSR1)
        deadline = time.monotonic() + TOLD_SECONDS_MAX
        while not file.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("the service does not say what its turns took")
            time.sleep(0.01)
        found: dict[str, list[tuple[float, int]]] = json.loads(file.read_text(encoding="utf-8"))
        return found


def print_telemetry(console: Console, found: list[Told]) -> None:
    """What it costs, and whether that is little enough at the default."""
    title = "What figures and traces add to a request: processor time of the service"
    table = Table("operation", "silent", DEFAULT, EVERYTHING, "at most", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in found:
        costs = [f"{each.costs[side]:.1f} us = {each.shares[side]:+.1%}" for side in (DEFAULT, EVERYTHING)]
        mark = limit_mark(each.shares[DEFAULT], TELEMETRY_SHARE_MAX)
        table.add_row(each.name, f"{each.costs[SILENT]:.1f} us", *costs, f"{TELEMETRY_SHARE_MAX:.0%} {mark}")
    console.print(table)


def as_json(found: list[Told]) -> list[dict[str, Any]]:
    """For the file of results."""
    return [asdict(each) for each in found]
