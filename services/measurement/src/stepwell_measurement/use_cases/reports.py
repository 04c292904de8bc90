"""A MeasureReport is stored: whoever waits for the figures is told, unless they are still being reckoned."""

from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_measurement.subscriptions import MEASURE_REPORT_READY

PENDING = "pending"


async def change_report(runtime: Runtime, write: Write) -> None:
    """Announces the new version with the write itself."""
    report = write.resource
    assert report is not None, "reports are never deleted"
    if report.get("status") == PENDING:  # it may be absent with a reason
        return
    focus = f"MeasureReport/{write.stored.id}"
    subject = report.get("subject", {}).get("reference")
    key = runtime.engine.localise(subject) if subject else focus
    entries = [(f"{runtime.engine.base_url}/{focus}", write.stored)]
    write.unit.effects.append(event(MEASURE_REPORT_READY.canonical, key, focus, entries, write.now))
