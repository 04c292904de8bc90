"""What authentication, tenancy and audit cost: the same requests at services that lack one of these locks, or all.

Nobody runs such services but this bench, on its own data and for its own minutes.
"""

import asyncio
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from stepwell_shared.cli.processes import Command, free_port

from tests.bench.engine_stage import FLOOR, MARKER, OPERATIONS, PRODUCT, EngineStage
from tests.bench.facts import cpu_seconds, family_cpu_seconds
from tests.bench.goals import GOAL_CLIENTS
from tests.bench.load import HttpJob, Job, LoadProcess
from tests.bench.measuring import Rate, Side
from tests.bench.population import LARGE, SERVICE

ROWS_LOCK, TOKEN_LOCK, AUDIT_LOCK = "row-level security", "token and scopes", "audit"
LOCKS = (TOKEN_LOCK, AUDIT_LOCK, ROWS_LOCK)
NONE = "all three"
"""The service without any of them."""
_TAKEN_OFF = {TOKEN_LOCK: "token", AUDIT_LOCK: "audit", ROWS_LOCK: "", NONE: "token,audit"}


@dataclass(frozen=True)
class Locked:
    """One operation with all locks, without each of them and without any; `of_floor` are ratios of rates."""

    name: str
    sides: dict[str, Rate]
    of_floor: dict[str, float]

    def cost(self, without: str) -> float:
        """The processor time that what is taken off costs a request, in microseconds; a small one can be noise."""
        whole, rest = self.sides[PRODUCT], self.sides[without]
        return whole.server_cpu + whole.postgres_cpu - rest.server_cpu - rest.postgres_cpu

    def share(self, without: str) -> float:
        """The same as a share of the whole."""
        whole = self.sides[PRODUCT]
        return self.cost(without) / (whole.server_cpu + whole.postgres_cpu)


@dataclass
class LockRounds:
    """Runs the rounds and tells `advance` how many seconds of the plan have passed."""

    stage: EngineStage
    load: LoadProcess
    rounds: int
    seconds: float
    advance: Callable[[str, float], None]

    @property
    def planned_seconds(self) -> float:
        sides = len(OPERATIONS) * (len(_TAKEN_OFF) + 2)
        return sides * (self.rounds + 0.5) * self.seconds

    async def run(self) -> list[Locked]:
        """Starts the services without locks beside the whole one, and measures all by turns."""
        processes = self.stage.suite.processes
        whole = next(each for each in processes.commands if each.name == SERVICE)
        ports = {PRODUCT: whole.port}
        for without in _TAKEN_OFF:
            command = self._command(without, whole)
            processes.commands = [*processes.commands, command]
            processes.start_one(command.name)
            processes.wait_until_ready(command.name)
            ports[without] = command.port
        return [await self._operation(name, ports) for name in OPERATIONS]

    def _command(self, without: str, whole: Command) -> Command:
        port = free_port()
        environment = {**whole.environment, "PYTHONPATH": "."}
        if without in {ROWS_LOCK, NONE}:
            environment["STEPWELL_DATABASE_URL"] = self.stage.suite.superuser_url(SERVICE)
        argv = [sys.executable, "-m", "tests.bench.unlocked", SERVICE, _TAKEN_OFF[without], str(port), LARGE]
        return Command(name=without, argv=argv, port=port, environment=environment)

    async def _operation(self, name: str, ports: Mapping[str, int]) -> Locked:
        sides = {side: Side() for side in (FLOOR, *ports)}
        postgres = self.stage.suite.postgres.pid or 0
        for side in sides:
            await self._run(name, side, await self._job(side, name, ports, self.seconds / 2))
        for _ in range(self.rounds):
            for side, found in sides.items():
                pid = self._pid(side)
                before = cpu_seconds(pid) if pid else 0.0, family_cpu_seconds(postgres)
                measured = await self._run(name, side, await self._job(side, name, ports, self.seconds))
                spent = (cpu_seconds(pid) if pid else 0.0) - before[0]
                found.add(measured, spent, family_cpu_seconds(postgres) - before[1])
        floors = [each.per_second for each in sides[FLOOR].rounds]
        of_floor = {
            side: statistics.median(each.per_second / floor for each, floor in zip(found.rounds, floors, strict=True))
            for side, found in sides.items()
        }
        return Locked(name, {side: found.rate() for side, found in sides.items()}, of_floor)

    def _pid(self, side: str) -> int:
        if side == FLOOR:
            return 0
        return self.stage.suite.processes.pid_of(SERVICE if side == PRODUCT else side)

    async def _job(self, side: str, operation: str, ports: Mapping[str, int], seconds: float) -> Job:
        job = await self.stage.job(FLOOR if side == FLOOR else PRODUCT, operation, GOAL_CLIENTS, seconds)
        if isinstance(job, HttpJob):
            return HttpJob(ports[side], job.request, MARKER, job.values, job.status, GOAL_CLIENTS, seconds)
        return job

    async def _run(self, name: str, side: str, job: Job) -> Any:
        self.advance(f"{name}: without {side}" if side in _TAKEN_OFF else f"{name}: {side}", 0)
        measured = await asyncio.to_thread(self.load.run, job)
        self.advance(name, job.seconds)
        return measured


def print_locks(console: Console, found: list[Locked]) -> None:
    """What each lock costs, and what the whole reaches of the floor with and without them."""
    title = "What the locks cost a request: microseconds of processor, and as a share of the whole"
    table = Table("operation", *LOCKS, NONE, "of floor", "without locks", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in found:
        costs = [f"{each.cost(lock):.0f} us = {each.share(lock):.0%}" for lock in (*LOCKS, NONE)]
        table.add_row(each.name, *costs, f"{each.of_floor[PRODUCT]:.2f}", f"{each.of_floor[NONE]:.2f}")
    console.print(table)


def as_json(found: list[Locked]) -> list[dict[str, Any]]:
    """For the file of results."""
    return [asdict(each) for each in found]
