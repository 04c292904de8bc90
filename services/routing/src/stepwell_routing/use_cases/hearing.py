"""What routing hears that moves nobody by itself, for the next decision: places, and who takes part."""

from collections.abc import Iterator, Mapping
from typing import Any

from stepwell_shared.canonical import code_system, extension_url
from stepwell_shared.consent.serving import consents_in, keep_consent
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing.tables import PLACE, PLACES, SAID, Known, evidence_effect
from stepwell_routing.use_cases.knowledge import known_of
from stepwell_routing.use_cases.standing import key_of

Resource = Mapping[str, Any]


async def hear_of_capacity(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic capacity-changed: how many people a place takes in a week, and of which tiers. It ages no decision."""
    for url, service in received.resources.items():
        if service["resourceType"] == "HealthcareService":
            starts, tiers = _weekly_starts(service), sorted(_tiers(service))
            version = int(service["meta"]["versionId"])
            row = Known(PLACE, " ".join([starts, *tiers]), runtime.clock(), url, version)
            await _keep(runtime, tenant, PLACES, row)


async def hear_of_consent(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic consent-changed: keeps the copy, and whether the person wants family to take part."""
    await keep_consent(runtime, received, tenant)
    for url, consent in consents_in(received):
        patient = consent.get("patient", {})
        if "reference" in patient or "value" in patient.get("identifier", {}):
            permitted = any(_permitted_family(consent.get("provision", {}), "permit"))
            value = "true" if permitted and consent["status"] == "active" else None
            version = int(consent["meta"]["versionId"])
            row = Known(f"{SAID}family_takes_part", value, runtime.clock(), url, version)
            await _keep(runtime, tenant, key_of(runtime, patient), row)


async def _keep(runtime: Runtime, tenant: str, subject: str, row: Known) -> None:
    """Keeps a row, unless this version of it or a newer one is kept; what takes back what was never said is not."""
    kept = await known_of(runtime, tenant, subject)
    known = [each for each in kept if (each.name, each.reference) == (row.name, row.reference)]
    if any(each.source_version >= row.source_version for each in known) or not (known or row.value):
        return
    await runtime.store.commit(UnitOfWork(tenant, effects=[evidence_effect(subject, row)]))


def _weekly_starts(service: Resource) -> str:
    """Nobody begins where a place is not active or says no number."""
    parts = (
        part
        for item in service.get("extension", ())
        if item.get("url") == extension_url("service-capacity")
        for part in item["extension"]
    )
    said = next((str(part["valueDecimal"]) for part in parts if part["url"] == "weekly-starts"), "0")
    return said if service.get("active", True) else "0"


def _tiers(service: Resource) -> Iterator[str]:
    for concept in service.get("category", ()):
        for coding in concept.get("coding", ()):
            if coding.get("system") == code_system("tier") and "code" in coding:
                yield str(coding["code"])


def _permitted_family(provision: Resource, kind: str) -> Iterator[bool]:
    """Whether each RelatedPerson that a provision or an exception from it names is permitted to know."""
    kind = str(provision.get("type", kind))
    for actor in provision.get("actor", ()):
        reference = str(actor.get("reference", {}).get("reference", ""))
        if reference.rpartition("/")[0].rpartition("/")[2] == "RelatedPerson" and kind == "permit":
            yield True
    for exception in provision.get("provision", ()):
        yield from _permitted_family(exception, kind)
