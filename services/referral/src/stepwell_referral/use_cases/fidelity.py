"""Forms that are kept here: what people say of their wishes and barriers, and how faithfully a treatment is given.

The first come from screening as copies. The second are about staff and never about a patient.
"""

from typing import Any

import orjson
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import keep_copy
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_referral.directory_tables import revision_effect

Resource = dict[str, Any]

STAFF = ("Practitioner", "PractitionerRole")


async def take_form(runtime: Runtime, write: Write) -> None:
    """A form about staff. Raises FhirError METHOD_NOT_ALLOWED for what a patient says: screening takes that."""
    form = write.resource or {}
    before: Resource = orjson.loads(write.previous.body) if write.previous and write.previous.body else form
    reference = _subject(runtime, form)
    kind, _, id_ = reference.partition("/")
    if kind not in STAFF or _subject(runtime, before).partition("/")[0] not in STAFF:
        text = "answers about a patient are sent to screening; here come forms about a Practitioner or PractitionerRole"
        raise FhirError(Category.METHOD_NOT_ALLOWED, text)
    stored = await write.read(kind, id_)
    if stored is None or stored.body is None:
        text = f"there is no such {kind} here"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "QuestionnaireResponse.subject")])
    write.unit.effects.append(revision_effect(reference))


def _subject(runtime: Runtime, form: Resource) -> str:
    return runtime.engine.localise(form.get("subject", {}).get("reference", ""))


async def keep_wishes(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic preference-changed: keeps the copy of what somebody said of their wishes and barriers."""
    for url, resource in received.resources.items():
        if resource["resourceType"] == "QuestionnaireResponse":
            await keep_copy(runtime.engine, tenant, resource, f"{url}/_history/{resource['meta']['versionId']}")
