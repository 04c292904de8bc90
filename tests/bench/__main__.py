"""`make bench`: what Stepwell does in a second, as ratios to what PostgreSQL alone can do on the same machine.

`python -m tests.bench --quick` takes about a minute, the whole less than five. A missed goal is printed, never fatal.
"""

import argparse
import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.processes import signals_as_interrupts

from tests.bench.facts import disturbance, machine_facts, processors
from tests.bench.load import LoadProcess
from tests.bench.report import GOAL_CLIENTS, print_report
from tests.bench.rounds import Chain, Comparison, Pace, Rounds
from tests.bench.stage import Size, Stage, staged
from tests.bench.suite import BenchSuite, running_suite

RESULTS = Path("build/bench.json")
WIDTH_IN_FILES = 120
WARM_UP_SECONDS = 3.0
IDLE_SECONDS = 3.0
QUICK = (Pace(2, 1.2, 2.0, 40, (1, 16, 64), (16,)), Size(6_000, 400))
FULL = (Pace(2, 4.0, 8.0, 200, (1, 16, 64), (1, 16, 64)), Size(24_000, 2_000))


def main() -> int:
    """Runs everything and prints it; 1 only when something did not work at all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure against the PostgreSQL floor.")
    parser.add_argument("--quick", action="store_true", help="about a minute: shorter rounds, smaller tables")
    pace, size = QUICK if parser.parse_args().quick else FULL
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_IN_FILES)
    try:
        with signals_as_interrupts(), LoadProcess() as load:
            console.print("Starting PostgreSQL and the four services in a temporary folder ...")
            with running_suite() as suite:
                asyncio.run(_bench(console, suite, load, pace, size))
    except (SetupError, RuntimeError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _bench(console: Console, suite: BenchSuite, load: LoadProcess, pace: Pace, size: Size) -> None:
    facts = machine_facts(suite.postgres.data, await _server_version(suite))
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("recording and loading", total=_planned_seconds(pace))
        async with staged(suite, size) as stage:
            rounds = Rounds(stage, load, pace, lambda what, s: progress.update(task, advance=s, description=what))
            await rounds.warm_up()
            ours = (os.getpid(), suite.postgres.pid or 0)
            before = processors(*ours)
            comparisons = await _compare(rounds, stage, pace)
            chain = await rounds.chain(GOAL_CLIENTS)
            facts["meanwhile"] = disturbance(processors(*ours).others_since(before))
    print_report(console, facts, comparisons, chain, stage, pace)
    _keep(facts, comparisons, chain)
    console.print(f"\nThe same as data: {RESULTS}")


async def _compare(rounds: Rounds, stage: Stage, pace: Pace) -> list[Comparison]:
    creates = [
        await rounds.compare(
            "create", clients, lambda c, s: stage.write_floor(stage.observation_floor, c, s), stage.create
        )
        for clients in pace.clients
    ]
    reads = [await rounds.compare("read", n, stage.read_floor, stage.read) for n in pace.clients_of_reads]
    searches = [await rounds.compare("search", n, stage.search_floor, stage.search) for n in pace.clients_of_reads]
    return [*creates, *reads, *searches]


def _planned_seconds(pace: Pace) -> float:
    compared = len(pace.clients) + 2 * len(pace.clients_of_reads)
    return WARM_UP_SECONDS + IDLE_SECONDS + pace.rounds * (2 * compared * pace.seconds + 1.5 * pace.chain_seconds)


async def _server_version(suite: BenchSuite) -> str:
    connection = await asyncpg.connect(suite.postgres.url())
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()


def _keep(facts: dict[str, str], comparisons: list[Comparison], chain: Chain) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "facts": facts,
        "operations": [each.as_json() for each in comparisons],
        "main_job": chain.as_json(),
    }
    RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
