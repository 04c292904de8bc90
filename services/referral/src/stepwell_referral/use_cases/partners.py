"""Referrals to partner organisations: what leaves, what is shown when it cannot, how ours follow what comes back."""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from stepwell_shared.consent.rules import Decision
from stepwell_shared.consent.sharing import Sharing, actor_of
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.federation.exchange import Exchange, NotReadyError, Outgoing
from stepwell_shared.federation.partners import Partner
from stepwell_shared.federation.terms import REFERRAL
from stepwell_shared.fhir.copies import source_of, version_in
from stepwell_shared.fhir.erased import is_redacted
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.partnering import note_heard, partners_of
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders
from stepwell_referral.builders.advice import advice_id, advice_named, is_advice, outgoing_question
from stepwell_referral.rules.exchange import Message, Step, follow, message_for
from stepwell_referral.subscriptions import ADVICE_CHANGED, REFERRAL_CHANGED
from stepwell_referral.use_cases.advice import advice_changed
from stepwell_referral.use_cases.advice_exchange import question_of, take_answer
from stepwell_referral.use_cases.agreements import not_taken
from stepwell_referral.use_cases.capacity import learn
from stepwell_referral.use_cases.elsewhere import REFERRAL_IDENTIFIERS
from stepwell_referral.use_cases.following import follow_up
from stepwell_referral.use_cases.news import copies_of, news
from stepwell_referral.use_cases.progress import referral_with_request, subject_key

ATTEMPTS_MAX = 16
URI_IDENTIFIERS = "urn:ietf:rfc:3986"

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


def exchange(runtime: Runtime) -> Exchange:
    """Referral's part in the exchange with partners."""
    return Exchange(
        topic=REFERRAL_CHANGED,
        advice=ADVICE_CHANGED,
        partners=partners_of(runtime),
        concerns=partial(concerns, runtime),
        outgoing=partial(outgoing, runtime),
        refused=partial(show_refusal, runtime),
        take=partial(take_news, runtime),
        news=partial(news, runtime),
        heard=partial(note_heard, runtime),
        capacity="HealthcareService/$shared-capacity",
        learn=partial(learn, runtime),
    )


async def concerns(runtime: Runtime, partner: Partner, event: PendingEvent) -> bool:
    """Whether the partner was asked for this referral and does not know yet what the event says."""
    if not event.entries[0].is_complete:
        return False  # the person was erased before it was sent; of that the partner is told by an event of its own
    task = _focus(event)
    if not (is_referral(task) or is_advice(task)):
        return False
    _, partner_status = builders.partner_state(task)
    if message_for(task["status"], partner_status, is_erased=is_redacted(task)).outcome is Message.NOTHING:
        return False
    return await _place_there(runtime, partner, task) is not None


async def outgoing(runtime: Runtime, partner: Partner, event: PendingEvent) -> Outgoing:
    """What the partner is sent: nothing that Consents do not permit now, and then the Task says so.

    Raises NotReadyError while the person's record has not come from screening.
    """
    task = _focus(event)
    placer = builders.Placer(runtime.engine.base_url, partner.organization_there, partner.shared)
    place = await _place_there(runtime, partner, task) or partner.place_there
    _, partner_status = builders.partner_state(task)
    message = message_for(task["status"], partner_status, is_erased=is_redacted(task)).outcome
    if message is Message.ERASURE:
        return Outgoing(builders.outgoing_erasure(task, placer, owner=place), alone=True)
    if message is Message.CANCELLATION:
        return Outgoing(builders.outgoing_cancellation(task, placer, owner=place), alone=True)
    if is_advice(task):
        return await _outgoing_question(runtime, partner, event, task, placer)
    request = _context(event, task["focus"]["reference"])
    read, owner = partial(runtime.store.read, partner.tenant), runtime.engine.localise(task["owner"]["reference"])
    if reason := await not_taken(partner.taken_there, REFERRAL, request, owner, read):
        await show_refusal(runtime, partner, event, f"it {reason}.")
        return Outgoing()
    person = await _person(runtime, partner.tenant, task["for"])
    about = {"Task": task, "ServiceRequest": request, "Patient": person}
    decision = await permitted_to(runtime, partner, event.subject, about)
    if not decision.permitted:
        await _show_withheld(runtime, partner, event, decision.reason)
        # A Consent that came before this was shown found nothing that waited for it.
        decision = await permitted_to(runtime, partner, event.subject, about)
    if not decision.permitted:
        return Outgoing()
    consent = f"{runtime.settings.url_of('screening')}/Consent/{decision.consent}" if decision.consent else ""
    known = advice_named(await advice_behind(runtime, partner, request))
    entries = builders.outgoing_referral(task, request, person, placer, owner=place, consent=consent, known=known)
    return Outgoing(entries)


async def advice_behind(runtime: Runtime, partner: Partner, request: Resource) -> list[str]:
    """The partner's answers that a ServiceRequest rests on, by the partner's own addresses."""
    found = []
    for each in request.get("supportingInfo", ()):
        kind, _, id_ = runtime.engine.localise(str(each.get("reference", ""))).partition("/")
        stored = await runtime.store.read(partner.tenant, kind, id_) if kind == "Communication" else None
        source = source_of(stored).partition("/_history/")[0]
        found += [source] if partner.sent(source) else []
    return found


async def _outgoing_question(
    runtime: Runtime, partner: Partner, event: PendingEvent, task: Resource, placer: builders.Placer
) -> Outgoing:
    """A question for advice, where Consents permit to share the person and what is asked."""
    person = await _person(runtime, partner.tenant, task["for"])
    question = await question_of(runtime, partner.tenant, task)
    # It is written for the partner and is no message to the person; what it is labelled with counts.
    about = {"Task": {**task, "meta": question.get("meta", {})}, "Patient": person}
    decision = await permitted_to(runtime, partner, event.subject, about)
    if not decision.permitted:
        await _show_withheld(runtime, partner, event, decision.reason)
        decision = await permitted_to(runtime, partner, event.subject, about)
    if not (decision.permitted and question):
        return Outgoing()
    return Outgoing(outgoing_question(task, question, person, placer, owner=partner.place_there))


async def permitted_to(runtime: Runtime, partner: Partner, subject: str, about: Mapping[str, Resource]) -> Decision:
    """Whether all that a referral consists of may be shared with the partner; the first that may not says why."""
    sharing = Sharing.of(runtime.engine)
    consents = await sharing.consents_about(partner.tenant, subject)
    actor = actor_of(partner.organization)
    decisions = [sharing.decide(consents, actor, resource_type, each) for resource_type, each in about.items()]
    return next((each for each in decisions if not each.permitted), decisions[0])


async def _show_withheld(runtime: Runtime, partner: Partner, event: PendingEvent, reason: str) -> None:
    """Puts on the Task that it was not sent, where the people look who referred."""

    def changed(task: Resource) -> Resource | None:
        is_over = task["status"] != "requested" or builders.partner_state(task)[1] is not None
        if is_over or builders.is_withheld(task):
            return None
        return builders.withheld_task(task, reason=f"Not sent to {partner.title}. {reason}", at=runtime.clock())

    await change_referral(runtime, partner.tenant, event.focus.partition("/")[2], changed)


async def show_refusal(runtime: Runtime, partner: Partner, event: PendingEvent, reason: str) -> None:
    """Puts the refusal on the Task, where the people look who referred. Twice is once."""

    def changed(task: Resource) -> Resource | None:
        text = f"{partner.title} could not take this referral: {reason}"
        is_shown = task.get("statusReason", {}).get("text") == text
        is_over = task["status"] != "requested" or builders.partner_state(task)[1] is not None
        return None if is_shown or is_over else builders.undelivered_task(task, reason=text, at=runtime.clock())

    await change_referral(runtime, partner.tenant, event.focus.partition("/")[2], changed)


async def take_news(runtime: Runtime, partner: Partner, event: ReceivedEvent) -> None:
    """Our Task follows the partner's. Raises FhirError BUSINESS_RULE for news about what is no referral to it."""
    url = event.focus or ""
    theirs = event.resources.get(url)
    if theirs is None or theirs.get("resourceType") != "Task" or "versionId" not in theirs.get("meta", {}):
        raise _refusal("the event brings a Task with its version", event.expression)
    version_url = f"{url}/_history/{theirs['meta']['versionId']}"
    if (asked := advice_id(theirs)) is not None:
        await take_answer(runtime, partner, event, theirs, asked, version_url)
        return
    id_ = _our_id(theirs)
    if id_ is None:
        raise _refusal("the Task has no identifier of a referral of ours", event.expression)
    stored = await runtime.store.read(partner.tenant, "Task", id_)
    if stored is not None and stored.body is None:
        return  # it was erased here: what became of it there is nobody's any more
    ours = _resource.decode(stored.body) if stored is not None and stored.body else None
    if ours is None or await _place_there(runtime, partner, ours) is None:
        raise _refusal("this is no referral of ours to this partner", event.expression)

    async def with_copies(unit: UnitOfWork, task: Resource) -> Resource:
        copies = await copies_of(runtime, partner, event, task)
        unit.changes += copies.changes
        return builders.with_copies(task, copies.by_url)

    followed = partial(_followed, runtime, theirs, version_url)
    await change_referral(runtime, partner.tenant, id_, followed, with_copies)


def is_referral(task: Resource) -> bool:
    """Whether this Task is a referral, and not what asks for something about one."""
    return any(each.get("system") == REFERRAL_IDENTIFIERS for each in task.get("identifier", ()))


def _followed(runtime: Runtime, theirs: Resource, version_url: str, task: Resource) -> Resource | None:
    known, _ = builders.partner_state(task)
    decision = follow(task["status"], version_in(known), theirs["status"], version_in(version_url))
    if decision.outcome is Step.NOTHING:
        return None
    is_followed = decision.outcome is Step.FOLLOW
    if is_redacted(theirs):
        return builders.erased_there_task(task, theirs, version_url, is_open=is_followed, at=runtime.clock())
    moved = builders.followed_task if is_followed else builders.noted_task
    # Not every partner speaks BSeR: the state of its Task says as much.
    return moved(task, builders.with_business_state(theirs), version_url, at=runtime.clock())


async def _as_it_is(unit: UnitOfWork, task: Resource) -> Resource:
    return task


async def change_referral(
    runtime: Runtime,
    tenant: str,
    id_: str,
    changed: Callable[[Resource], Resource | None],
    completed: Callable[[UnitOfWork, Resource], Awaitable[Resource]] = _as_it_is,
) -> None:
    """Commits the next version of a Task with its event; nothing when there is nothing to change any more.

    `completed` adds to the unit of work what belongs to that version, and may name it in the Task.
    """
    for _ in range(ATTEMPTS_MAX):
        stored = await runtime.store.read(tenant, "Task", id_)
        before = _resource.decode(stored.body) if stored is not None and stored.body else None
        task = None if before is None else changed(before)
        if stored is None or before is None or task is None:
            return
        unit = UnitOfWork(tenant)
        task = await completed(unit, task)
        if is_advice(task):
            change = built(runtime.engine, task, runtime.clock(), version=stored.version + 1)
            unit.changes.append(change)
            unit.effects.append(advice_changed(runtime, change.stored, task, [], runtime.clock()))
        else:
            await follow_up(await referral_with_request(runtime, unit, before, task, runtime.clock()))
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue  # somebody here was first: look again
        return
    raise FhirError(Category.UNAVAILABLE, "this referral is being changed by too many at once; try again")


async def _place_there(runtime: Runtime, partner: Partner, task: Resource) -> str | None:
    """What the partner calls the place that our Task asks; None when it is not one of the partner's.

    A HealthcareService that we keep for a partner's place is provided by the partner's Organization here, and carries
    the address of the place there as an identifier. Without one the partner as a whole is asked.
    """
    owner = runtime.engine.localise(task.get("owner", {}).get("reference", ""))
    if owner == partner.organization:
        return partner.place_there
    resource_type, _, id_ = owner.partition("/")
    stored = (
        await runtime.store.read(partner.tenant, resource_type, id_) if resource_type == "HealthcareService" else None
    )
    if stored is None or stored.body is None:
        return None
    service = _resource.decode(stored.body)
    if service.get("providedBy", {}).get("reference") != partner.organization:
        return None
    urls = [
        str(each.get("value", "")) for each in service.get("identifier", ()) if each.get("system") == URI_IDENTIFIERS
    ]
    there = next((url for url in urls if partner.sent(url)), None)
    return there.removeprefix(f"{partner.base_url}/") if there else partner.place_there


async def _person(runtime: Runtime, tenant: str, subject: Resource) -> Resource:
    """The Patient as far as we know the person, under an identifier that is always the same."""
    key = subject_key(runtime, subject)
    resource_type, _, id_ = key.partition("/")
    if resource_type != "Patient" or ":" in key:
        identifier = subject.get("identifier") or {"system": URI_IDENTIFIERS, "value": subject["reference"]}
        return {"identifier": [identifier]}
    stored = await runtime.store.read(tenant, "Patient", id_)
    if stored is None:
        raise NotReadyError("the record of the person has not come from screening yet")
    patient: Resource = _resource.decode(stored.body) if stored.body else {}
    own = {"system": URI_IDENTIFIERS, "value": f"{runtime.settings.url_of('screening')}/{key}"}
    return {**patient, "identifier": [own, *patient.get("identifier", [])]}


def _focus(event: PendingEvent) -> Resource:
    task: Resource = _resource.decode(bytes(event.entries[0].resource))
    return task


def _context(event: PendingEvent, url: str) -> Resource:
    for entry in event.entries[1:]:
        if entry.full_url == url and bytes(entry.resource):
            request: Resource = _resource.decode(bytes(entry.resource))
            return request
    raise NotReadyError("the ServiceRequest of this referral is not here")


def _our_id(task: Resource) -> str | None:
    values = [each.get("value") for each in task.get("identifier", ()) if each.get("system") == REFERRAL_IDENTIFIERS]
    return str(values[0]) if values else None


def _refusal(text: str, expression: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])
