"""The rounds of the main job, interleaved: floor and product take turns, so that what slows one slows both."""

import asyncio
import os
import signal
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.facts import cpu_seconds, family_cpu_seconds
from tests.bench.job_stage import JobStage
from tests.bench.load import Job, LoadProcess, Measured
from tests.bench.measuring import Rate, Side, percentile

WARM_UP_SECONDS = 3.0
IDLE_SECONDS = 3.0


@dataclass(frozen=True)
class JobPace:
    """How long everything takes."""

    rounds: int
    seconds: float
    idle_responses: int

    @property
    def planned_seconds(self) -> float:
        return WARM_UP_SECONDS + IDLE_SECONDS + self.rounds * 2 * self.seconds


@dataclass(frozen=True)
class Chain:
    """The main job: responses in, ServiceRequests out, over all four databases."""

    clients: int
    floor: Rate
    accepted: Rate
    sustained_per_second: float
    """Responses divided by the time until the last resource that follows from them was stored in any service."""
    routed_in_time: float
    """Share of the responses that had their ServiceRequest when the load ended."""
    idle_p50: float
    idle_p99: float
    loaded_p50: float
    loaded_p99: float
    missing: int
    """Responses without a ServiceRequest half a minute after the load."""
    cpu_microseconds: dict[str, float]
    """Of each service's process and of PostgreSQL, for each response."""
    alone: Rate
    """Responses that screening accepts while the other three are stopped: validated, scored, stored, announced."""

    @property
    def ratio(self) -> float:
        return self.sustained_per_second / self.floor.per_second

    @property
    def accepted_ratio(self) -> float:
        return self.accepted.per_second / self.floor.per_second

    @property
    def alone_ratio(self) -> float:
        return self.alone.per_second / self.floor.per_second

    @property
    def pace(self) -> float:
        """1 when what follows is done as soon as responses are accepted."""
        return self.sustained_per_second / self.accepted.per_second

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        ratios = {"ratio": self.ratio, "accepted_ratio": self.accepted_ratio, "alone_ratio": self.alone_ratio}
        return {**asdict(self), **ratios, "pace": self.pace}


@dataclass
class JobRounds:
    """Runs the jobs and tells `advance` how many seconds of the plan have passed."""

    stage: JobStage
    load: LoadProcess
    pace: JobPace
    advance: Callable[[str, float], None]

    async def warm_up(self) -> None:
        """Processes that have just started are slow; nothing of this counts."""
        stage = self.stage
        await self._run("warming up", stage.floor(16, 0.5), 0.5)
        warm = await stage.chain(4, 1.0, responses_max=50)
        stage.use_patients((await self._run("warming up", warm, 2.5)).count)

    async def chain(self, clients: int) -> Chain:
        """The main job, idle and under load."""
        stage, seconds = self.stage, self.pace.seconds
        idle = await self._run("main job: idle", await stage.chain(1, 60, responses_max=self.pace.idle_responses), 3)
        stage.use_patients(idle.count)
        floors, loads = Side(), Side()
        sustained: list[float] = []
        cpu: list[dict[str, float]] = []
        for _ in range(self.pace.rounds):
            floors.add(await self._run("main job: floor", stage.floor(clients, seconds / 2), seconds / 2))
            before = self._cpu_seconds()
            load = await self._run("main job: product", await stage.chain(clients, seconds), seconds)
            await stage.settle()
            cpu.append({name: (spent - before[name]) / load.count for name, spent in self._cpu_seconds().items()})
            stage.use_patients(load.count)
            loads.add(load)
            sustained.append(load.count / max(load.seconds, await stage.last_write_at() - load.started_at))
        return Chain(
            clients=clients,
            floor=floors.rate(),
            accepted=loads.rate(),
            sustained_per_second=statistics.median(sustained),
            routed_in_time=statistics.median(each.done_in_time / each.count for each in loads.rounds),
            idle_p50=percentile(idle.done_seconds, 0.50),
            idle_p99=percentile(idle.done_seconds, 0.99),
            loaded_p50=statistics.median(percentile(each.done_seconds, 0.50) for each in loads.rounds),
            loaded_p99=statistics.median(percentile(each.done_seconds, 0.99) for each in loads.rounds),
            missing=sum(each.count - len(each.done_seconds) for each in (idle, *loads.rounds)),
            alone=await self._alone(clients),
            cpu_microseconds={name: statistics.median(each[name] for each in cpu) * 1e6 for name in cpu[0]},
        )

    async def _alone(self, clients: int) -> Rate:
        """What screening takes by itself; the other services are stopped meanwhile, and get everything afterwards."""
        stage, seconds = self.stage, self.pace.seconds
        others = [self.stage.suite.processes.pid_of(name) for name in stage.chain_rows if name != "screening"]
        side = Side()
        for _ in range(self.pace.rounds):
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            try:
                load = await self._run("screening alone", await stage.chain(clients, seconds / 2), seconds / 2)
            finally:
                for pid in others:
                    os.kill(pid, signal.SIGCONT)
            stage.use_patients(load.count)
            side.add(load)
            await stage.settle()
        return side.rate()

    def _cpu_seconds(self) -> dict[str, float]:
        """What every part has spent so far."""
        suite = self.stage.suite
        spent = {name: cpu_seconds(suite.processes.pid_of(name)) for name in self.stage.chain_rows}
        return {**spent, "PostgreSQL": family_cpu_seconds(suite.postgres.pid or 0)}

    async def _run(self, what: str, job: Job, seconds: float) -> Measured:
        measured = await asyncio.to_thread(self.load.run, job)
        self.advance(what, seconds)
        return measured
