"""What a process tells whoever runs it: its traces go to a collector, its figures wait to be asked for.

Figures that need the database are taken by a loop, never by whoever asks for them.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

import asyncpg
import structlog

from stepwell_shared.auth.tenants import list_tenants
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.door import Guard
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import Settings
from stepwell_shared.telemetry.exporting import exporting
from stepwell_shared.telemetry.metrics import Watched
from stepwell_shared.telemetry.requests import Watch
from stepwell_shared.telemetry.tracing import Tracer

LOOK_SECONDS = 15.0
# The oldest entry that no seal covers: one step along an index.
_UNSEALED = """SELECT recorded FROM audit WHERE tenant = $1 AND id > coalesce(
  (SELECT last_id FROM audit_seal WHERE tenant = $1 ORDER BY number DESC LIMIT 1), 0) ORDER BY id LIMIT 1"""
_EXPORTS = "SELECT count(*) FROM export_job WHERE tenant = $1 AND due_at IS NOT NULL AND status = 'planning'"

log = structlog.get_logger("stepwell.app")


async def start_telling(
    guard: Guard, service: str, runtime: Runtime, settings: Settings, stack: AsyncExitStack
) -> None:
    """Begins to watch; before anything else is opened, so that everything has the tracer."""
    metrics = runtime.metrics
    metrics.service = service
    record = None
    if settings.trace_endpoint:
        record = await stack.enter_async_context(exporting(settings.trace_endpoint, service, metrics))
    runtime.watch = Watch(metrics, Tracer(settings.trace_ratio, record, callers_decide=settings.trace_callers_decide))

    def refused() -> Iterable[tuple[tuple[str, ...], float]]:
        return [((category,), count) for category, count in guard.refused.items()]

    metrics.watch(
        "stepwell_requests_refused_total",
        "Requests refused before anything looked at them; unavailable means that too many were being worked on",
        ("category",),
        refused,
    )
    metrics.watch("stepwell_requests_in_flight", "Requests that are being worked on", (), _one(lambda: guard.in_flight))
    metrics.watch("process_cpu_seconds_total", "Processor time that was used", (), _one(time.process_time))
    metrics.watch("stepwell_memory_peak_bytes", "Memory at its largest so far", (), _one(_memory_peak_bytes))


def watch_stores(runtime: Runtime) -> None:
    """Publishes how busy the way to the database is."""
    metrics, database = runtime.metrics, runtime.database

    def connections() -> Iterable[tuple[tuple[str, ...], float]]:
        load = database.load
        return [(("used",), load.used), (("open",), load.open)]

    metrics.watch("stepwell_database_connections", "Connections of the pool", ("state",), connections)
    metrics.watch(
        "stepwell_database_connections_max",
        "Most connections that the pool may have",
        (),
        _one(lambda: runtime.settings.database_connections_max),
    )
    metrics.watch(
        "stepwell_database_waiting", "Statements that wait for a connection", (), _one(lambda: database.load.waiting)
    )
    metrics.watch(
        "stepwell_writes_waiting", "Writes that wait for a commit", (), _one(lambda: runtime.store.writes_waiting)
    )
    metrics.watch(
        "stepwell_writes_waiting_max",
        "Writes that may wait; more are answered 503",
        (),
        _one(lambda: runtime.settings.write_queue_max),
    )
    if (follower := runtime.follower) is not None:
        metrics.watch(
            "stepwell_searches_by_server_total",
            "What clients searched for, by who was asked in the end",
            ("server",),
            lambda: [(("standby",), follower.answered), (("primary",), follower.passed_over)],
        )


class Looked:
    """What the loop saw when it last looked."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.unsealed_seconds = 0.0
        self.exports = 0


async def keep_looking(runtime: Runtime) -> None:
    """Takes the figures that need the database, until it is cancelled; while that is away they grow old."""
    looked, metrics = Looked(), runtime.metrics
    metrics.watch(
        "stepwell_audit_unsealed_seconds",
        "Age of the oldest entry of the audit that no seal covers",
        (),
        _one(lambda: looked.unsealed_seconds),
    )
    metrics.watch("stepwell_exports_at_work", "Bulk exports that are made ready", (), _one(lambda: looked.exports))
    metrics.watch(
        "stepwell_figures_age_seconds",
        "How long ago the figures that need the database were taken",
        (),
        _one(lambda: time.monotonic() - looked.at),
    )
    while True:
        try:
            await look(runtime, looked)
        except (*UNAVAILABLE_ERRORS, asyncpg.PostgresError) as error:
            log.warning("figures wait for the database", reason=type(error).__name__)
        await asyncio.sleep(LOOK_SECONDS)


async def look(runtime: Runtime, looked: Looked) -> None:
    """Looks once at every tenant."""
    now, oldest, exports = runtime.clock(), 0.0, 0
    for tenant in await list_tenants(runtime.database):
        async with runtime.database.transaction(tenant) as connection:
            recorded = await connection.fetchval(_UNSEALED, tenant)
            exports += await connection.fetchval(_EXPORTS, tenant)
        if recorded is not None:
            oldest = max(oldest, (now - recorded).total_seconds())
    looked.unsealed_seconds, looked.exports, looked.at = oldest, exports, time.monotonic()


def _one(value: Callable[[], float]) -> Watched:
    return lambda: [((), value())]


def _memory_peak_bytes() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
