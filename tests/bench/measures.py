"""`BENCH=measures`: figures over a million people, and a new score among their eight million Observations.

The people are a synthetic region that is copied in once and kept under `.stepwell/bench-measures` (25 GB;
BENCH_PEOPLE=20000 needs little). A missed goal is printed, never fatal.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import combinations
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table
from stepwell_measurement.care_tables import COUNTED
from stepwell_measurement.data.measures import measures
from stepwell_measurement.use_cases.counting import rows_of
from stepwell_measurement.use_cases.evaluating import Question, evaluate
from stepwell_shared.cli.demo.numbers import numbers
from stepwell_shared.runtime import Runtime

from tests.bench.facts import cpu_seconds, family_cpu_seconds
from tests.bench.goals import P99_MILLISECONDS_MAX, limit_mark
from tests.bench.load import LoadProcess, SqlJob
from tests.bench.measures_stage import CLIENTS, alone, in_process, people_of, score_floor, score_job
from tests.bench.measures_tiles import Tiles, tiles
from tests.bench.measuring import Rate, Side, percentile
from tests.bench.population import LARGE, SERVICE
from tests.bench.population_load import WHOLE
from tests.bench.suite import BenchSuite

YEAR = timedelta(days=365)
MEASURE_SECONDS_MAX, TILE_MILLISECONDS_MAX = 2.0, 50.0
PAIRS_EACH = 6
SAMPLED = 200
SCORES_A_ROUND = 40_000

Advance = Callable[[str, float], None]


@dataclass(frozen=True)
class Counted:
    """How long one Measure takes with two strata, in seconds."""

    measure: str
    p50: float
    p95: float
    groups: int


@dataclass(frozen=True)
class Scores:
    """New scores at so many clients: until they are committed with all that follows, and the floor of the same run."""

    product: Rate
    floor: Rate
    of_floor: float
    rows: int


@dataclass(frozen=True)
class Found:
    """What the bench found."""

    observations: int
    scores: Scores | None
    counted: list[Counted]
    tiles: Tiles
    recounted: int
    differing: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class MeasureRounds:
    """Measures everything; `people` are in the database, the first WHOLE of them with all their facts."""

    suite: BenchSuite
    load: LoadProcess
    people: int
    rounds: int
    seconds: float
    advance: Advance

    async def run(self) -> Found:
        """Everything, one after the other."""
        scores = await self.scores()
        with alone(self.suite):
            async with in_process(self.suite) as runtime:
                counted = [await self._counted(runtime, name) for name in measures()]
                recounted, differing = await self._recount(runtime)
        seen = await tiles(self.suite)
        return Found(await self._observations(), scores, counted, seen, recounted, differing)

    async def scores(self) -> Scores:
        """Floor and product take turns."""
        floor = await score_floor(self.suite, self.load)
        url = self.suite.superuser_url(SERVICE)
        warm = await score_job(self.suite, LARGE, people_of(self.people, SCORES_A_ROUND // 10), 2.0)
        jobs = [
            await score_job(self.suite, LARGE, people_of(self.people, SCORES_A_ROUND), self.seconds)
            for _ in range(self.rounds)
        ]
        floors, products = Side(), Side()
        with alone(self.suite):
            await asyncio.to_thread(self.load.run, warm)
            for job in jobs:
                sql = SqlJob(url, floor.statement, replace(floor), CLIENTS, self.seconds / 2)
                floors.add(await asyncio.to_thread(self.load.run, sql))
                before = self._spent()
                measured = await asyncio.to_thread(self.load.run, replace(job, once=True))
                server, postgres = (now - then for now, then in zip(self._spent(), before, strict=True))
                products.add(measured, server, postgres)
                self.advance("new scores", 1.5 * self.seconds)
        ours, least = products.rate(), floors.rate()
        return Scores(ours, least, ours.per_second / least.per_second, floor.rows_count)

    def _spent(self) -> tuple[float, float]:
        """Processor seconds so far of measurement's process, and of PostgreSQL."""
        return cpu_seconds(self.suite.processes.pid_of(SERVICE)), family_cpu_seconds(self.suite.postgres.pid or 0)

    async def _counted(self, runtime: Runtime, name: str) -> Counted:
        """One Measure with pairs of strata, over the last year of the region."""
        end = numbers().last_day
        dimensions = measures()[name].dimensions
        pairs = list(combinations(dimensions, 2))
        chosen = pairs[:: max(1, len(pairs) // PAIRS_EACH)][:PAIRS_EACH]
        taken, groups = [], 0
        for pair in chosen:
            began = time.perf_counter()
            found = await evaluate(runtime, LARGE, Question(name, end - YEAR, end, strata=pair))
            taken.append(time.perf_counter() - began)
            groups = max(groups, len(found.rows))
        self.advance(f"measure {name}", sum(taken))
        return Counted(name, percentile(taken, 0.5) / 1000, percentile(taken, 0.95) / 1000, groups)

    async def _recount(self, runtime: Runtime) -> tuple[int, int]:
        """For how many people what is counted was made anew from everything stored, and for how many it differs."""
        keys = [f"Patient/{each}" for each in people_of(min(self.people, WHOLE), SAMPLED)]
        made = await rows_of(runtime, LARGE, keys)
        differing = 0
        async with runtime.database.transaction(LARGE) as connection:
            for key in keys:
                for table in COUNTED:
                    stored = await connection.fetch(f"SELECT * FROM {table} WHERE person = $1", key)
                    kept = sorted(repr(tuple(row)[2:]) for row in stored)
                    differing += kept != sorted(repr(tuple(row)) for row in getattr(made[key], table))
        return len(keys), differing

    async def _observations(self) -> int:
        connection = await asyncpg.connect(self.suite.superuser_url(SERVICE))
        try:
            text = "SELECT reltuples::bigint FROM pg_class WHERE relname = 'fhir_observation'"
            return int(await connection.fetchval(text))
        finally:
            await connection.close()


def print_measures(console: Console, found: Found) -> None:
    """Prints everything; a missed goal is printed as such."""
    table = Table("measure", "p50 s", "p95 s", "groups", f"p95 < {MEASURE_SECONDS_MAX:g} s")
    for each in found.counted:
        mark = limit_mark(each.p95, MEASURE_SECONDS_MAX)
        table.add_row(each.measure, f"{each.p50:.2f}", f"{each.p95:.2f}", f"{each.groups:,}", mark)
    console.print(table)
    for when, views in (("nothing else runs", found.tiles.alone), ("figures are made", found.tiles.meanwhile)):
        console.print(
            f"  dashboard while {when}: p50 {views.p50:.1f} ms, p99 {views.p99:.1f} ms,"
            f" {limit_mark(views.p99, TILE_MILLISECONDS_MAX)}; the longest of {views.many:,} {views.longest:,.0f} ms"
        )
    console.print(
        f"  figures of all dashboards made in {found.tiles.made_seconds:,.0f} s,"
        f" {found.tiles.made_cpu_seconds:,.0f} s of processor in the process that answers"
    )
    console.print(
        f"  counted anew from all that is stored: {found.recounted} people, {found.differing} tables of them differ"
    )
    if found.scores is not None:
        ours, least = found.scores.product, found.scores.floor
        console.print(
            f"  new score among {found.observations:,} Observations, {CLIENTS} clients: p50 {ours.p50:.1f} ms,"
            f" p99 {ours.p99:.1f} ms, {limit_mark(ours.p99, P99_MILLISECONDS_MAX)}; {ours.per_second:,.0f} a second,"
            f" {found.scores.of_floor:.2f} of the floor of {least.per_second:,.0f} ({found.scores.rows} rows;"
            f" p99 {least.p99:.1f} ms); {ours.server_cpu:,.0f} us of the process and {ours.postgres_cpu:,.0f} of"
            " PostgreSQL for each"
        )
