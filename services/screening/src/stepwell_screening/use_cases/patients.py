"""A Patient is created or changed: the other services are told, so that they keep a read-only copy."""

from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_screening.subscriptions import PATIENT_CHANGED


async def change_patient(runtime: Runtime, write: Write) -> None:
    """Announces the new version with the write itself."""
    focus = f"Patient/{write.stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", write.stored)]
    write.unit.effects.append(event(PATIENT_CHANGED.canonical, focus, focus, entries, write.now))
