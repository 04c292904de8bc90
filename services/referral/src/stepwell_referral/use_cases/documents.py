"""Documents that travel with a referral and notes that come back: about its person, and of bounded size."""

from typing import Any

from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_referral.data.loop import document_bytes_max, document_characters_max, document_endings
from stepwell_referral.use_cases.progress import content, subject_key

# What a consultation gives back (fhir.md: Procedure, Observation, DocumentReference, Composition, a report of results).
RESULTS = frozenset({
    "DocumentReference", "DiagnosticReport", "Composition", "Procedure", "Observation", "QuestionnaireResponse",
    "CarePlan", "HealthcareService", "Appointment", "Task", "Encounter",
})  # fmt: skip

# Who may read one of these may read the content that belongs to it.
CONTEXTS = ("DocumentReference", "Patient", "ServiceRequest", "Task", "Communication")

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
        issues += await _wrong_binary(runtime, write, attachment, f"{place}.url")
        if len(attachment.get("data", "")) > document_characters_max():
            text = f"at most {document_characters_max() * 3 // 4} bytes here; give a url for what is larger"
            issues.append(Issue(text, "too-costly", f"{place}.data"))
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)


async def write_binary(runtime: Runtime, write: Write) -> None:
    """Content that travels with a referral. Raises FhirError BUSINESS_RULE for a media type that is not taken, for too
    much, for none, and for content that does not say whose it is."""
    binary = write.resource or {}
    issues = []
    if binary.get("contentType") not in document_endings():
        text = f"content is one of {', '.join(document_endings())}"
        issues.append(Issue(text, "business-rule", "Binary.contentType"))
    data = binary.get("data", "")
    if not 0 < len(data) // 4 * 3 - data[-2:].count("=") <= document_bytes_max():
        text = f"bring content, up to {document_bytes_max()} bytes"
        issues.append(Issue(text, "business-rule", "Binary.data"))
    reference = runtime.engine.localise(str(binary.get("securityContext", {}).get("reference", "")))
    kind, _, id_ = reference.partition("/")
    together = {(each.stored.resource_type, each.stored.id) for each in write.unit.changes}
    is_here = kind in CONTEXTS and ((kind, id_) in together or bool(content(await write.read(kind, id_))))
    if not is_here:
        text = f"say whose it is: securityContext or X-Security-Context names one of {', '.join(CONTEXTS)} that is here"
        issues.append(Issue(text, "business-rule", "Binary.securityContext"))
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


async def _wrong_binary(runtime: Runtime, write: Write, attachment: Resource, place: str) -> list[Issue]:
    """What does not fit of content that is kept here: it is there, of the kind that the document says."""
    kind, _, id_ = runtime.engine.localise(str(attachment.get("url", ""))).partition("/")
    if kind != "Binary":
        return []
    together = (each.stored for each in write.unit.changes)
    made = next((each for each in together if (each.resource_type, each.id) == (kind, id_)), None)
    binary = content(made if made is not None else await write.read(kind, id_))
    if not binary:
        return [Issue(f"there is no {kind}/{id_[:64]} here", "business-rule", place)]
    if binary.get("contentType") != attachment.get("contentType"):
        return [Issue(f"this Binary is {binary.get('contentType')}", "business-rule", place)]
    return []
