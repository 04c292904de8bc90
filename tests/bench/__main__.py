"""`make bench`: what Stepwell does in a second, as ratios to what PostgreSQL alone can do on the same machine.

`BENCH=engine` measures create, read and search on a loaded database, `BENCH=locks` what authentication, tenancy and
audit cost of it, `BENCH=telemetry` what figures and traces cost, `BENCH=job` the way of a response through all four
services, `BENCH=events` what an event costs; `BENCH=all` is all of these. `BENCH=measures` counts a million people and
has to be asked for: it loads 25 GB. A missed goal is printed, never fatal.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.processes import signals_as_interrupts

from tests.bench import events, locks, telemetry
from tests.bench.engine_report import print_engine
from tests.bench.engine_rounds import EnginePace, EngineRounds
from tests.bench.engine_stage import engine_staged
from tests.bench.engine_suite import FOLDER, LoadedSuite, loaded_suite
from tests.bench.facts import disturbance, machine_facts, processors
from tests.bench.goals import GOAL_CLIENTS
from tests.bench.job_report import print_job
from tests.bench.job_rounds import JobPace, JobRounds
from tests.bench.job_stage import job_staged
from tests.bench.load import LoadProcess
from tests.bench.loading import Advance
from tests.bench.measures import MeasureRounds, print_measures
from tests.bench.measures_stage import FOLDER as REGION_FOLDER
from tests.bench.measures_stage import measures_suite
from tests.bench.population import Population
from tests.bench.suite import BenchSuite, running_suite

RESULTS = Path("build/bench.json")
PARTS = ("engine", "locks", "telemetry", "job", "events")
MEASURES = "measures"
ROWS, PEOPLE = 1_000_000, 1_000_000
PATIENTS_OF_JOB = 24_000
JOB_PACE = JobPace(2, 8.0, 200)
WIDTH_IN_FILES = 120

Results = dict[str, Any]


def main() -> int:
    """Runs what was asked for and prints it; 1 only when something did not work at all."""
    wanted = _arguments()
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_IN_FILES)
    parts = PARTS if wanted.part == "all" else (wanted.part,)
    pace = EnginePace(wanted.rounds, wanted.seconds)
    try:
        with signals_as_interrupts():
            if "engine" in parts:
                keep(wanted.results, engine(console, Population(wanted.rows), pace, wanted.folder, wanted.results))
            if "locks" in parts:
                keep(wanted.results, locked(console, Population(wanted.rows), pace, wanted.folder))
            if "telemetry" in parts:
                keep(wanted.results, told(console, Population(wanted.rows), pace, wanted.folder))
            if "job" in parts:
                keep(wanted.results, job(console))
            if "events" in parts:
                console.rule("[bold]Events[/bold]", align="left")
                events.main()
            if MEASURES in parts:
                keep(wanted.results, measured(console, wanted.people, pace))
    except (SetupError, RuntimeError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure against the PostgreSQL floor.")
    default = os.environ.get("BENCH") or "all"
    parser.add_argument(
        "part", nargs="?", choices=[*PARTS, MEASURES, "all"], default=default, help="BENCH says the same"
    )
    rows = int(os.environ.get("BENCH_ROWS") or ROWS)
    parser.add_argument("--rows", type=int, default=rows, help="Observations in the database; BENCH_ROWS says the same")
    people = int(os.environ.get("BENCH_PEOPLE") or PEOPLE)
    parser.add_argument("--people", type=int, default=people, help="of the measures; BENCH_PEOPLE says the same")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each side is measured in a round")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the loaded database is kept")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def engine(console: Console, population: Population, pace: EnginePace, folder: Path, results: Path) -> Results:
    """Create, read and search on a loaded database; what is to be kept of it."""
    console.rule(f"[bold]The engine on {population.observations:,} Observations[/bold]", align="left")
    with LoadProcess() as load, _loading_bar(console) as advance, loaded_suite(folder, population, advance) as suite:
        earlier = _earlier(results).get("engine", {})
        comparable = earlier if earlier.get("observations") == population.observations else {}
        return asyncio.run(_engine(console, suite, load, pace, comparable))


async def _engine(
    console: Console, suite: LoadedSuite, load: LoadProcess, pace: EnginePace, earlier: Mapping[str, Any]
) -> Results:
    facts = machine_facts(suite.postgres.data, await _server_version(suite))
    async with engine_staged(suite) as stage:
        with _measuring_bar(console, pace.planned_seconds) as advance, _disturbance(suite.postgres, facts):
            found = await EngineRounds(stage, load, pace, advance).run()
        print_engine(console, found, stage, pace, earlier)
        _print_facts(console, facts)
    started = {name: asdict(each) for name, each in suite.started.items()}
    about = {"facts": facts, "observations": suite.population.observations, "pace": asdict(pace), "started": started}
    return {"engine": {**about, **found.as_json()}}


def locked(console: Console, population: Population, pace: EnginePace, folder: Path) -> Results:
    """What authentication, tenancy and audit cost; what is to be kept of it."""
    console.rule("[bold]The locks[/bold]", align="left")
    with LoadProcess() as load, _loading_bar(console) as advance, loaded_suite(folder, population, advance) as suite:
        return asyncio.run(_locked(console, suite, load, pace))


async def _locked(console: Console, suite: LoadedSuite, load: LoadProcess, pace: EnginePace) -> Results:
    facts = machine_facts(suite.postgres.data, await _server_version(suite))
    async with engine_staged(suite) as stage:
        rounds = locks.LockRounds(stage, load, pace.rounds, pace.seconds, lambda _what, _seconds: None)
        with _measuring_bar(console, rounds.planned_seconds) as advance, _disturbance(suite.postgres, facts):
            rounds.advance = advance
            found = await rounds.run()
        locks.print_locks(console, found)
        _print_facts(console, facts)
    return {"locks": {"facts": facts, "operations": locks.as_json(found)}}


def told(console: Console, population: Population, pace: EnginePace, folder: Path) -> Results:
    """What figures and traces cost; what is to be kept of it."""
    console.rule("[bold]Figures and traces[/bold]", align="left")
    with LoadProcess() as load, _loading_bar(console) as advance, loaded_suite(folder, population, advance) as suite:
        return asyncio.run(_told(console, suite, load, pace))


async def _told(console: Console, suite: LoadedSuite, load: LoadProcess, pace: EnginePace) -> Results:
    facts = machine_facts(suite.postgres.data, await _server_version(suite))
    async with engine_staged(suite) as stage:
        rounds = telemetry.TelemetryRounds(stage, load, pace.rounds, pace.seconds)
        with _measuring_bar(console, rounds.planned_seconds) as advance, _disturbance(suite.postgres, facts):
            rounds.advance = advance
            found = await rounds.run()
        telemetry.print_telemetry(console, found)
        _print_facts(console, facts)
    return {"telemetry": {"facts": facts, "operations": telemetry.as_json(found)}}


def job(console: Console) -> Results:
    """The main job through all four services; what is to be kept of it."""
    console.rule("[bold]The main job[/bold]", align="left")
    console.print("Starting PostgreSQL and the four services in a temporary folder ...")
    with LoadProcess() as load, running_suite() as suite:
        return asyncio.run(_job(console, suite, load, JOB_PACE))


async def _job(console: Console, suite: BenchSuite, load: LoadProcess, pace: JobPace) -> Results:
    facts = machine_facts(suite.postgres.data, await _server_version(suite))
    async with job_staged(suite, PATIENTS_OF_JOB) as stage:
        with _measuring_bar(console, pace.planned_seconds) as advance, _disturbance(suite.postgres, facts):
            rounds = JobRounds(stage, load, pace, advance)
            await rounds.warm_up()
            chain = await rounds.chain(GOAL_CLIENTS)
        print_job(console, chain, stage, pace)
        _print_facts(console, facts)
    return {"main_job": {"facts": facts, **chain.as_json()}}


def measured(console: Console, people: int, pace: EnginePace) -> Results:
    """Figures over a synthetic region, and new scores in it; what is to be kept of it."""
    console.rule(f"[bold]Measures of {people:,} people[/bold]", align="left")
    with (
        LoadProcess() as load,
        _loading_bar(console) as advance,
        measures_suite(REGION_FOLDER, people, advance) as suite,
    ):
        facts = machine_facts(suite.postgres.data, asyncio.run(_server_version(suite)))
        with _measuring_bar(console, 60.0) as measuring, _disturbance(suite.postgres, facts):
            rounds = MeasureRounds(suite, load, people, pace.rounds, pace.seconds, measuring)
            found = asyncio.run(rounds.run())
        print_measures(console, found)
        _print_facts(console, facts)
    return {MEASURES: {"facts": facts, "people": people, **found.as_json()}}


@contextmanager
def _loading_bar(console: Console) -> Iterator[Advance]:
    """Shows how far loading and starting are; gone when measuring begins."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("preparing the database", total=None)

        def advance(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield advance


@contextmanager
def _measuring_bar(console: Console, planned_seconds: float) -> Iterator[Any]:
    columns = (TextColumn("{task.description:<32}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=planned_seconds)
        yield lambda what, seconds: progress.update(task, advance=seconds, description=what)


@contextmanager
def _disturbance(postgres: EmbeddedPostgres, facts: dict[str, str]) -> Iterator[None]:
    """Adds how much others used the machine meanwhile."""
    ours = (os.getpid(), postgres.pid or 0)
    before = processors(*ours)
    yield
    facts["meanwhile"] = disturbance(processors(*ours).others_since(before))


def _print_facts(console: Console, facts: Mapping[str, str]) -> None:
    for name, value in facts.items():
        console.print(f"  {name:<14} {value}", highlight=False, soft_wrap=True)
    console.print()


async def _server_version(suite: BenchSuite) -> str:
    connection = await asyncpg.connect(suite.postgres.url())
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()


def keep(path: Path, results: Results) -> None:
    """Puts these parts into the file of results; the other parts stay as they were."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**_earlier(path), "measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **results}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _earlier(path: Path) -> Results:
    """What the file of results holds."""
    try:
        found: Results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


if __name__ == "__main__":
    sys.exit(main())
