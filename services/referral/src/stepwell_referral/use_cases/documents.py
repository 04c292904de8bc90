"""Documents that travel with a referral and notes that come back: about its person, and of bounded size."""

from typing import Any

from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_referral.data.loop import document_characters_max
from stepwell_referral.use_cases.progress import content, subject_key

# What a consultation gives back (fhir.md: Procedure, Observation, DocumentReference, Composition, a report of results).
RESULTS = frozenset({
    "DocumentReference", "DiagnosticReport", "Composition", "Procedure", "Observation", "QuestionnaireResponse",
    "CarePlan", "HealthcareService", "Appointment", "Task", "Encounter",
})  # fmt: skip

Resource = dict[str, Any]


async def write_document(runtime: Runtime, write: Write) -> None:
    """A document that travels with a referral, or a note that comes back. Raises FhirError BUSINESS_RULE."""
    document = write.resource or {}
    subject = document.get("subject", {})
    issues = []
    if not ("reference" in subject or "value" in subject.get("identifier", {})):
        issues.append(Issue("say whom it is about", "business-rule", "DocumentReference.subject"))
    for number, each in enumerate(document.get("content", ())):
        attachment = each.get("attachment", {})
        place = f"DocumentReference.content[{number}].attachment"
        if not attachment.get("contentType"):
            issues.append(Issue("say what kind of content it is", "business-rule", f"{place}.contentType"))
        if "data" not in attachment and "url" not in attachment:
            issues.append(Issue("bring the content, or its address", "business-rule", place))
        if len(attachment.get("data", "")) > document_characters_max():
            text = f"at most {document_characters_max() * 3 // 4} bytes here; give a url for what is larger"
            issues.append(Issue(text, "too-costly", f"{place}.data"))
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)


async def refuse_foreign_results(runtime: Runtime, write: Write, task: Resource) -> None:
    """Raises FhirError BUSINESS_RULE for results that nobody can look up here, or that are about somebody else.

    What other services keep is named by its address, and taken as it is.
    """
    before = content(write.previous).get("output", [])
    issues = []
    for number, output in enumerate(task.get("output", ())):
        reference = output.get("valueReference", {}).get("reference", "")
        if output in before or not reference:
            continue
        place = f"Task.output[{number}].value"
        problem = await _problem(runtime, write, task, runtime.engine.localise(reference))
        if problem:
            issues.append(Issue(problem, "business-rule", place))
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)


async def _problem(runtime: Runtime, write: Write, task: Resource, reference: str) -> str:
    if "://" in reference or reference.startswith("urn:"):
        return ""
    resource_type, _, id_ = reference.partition("/")
    if resource_type not in RESULTS:
        return f"a referral gives back one of {', '.join(sorted(RESULTS))}"
    if resource_type not in runtime.engine.registry.types:
        return ""
    found = content(await write.read(resource_type, id_.partition("/")[0]))
    if not found:
        return f"there is no {reference} here"
    subject = found.get("subject") or found.get("for") or found.get("patient")
    return "" if subject is None or _is_named(runtime, subject, task["for"]) else "this is about somebody else"


def _is_named(runtime: Runtime, subject: Resource, person: Resource) -> bool:
    named = "reference" in subject or "value" in subject.get("identifier", {})
    return named and subject_key(runtime, subject) == subject_key(runtime, person)
