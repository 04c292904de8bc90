"""A Patient is registered or changes: the copy is kept, and where the person belongs in figures with it."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from stepwell_shared.database.functions import Effect
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import copy_change, version_in
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_measurement.care_tables import person_effect
from stepwell_measurement.data.strata import area_extensions, ethnicity_extensions
from stepwell_measurement.rules.care_record import NOT_RECORDED, Person

Resource = Mapping[str, Any]

# A code of a class, and nothing that could be a name or an address.
_CLASS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,31}")


async def keep_person(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic patient-changed: keeps the copy of Patient, and the person's strata in the same commit."""
    for url, resource in received.resources.items():
        if resource["resourceType"] == "Patient":
            await _keep(runtime, tenant, resource, f"{url}/_history/{resource['meta']['versionId']}")


async def _keep(runtime: Runtime, tenant: str, patient: dict[str, Any], source: str) -> None:
    while True:
        change, _ = await copy_change(runtime.engine, tenant, patient, source, runtime.clock())
        if change is None:
            return
        try:
            await runtime.store.commit(UnitOfWork(tenant, [change], [effect_of(runtime, patient, version_in(source))]))
        except WriteConflictError:
            continue
        return


def effect_of(runtime: Runtime, patient: Resource, version: int) -> Effect:
    """The row of somebody as this version of screening's Patient has them."""
    active = patient.get("active") is not False and not _has_died(patient)
    return person_effect(f"Patient/{patient['id']}", version, active, person_strata(runtime, patient))


def person_strata(runtime: Runtime, patient: Resource) -> Person:
    """Where somebody belongs, as far as their Patient says."""
    areas = {dimension: _code(_extensions(patient), urls) for dimension, urls in area_extensions().items()}
    return Person(
        practice=_practice(runtime, patient),
        born=_born(patient.get("birthDate")),
        sex=str(patient.get("gender", NOT_RECORDED)),
        language=_language(patient),
        ethnicity=_ethnicity(patient),
        deprivation=areas["deprivation"],
        rurality=areas["rurality"],
    )


def _practice(runtime: Runtime, patient: Resource) -> str:
    """The organisation that the person is registered with: its id here, its address or its identifier elsewhere."""
    named = patient.get("managingOrganization", {})
    if "reference" in named:
        return runtime.engine.localise(str(named["reference"])).removeprefix("Organization/")
    return str(named.get("identifier", {}).get("value", NOT_RECORDED))


def _born(said: str | None) -> date | None:
    """A year or a month alone counts from its first day."""
    parts = [int(part) for part in said.split("-")] if said else []
    year, month, day = (*parts, 1, 1, 1)[:3]
    return date(year, month, day) if parts else None


def _language(patient: Resource) -> str:
    """The preferred language, without its region."""
    languages = sorted(patient.get("communication", ()), key=lambda each: not each.get("preferred", False))
    codings = [coding for each in languages[:1] for coding in each.get("language", {}).get("coding", ())]
    return str(codings[0]["code"]).partition("-")[0] if codings and "code" in codings[0] else NOT_RECORDED


def _ethnicity(patient: Resource) -> str:
    urls, name = ethnicity_extensions()
    for extension in patient.get("extension", ()):
        if extension.get("url") in urls:
            for part in extension.get("extension", ()):
                if part.get("url") == name and "code" in part.get("valueCoding", {}):
                    return str(part["valueCoding"]["code"])
    return NOT_RECORDED


def _extensions(patient: Resource) -> Iterator[Resource]:
    yield from patient.get("extension", ())
    for address in patient.get("address", ()):
        yield from address.get("extension", ())


def _code(extensions: Iterator[Resource], urls: frozenset[str]) -> str:
    for extension in extensions:
        if extension.get("url") in urls:
            value = next((value for name, value in extension.items() if name.startswith("value")), None)
            text = str(value.get("code", "")) if isinstance(value, Mapping) else str(value)
            if value is not None and _CLASS.fullmatch(text):
                return text
    return NOT_RECORDED


def _has_died(patient: Resource) -> bool:
    return patient.get("deceasedBoolean") is True or "deceasedDateTime" in patient
