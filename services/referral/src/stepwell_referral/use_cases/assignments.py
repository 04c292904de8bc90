"""A tier was assigned in routing: referral keeps the ServiceRequest, and prepares, requests or takes back its Task.

Copy, Task and event are one unit of work, so that a version that was kept is a version that was acted on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import copy_change
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders
from stepwell_referral.rules.authorisation import Step, next_step
from stepwell_referral.rules.interim import InterimOffer
from stepwell_referral.rules.transitions import TERMINAL, Actor, check_transition
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.elsewhere import CHAIN_MAX, REFERRAL_IDENTIFIERS, next_task_id
from stepwell_referral.use_cases.following import follow_up
from stepwell_referral.use_cases.offers import Offer, Offers, offers_for
from stepwell_referral.use_cases.progress import Progress, content, subject_key
from stepwell_referral.use_cases.queues import moved_queue
from stepwell_referral.use_cases.requests import has_safety_rule, priority_of, tier_of
from stepwell_referral.use_cases.support import end_interim

ATTEMPTS_MAX = 16
WITHDRAWN = "withdrawn"
OVER = frozenset({"revoked", "completed", "entered-in-error"})

Resource = dict[str, Any]


@dataclass(frozen=True)
class Assignment:
    """One version of a tier assignment: `url` is where routing has it, `source` this version of it."""

    resource: Resource
    url: str
    source: str
    tier: str
    subject_key: str

    @property
    def priority(self) -> str:
        """How soon."""
        return priority_of(self.resource)


@dataclass(frozen=True)
class _Next:
    """The Task's next version, or none; `interim` is what is offered until care begins. `is_told` when people must hear
    that a Task is open whose request is not."""

    task: Resource | None = None
    interim: InterimOffer | None = None
    is_told: bool = False


async def take_assignment(runtime: Runtime, event: ReceivedEvent, tenant: str) -> None:
    """Does once what this version of the ServiceRequest asks for; a version that is kept or older changes nothing.

    Raises FhirError BUSINESS_RULE for what is no tier assignment, UNAVAILABLE when too many change it at once.
    """
    assignment = _assignment(runtime, event)
    for _ in range(ATTEMPTS_MAX):
        unit = await _unit(runtime, tenant, assignment)
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue  # another replica or a person was first: look at everything again
        return
    raise FhirError(Category.UNAVAILABLE, "this referral is being changed by too many at once; try again")


def task_id(runtime: Runtime, tenant: str, request_id: str) -> str:
    """The id of the one Task of a ServiceRequest."""
    return derived_id(runtime.engine.base_url, tenant, "referral", request_id)


def _assignment(runtime: Runtime, event: ReceivedEvent) -> Assignment:
    url = event.focus or ""
    resource = event.resources.get(url)
    if resource is None or resource.get("resourceType") != "ServiceRequest":
        raise _refusal("the event brings a ServiceRequest", event.expression)
    version = resource.get("meta", {}).get("versionId")
    tier = tier_of(resource)
    subject = resource.get("subject", {})
    if version is None or tier is None or not ("reference" in subject or "value" in subject.get("identifier", {})):
        raise _refusal("a tier assignment has a version, a tier as its category, and a subject", event.expression)
    source = f"{url}/_history/{version}"
    return Assignment(resource, url, source, tier, subject_key(runtime, subject))


async def _unit(runtime: Runtime, tenant: str, assignment: Assignment) -> UnitOfWork:
    """Everything that follows from this version as things stand now; empty when there is nothing to do."""
    now = runtime.clock()
    change, _ = await copy_change(runtime.engine, tenant, assignment.resource, assignment.source, now)
    if change is None:
        return UnitOfWork(tenant)
    unit = UnitOfWork(tenant, [change])
    id_, stored = await _newest(runtime, tenant, assignment.resource["id"])
    before = content(stored) or None
    found = await _next_task(runtime, tenant, assignment, before, now)
    if found.is_told:
        unit.effects.append(timer_effect(id_, WITHDRAWN, now))
    if found.task is not None:
        moved = built(runtime.engine, found.task, now, version=1 if stored is None else stored.version + 1)
        unit.changes.append(moved)
        progress = Progress(runtime, unit, before, found.task, moved.stored, change.stored, now, found.interim)
        progress.announce(moved.stored, found.task)
        unit.effects += moved_queue(before, found.task, now)
        await follow_up(progress)
    elif before is not None and stored is not None and _is_over(assignment, before):
        # Nobody was left who would give it: what was offered until then ends with what was asked for.
        await end_interim(Progress(runtime, unit, before, before, stored, change.stored, now), care_begins=False)
    return unit


def _is_over(assignment: Assignment, task: Resource) -> bool:
    """Whether neither the request nor its last Task asks for anything any more."""
    return assignment.resource["status"] in OVER and task["status"] in TERMINAL


async def _newest(runtime: Runtime, tenant: str, request_id: str) -> tuple[str, Stored | None]:
    """The Task that stands for the request: the first, or the one of the place that was asked after a refusal."""
    id_ = task_id(runtime, tenant, request_id)
    stored = await runtime.store.read(tenant, "Task", id_)
    for _ in range(CHAIN_MAX):
        if stored is None or content(stored).get("status") not in TERMINAL:
            break
        further = next_task_id(runtime, tenant, request_id, id_)
        found = await runtime.store.read(tenant, "Task", further)
        if found is None:
            break
        id_, stored = further, found
    return id_, stored


async def _next_task(
    runtime: Runtime, tenant: str, assignment: Assignment, before: Resource | None, now: datetime
) -> _Next:
    """What this ServiceRequest asks for as things stand now."""
    status = before["status"] if before else None
    changed = before is not None and before.get("priority") != assignment.priority
    request = assignment.resource
    step = next_step(request["status"], request["intent"], status, priority_changed=changed)
    if step.outcome in {Step.NOTHING, Step.TELL}:
        return _Next(is_told=step.outcome is Step.TELL)
    if step.outcome is Step.CANCEL:
        refused = before is None or check_transition(status, "cancelled", Actor.REQUESTER) is not None
        return (
            _Next() if refused or before is None else _Next(builders.cancelled_task(before, reason=step.reason, at=now))
        )
    offers = await offers_for(
        runtime,
        tenant,
        tier=assignment.tier,
        priority=assignment.priority,
        subject_key=assignment.subject_key,
        safety_item=has_safety_rule(request),
        now=now,
        owner=(before or {}).get("owner", {}).get("reference"),
    )
    if before is None:
        task = _prepared(runtime, tenant, assignment, offers.best(), now)
        task = builders.requested_task(task, at=now) if step.outcome is Step.REQUEST else task
        return _Next(task, offers.interim)
    task, offer = _with_place({**before, "priority": assignment.priority}, assignment.tier, offers)
    advance = builders.requested_task if step.outcome is Step.REQUEST else builders.renewed_task
    task = advance(task, at=now, wait=offer.wait if offer else None, words=offer.words if offer else None)
    return _Next(task, offers.interim)


def _prepared(runtime: Runtime, tenant: str, assignment: Assignment, offer: Offer, now: datetime) -> Resource:
    request = assignment.resource
    id_ = task_id(runtime, tenant, request["id"])
    referral = builders.Referral(
        task_id=id_,
        identifier={"system": REFERRAL_IDENTIFIERS, "value": id_},
        service_request=assignment.url,
        subject=request["subject"],
        requester=request.get("requester", {"type": "Device", "display": "Stepwell routing"}),
        tier=assignment.tier,
        priority=assignment.priority,
        language=request.get("language", builders.FALLBACK_LANGUAGE),
    )
    return builders.referral_task(
        referral, place=offer.place, wait=offer.wait, interim=offer.interim, words=offer.words, at=now
    )


def _with_place(task: Resource, tier: str, offers: Offers) -> tuple[Resource, Offer | None]:
    """A place that a draft has, by match or by somebody's choice, is kept; a draft without one gets the best now."""
    owner = task.get("owner", {}).get("reference")
    if owner is not None:
        return task, offers.at(owner)
    best = offers.best()
    return (task if best.place is None else builders.placed_task(task, tier=tier, place=best.place)), best


def _refusal(text: str, expression: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])
