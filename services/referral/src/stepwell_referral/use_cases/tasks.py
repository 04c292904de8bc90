"""A referral Task moves on: who may move it where, and who is told."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.auth.caller import Caller
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Reader, Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_referral.rules.authorisation import authorises
from stepwell_referral.rules.transitions import actors_of, allowed_targets, check_transition
from stepwell_referral.subscriptions import REFERRAL_CHANGED

# What people may change on a Task; the rest says what was asked for, of whom and why, and stays.
CHANGEABLE = frozenset({"id", "meta", "text", "status", "statusReason", "businessStatus", "owner", "note", "output",
                        "lastModified", "executionPeriod"})  # fmt: skip

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


async def change_task(runtime: Runtime, write: Write) -> None:
    """Holds a client's change to the state table and to the ServiceRequest; the change is announced with it.

    Raises FhirError METHOD_NOT_ALLOWED for a Task that is not there, BUSINESS_RULE with the allowed targets for a move
    that is not the caller's to make, for a request without an authorising ServiceRequest, and for a change of what
    was asked.
    """
    task = write.resource
    if task is None or write.previous is None or write.previous.body is None:
        raise FhirError(Category.METHOD_NOT_ALLOWED, "referral Tasks are made by referral; they can only be changed")
    before = _resource.decode(write.previous.body)
    _refuse_rewriting(before, task)
    _refuse_move(before["status"], task["status"], write.access)
    request = await request_of(write.read, task)
    if before["status"] == "draft" and task["status"] == "requested":
        _refuse_unauthorised(request)
    entries = [] if request is None else [context_of(runtime, task, request)]
    write.unit.effects.append(referral_changed(runtime, write.stored, task, entries, write.now))


def referral_changed(
    runtime: Runtime, stored: Stored, task: Resource, context: list[tuple[str, Stored]], now: datetime
) -> Effect:
    """The event that goes with this version of the Task."""
    focus = f"Task/{stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", stored), *context]
    return event(REFERRAL_CHANGED.canonical, subject_key(runtime, task["for"]), focus, entries, now)


def context_of(runtime: Runtime, task: Resource, request: Stored) -> tuple[str, Stored]:
    """Our copy of the ServiceRequest as subscribers get it: under the address of its owner, or ours when that is us."""
    url = str(task["focus"]["reference"])
    return (url if ":" in url else f"{runtime.engine.base_url}/{url}"), request


def subject_key(runtime: Runtime, subject: Resource) -> str:
    """What names a person in events: the local reference, the absolute URL, or the identifier."""
    if "reference" in subject:
        return runtime.engine.localise(subject["reference"])
    identifier = subject["identifier"]
    return f"{identifier.get('system', '')}|{identifier['value']}"


async def request_of(read: Reader, task: Resource) -> Stored | None:
    """Our copy of the ServiceRequest that the Task is about."""
    id_ = task["focus"]["reference"].rpartition("/")[2]
    stored = await read("ServiceRequest", id_)
    return None if stored is None or stored.body is None else stored


def _refuse_rewriting(before: Resource, after: Resource) -> None:
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    refused = [name for name in changed if name.removeprefix("_") not in CHANGEABLE]
    if refused:
        text = "this says what was asked for and cannot be changed"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", f"Task.{name}") for name in refused])


def _refuse_move(before: str, after: str, access: Access) -> None:
    """Allowed is what either of the caller's sides may do."""
    actors = sorted(actors_of(access.roles if isinstance(access, Caller) else ()))
    refusals = [check_transition(before, after, actor) for actor in actors]
    if None in refusals:
        return
    allowed = sorted({target for actor in actors for target in allowed_targets(before, actor)})
    reason = next(refusal.reason for refusal in refusals if refusal is not None)
    text = f"{reason} From here this client may move it to: {', '.join(allowed) or 'nothing'}."
    raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Task.status")])


def _refuse_unauthorised(request: Stored | None) -> None:
    """A safety hold, or a proposal that nobody has accepted, is not got round by moving the Task."""
    content = _resource.decode(request.body) if request is not None and request.body else {}
    if not authorises(content.get("status", ""), content.get("intent", "")):
        text = "the ServiceRequest does not authorise this yet: its proposal is accepted in routing, once it is active"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Task.status")])
