"""A Patient was created or changed in screening: measurement keeps a read-only copy under the same id."""

from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import keep_copy
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.runtime import Runtime


async def keep_patient(runtime: Runtime, event: ReceivedEvent, tenant: str) -> None:
    """Keeps the version that the event carries, unless it or a newer one is kept. Raises FhirError BUSINESS_RULE."""
    patient = event.resources.get(event.focus or "")
    if patient is None or patient.get("resourceType") != "Patient" or "versionId" not in patient.get("meta", {}):
        raise FhirError(Category.BUSINESS_RULE, "the event brings a version of a Patient")
    source = f"{event.focus}/_history/{patient['meta']['versionId']}"
    await keep_copy(runtime.engine, tenant, patient, source)
