"""What figures and traces cost a request: the same requests at a service that is silent, one that tells as it does by
default, and one that records everything. Processor time of the service, by turns in one run.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from stepwell_shared.cli.processes import Command, free_port

from tests.bench.engine_stage import MARKER, OPERATIONS, PRODUCT, EngineStage
from tests.bench.facts import cpu_seconds
from tests.bench.goals import GOAL_CLIENTS, TELEMETRY_SHARE_MAX, limit_mark
from tests.bench.load import HttpJob, LoadProcess
from tests.bench.measuring import Rate, Side
from tests.bench.population import SERVICE
from tests.bench.untold import SILENT, TELLING
from tests.support.collector import Collector

DEFAULT, EVERYTHING = "1 in 100 recorded", "all recorded"
_RATIOS = {DEFAULT: "0.01", EVERYTHING: "1"}
SIDES = (SILENT, DEFAULT, EVERYTHING)
TURNS = 8
"""Into so many short turns each round is cut: what is looked for is smaller than what a machine changes in seconds."""


@dataclass(frozen=True)
class Told:
    """One operation on every side; `shares` are what telling adds to the processor time of the silent service."""

    name: str
    sides: dict[str, Rate]
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
        return len(OPERATIONS) * len(SIDES) * (2 * self.rounds + 0.5) * self.seconds

    async def run(self) -> list[Told]:
        """Starts the three services beside the usual one, with a collector, and measures all by turns."""
        collector = Collector(keeps=False)
        try:
            ports = {side: self._start(side, collector.endpoint) for side in SIDES}
            return [await self._operation(name, ports) for name in OPERATIONS]
        finally:
            collector.close()

    def _start(self, side: str, endpoint: str) -> int:
        processes, port = self.stage.suite.processes, free_port()
        whole = next(each for each in processes.commands if each.name == SERVICE)
        how = SILENT if side == SILENT else TELLING
        traces = {"STEPWELL_TRACE_ENDPOINT": endpoint, "STEPWELL_TRACE_RATIO": _RATIOS.get(side, "0")}
        command = Command(
            name=side,
            argv=[sys.executable, "-m", "tests.bench.untold", SERVICE, str(port), how],
            port=port,
            environment={**whole.environment, **({} if side == SILENT else traces), "PYTHONPATH": "."},
        )
        processes.commands = [*processes.commands, command]
        processes.start_one(side)
        processes.wait_until_ready(side)
        return port

    async def _operation(self, name: str, ports: Mapping[str, int]) -> Told:
        sides = {side: Side() for side in ports}
        for side in sides:
            await self._run(name, side, await self._job(name, ports[side], self.seconds / 2))
        for turn in range(self.rounds * TURNS):
            for side in SIDES if turn % 2 == 0 else SIDES[::-1]:
                pid = self.stage.suite.processes.pid_of(side)
                before = cpu_seconds(pid)
                measured = await self._run(name, side, await self._job(name, ports[side], 2 * self.seconds / TURNS))
                sides[side].add(measured, cpu_seconds(pid) - before)
        return Told(name, {side: found.rate() for side, found in sides.items()}, _shares(sides))

    async def _job(self, operation: str, port: int, seconds: float) -> HttpJob:
        job = await self.stage.job(PRODUCT, operation, GOAL_CLIENTS, seconds)
        assert isinstance(job, HttpJob)
        return HttpJob(port, job.request, MARKER, job.values, job.status, GOAL_CLIENTS, seconds)

    async def _run(self, name: str, side: str, job: HttpJob) -> Any:
        measured = await asyncio.to_thread(self.load.run, job)
        self.advance(f"{name}: {side}", job.seconds)
        return measured


def _shares(sides: Mapping[str, Side]) -> dict[str, float]:
    """How much more processor time a request took than at the silent service, over all turns together."""
    spent = {
        side: sum(found.server_seconds) / max(1, sum(each.count for each in found.rounds))
        for side, found in sides.items()
    }
    return {side: seconds / spent[SILENT] - 1 for side, seconds in spent.items() if side != SILENT}


def print_telemetry(console: Console, found: list[Told]) -> None:
    """What it costs, and whether that is little enough at the default."""
    title = "What figures and traces add to a request: processor time of the service"
    table = Table("operation", "silent", DEFAULT, EVERYTHING, "at most", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in found:
        costs = [f"{each.sides[side].server_cpu:.0f} us = {each.shares[side]:+.1%}" for side in (DEFAULT, EVERYTHING)]
        mark = limit_mark(each.shares[DEFAULT], TELEMETRY_SHARE_MAX)
        table.add_row(each.name, f"{each.sides[SILENT].server_cpu:.0f} us", *costs, f"{TELEMETRY_SHARE_MAX:.0%} {mark}")
    console.print(table)


def as_json(found: list[Told]) -> list[dict[str, Any]]:
    """For the file of results."""
    return [asdict(each) for each in found]
