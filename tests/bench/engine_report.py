"""What the bench of the engine prints: ratios with their goals, latencies, processor time, starts."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import content
from tests.bench.engine_rounds import Engine, EnginePace, Operation
from tests.bench.engine_stage import FLOOR, PRODUCT, EngineStage
from tests.bench.engine_suite import IDIOMATIC, YARDSTICKS
from tests.bench.goals import (
    FLOOR_GOALS,
    IDIOMATIC_GOALS,
    MEMORY_MIB_MAX,
    P99_MILLISECONDS_MAX,
    READY_SECONDS_MAX,
    SMALL_TENANT_MILLISECONDS_MAX,
    limit_mark,
)
from tests.bench.measuring import CLIENT_CPU_SHARE_MAX
from tests.bench.population import LARGE, SERVICE, SMALL

Earlier = Mapping[str, Any]
"""The engine's part of the results of the bench before, or nothing."""


def print_engine(console: Console, engine: Engine, stage: EngineStage, pace: EnginePace, earlier: Earlier) -> None:
    """Prints everything; a missed goal is printed as such and fails nothing."""
    console.print(_ratios(engine.operations, earlier))
    console.print(_details(engine.operations))
    console.print(_newest(engine))
    console.print(_processes(engine, stage))
    _explain(console, engine, stage, pace)


def _table(title: str, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _ratios(operations: Sequence[Operation], earlier: Earlier) -> Table:
    title = "Observations over HTTP, one process; validation, authentication, tenancy and audit on"
    table = _table(title, "operation", "compared with", "ratio", "rounds", "by CPU", "before", "must / aim", "goal")
    before = {each["name"]: each for each in earlier.get("operations", ())}
    for each in operations:
        past = before.get(each.name)
        goal = FLOOR_GOALS[each.name]
        rounds = f"{min(each.of_floor_by_round):.2f} - {max(each.of_floor_by_round):.2f}"
        was = f"{past['of_floor']:.2f}" if past else ""
        ratio = f"[bold]{each.of_floor:.2f}[/bold]"
        possible = f"{each.of_floor_by_processor:.2f}"
        table.add_row(each.name, "floor", ratio, rounds, possible, was, str(goal), goal.mark(each.of_floor))
    for side in YARDSTICKS:
        for each in operations:
            times, earlier_times = each.over[side], before.get(each.name, {}).get("over", {}).get(side)
            # The goals were set where neither side had duties.
            wanted = IDIOMATIC_GOALS[each.name] if side == IDIOMATIC else None
            judged = (str(wanted), wanted.mark(times)) if wanted is not None else ("", "")
            shown = f"[bold]{times:.1f} x[/bold]", "", f"{each.over_by_processor[side]:.1f} x"
            table.add_row(each.name, side, *shown, f"{earlier_times:.1f} x" if earlier_times else "", *judged)
    return table


def _details(operations: Sequence[Operation]) -> Table:
    title = "Each side by itself; processor time in microseconds for each request"
    columns = ("operation", "side", "per second", "p50 ms", "p99 ms", "p99 goal", "server", "PostgreSQL", "client")
    table = _table(title, *columns)
    for operation in operations:
        for side in (PRODUCT, FLOOR, *YARDSTICKS):
            rate = operation.sides[side]
            table.add_row(
                *(operation.name if side == PRODUCT else "", side),
                *(f"{rate.per_second:,.0f}", f"{rate.p50:.2f}", f"{rate.p99:.2f}"),
                limit_mark(rate.p99, P99_MILLISECONDS_MAX) if side == PRODUCT else "",
                "" if side == FLOOR else f"{rate.server_cpu:,.0f}",
                *(f"{rate.postgres_cpu:,.0f}", f"{rate.client_cpu:,.0f}"),
            )
    return table


def _newest(engine: Engine) -> Table:
    table = _table("The newest Observations of a tenant, one client", "tenant", "p50 ms", "p99 ms", "must", "goal")
    small, large = engine.newest[SMALL], engine.newest[LARGE]
    goal = limit_mark(small.p99, SMALL_TENANT_MILLISECONDS_MAX)
    most = f"< {SMALL_TENANT_MILLISECONDS_MAX:g}"
    table.add_row("small, among many large ones", f"{small.p50:.2f}", f"{small.p99:.2f}", most, goal)
    table.add_row("the largest", f"{large.p50:.2f}", f"{large.p99:.2f}", "", "")
    return table


def _processes(engine: Engine, stage: EngineStage) -> Table:
    title = "Service processes, started one by one"
    columns = ("service", "ready after s", "CPU s", "MiB when ready", "MiB after load", "must", "goal")
    table = _table(title, *columns)
    for name, started in stage.suite.started.items():
        memory = max(started.memory_mib, engine.memory_mib[name])
        share = max(started.ready_seconds / READY_SECONDS_MAX, memory / MEMORY_MIB_MAX)
        table.add_row(
            *(name, f"{started.ready_seconds:.2f}", f"{started.cpu_seconds:.2f}", f"{started.memory_mib:.0f}"),
            f"{engine.memory_mib[name]:.0f}" if name == SERVICE else "idle",
            f"< {READY_SECONDS_MAX:g} s, {MEMORY_MIB_MAX:g} MiB",
            limit_mark(share, 1.0),
        )
    return table


def _explain(console: Console, engine: Engine, stage: EngineStage, pace: EnginePace) -> None:
    population = stage.suite.population
    share = len(population.patients_by_tenant[LARGE]) / population.patients
    small = len(population.patients_by_tenant[SMALL]) * (content.PAGE + content.OTHERS)
    console.print(
        f"""
{pace.rounds} rounds of {pace.seconds:g} s, all sides taking turns, {pace.clients} connections; a ratio is the median \
of the ratios within one round. By CPU: what the processor time of both sides would allow if no \
other program ran and nothing waited for the disk.
Loaded: {population.observations:,} Observations of {population.patients:,} patients in \
{len(population.patients_by_tenant)} tenants, in the order of time; {share:.0%} of them are the measured tenant's, \
{small} the small one's. The product's row builders made every row.
Floor: asyncpg, dedicated connections, one prepared statement on the product's own tables past row-level security. Of \
a create it inserts the {stage.create_floor.rows_count} rows that the product left, in one commit; of a read and a \
search it is the plain query, although the product also commits an audit row for each.
Idiomatic ways: FastAPI path operations, fhir.resources, SQLModel sessions. Without duties: no authentication, \
tenants, audit or history, all of which the product has; the goals are for this one. Same duties: tokens are checked, \
statements name the tenant, and each request commits its audit row, a create its history too.
Client, services and PostgreSQL share the cores of this machine: compare ratios, not rates.""",
        highlight=False,
    )
    busiest = max(each.sides[PRODUCT].client_cpu_share for each in engine.operations)
    verdict = "not the bottleneck" if busiest < CLIENT_CPU_SHARE_MAX else "too busy: rates of the product may be higher"
    console.print(f"The load generator used at most {busiest:.0%} of a core against the product: {verdict}.")
