"""Referrals from outside: clinicians and their systems, lay workers, people themselves. Each gets its Task at once.

A ServiceRequest is enough: its place is found here. Who sends a Task with it, in one transaction, chooses the place.
"""

from typing import Any

from stepwell_shared.auth.caller import Caller
from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.reach import query_of, stored_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders
from stepwell_referral.builders import support as support_builders
from stepwell_referral.data.intake import refer_nobody, required, sources, wanted
from stepwell_referral.rules.authorisation import authorises
from stepwell_referral.rules.intake import PROPOSAL, Problem, Source, held_back, missing, scope_problems, source_of
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.elsewhere import REFERRAL_IDENTIFIERS
from stepwell_referral.use_cases.following import follow_up
from stepwell_referral.use_cases.offers import offers_for
from stepwell_referral.use_cases.progress import Progress, content, context_of, referral_changed, subject_key
from stepwell_referral.use_cases.requests import has_safety_rule, priority_of, tier_of
from stepwell_referral.use_cases.support import next_step

PATIENT, LAY = "patient", frozenset({"patient", "community-health-worker"})
HOLDS_MAX = 20

Resource = dict[str, Any]


async def take_order(runtime: Runtime, write: Write) -> None:
    """A ServiceRequest from outside: checked, and given its Task at the best place, in the same commit.

    Raises FhirError: METHOD_NOT_ALLOWED for who refers nobody, BUSINESS_RULE with every element that is missing or
    wrong, CONFLICT for a referral that is here already.
    """
    request: Resource = {**(write.resource or {}), "id": write.stored.id}
    source = source_of(_roles(write.access), sources(), refer_nobody())
    if source is None:
        raise _not_made_here(write)
    await _refuse_incomplete(runtime, write, request, source)
    await _refuse_known(runtime, write, request)
    holds = await _open_holds(runtime, write, request) if source.role in LAY else {}
    held = held_back(holds)
    progress = await _asked(runtime, write, request, is_held=held is not None)
    await follow_up(progress)
    if held is not None:
        next_step(progress, held.text)
    if source.role not in LAY:
        await _answer_proposals(runtime, write, request)


async def take_order_task(runtime: Runtime, write: Write) -> None:
    """A Task that comes with its ServiceRequest takes the place of the one that the request would have got.

    Raises FhirError BUSINESS_RULE for one that does not say whom it asks, for what, or that asks without authority.
    """
    task: Resource = {**(write.resource or {}), "id": write.stored.id}
    source = source_of(_roles(write.access), sources(), refer_nobody())
    if source is None or source.role in LAY:
        raise _not_made_here(write)
    wanted = ("ServiceRequest", _local_id(runtime, task.get("focus"), "ServiceRequest"))
    together = (each.stored for each in write.unit.changes)
    request = next((each for each in together if (each.resource_type, each.id) == wanted), None)
    if request is None:
        problem = Problem("focus", "a Task comes in one transaction with its ServiceRequest, its focus")
        raise _unprocessable([problem], "Task")
    await _refuse_task(runtime, write, task, content(request))
    _withdraw_own(runtime, write, content(request))
    write.unit.effects.append(
        referral_changed(runtime, write.stored, task, [context_of(runtime, task, request)], write.now)
    )
    await follow_up(Progress(runtime, write.unit, None, task, write.stored, request, write.now))


async def _asked(runtime: Runtime, write: Write, request: Resource, *, is_held: bool) -> Progress:
    """Adds the request's Task: asked of the best place, or a draft until somebody with authority has decided."""
    key, tier = subject_key(runtime, request["subject"]), tier_of(request) or ""
    offers = await offers_for(
        runtime,
        write.access.tenant,
        tier=tier,
        priority=priority_of(request),
        subject_key=key,
        safety_item=is_held or has_safety_rule(request),
        now=write.now,
    )
    offer, id_ = offers.best(), _task_id(runtime, write.access.tenant, request)
    referral = builders.Referral(
        task_id=id_,
        identifier={"system": REFERRAL_IDENTIFIERS, "value": id_},
        service_request=f"{runtime.engine.base_url}/ServiceRequest/{request['id']}",
        subject=request["subject"],
        requester=request["requester"],
        tier=tier,
        priority=priority_of(request),
        language=request.get("language", builders.FALLBACK_LANGUAGE),
    )
    task = builders.referral_task(
        referral, place=offer.place, wait=offer.wait, interim=offer.interim, words=offer.words, at=write.now
    )
    if authorises(request["status"], request["intent"]) and not is_held:
        task = builders.requested_task(task, at=write.now)
    task = support_builders.with_wanted(task, [each.text for each in missing(request, wanted())])
    change = built(runtime.engine, task, write.now)
    write.unit.changes.append(change)
    progress = Progress(runtime, write.unit, None, task, change.stored, write.stored, write.now, offers.interim)
    progress.announce(change.stored, task)
    return progress


async def _answer_proposals(runtime: Runtime, write: Write, request: Resource) -> None:
    """An order that rests on proposals answers them: they and their drafts are closed with it."""
    unit = write.unit
    for based_on in request.get("basedOn", ()):
        stored = await write.read("ServiceRequest", _local_id(runtime, based_on, "ServiceRequest"))
        proposal = content(stored)
        if stored is None or proposal.get("intent") != PROPOSAL or not is_ours(runtime, proposal):
            continue
        if proposal["status"] == "active":
            closed = support_builders.closed_request(proposal, "completed")
            unit.changes.append(built(runtime.engine, closed, write.now, version=stored.version + 1))
        draft = await write.read("Task", _task_id(runtime, write.access.tenant, proposal))
        task = content(draft)
        if draft is not None and task.get("status") == "draft":
            cancelled = builders.cancelled_task(task, reason="A clinician has answered the proposal.", at=write.now)
            change = built(runtime.engine, cancelled, write.now, version=draft.version + 1)
            unit.changes.append(change)
            unit.effects.append(timer_effect(draft.id, "cancelled", None))
            context = [context_of(runtime, cancelled, stored)]
            unit.effects.append(referral_changed(runtime, change.stored, cancelled, context, write.now))


def is_ours(runtime: Runtime, request: Resource) -> bool:
    """Whether it was sent here, and is no copy of what routing or a partner owns."""
    source = str(request.get("meta", {}).get("source", ""))
    return not source or source.startswith(("#", runtime.engine.base_url))


async def _refuse_incomplete(runtime: Runtime, write: Write, request: Resource, source: Source) -> None:
    """Names everything that is missing or beyond the role at once."""
    problems = missing(request, required())
    tier = tier_of(request)
    if tier is None and "category" in request:
        problems.append(Problem("category", "say which tier of care is asked for"))
    if tier is not None:
        problems += scope_problems(source, tier, request.get("status", ""), request.get("intent", ""))
    if source.needs_identifier and _identifier(request) is None:
        problems.append(Problem("identifier", "an identifier with its system makes it come once"))
    problems += _identity_problems(runtime, write.access, request, source)
    problems += await _subject_problems(runtime, write, request)
    if problems:
        raise _unprocessable(problems, "ServiceRequest")


def _identity_problems(runtime: Runtime, access: Access, request: Resource, source: Source) -> list[Problem]:
    """Nobody asks in another's name, and people ask for themselves."""
    user, asks = access.fhir_user, runtime.engine.localise(str(request.get("requester", {}).get("reference", "")))
    if source.role in LAY and (user is None or asks != runtime.engine.localise(user)):
        return [Problem("requester", "who asks is the person whom the token names")]
    if source.role == PATIENT and runtime.engine.localise(str(request.get("subject", {}).get("reference", ""))) != asks:
        return [Problem("subject", "people refer themselves")]
    return []


async def _subject_problems(runtime: Runtime, write: Write, request: Resource) -> list[Problem]:
    """Somebody who can be named; a Patient of ours must be here."""
    subject = request.get("subject")
    if subject is None:
        return []
    if "reference" not in subject and "value" not in subject.get("identifier", {}):
        return [Problem("subject", "the person has a reference or an identifier")]
    key = runtime.engine.localise(str(subject.get("reference", "")))
    resource_type, _, id_ = key.partition("/")
    if resource_type == "Patient" and "://" not in key and not content(await write.read("Patient", id_)):
        return [Problem("subject", "this Patient is not known here yet")]
    return []


async def _refuse_known(runtime: Runtime, write: Write, request: Resource) -> None:
    """The same referral from the same source is here once."""
    identifier = _identifier(request)
    if identifier is None:
        return
    for stored in await _search(runtime, write, [("identifier", f"{identifier[0]}|{identifier[1]}")]):
        if stored.id != write.stored.id:
            text = f"a referral with this identifier is here already: ServiceRequest/{stored.id}"
            raise FhirError(Category.CONFLICT, [Issue(text, "duplicate", "ServiceRequest.identifier")])


async def _open_holds(runtime: Runtime, write: Write, request: Resource) -> dict[str, str]:
    """The person's requests that rest because a question of safety is open."""
    key = subject_key(runtime, request["subject"])
    name = "patient" if "reference" in request["subject"] else "patient:identifier"
    found = await _search(runtime, write, [(name, key), ("status", "on-hold")])
    return {each.id: "on-hold" for each in found if has_safety_rule(content(each))}


async def _refuse_task(runtime: Runtime, write: Write, task: Resource, request: Resource) -> None:
    problems = []
    if (task.get("status"), task.get("intent")) not in {("draft", "order"), ("requested", "order")}:
        problems.append(Problem("status", "a referral comes as a draft or requested order"))
    if task.get("status") == "requested" and not authorises(request.get("status", ""), request.get("intent", "")):
        problems.append(Problem("status", "the ServiceRequest does not authorise this: it comes as a draft"))
    if _identifier(task) is None:
        problems.append(Problem("identifier", "an identifier with its system makes it come once"))
    if not task.get("authoredOn") or "requester" not in task:
        problems.append(Problem("requester", "say who asks, and when (authoredOn)"))
    named = "reference" in task.get("for", {}) or "value" in task.get("for", {}).get("identifier", {})
    if not named or subject_key(runtime, task["for"]) != subject_key(runtime, request["subject"]):
        problems.append(Problem("for", "it is for the person of the ServiceRequest"))
    if not await _is_place(runtime, write, task.get("owner")):
        problems.append(Problem("owner", "the owner is a HealthcareService that is here and active"))
    if problems:
        raise _unprocessable(problems, "Task")


async def _is_place(runtime: Runtime, write: Write, owner: Resource | None) -> bool:
    id_ = _local_id(runtime, owner, "HealthcareService")
    place = content(await write.read("HealthcareService", id_)) if id_ else {}
    return bool(place) and bool(place.get("active", True))


def _withdraw_own(runtime: Runtime, write: Write, request: Resource) -> None:
    """Takes out of the unit of work what the request would have led to by itself, but for what goes along with it."""
    id_ = _task_id(runtime, write.access.tenant, request)
    message = derived_id(runtime.engine.base_url, write.access.tenant, "told", id_, "1")
    gone = {id_, message}
    unit = write.unit
    unit.changes[:] = [each for each in unit.changes if each.stored.id not in gone]
    focuses = {f"Task/{id_}", f"Communication/{message}", id_}
    unit.effects[:] = [each for each in unit.effects if not focuses & {each.values[0], *each.values[2:3]}]
    for position, change in enumerate(unit.changes):
        made = content(change.stored) if change.stored.resource_type == "Task" else {}
        if support_builders.whole_of(made) == id_:
            moved = support_builders.within(made, write.stored.id)
            unit.changes[position] = built(runtime.engine, moved, write.now)


async def _search(runtime: Runtime, write: Write, criteria: list[tuple[str, str]]) -> list[Stored]:
    engine = runtime.engine
    served_type = engine.registry.types["ServiceRequest"]
    query = query_of(engine, served_type, criteria, (), strict=True)
    query.count = HOLDS_MAX
    rows = await engine.store.search(write.access.tenant, *query.page_statement())
    return [stored_of(served_type, row) for row in rows]


def _task_id(runtime: Runtime, tenant: str, request: Resource) -> str:
    """One Task for one identifier of one source, or for one request without any."""
    identifier = _identifier(request)
    cause = ("order", *identifier) if identifier is not None else ("referral", str(request["id"]))
    return derived_id(runtime.engine.base_url, tenant, *cause)


def _identifier(resource: Resource) -> tuple[str, str] | None:
    found: Resource = next(iter(resource.get("identifier", ())), {})
    return (found["system"], found["value"]) if found.get("system") and found.get("value") else None


def _local_id(runtime: Runtime, reference: Resource | None, resource_type: str) -> str:
    found = runtime.engine.localise(str((reference or {}).get("reference", "")))
    kind, _, id_ = found.partition("/")
    return id_ if kind == resource_type else ""


def _roles(access: Access) -> tuple[str, ...]:
    return tuple(access.roles) if isinstance(access, Caller) else ()


def _not_made_here(write: Write) -> FhirError:
    text = f"a {write.stored.resource_type} is made here by this service, or comes with a referral from who may refer"
    return FhirError(Category.METHOD_NOT_ALLOWED, text)


def _unprocessable(problems: list[Problem], resource_type: str) -> FhirError:
    issues = [Issue(each.text, "business-rule", f"{resource_type}.{each.element}") for each in problems]
    return FhirError(Category.BUSINESS_RULE, issues)
