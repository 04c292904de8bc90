"""What the bench of the main job prints: its ratio to the floor with the goal beside it, then what it depends on."""

from rich.console import Console
from rich.table import Table

from tests.bench.goals import CHAIN_GOAL, CHAIN_PACE_MIN, RESPONSE_P99_MILLISECONDS_MAX, limit_mark
from tests.bench.job_rounds import Chain, JobPace
from tests.bench.job_stage import JobStage
from tests.bench.measuring import CLIENT_CPU_SHARE_MAX


def print_job(console: Console, chain: Chain, stage: JobStage, pace: JobPace) -> None:
    """Prints everything; a missed goal is printed as such and fails nothing."""
    console.print(_chain(chain))
    _explain(console, chain, stage, pace)


def _chain(chain: Chain) -> Table:
    table = Table(
        *("main job", "value", "of floor", "must / aim", "goal"),
        title=f"PHQ-9 to ServiceRequest, Task and scores over four databases, {chain.clients} clients",
        title_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row(
        *("responses/s through all four services", f"{chain.sustained_per_second:,.0f}"),
        *(f"[bold]{chain.ratio:.2f}[/bold]", str(CHAIN_GOAL), CHAIN_GOAL.mark(chain.ratio)),
    )
    table.add_row(
        "responses/s accepted by screening", f"{chain.accepted.per_second:,.0f}", f"{chain.accepted_ratio:.2f}"
    )
    keeps = "[green]yes[/green]" if chain.pace >= CHAIN_PACE_MIN else "[red]no[/red]"
    table.add_row("the chain keeps pace", f"{chain.pace:.2f}", "", f"{CHAIN_PACE_MIN:.2f}", keeps)
    table.add_row(
        *("responses/s that screening takes alone", f"{chain.alone.per_second:,.0f}", f"{chain.alone_ratio:.2f}"),
        *(str(CHAIN_GOAL), CHAIN_GOAL.mark(chain.alone_ratio)),
    )
    table.add_row(
        *("POST of a response, screening alone: p50, p99 ms", f"{chain.alone.p50:.1f}, {chain.alone.p99:.1f}", ""),
        *(f"{RESPONSE_P99_MILLISECONDS_MAX:g}", limit_mark(chain.alone.p99, RESPONSE_P99_MILLISECONDS_MAX)),
    )
    table.add_row("ServiceRequests made when the load ends", f"{chain.routed_in_time:.0%}")
    table.add_row("ServiceRequests missing half a minute later", f"{chain.missing}")
    table.add_row("floor: every row of the chain, one statement", f"{chain.floor.per_second:,.0f}")
    table.add_row("time to ServiceRequest, idle: p50, p99 ms", f"{chain.idle_p50:.1f}, {chain.idle_p99:.1f}")
    table.add_row("time to ServiceRequest, loaded: p50, p99 ms", f"{chain.loaded_p50:.1f}, {chain.loaded_p99:.1f}")
    table.add_row("POST of a response, loaded: p50, p99 ms", f"{chain.accepted.p50:.1f}, {chain.accepted.p99:.1f}")
    cpu = ", ".join(f"{name} {value:,.0f}" for name, value in chain.cpu_microseconds.items())
    table.add_row("CPU us for each response", cpu)
    return table


def _explain(console: Console, chain: Chain, stage: JobStage, pace: JobPace) -> None:
    rows = ", ".join(f"{service} {count}" for service, count in stage.chain_rows.items())
    console.print(
        f"""
Medians of {pace.rounds} rounds a side, floor and product taking turns, {pace.seconds / 2:g} s and {pace.seconds:g} s.
Floor: asyncpg, dedicated connections, one prepared statement, no row-level security. It inserts the \
{stage.chain_floor.rows_count} rows that a response leaves ({rows}), in one commit; what delivery updates in place is \
left out.
Loaded before: {stage.patients:,} patients in each service; each answers once.""",
        highlight=False,
    )
    busiest = chain.accepted.client_cpu_share
    verdict = "not the bottleneck" if busiest < CLIENT_CPU_SHARE_MAX else "too busy: rates of the product may be higher"
    console.print(f"The load generator used {busiest:.0%} of a core against the product: {verdict}.")
