"""What the bench prints: ratios to the floor first, the goals beside them, then what the numbers depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.bench.content import OTHERS, PAGE
from tests.bench.rounds import CLIENT_CPU_SHARE_MAX, Chain, Comparison, Pace
from tests.bench.stage import Stage

GOAL_CLIENTS = 16


@dataclass(frozen=True)
class Goal:
    """A ratio to the floor that must be reached, and the one aimed at."""

    must: float
    aim: float

    def mark(self, ratio: float) -> str:
        """Whether it is met, for the eye."""
        if ratio >= self.aim:
            return "[green]aim met[/green]"
        return "[green]met[/green]" if ratio >= self.must else "[red]not met[/red]"


# One process, 16 connections, 2 cores; validation, authentication, tenancy and audit on.
GOALS = {"create": Goal(0.38, 0.50), "read": Goal(0.22, 0.35), "search": Goal(0.20, 0.30)}
CHAIN_GOAL = Goal(0.35, 0.45)
PACE_MIN = 0.95


def print_report(
    console: Console,
    facts: Mapping[str, str],
    comparisons: Sequence[Comparison],
    chain: Chain,
    stage: Stage,
    pace: Pace,
) -> None:
    """Prints everything; a missed goal is printed as such and fails nothing."""
    console.rule("[bold]Throughput as ratios to the PostgreSQL floor[/bold]", align="left")
    console.print(_operations(comparisons))
    console.print(_chain(chain))
    _explain(console, comparisons, chain, stage, pace)
    for name, value in facts.items():
        console.print(f"  {name:<14} {value}", highlight=False, soft_wrap=True)


def _operations(comparisons: Sequence[Comparison]) -> Table:
    table = Table(
        *("operation", "clients", "ratio", "must / aim", "goal", "product/s", "floor/s"),
        *("p50 ms", "p99 ms", "floor p50", "CPU us"),
        title="Observations in measurement over HTTP; validation, authentication, tenancy and audit on",
        title_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for each in comparisons:
        goal = GOALS[each.operation] if each.clients == GOAL_CLIENTS else None
        table.add_row(
            each.operation,
            str(each.clients),
            f"[bold]{each.ratio:.2f}[/bold]",
            f"{goal.must:.2f} / {goal.aim:.2f}" if goal else "",
            goal.mark(each.ratio) if goal else "",
            f"{each.product.per_second:,.0f}",
            f"{each.floor.per_second:,.0f}",
            f"{each.product.p50:.2f}",
            f"{each.product.p99:.2f}",
            f"{each.floor.p50:.2f}",
            f"{each.product.server_cpu_microseconds:.0f}",
        )
    return table


def _chain(chain: Chain) -> Table:
    table = Table(
        *("main job", "value", "of floor", "must / aim", "goal"),
        title=f"PHQ-9 to ServiceRequest, Task and scores over four databases, {chain.clients} clients",
        title_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    goal = f"{CHAIN_GOAL.must:.2f} / {CHAIN_GOAL.aim:.2f}"
    table.add_row(
        "responses/s through all four services",
        f"{chain.sustained_per_second:,.0f}",
        f"[bold]{chain.ratio:.2f}[/bold]",
        goal,
        CHAIN_GOAL.mark(chain.ratio),
    )
    table.add_row(
        "responses/s accepted by screening", f"{chain.accepted.per_second:,.0f}", f"{chain.accepted_ratio:.2f}"
    )
    keeps = "[green]yes[/green]" if chain.pace >= PACE_MIN else "[red]no[/red]"
    table.add_row("the chain keeps pace", f"{chain.pace:.2f}", "", f"{PACE_MIN:.2f}", keeps)
    table.add_row("ServiceRequests made when the load ends", f"{chain.routed_in_time:.0%}")
    table.add_row("ServiceRequests missing half a minute later", f"{chain.missing}")
    table.add_row("floor: every row of the chain, one statement", f"{chain.floor.per_second:,.0f}")
    table.add_row("time to ServiceRequest, idle: p50, p99 ms", f"{chain.idle_p50:.1f}, {chain.idle_p99:.1f}")
    table.add_row("time to ServiceRequest, loaded: p50, p99 ms", f"{chain.loaded_p50:.1f}, {chain.loaded_p99:.1f}")
    table.add_row("POST of a response, loaded: p50, p99 ms", f"{chain.accepted.p50:.1f}, {chain.accepted.p99:.1f}")
    cpu = ", ".join(f"{name} {value:.0f}" for name, value in chain.cpu_microseconds.items())
    table.add_row("CPU us for each response", cpu)
    return table


def _explain(console: Console, comparisons: Sequence[Comparison], chain: Chain, stage: Stage, pace: Pace) -> None:
    rows = ", ".join(f"{service} {count}" for service, count in stage.chain_rows.items())
    size = stage.size
    write = f"{stage.observation_rows} for an Observation, {stage.chain_floor.rows_count} for a response ({rows})"
    console.print(
        f"""
Medians of {pace.rounds} rounds a side, floor and product taking turns, {pace.seconds:g} s each (main job \
{pace.chain_seconds / 2:g} s and {pace.chain_seconds:g} s).
Floor: asyncpg, dedicated connections, one prepared statement, no row-level security. Of a write, it inserts every row \
that the product left: {write}, in one commit; what delivery updates in place is left out. Of a read and a search, it \
is the plain query, although the product also commits an audit row for each.
CPU us: of the measurement process, for each request.
Loaded before: {size.patients:,} patients, {size.patients_with_observations:,} of them with {PAGE + OTHERS} \
Observations each. The main job takes a new patient each time.
Client, services and PostgreSQL share the cores of this machine: compare ratios, not rates.""",
        highlight=False,
    )
    busiest = max(each.product.client_cpu_share for each in comparisons)
    busiest = max(busiest, chain.accepted.client_cpu_share)
    verdict = "not the bottleneck" if busiest < CLIENT_CPU_SHARE_MAX else "too busy: rates of the product may be higher"
    console.print(f"The load generator used at most {busiest:.0%} of a core against the product: {verdict}.\n")
