"""The person that a resource is about: a local Patient, a Patient of the EHR, or an identifier."""

from dataclasses import dataclass, field
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime


@dataclass(frozen=True)
class Subject:
    """`key` keeps a person's events in order; `reference` is for other services, `local_reference` for our own.

    `entries` hold the Patient when it is ours, to go with notifications.
    """

    key: str
    reference: dict[str, Any]
    local_reference: dict[str, Any]
    entries: list[tuple[str, bytes]] = field(default_factory=list)


async def subject_of(runtime: Runtime, tenant: str, reference: Any, expression: str) -> Subject:
    """Finds the person. Raises FhirError BUSINESS_RULE when there is none or a local Patient is not known."""
    if not isinstance(reference, dict):
        raise _refusal("say whom this is about", "required", expression)
    address = reference.get("reference")
    if address is None:
        identifier = reference.get("identifier", {})
        if "value" not in identifier:
            raise _refusal("give a reference or an identifier with a value", "required", expression)
        key = f"{identifier.get('system', '')}|{identifier['value']}"
        return Subject(key, reference, reference)
    local = runtime.engine.localise(address)
    if "://" in local:
        return Subject(local, reference, reference)
    resource_type, _, id_ = local.rpartition("/")
    if resource_type != "Patient":
        raise _refusal("the subject must be a Patient", "business-rule", expression)
    stored = await runtime.store.read(tenant, "Patient", id_)
    if stored is None or stored.body is None:
        text = "this Patient is not known here; create it first, or refer to it by the absolute URL of its EHR"
        raise _refusal(text, "business-rule", f"{expression}.reference")
    url = f"{runtime.settings.url_of('screening')}/Patient/{id_}"
    return Subject(local, {**reference, "reference": url}, {**reference, "reference": local}, [(url, stored.body)])


def alert_id(runtime: Runtime, tenant: str, resource_type: str, assessment_id: str) -> str:
    """The id of the Flag or Task that belongs to a RiskAssessment, so that each leads to the others."""
    return derived_id(runtime.engine.base_url, tenant, resource_type, assessment_id)


def _refusal(text: str, code: str, expression: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, code, expression)])
