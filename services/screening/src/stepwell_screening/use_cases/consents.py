"""Consents and the people close to a patient: kept when the rules agree, and announced with the write itself."""

from typing import Any

import orjson
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_screening.rules.consent import check_consent
from stepwell_screening.subscriptions import CONSENT_CHANGED
from stepwell_screening.use_cases.subjects import subject_key, subject_of

Resource = dict[str, Any]


async def change_consent(runtime: Runtime, write: Write) -> None:
    """A Consent is given, changed or withdrawn. Raises FhirError BUSINESS_RULE."""
    consent, before = write.resource or {}, _content(write.previous)
    found = [Issue(each.text, each.code, each.expression) for each in check_consent(consent, before)]
    if found:
        raise FhirError(Category.BUSINESS_RULE, found)
    subject = await subject_of(runtime, write.read, consent["patient"], "Consent.patient")
    if before is not None and subject_key(runtime, before["patient"], "Consent.patient") != subject.key:
        raise _refusal("A Consent stays with its person; a new one is given.", "Consent.patient")
    await _check_related(runtime, write, consent.get("provision", {}), subject.key, "Consent.provision")
    focus = f"Consent/{write.stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", write.stored)]
    write.unit.effects.append(event(CONSENT_CHANGED.canonical, subject.key, focus, entries, write.now))


async def change_related_person(runtime: Runtime, write: Write) -> None:
    """Somebody close to a patient. They see nothing by this alone. Raises FhirError BUSINESS_RULE."""
    person, before = write.resource or {}, _content(write.previous)
    subject = await subject_of(runtime, write.read, person["patient"], "RelatedPerson.patient")
    if before is not None and subject_key(runtime, before["patient"], "RelatedPerson.patient") != subject.key:
        raise _refusal("A related person stays with their patient; add another.", "RelatedPerson.patient")


async def _check_related(runtime: Runtime, write: Write, provision: Resource, person: str, place: str) -> None:
    """Who is named as a related person is one of this patient's, as far as they are kept here."""
    for index, actor in enumerate(provision.get("actor", ())):
        kind, _, id_ = runtime.engine.localise(str(actor["reference"]["reference"])).partition("/")
        if kind != "RelatedPerson" or "/" in id_:
            continue
        where = f"{place}.actor[{index}].reference"
        related = _content(await write.read("RelatedPerson", id_))
        if related is None or subject_key(runtime, related["patient"], where) != person:
            raise _refusal("this is no RelatedPerson of this patient", where)
    for index, exception in enumerate(provision.get("provision", ())):
        await _check_related(runtime, write, exception, person, f"{place}.provision[{index}]")


def _content(stored: Stored | None) -> Resource | None:
    return orjson.loads(stored.body) if stored is not None and stored.body else None


def _refusal(text: str, expression: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])
