"""The person that a resource is about: a local Patient, a Patient of the EHR, or an identifier."""

from dataclasses import dataclass, field
from typing import Any

from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Reader
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime


@dataclass(frozen=True)
class Subject:
    """`key` keeps a person's events in order; `reference` is for other services, `local_reference` for our own.

    `entries` hold the Patient when it is ours, to go with notifications.
    """

    key: str
    reference: dict[str, Any]
    local_reference: dict[str, Any]
    entries: list[tuple[str, Stored]] = field(default_factory=list)


async def subject_of(runtime: Runtime, read: Reader, reference: Any, expression: str) -> Subject:
    """Finds the person. Raises FhirError BUSINESS_RULE when there is none or a local Patient is not known."""
    key = subject_key(runtime, reference, expression)
    if "reference" not in reference:
        return Subject(key, reference, reference)
    if "://" in key:
        elsewhere = {**reference, "reference": key}
        return Subject(key, elsewhere, elsewhere)
    stored = await read("Patient", key.partition("/")[2])
    if stored is None or stored.body is None:
        text = "this Patient is not known here; create it first, or refer to it by the absolute URL of its EHR"
        raise _refusal(text, "business-rule", f"{expression}.reference")
    url = f"{runtime.engine.base_url}/{key}"
    return Subject(key, {**reference, "reference": url}, {**reference, "reference": key}, [(url, stored)])


def subject_key(runtime: Runtime, reference: Any, expression: str) -> str:
    """What names a person whichever way a reference to them is written; raises like `subject_of`."""
    if not isinstance(reference, dict):
        raise _refusal("say whom this is about", "required", expression)
    address = reference.get("reference")
    if address is None:
        identifier = reference.get("identifier", {})
        if "value" not in identifier:
            raise _refusal("give a reference or an identifier with a value", "required", expression)
        if reference.get("type", "Patient") != "Patient":
            raise _refusal("the subject must be a Patient", "business-rule", f"{expression}.type")
        return f"{identifier.get('system', '')}|{identifier['value']}"
    key = runtime.engine.localise(address).partition("/_history/")[0]
    if key.rpartition("/")[0].rpartition("/")[2] != "Patient":
        raise _refusal("the subject must be a Patient", "business-rule", f"{expression}.reference")
    return key


def _refusal(text: str, code: str, expression: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, code, expression)])
