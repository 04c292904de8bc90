"""A time is held, booked or changed for a person: atomic, and whoever comes too late is told what else there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from stepwell_shared.federation.partners import organization_of
from stepwell_shared.fhir.interactions import built, require_reach
from stepwell_shared.fhir.messages import Request, Response, bundle, match_entry
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.booking_tables import reminder_effect
from stepwell_referral.builders import booking as builders
from stepwell_referral.builders.booking import Booked
from stepwell_referral.rules.booking import Claim, Refusal, check_telehealth, hold_until, next_reminder
from stepwell_referral.use_cases.appointment_news import BOOKED, MOVED, tell_of_appointments
from stepwell_referral.use_cases.booking_asked import Wish, wish_of
from stepwell_referral.use_cases.finding import Period, alternatives_to, slot_at
from stepwell_referral.use_cases.following import follow_up
from stepwell_referral.use_cases.progress import referral_with_request, subject_key
from stepwell_referral.use_cases.queues import Waiting, passed_by, waiting_at
from stepwell_referral.use_cases.taking import (
    Opened,
    give_back,
    opened_slot,
    read_resource,
    refused,
    take,
    until_committed,
)

Resource = dict[str, Any]

_TOO_LATE = {"BOOK-FULL", "BOOK-LAPSED"}


@dataclass(frozen=True)
class _Act:
    """One wish on its way to the store; `status` is that of the Appointment."""

    runtime: Runtime
    request: Request
    wish: Wish
    status: str
    now: datetime

    @property
    def tenant(self) -> str:
        return self.request.access.tenant


async def hold(runtime: Runtime, request: Request) -> Response:
    """`Appointment/$hold`: a place is kept for a person for some minutes, by the clock of the database's rows: no
    process has to live for it to end. The answer is a Bundle with the pending Appointment.

    Raises FhirError: INVALID for other parameters, BUSINESS_RULE for what cannot be booked and for passing others
    without a reason, CONFLICT with alternatives when somebody else was first.
    """
    return await _made(runtime, request, await wish_of(runtime, request), "pending")


async def book(runtime: Runtime, request: Request) -> Response:
    """`Appointment/$book`: a place, or a series of them at fixed intervals, is a person's: all of it or nothing.

    What was held before is booked by its appointment-reference. Booked again by the same person it is the same
    Appointment. Raises FhirError as `hold` does.
    """
    return await _made(runtime, request, await wish_of(runtime, request), "booked")


async def reschedule(runtime: Runtime, request: Request) -> Response:
    """`Appointment/[id]/$reschedule` with `slot`: the same Appointment at another time, and the old place is free."""
    wish = await wish_of(runtime, request, keeps_person=True)

    async def attempt() -> Response:
        act = _Act(runtime, request, wish, "booked", runtime.clock())
        found = await read_resource(runtime, act.tenant, "Appointment", request.id)
        if found is None or found[0]["status"] not in {"booked", "pending"}:
            raise refused("only what is held or booked can be moved", "Appointment.status")
        before, stored = found
        person = builders.person_in(before)
        old = builders.slot_id_of(before)
        if person is None or old is None:
            raise refused("this Appointment has no slot; change its time with an update", "Appointment.slot")
        opened = await opened_slot(runtime, act.tenant, wish.slot_id)
        _refuse_past(opened, act.now)
        space = builders.said_of_space(before) if wish.private_space is None else wish.private_space
        await _refuse_without_space(act, opened, space)
        moved = builders.moved_appointment(before, opened.slot, opened.schedule, private_space=space)
        if old != wish.slot_id:
            unit = UnitOfWork(act.tenant)
            await give_back(runtime, unit, old, request.id, act.now)
            await _take(act, unit, opened, subject_key(runtime, person), request.id, None)
            unit.changes.append(built(runtime.engine, moved, act.now, version=stored.version + 1))
            unit.effects.append(_reminder(opened.slot, request.id, act.now))
            if moved["status"] == "booked":
                await tell_of_appointments(runtime, unit, [moved], MOVED, act.now)
                await _tell_partner(act, unit, opened, subject_key(runtime, person))
            return await _answered(act, unit, [moved])
        return _bundle(act, [stored])

    return await until_committed(attempt)


async def _tell_partner(act: _Act, unit: UnitOfWork, opened: Opened, person: str) -> None:
    """A partner organisation that has referred the person hears of the new time by a new version of the referral."""
    if opened.service_id is None:
        return
    queue = await waiting_at(act.runtime, act.tenant, opened.service_id)
    own = next((each.task for each in queue if each.person == person), {})
    if str(own.get("requester", {}).get("reference", "")).startswith(organization_of("")):
        await announce_event(act.runtime, unit, own, builders.SCHEDULED, act.now)


async def _made(runtime: Runtime, request: Request, wish: Wish, status: str) -> Response:
    async def attempt() -> Response:
        act = _Act(runtime, request, wish, status, runtime.clock())
        unit = UnitOfWork(act.tenant)
        made = [await _session(act, unit, opened, number) for number, opened in enumerate(await _slots(act))]
        kept = [each for each in made if isinstance(each, Stored)]
        if len(kept) == len(made):
            return _bundle(act, kept)
        new = [each for each in made if not isinstance(each, Stored)]
        if status == "booked":
            await tell_of_appointments(runtime, unit, new, BOOKED, act.now)
        return await _answered(act, unit, new, kept)

    return await until_committed(attempt)


async def _slots(act: _Act) -> list[Opened]:
    """The slot that is wished for, and of a series those that follow it in its calendar."""
    first = await opened_slot(act.runtime, act.tenant, act.wish.slot_id)
    _refuse_past(first, act.now)
    found, missing = [first], []
    start = datetime.fromisoformat(first.slot["start"])
    for number in range(1, act.wish.sessions):
        moment = start + number * act.wish.interval
        slot_id = await slot_at(act.runtime, act.tenant, first.slot["schedule"]["reference"], moment)
        if slot_id is None:
            missing.append(moment.date().isoformat())
        else:
            found.append(await opened_slot(act.runtime, act.tenant, slot_id))
    if missing:
        raise refused(f"the calendar has no session on {', '.join(missing)}", "Appointment.slot")
    return found


async def _session(act: _Act, unit: UnitOfWork, opened: Opened, number: int) -> Resource | Stored:
    """One Appointment with what takes its place, in the unit; or the one that the person has there already."""
    own = _own_claim(act, opened)
    if own is not None:
        found = await read_resource(act.runtime, act.tenant, "Appointment", own.appointment_id)
        if found is None:
            raise FhirError(Category.CONFLICT, "this place is being changed; try again")
        if found[0]["status"] == act.status or act.status == "pending":
            return found[1]
        return await _confirmed(act, unit, opened, found[0], found[1].version)
    if act.wish.held is not None:
        raise await _too_late(act, opened, Refusal("The time for which this place was held is over.", "BOOK-LAPSED"))
    booked = await _booked(act, unit, opened, first=number == 0)
    until = None
    if act.status == "pending":
        limits = data.booking_data()["hold"]
        until = hold_until(act.now, act.wish.seconds or limits["seconds"], limits["seconds_most"])
    await _take(act, unit, opened, act.wish.person_key, booked.appointment_id, until)
    made = builders.appointment(booked, opened.slot, status=act.status, at=act.now, held_until=until)
    unit.changes.append(built(act.runtime.engine, made, act.now))
    if act.status == "booked":
        unit.effects.append(_reminder(opened.slot, booked.appointment_id, act.now))
    return made


async def _confirmed(act: _Act, unit: UnitOfWork, opened: Opened, held: Resource, version: int) -> Resource:
    """A held Appointment becomes a booked one."""
    booked = await _booked(act, unit, opened, first=True)
    made = builders.confirmed_appointment(held, replace(booked, appointment_id=held["id"]))
    await _take(act, unit, opened, act.wish.person_key, held["id"], None)
    unit.changes.append(built(act.runtime.engine, made, act.now, version=version + 1))
    unit.effects.append(_reminder(opened.slot, held["id"], act.now))
    return made


async def _booked(act: _Act, unit: UnitOfWork, opened: Opened, *, first: bool) -> Booked:
    """What the Appointment says: who, with whom, how, and who is passed by it. A first appointment is told of on the
    referral as well; later sessions of a series pass nobody."""
    is_remote, link = builders.telehealth_of(opened.schedule)
    await _refuse_without_space(act, opened, act.wish.private_space)
    passed: Mapping[str, int] = {}
    own: Waiting | None = None
    if first and opened.service_id is not None:
        passed, own = await passed_by(
            act.runtime,
            act.tenant,
            service_id=opened.service_id,
            slot=opened.slot,
            person=act.wish.person_key,
            priority="routine",
            given_reason=act.wish.overtaking_reason,
            now=act.now,
            is_remote=is_remote,
        )
    if own is not None and act.status == "booked":
        await announce_event(act.runtime, unit, own.task, builders.SCHEDULED, act.now)
    request = act.wish.referral or (own.task["focus"]["reference"] if own is not None else None)
    return Booked(
        appointment_id=act.runtime.engine.new_id(),
        person=act.wish.person,
        actors=opened.actors,
        service_request=request,
        comment=act.wish.comment,
        series=act.wish.series if act.wish.sessions > 1 else None,
        telehealth_link=link,
        is_remote=is_remote,
        private_space=act.wish.private_space,
        overtaking=passed,
    )


async def _refuse_without_space(act: _Act, opened: Opened, private_space: bool | None) -> None:
    """A remote session is not booked for who has said that they cannot talk undisturbed; others are named."""
    is_remote, _ = builders.telehealth_of(opened.schedule)
    no_space = check_telehealth(is_remote=is_remote, private_space=private_space)
    if no_space is not None:
        issues = [Issue(no_space.reason, "business-rule", "Parameters.parameter.where(name='private-space')")]
        raise FhirError(Category.BUSINESS_RULE, issues + await _alternatives(act, opened))


async def announce_event(
    runtime: Runtime, unit: UnitOfWork, task: Resource, event: str, now: datetime, *, status: str | None = None
) -> None:
    """Adds to the unit what happened to the first appointment of a referral, what follows, and the event that tells."""
    appointed = builders.appointed_task(task, event=event, at=now, status=status)
    await follow_up(await referral_with_request(runtime, unit, task, appointed, now))


def _own_claim(act: _Act, opened: Opened) -> Claim | None:
    """The place that the person has in this slot, held or booked."""
    live = (each for each in opened.claims if not each.has_lapsed(act.now))
    return next((each for each in live if each.person == act.wish.person_key), None)


async def _take(
    act: _Act, unit: UnitOfWork, opened: Opened, person: str, appointment_id: str, until: datetime | None
) -> None:
    taken = await take(
        act.runtime, unit, opened, person=person, appointment_id=appointment_id, held_until=until, now=act.now
    )
    if isinstance(taken, Refusal):
        raise await _too_late(act, opened, taken)


async def _too_late(act: _Act, opened: Opened, refusal: Refusal) -> FhirError:
    issues = [Issue(f"{refusal.reason} ({refusal.rule})", "conflict", "Appointment.slot")]
    return FhirError(
        Category.CONFLICT, issues + (await _alternatives(act, opened) if refusal.rule in _TOO_LATE else [])
    )


async def _alternatives(act: _Act, opened: Opened) -> list[Issue]:
    """Other times at this service and at others of its tier, and the queue, each as an issue that is no error."""
    most = data.booking_data()["alternatives"]["most"]
    days = data.booking_data()["find"]["days"]
    period = Period(act.now, act.now + timedelta(days=days))
    found = await alternatives_to(act.runtime, act.tenant, opened.slot, opened.service_id, period, act.now, most)
    texts = [f"free: Slot/{slot['id']} at {slot['start']}" for slot in found]
    waits = "no time is free now: the person keeps their place in the queue, and $wait says how long it is likely to be"
    return [Issue(text, "informational", severity="information") for text in texts or [waits]]


def _refuse_past(opened: Opened, now: datetime) -> None:
    if datetime.fromisoformat(opened.slot["start"]) <= now:
        raise refused("this time is over", "Appointment.slot")


def _reminder(slot: Resource, appointment_id: str, now: datetime) -> Any:
    hours = data.booking_data()["reminders"]["hours_before"]
    following = next_reminder(datetime.fromisoformat(slot["start"]), hours, now)
    step, moment = following if following is not None else (0, None)
    return reminder_effect(appointment_id, step, moment)


async def _answered(act: _Act, unit: UnitOfWork, made: Sequence[Resource], kept: Sequence[Stored] = ()) -> Response:
    """Commits, with the access on record; within the reach of the caller's scopes only."""
    engine = act.runtime.engine
    served = engine.served("Appointment", Interaction.READ)
    stored = {each.stored.id: each.stored for each in unit.changes if each.stored.resource_type == "Appointment"}
    for resource in made:
        await require_reach(engine, act.request, served, Interaction.UPDATE, resource["id"], resource)
    answer = _bundle(act, [*(stored[each["id"]] for each in made), *kept])
    unit.effects += act.request.records({"pending": "$hold"}.get(act.status, "$book"), answer)
    await act.runtime.store.commit(unit)
    return replace(answer, witnessed=True)


def _bundle(act: _Act, found: Sequence[Stored]) -> Response:
    engine = act.runtime.engine
    served = engine.served("Appointment", Interaction.READ)
    entries = [match_entry(engine.base_url, served, each) for each in found]
    links = [("self", f"{engine.base_url}/Appointment")]
    return Response(200, bundle("searchset", len(entries), links, entries, act.now), id=found[0].id)
