"""Interleaved rounds: floor and product take turns, so that what slows the machine down slows both."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.facts import cpu_seconds
from tests.bench.load import Job, LoadProcess, Measured
from tests.bench.stage import Stage

CLIENT_CPU_SHARE_MAX = 0.8
"""A load generator that is busier than this on its core may be what is measured."""


@dataclass(frozen=True)
class Pace:
    """How long everything takes."""

    rounds: int
    seconds: float
    chain_seconds: float
    idle_responses: int
    clients: tuple[int, ...]
    clients_of_reads: tuple[int, ...]


@dataclass(frozen=True)
class Rate:
    """Medians over the rounds of one side; milliseconds for latencies."""

    per_second: float
    p50: float
    p99: float
    client_cpu_share: float
    server_cpu_microseconds: float = 0.0
    """Of the service's process, for each request."""


@dataclass(frozen=True)
class Comparison:
    """An operation at so many clients beside its floor."""

    operation: str
    clients: int
    floor: Rate
    product: Rate

    @property
    def ratio(self) -> float:
        return self.product.per_second / self.floor.per_second

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {**asdict(self), "ratio": self.ratio}


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
    """Of each service's process, for each response."""

    @property
    def ratio(self) -> float:
        return self.sustained_per_second / self.floor.per_second

    @property
    def accepted_ratio(self) -> float:
        return self.accepted.per_second / self.floor.per_second

    @property
    def pace(self) -> float:
        """1 when what follows is done as soon as responses are accepted."""
        return self.sustained_per_second / self.accepted.per_second

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {**asdict(self), "ratio": self.ratio, "accepted_ratio": self.accepted_ratio, "pace": self.pace}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies, in milliseconds; 0 without values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0


@dataclass
class Rounds:
    """Runs the jobs and tells `advance` how many seconds of the plan have passed."""

    stage: Stage
    load: LoadProcess
    pace: Pace
    advance: Callable[[str, float], None]

    async def compare(
        self,
        operation: str,
        clients: int,
        floor: Callable[[int, float], Job],
        product: Callable[[int, float], Awaitable[Job]],
    ) -> Comparison:
        """Medians of the rounds of an operation of measurement and of its floor."""
        floors, products, spent = [], [], []
        pid = self.stage.suite.processes.pid_of("measurement")
        for _ in range(self.pace.rounds):
            floors.append(await self._run(operation, floor(clients, self.pace.seconds), self.pace.seconds))
            job = await product(clients, self.pace.seconds)
            before = cpu_seconds(pid)
            products.append(await self._run(operation, job, self.pace.seconds))
            spent.append((cpu_seconds(pid) - before) / products[-1].count)
        return Comparison(operation, clients, _rate(floors), _rate(products, spent))

    async def warm_up(self) -> None:
        """Processes that have just started are slow; nothing of this counts."""
        seconds = 0.5
        stage = self.stage
        for job in (
            stage.write_floor(stage.observation_floor, 16, seconds),
            await stage.create(16, seconds),
            await stage.read(16, seconds),
            await stage.search(16, seconds),
        ):
            await self._run("warm-up", job, seconds)
        warm = await stage.chain(4, 1.0, responses_max=50)
        stage.use_patients((await self._run("warm-up", warm, 1.0)).count)

    async def chain(self, clients: int) -> Chain:
        """The main job, idle and under load."""
        stage, seconds = self.stage, self.pace.chain_seconds
        idle = await self._run("idle", await stage.chain(1, 60, responses_max=self.pace.idle_responses), 3)
        stage.use_patients(idle.count)
        floors, loads, sustained, cpu = [], [], [], []
        services = dict.fromkeys(stage.chain_rows, 0.0)
        for _ in range(self.pace.rounds):
            floors.append(
                await self._run("main job", stage.write_floor(stage.chain_floor, clients, seconds / 2), seconds / 2)
            )
            before = {name: cpu_seconds(stage.suite.processes.pid_of(name)) for name in services}
            load = await self._run("main job", await stage.chain(clients, seconds), seconds)
            await stage.settle()
            cpu.append(
                {
                    name: (cpu_seconds(stage.suite.processes.pid_of(name)) - before[name]) / load.count
                    for name in services
                }
            )
            stage.use_patients(load.count)
            loads.append(load)
            sustained.append(load.count / max(load.seconds, await stage.last_write_at() - load.started_at))
        return Chain(
            clients=clients,
            floor=_rate(floors),
            accepted=_rate(loads),
            sustained_per_second=statistics.median(sustained),
            routed_in_time=statistics.median(each.done_in_time / each.count for each in loads),
            idle_p50=percentile(idle.done_seconds, 0.50),
            idle_p99=percentile(idle.done_seconds, 0.99),
            loaded_p50=statistics.median(percentile(each.done_seconds, 0.50) for each in loads),
            loaded_p99=statistics.median(percentile(each.done_seconds, 0.99) for each in loads),
            missing=sum(each.count - len(each.done_seconds) for each in (idle, *loads)),
            cpu_microseconds={name: statistics.median(each[name] for each in cpu) * 1e6 for name in services},
        )

    async def _run(self, what: str, job: Job, seconds: float) -> Measured:
        measured = await asyncio.to_thread(self.load.run, job)
        self.advance(what, seconds)
        return measured


def _rate(rounds: Sequence[Measured], cpu_per_request: Sequence[float] = (0.0,)) -> Rate:
    return Rate(
        per_second=statistics.median(each.per_second for each in rounds),
        p50=statistics.median(percentile(each.latencies_seconds, 0.50) for each in rounds),
        p99=statistics.median(percentile(each.latencies_seconds, 0.99) for each in rounds),
        client_cpu_share=statistics.median(each.client_cpu_seconds / each.seconds for each in rounds),
        server_cpu_microseconds=statistics.median(cpu_per_request) * 1e6,
    )
