"""What a process tells whoever runs it: its traces go to a collector, its figures wait to be asked for."""

from collections.abc import Iterable
from contextlib import AsyncExitStack

from stepwell_shared.door import Guard
from stepwell_shared.runtime import Runtime
from stepwell_shared.settings import Settings
from stepwell_shared.telemetry.exporting import exporting
from stepwell_shared.telemetry.requests import Watch
from stepwell_shared.telemetry.tracing import Tracer


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
    _watch_guard(runtime, guard)


def _watch_guard(runtime: Runtime, guard: Guard) -> None:
    def refused() -> Iterable[tuple[tuple[str, ...], float]]:
        return [((category,), count) for category, count in guard.refused.items()]

    runtime.metrics.watch(
        "stepwell_requests_refused_total",
        "Requests refused before anything looked at them; unavailable means that too many were being worked on",
        ("category",),
        refused,
    )
    runtime.metrics.watch(
        "stepwell_requests_in_flight",
        "Requests that are being worked on",
        (),
        lambda: [((), guard.in_flight)],
    )
