"""Referrals that partner organisations send: what is taken, what is refused, and how they take one back.

What comes are copies that belong to us, under the partner's Organization: it may refer to nothing else here. Everybody
else is told that these resources are not made here.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.auth.roles import PARTNER_ROLE
from stepwell_shared.federation.partners import Partner
from stepwell_shared.federation.terms import REFERRAL
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.reach import query_of, stored_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Reader, Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.partnering import partners_of
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders
from stepwell_referral.builders.advice import is_advice
from stepwell_referral.builders.support import part_code
from stepwell_referral.rules.authorisation import authorises
from stepwell_referral.rules.transitions import Actor, check_transition
from stepwell_referral.use_cases.advice import change_advice, take_advice_task, take_back_advice
from stepwell_referral.use_cases.agreements import not_taken
from stepwell_referral.use_cases.following import follow_up
from stepwell_referral.use_cases.orders import take_order, take_order_task
from stepwell_referral.use_cases.part_orders import take_part
from stepwell_referral.use_cases.progress import Progress, context_of, referral_changed
from stepwell_referral.use_cases.tasks import change_task

TAKEN_BACK = "The organisation that referred has taken this back."
ERASED = "The organisation that referred has erased this person, and asks whether what is here must go too."

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


async def write_task(runtime: Runtime, write: Write) -> None:
    """A referral of a partner, its taking back, a Task with an order, a part, or a change of what is here. Raises
    FhirError."""
    if write.interaction is not Interaction.CREATE or write.resource is None:
        is_question = write.resource is not None and is_advice(_before(write))
        await (change_advice if is_question else change_task)(runtime, write)
        return
    partner = await _partner(runtime, write)
    if partner is None:
        made = take_part if part_code(write.resource) is not None else take_order_task
        await made(runtime, write)
    elif is_advice(write.resource):
        await take_advice_task(runtime, write, partner, write.resource)
    elif _is_abort(write.resource):
        await _take_back(runtime, partner, write, write.resource)
    else:
        await _take(runtime, partner, write, write.resource)


async def write_request(runtime: Runtime, write: Write) -> None:
    """The authorisation of a partner's referral, or a referral from outside. Raises FhirError."""
    partner, request = await _partner(runtime, write), write.resource or {}
    if partner is None:
        await take_order(runtime, write)
        return
    _refuse_all(
        [
            *_foreign("ServiceRequest.requester", request.get("requester"), partner),
            *await _foreign_person("ServiceRequest.subject", request.get("subject"), partner, write.read),
            *(
                []
                if authorises(request["status"], request["intent"])
                else [_issue("ServiceRequest.status", NOT_ACTIVE)]
            ),
        ]
    )


async def write_patient(runtime: Runtime, write: Write) -> None:
    """The person of a partner's referral. Raises FhirError."""
    partner, patient = await _sender(runtime, write), write.resource or {}
    _refuse_all(list(_foreign("Patient.managingOrganization", patient.get("managingOrganization"), partner)))


NOT_ACTIVE = "a referral is authorised by an active plan or order"


async def _partner(runtime: Runtime, write: Write) -> Partner | None:
    """The partner that sends, if it is one; one that only we refer to sends nothing, like a stranger in that role."""
    access = write.access
    partner = await partners_of(runtime).of_client(access.tenant, access.client_id)
    if (partner is None and PARTNER_ROLE in getattr(access, "roles", ())) or (
        partner is not None and not partner.refers_here
    ):
        raise _not_made_here(write)
    return partner


async def _sender(runtime: Runtime, write: Write) -> Partner:
    """The partner that sends. Raises METHOD_NOT_ALLOWED for everybody else, as if there were no such interaction."""
    partner = await _partner(runtime, write)
    if partner is None:
        raise _not_made_here(write)
    return partner


def _not_made_here(write: Write) -> FhirError:
    text = f"a {write.stored.resource_type} is made here by this service, or comes with a partner's referral"
    return FhirError(Category.METHOD_NOT_ALLOWED, text)


async def _take(runtime: Runtime, partner: Partner, write: Write, task: Resource) -> None:
    request = await _local(write.read, "ServiceRequest", task.get("focus"))
    issues = [
        *_foreign("Task.requester", task.get("requester"), partner),
        *await _foreign_person("Task.for", task.get("for"), partner, write.read),
        *await _unknown_place(task.get("owner"), write.read),
    ]
    if (task["status"], task["intent"]) != ("requested", "order"):
        issues.append(_issue("Task.status", "a referral comes as a requested order"))
    if not all(task.get("identifier", [{}])[0].get(name) for name in ("system", "value")):
        issues.append(_issue("Task.identifier", "a referral has an identifier with its system, so that it comes once"))
    if request is None or _content(request).get("requester", {}).get("reference") != partner.organization:
        issues.append(_issue("Task.focus", "the focus is the ServiceRequest that comes with the referral"))
    _refuse_all(issues)
    terms, owner = partner.taken_here, task["owner"]["reference"]
    if reason := await not_taken(terms, REFERRAL, _content(request) if request else {}, owner, write.read):
        _refuse_all([_issue("Task.owner", f"this organisation {reason}")])
    if await _was_taken_back(runtime, partner, write, task):
        _refuse_all([_issue("Task.identifier", "this referral was taken back before it came")])
    context = [] if request is None else [context_of(runtime, task, request)]
    write.unit.effects.append(referral_changed(runtime, write.stored, task, context, write.now))
    kept = {**task, "id": write.stored.id}
    await follow_up(Progress(runtime, write.unit, None, kept, write.stored, request, write.now))


async def _take_back(runtime: Runtime, partner: Partner, write: Write, abort: Resource) -> None:
    """Cancels the referral where the state allows it, together with the request to do so."""
    identifier = abort.get("focus", {}).get("identifier", {})
    _refuse_all(
        [
            *_foreign("Task.requester", abort.get("requester"), partner),
            *([] if "value" in identifier else [_issue("Task.focus", "name the referral by its identifier")]),
        ]
    )
    for stored in await _found(runtime, partner, write, identifier):
        task = _content(stored)
        if is_advice(task):
            take_back_advice(runtime, write, stored, task)
            continue
        if check_transition(task["status"], "cancelled", Actor.OWNER, cancel_requested=True) is not None:
            continue
        if task["status"] == "cancelled":
            continue
        reason = ERASED if _has_code(abort, builders.TASK_CODE_ERASED) else TAKEN_BACK
        cancelled = builders.cancelled_task(task, reason=reason, at=write.now)
        change = built(runtime.engine, cancelled, write.now, version=stored.version + 1)
        write.unit.changes.append(change)
        request = await _local(write.read, "ServiceRequest", task.get("focus"))
        context = [] if request is None else [context_of(runtime, task, request)]
        write.unit.effects.append(referral_changed(runtime, change.stored, cancelled, context, write.now))
        await follow_up(Progress(runtime, write.unit, task, cancelled, change.stored, request, write.now))


async def _found(runtime: Runtime, partner: Partner, write: Write, identifier: Resource) -> list[Stored]:
    """The partner's Tasks with this identifier; another's are not there for it."""
    engine = runtime.engine
    criteria = f"{identifier.get('system', '')}|{identifier['value']}"
    served_type = engine.registry.types["Task"]
    query = query_of(engine, served_type, [("identifier", criteria)], (), strict=True)
    rows = await engine.store.search(write.access.tenant, *query.page_statement())
    found = [stored_of(served_type, row) for row in rows]
    return [each for each in found if _content(each).get("requester", {}).get("reference") == partner.organization]


async def _was_taken_back(runtime: Runtime, partner: Partner, write: Write, task: Resource) -> bool:
    identifier = {"system": builders.ABORT_IDENTIFIERS, "value": task["identifier"][0]["value"]}
    return bool(await _found(runtime, partner, write, identifier))


def _before(write: Write) -> Resource:
    return _content(write.previous) if write.previous is not None else {}


def _is_abort(task: Resource) -> bool:
    return _has_code(task, builders.TASK_CODE_ABORT)


def _has_code(task: Resource, code: Resource) -> bool:
    codings = task.get("code", {}).get("coding", ())
    return any({name: coding.get(name) for name in ("system", "code")} == code for coding in codings)


def _foreign(place: str, reference: Resource | None, partner: Partner) -> Iterator[Issue]:
    if (reference or {}).get("reference") != partner.organization:
        yield _issue(place, f"a partner refers as itself: {partner.organization}")


async def _foreign_person(place: str, reference: Resource | None, partner: Partner, read: Reader) -> list[Issue]:
    """Whoever is not the partner's own patient here is nobody to it."""
    patient = await _local(read, "Patient", reference)
    organization = _content(patient).get("managingOrganization", {}).get("reference") if patient else None
    return [] if organization == partner.organization else [_issue(place, "this is a Patient that you have sent")]


async def _unknown_place(reference: Resource | None, read: Reader) -> list[Issue]:
    for resource_type in ("HealthcareService", "Organization"):
        place = await _local(read, resource_type, reference)
        if place is not None and _content(place).get("active", True):
            return []
    return [_issue("Task.owner", "the owner is a HealthcareService or an Organization that is here and active")]


async def _local(read: Reader, resource_type: str, reference: Resource | None) -> Stored | None:
    """The resource of this type that a relative reference names, if it is here."""
    name, _, id_ = str((reference or {}).get("reference", "")).partition("/")
    stored = await read(resource_type, id_) if name == resource_type and id_ else None
    return None if stored is None or stored.body is None else stored


def _content(stored: Stored) -> Resource:
    resource: Resource = _resource.decode(stored.body or b"{}")
    return resource


def _issue(place: str, text: str) -> Issue:
    return Issue(text, "business-rule", place)


def _refuse_all(issues: list[Issue]) -> None:
    if issues:
        raise FhirError(Category.BUSINESS_RULE, issues)
