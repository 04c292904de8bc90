"""`make chaos`: thousands of submissions while processes are killed and the network misbehaves; nothing may be lost.

CHAOS_SUBMISSIONS, CHAOS_MINUTES (after which no further one begins), CHAOS_SEED, CHAOS_KILLS (at least so many) and
CHAOS_PACE (a factor on the pauses between kills) say how much. The seed repeats the faults. Then the database alone
crashes CHAOS_CRASHES times under load. Logs stay in build/chaos.
"""

import asyncio
import os
import secrets
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.processes import signals_as_interrupts

from tests.chaos.recovery import faults, recoveries
from tests.chaos.report import print_report
from tests.chaos.stage import staged
from tests.chaos.storm import Run, Size, storm
from tests.support import postgres

LOGS = Path("build/chaos")
WIDTH_IN_FILES = 120
LINE_SECONDS = 60.0
"""How often a run whose output goes to a file says how far it is."""


def main() -> int:
    """Runs and reports; 1 when anything was lost, doubled or wrong."""
    size = Size(
        submissions=int(os.environ.get("CHAOS_SUBMISSIONS", "10000")),
        seed=int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6)),
        kills_min=int(os.environ.get("CHAOS_KILLS", "0")),
        pace=float(os.environ.get("CHAOS_PACE", "1")),
        minutes_max=float(os.environ.get("CHAOS_MINUTES", "600")),
    )
    crashes = int(os.environ.get("CHAOS_CRASHES", "20"))
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_IN_FILES)
    shutil.rmtree(LOGS, ignore_errors=True)
    console.print(f"CHAOS_SEED={size.seed} repeats the faults of this run; logs are kept in {LOGS}.")
    try:
        with signals_as_interrupts(), postgres.test_run():
            run = _storm(console, size, crashes)
    except SetupError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    print_report(console, run)
    return 1 if run.findings else 0


def _storm(console: Console, size: Size, crashes: int) -> Run:
    columns = (TextColumn("{task.description:<40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting PostgreSQL and four services", total=size.submissions)

        said_at = time.monotonic()

        def told(run: Run) -> None:
            nonlocal said_at
            done = len(run.ledger.acknowledged)
            is_calm = done == size.submissions
            state = f"settling, {len(run.findings)} findings so far" if is_calm else f"{run.kills.total()} kills"
            progress.update(task, completed=done, description=state)
            if not console.is_terminal and time.monotonic() - said_at > LINE_SECONDS:
                said_at = time.monotonic()
                console.print(f"{done:,} acknowledged, {state}")

        with staged(postgres.run_folder(), LOGS) as stage:
            try:
                run = asyncio.run(storm(stage, size, told))
                progress.update(task, description=f"{crashes} crashes of the database")
                run.recoveries = asyncio.run(recoveries(stage, crashes))
                run.findings += faults(run.recoveries)
            finally:
                shutil.copy(stage.postgres.log, LOGS / "postgresql.log")
            return run


if __name__ == "__main__":
    sys.exit(main())
