"""The content library: texts are kept, approved by the site, given to people as Tasks, and said to be done."""

import asyncio
from dataclasses import replace
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.consent.sharing import Sharing, actor_of
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Write
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing.builders import content as builders
from stepwell_routing.data.library import shipped_texts
from stepwell_routing.rules.care_content import audiences, check_definition, document_url
from stepwell_routing.use_cases.people import (
    Person,
    acting_person,
    content,
    one,
    optional,
    own_patient,
    parameters,
    person_of,
    require_whole,
    unprocessable,
)

ATTEMPTS_MAX = 8
# How often one version of a text can be given to one person.
DELIVERIES_MAX = 100
TEXT_CHARACTERS_MAX = 100_000  # of base64

Resource = dict[str, Any]


async def ship_content(runtime: Runtime, tenant: str) -> None:
    """Adds the texts that the tenant does not have yet, as drafts that its site approves; in one commit."""
    engine, now = runtime.engine, runtime.clock()
    shipped = [
        each
        for text in shipped_texts()
        for each in (builders.document(text), builders.definition(text, engine.base_url))
    ]
    kept = await asyncio.gather(*(engine.store.read(tenant, each["resourceType"], each["id"]) for each in shipped))
    missing = [each for each, found in zip(shipped, kept, strict=True) if found is None]
    if missing:
        try:
            await engine.store.commit(UnitOfWork(tenant, [built(engine, each, now) for each in missing]))
        except WriteConflictError:
            return  # another replica ships them


async def change_definition(runtime: Runtime, write: Write) -> None:
    """A definition is kept, approved or retired. Raises FhirError BUSINESS_RULE."""
    definition = write.resource or {}
    found = check_definition(definition, content(write.previous), builders.CONTENT)
    if found:
        raise FhirError(Category.BUSINESS_RULE, [Issue(each.text, "business-rule", each.expression) for each in found])
    if definition.get("status") == "active":
        await _text_of(runtime, write.read, definition)


async def keep_document(runtime: Runtime, write: Write) -> None:
    """A text for the library: about nobody, and with its words in it. Raises FhirError BUSINESS_RULE."""
    document = write.resource or {}
    if "subject" in document:
        raise unprocessable("a text of the library is about nobody", "DocumentReference.subject")
    for index, each in enumerate(document["content"]):
        attachment, place = each["attachment"], f"DocumentReference.content[{index}].attachment"
        if not 0 < len(attachment.get("data", "")) <= TEXT_CHARACTERS_MAX:
            raise unprocessable("the text itself belongs in here, of at most 75 kB", f"{place}.data")
        if not attachment.get("contentType", "").startswith("text/plain") or "language" not in attachment:
            raise unprocessable("a text is text/plain, and says its language", place)


async def deliver_content(runtime: Runtime, request: Request) -> Response:
    """`ActivityDefinition/[id]/$deliver` with `subject` and for family `recipient`: the Task that brings the text.

    Asked again while it is open it answers with the same Task. Raises FhirError: FORBIDDEN without a person or the
    right to make Tasks, BUSINESS_RULE for what the site has not approved, for a person who is not known, and for a
    recipient whom no Consent permits.
    """
    requester = acting_person(request)
    require_whole(request, "Task", Interaction.CREATE)
    given = parameters(request, ("subject", "recipient"))
    tenant, store = request.access.tenant, runtime.store

    async def read(resource_type: str, id_: str) -> Any:
        return await store.read(tenant, resource_type, id_)

    definition = content(await read("ActivityDefinition", request.id)) or {}
    if definition.get("status") != "active":
        raise unprocessable("this content is not approved by the site, or not any more", "ActivityDefinition.status")
    subject = await person_of(runtime, read, one(given, "subject", "valueReference"), "Parameters.parameter[subject]")
    text = await _text_of(runtime, read, definition)
    recipient = optional(given, "recipient", "valueReference")
    receiver = await _receiver(runtime, tenant, definition, subject, recipient)
    for number in range(DELIVERIES_MAX):
        cause = ("deliver", request.id, definition["version"], subject.key, str(receiver.get("reference")), str(number))
        task_id = derived_id(runtime.engine.base_url, tenant, *cause)
        before = await read("Task", task_id)
        task = content(before)
        if before is not None and task is not None and task.get("status") in builders.OPEN_STATUSES:
            return _answer(runtime, request, before, created=False, witnessed=False)
        if before is not None:
            continue
        body = builders.content_task(
            definition,
            text,
            resource_id=task_id,
            subject=subject.reference,
            recipient=receiver,
            requester=requester,
            moment=runtime.clock(),
        )
        change = built(runtime.engine, body, runtime.clock())
        answer = _answer(runtime, request, change.stored, created=True)
        unit = UnitOfWork(tenant, [change], request.records("$deliver", answer))
        try:
            await store.commit(unit)
        except WriteConflictError:
            continue
        return answer
    raise FhirError(Category.CONFLICT, "this person was given this text too often")


async def complete_task(runtime: Runtime, request: Request) -> Response:
    """`Task/[id]/$complete`: the person to whom content was given, or somebody of the team, says that it is done.

    Said again it changes nothing. Raises FhirError: FORBIDDEN for anybody else, BUSINESS_RULE for another kind of Task.
    """
    tenant, patient = request.access.tenant, own_patient(request)
    parameters(request, ())
    for _ in range(ATTEMPTS_MAX):
        stored = await runtime.store.read(tenant, "Task", request.id)
        task = content(stored)
        if stored is None or task is None:
            raise FhirError(Category.NOT_FOUND, "there is no Task with this id")
        if not any(each.get("code") == builders.USE_CONTENT for each in task["code"].get("coding", ())):
            raise unprocessable("this Task is closed in another way", "Task.code")
        if patient is not None and runtime.engine.localise(task["for"].get("reference", "")) != patient:
            raise FhirError(Category.NOT_FOUND, "there is no Task with this id")
        if patient is None:
            require_whole(request, "Task", Interaction.UPDATE)
        if task.get("status") == "completed":
            return _answer(runtime, request, stored, created=False, witnessed=False)
        if task.get("status") not in builders.OPEN_STATUSES:
            raise unprocessable("this Task was closed", "Task.status")
        who = patient or acting_person(request)
        now = runtime.clock()
        body = builders.completed_content_task(task, completed_by={"reference": who}, moment=now)
        change = built(runtime.engine, body, now, version=stored.version + 1)
        answer = _answer(runtime, request, change.stored, created=False)
        try:
            await runtime.store.commit(UnitOfWork(tenant, [change], request.records("$complete", answer)))
        except WriteConflictError:
            continue
        return answer
    raise FhirError(Category.CONFLICT, "this Task is being changed by too many at once; try again")


async def _text_of(runtime: Runtime, read: Any, definition: Resource) -> Resource:
    """The DocumentReference with the text of a definition. Raises BUSINESS_RULE when it is not kept here."""
    address = runtime.engine.localise(document_url(definition) or "").partition("/_history/")[0]
    resource_type, _, id_ = address.partition("/")
    place = "ActivityDefinition.relatedArtifact.document.url"
    if resource_type != "DocumentReference" or not id_ or "/" in id_:
        raise unprocessable("the text is a DocumentReference of this service", place)
    found = content(await read("DocumentReference", id_))
    if found is None or found.get("status") != "current":
        raise unprocessable("the text is not kept here", place)
    return found


async def _receiver(
    runtime: Runtime, tenant: str, definition: Resource, subject: Person, recipient: Resource | None
) -> Resource:
    """Who gets the text: the person, or one close to them when the text is for family and a Consent permits it."""
    written_for = audiences(definition, builders.CONTENT)
    place = "Parameters.parameter.where(name = 'recipient')"
    if recipient is None:
        if "person" not in written_for:
            raise unprocessable("this text is not written for the person; name a recipient", place)
        return subject.reference
    reference = runtime.engine.localise(str(recipient.get("reference")))
    actor = actor_of(reference)
    if "family" not in written_for or not reference.rpartition("/")[0].endswith("RelatedPerson"):
        raise unprocessable("somebody else who is given a text is a RelatedPerson, and the text is for family", place)
    sharing = Sharing.of(runtime.engine)
    decision = sharing.decide(await sharing.consents_about(tenant, subject.key), actor, "Task", {})
    if not decision.permitted:
        raise unprocessable(f"{decision.reason} ({decision.rule})", place)
    return {**recipient, "reference": reference}


def _answer(runtime: Runtime, request: Request, stored: Any, *, created: bool, witnessed: bool = True) -> Response:
    served_type = runtime.engine.registry.types["Task"]
    asked = replace(request, id="") if created else request
    return written(runtime.engine.base_url, asked, served_type, stored, created=created, witnessed=witnessed)
