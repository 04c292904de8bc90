"""What a run of chaos has to say at the terminal: figures first, then what is wrong, if anything."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.chaos.oracle import tally
from tests.chaos.storm import Run
from tests.support.proxy import NOTIFICATION, REQUEST, Fault


def print_report(console: Console, run: Run) -> None:
    """The table, and every finding with its first keys."""
    table = Table(title=f"Chaos with seed {run.size.seed}", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in figures(run):
        table.add_row(name, value)
    console.print(table)
    for finding in run.findings:
        console.print(str(finding), style="red", markup=False)


def figures(run: Run) -> list[tuple[str, str]]:
    """Names and numbers of one run."""
    counted = tally(run.findings)
    answers = ", ".join(f"{count:,} x {status}" for status, count in sorted(run.ledger.answers.items()))
    rows = [
        ("submissions acknowledged", f"{len(run.ledger.acknowledged):,} of {run.size.submissions:,}"),
        ("answers", answers),
        ("kills", f"{run.kills.total():,}"),
        *((f"  {what}", f"{count:,}") for what, count in sorted(run.kills.items())),
        *((f"  {name} ended by itself", f"{count:,}") for name, count in sorted(run.ended_by_themselves.items())),
    ]
    for kind in (NOTIFICATION, REQUEST):
        counts = {fault: count for (of, fault), count in run.faults.items() if of == kind}
        suffered = sum(count for fault, count in counts.items() if fault is not Fault.NONE)
        rows.append((f"{kind}s with a fault", f"{suffered:,} of {sum(counts.values()):,}"))
        rows += [(f"  {fault}", f"{counts[fault]:,}") for fault in Fault if fault is not Fault.NONE and fault in counts]
    return [
        *rows,
        ("minutes of storm", f"{run.storm_seconds / 60:.1f}"),
        ("seconds until all was settled", f"{run.calm_seconds:.1f}"),
        (
            "events that the record system heard",
            f"{len(run.ledger.heard):,} ({len(set(run.ledger.heard)):,} different)",
        ),
        *_recoveries(run),
        *((kind, f"{counted[kind]:,}") for kind in ("lost", "doubled", "gap", "wrong")),
    ]


def _recoveries(run: Run) -> list[tuple[str, str]]:
    """What crashes of the database alone looked like."""
    if not run.recoveries:
        return []
    statuses = sum((each.statuses for each in run.recoveries), Counter[int]())
    longest = max(each.errors_seconds for each in run.recoveries)
    return [
        ("crashes of the database under load", f"{len(run.recoveries):,}"),
        ("  answers", ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))),
        ("  seconds of errors after its return, at most", f"{longest:.2f}"),
    ]
