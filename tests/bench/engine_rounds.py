"""The rounds of the engine's bench: all sides of an operation take turns, so that what slows the machine slows all."""

import asyncio
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.engine_stage import FLOOR, OPERATIONS, PRODUCT, SIDES, EngineStage
from tests.bench.engine_suite import YARDSTICKS
from tests.bench.facts import cpu_seconds, family_cpu_seconds, memory_mib
from tests.bench.goals import GOAL_CLIENTS
from tests.bench.load import Job, LoadProcess, Measured
from tests.bench.measuring import Rate, Side, percentile
from tests.bench.population import LARGE, SERVICE, SMALL

PROCESSORS = 2
"""For how many the goals are."""


@dataclass(frozen=True)
class EnginePace:
    """How long everything takes."""

    rounds: int
    seconds: float
    warm_up_seconds: float = 1.5
    clients: int = GOAL_CLIENTS

    @property
    def planned_seconds(self) -> float:
        rounds = len(OPERATIONS) * len(SIDES) * (self.warm_up_seconds + self.rounds * self.seconds)
        return rounds + 2 * self.seconds


@dataclass(frozen=True)
class Operation:
    """One operation on all sides. The ratios are medians over the rounds, each within its own round."""

    name: str
    sides: dict[str, Rate]
    of_floor: float
    of_floor_by_round: list[float]
    over: dict[str, float]
    """The yardsticks, by name."""
    of_floor_by_processor: float
    over_by_processor: dict[str, float]
    """What the processor times of both sides allow, see `Rate.possible_per_second`."""


@dataclass(frozen=True)
class Newest:
    """How long one client waits for a tenant's newest Observations, in milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Engine:
    """Everything that the bench of the engine found."""

    operations: list[Operation]
    newest: dict[str, Newest]
    """By tenant."""
    memory_mib: dict[str, float]
    """By service, after the load."""

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return asdict(self)


@dataclass
class EngineRounds:
    """Runs the jobs and tells `advance` how many seconds of the plan have passed."""

    stage: EngineStage
    load: LoadProcess
    pace: EnginePace
    advance: Callable[[str, float], None]

    async def run(self) -> Engine:
        """Everything, after a warm-up of which nothing counts."""
        for operation in OPERATIONS:
            for side in SIDES:
                await self._run("warming up", await self._job(side, operation, self.pace.warm_up_seconds))
        newest = {tenant: await self._newest(tenant) for tenant in (SMALL, LARGE)}
        operations = [await self._operation(name) for name in OPERATIONS]
        pids = self.stage.suite.processes.pid_of
        memory = {name: memory_mib(pids(name)) for name in self.stage.suite.started}
        return Engine(operations, newest, memory)

    async def _operation(self, name: str) -> Operation:
        sides = {side: Side() for side in SIDES}
        postgres = self.stage.suite.postgres.pid or 0
        for number in range(self.pace.rounds):
            turn = number % len(SIDES)
            for side in SIDES[turn:] + SIDES[:turn]:
                job = await self._job(side, name, self.pace.seconds)
                server = self._pid(side)
                before = cpu_seconds(server), family_cpu_seconds(postgres)
                measured = await self._run(f"{name}: {side}", job)
                sides[side].add(measured, cpu_seconds(server) - before[0], family_cpu_seconds(postgres) - before[1])
        rates = {side: [each.per_second for each in found.rounds] for side, found in sides.items()}
        of_floor = [a / b for a, b in zip(rates[PRODUCT], rates[FLOOR], strict=True)]
        over = {
            side: statistics.median(a / b for a, b in zip(rates[PRODUCT], rates[side], strict=True))
            for side in YARDSTICKS
        }
        found_rates = {side: found.rate() for side, found in sides.items()}
        possible = {side: rate.possible_per_second(PROCESSORS) for side, rate in found_rates.items()}
        return Operation(
            name=name,
            sides=found_rates,
            of_floor=statistics.median(of_floor),
            of_floor_by_round=of_floor,
            over=over,
            of_floor_by_processor=possible[PRODUCT] / possible[FLOOR],
            over_by_processor={side: possible[PRODUCT] / possible[side] for side in YARDSTICKS},
        )

    async def _newest(self, tenant: str) -> Newest:
        job = await self.stage.newest_first(tenant, self.pace.seconds)
        latencies = (await self._run(f"newest of {tenant}", job)).latencies_seconds
        return Newest(percentile(latencies, 0.50), percentile(latencies, 0.99))

    def _pid(self, side: str) -> int:
        """Of the server of a side; the floor has none, and 0 has spent nothing."""
        if side == FLOOR:
            return 0
        return self.stage.suite.processes.pid_of(side if side in YARDSTICKS else SERVICE)

    async def _job(self, side: str, operation: str, seconds: float) -> Job:
        return await self.stage.job(side, operation, self.pace.clients, seconds)

    async def _run(self, what: str, job: Job) -> Measured:
        self.advance(what, 0)
        measured = await asyncio.to_thread(self.load.run, job)
        self.advance(what, job.seconds)
        return measured
