"""What becomes of an Appointment: it is cancelled, attended or missed, and what follows goes into the same commit."""

from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.canonical import code_system, derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.booking_tables import DueReminder, reminder_effect
from stepwell_referral.builders import booking as builders
from stepwell_referral.rules.booking import GIVES_BACK, TERMINAL, after_missed, check_ending, check_move, next_reminder
from stepwell_referral.rules.transitions import WAITING
from stepwell_referral.subscriptions import APPOINTMENT_CHANGED
from stepwell_referral.use_cases.appointment_news import BOOKED, CANCELLED, MOVED, tell_of_appointments
from stepwell_referral.use_cases.booking import announce_event
from stepwell_referral.use_cases.following import reason_of
from stepwell_referral.use_cases.messages import add_message, language_of
from stepwell_referral.use_cases.progress import referral_changed, subject_key
from stepwell_referral.use_cases.taking import give_back, read_resource, refused, until_committed
from stepwell_referral.use_cases.teams import join_as_therapists

Resource = dict[str, Any]

# With a slot these say which place was taken, and change with $reschedule alone.
_FIXED = ("slot", "start", "end", "identifier", "basedOn", "extension", "appointmentType")
SETTLED = frozenset({"arrived", "checked-in", "fulfilled", "noshow", "cancelled", "entered-in-error"})
TERMINAL_MOVES = frozenset({"failed", "cancelled", "rejected"})
_EVENTS = {
    "noshow": builders.UNATTENDED,
    "cancelled": builders.EVENT_CANCELLED,
    "arrived": builders.EVENT_COMPLETED,
    "fulfilled": builders.EVENT_COMPLETED,
}


async def change_appointment(runtime: Runtime, write: Write) -> None:
    """Holds a client's Appointment to the states that it may have; what follows is in the same unit of work.

    Raises FhirError BUSINESS_RULE: for a slot, which is taken with $hold and $book; for a move that is not allowed,
    with those that are; for a change of what was booked.
    """
    after = write.resource
    if after is None:
        return
    before = orjson.loads(write.previous.body) if write.previous is not None and write.previous.body else None
    if "status" not in after:
        raise refused("an Appointment says its status", "Appointment.status")
    _refuse_slots(before, after)
    status = None if before is None else before["status"]
    refusal = check_move(status, after["status"])
    if refusal is not None:
        allowed = ", ".join(refusal.allowed) or "nothing"
        raise refused(f"{refusal.reason} From here it may go to: {allowed}.", "Appointment.status")
    _tell(runtime, write, before, after)
    await _tell_person(runtime, write, before, after)
    if before is None or status == after["status"]:
        return
    slot_id = builders.slot_id_of(after)
    if slot_id is not None and after["status"] == "booked":
        raise refused("a held time is booked with $book", "Appointment.status")
    if slot_id is not None and after["status"] in GIVES_BACK:
        await give_back(runtime, write.unit, slot_id, write.stored.id, write.now)
    if after["status"] in TERMINAL:
        write.unit.effects.append(reminder_effect(write.stored.id, 0, None))
    await _tell_referral(runtime, write, after)
    person = builders.person_in(after)
    if _EVENTS.get(after["status"]) == builders.EVENT_COMPLETED and person is not None:
        await join_as_therapists(runtime, write.unit, after, person, write.now)
    if after["status"] == "noshow":
        await _reach_out(runtime, write, after)


async def _tell_person(runtime: Runtime, write: Write, before: Resource | None, after: Resource) -> None:
    """The person hears of a time that a team made, moved or took back without a slot; with one, $book has told."""
    event = None
    was, status = (before or {}).get("status"), after["status"]
    if status == "booked" and "slot" not in after and was != "booked":
        event = BOOKED
    elif status == "booked" and before is not None and before.get("start") != after.get("start"):
        event = MOVED
    elif status == "cancelled" and was in {"booked", "checked-in"}:
        event = CANCELLED
    if event is not None:
        await tell_of_appointments(runtime, write.unit, [{**after, "id": write.stored.id}], event, write.now)


def _tell(runtime: Runtime, write: Write, before: Resource | None, after: Resource) -> None:
    """Announces what became of it, and each change of what was announced."""
    person = builders.person_in(after)
    if person is None or SETTLED.isdisjoint({after["status"], (before or {}).get("status")}):
        return
    focus = f"Appointment/{write.stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", write.stored)]
    told = event(APPOINTMENT_CHANGED.canonical, subject_key(runtime, person), focus, entries, write.now)
    write.unit.effects.append(told)


def _refuse_slots(before: Resource | None, after: Resource) -> None:
    if before is None:
        if "slot" in after:
            raise refused("a slot is taken with $hold or $book", "Appointment.slot")
        return
    fixed = _FIXED if "slot" in before else ("slot",)
    changed = [name for name in fixed if before.get(name) != after.get(name)]
    if before.get("slot") and builders.person_in(before) != builders.person_in(after):
        changed.append("participant")
    if changed:
        text = "this says which time was taken and for whom; $reschedule moves it, and another person books their own"
        issues = [Issue(text, "business-rule", f"Appointment.{name}") for name in changed]
        raise FhirError(Category.BUSINESS_RULE, issues)


async def _tell_referral(runtime: Runtime, write: Write, after: Resource) -> None:
    """The referral whose first appointment this is says what became of it; care begins with the first that took
    place, and a referral is never ended by one that did not."""
    happened = _EVENTS.get(after["status"])
    task = None if happened is None else await referral_of(runtime, write.unit.tenant, after)
    if task is None or happened is None:
        return
    begins = happened == builders.EVENT_COMPLETED and task["status"] == "accepted"
    await announce_event(runtime, write.unit, task, happened, write.now, status="in-progress" if begins else None)


async def _reach_out(runtime: Runtime, write: Write, after: Resource) -> None:
    """Opens the Task by which somebody asks how the person is, once for each missed Appointment."""
    person = builders.person_in(after)
    id_ = derived_id(runtime.engine.base_url, write.unit.tenant, "outreach", write.stored.id)
    if person is None or await write.read("Task", id_) is not None:
        return
    missed = after_missed(write.now, data.booking_data()["outreach"]["due_hours"])
    task = builders.outreach_task(id_, after, person, missed, write.now)
    change = built(runtime.engine, task, write.now)
    write.unit.changes.append(change)
    write.unit.effects.append(referral_changed(runtime, change.stored, task, [], write.now))


async def refuse_discharge(runtime: Runtime, tenant: str, before: Resource, after: Resource) -> None:
    """Nobody is discharged for missed visits alone, nor while somebody still tries to reach them.

    Raises FhirError BUSINESS_RULE when the last that happened is a missed appointment, and the referral would end
    without a reason, because the person was not reached, or before the outreach was done.
    """
    if not builders.was_missed(before) or after["status"] not in TERMINAL_MOVES or before["status"] == after["status"]:
        return
    reason = reason_of(after)
    code = reason.code if reason is not None else None
    if code == "declined-by-person":
        return
    refusal = check_ending(
        after["status"],
        missed_alone=code in {None, "not-reached"},
        outreach_open=await _outreach_open(runtime, tenant, after),
    )
    if refusal is not None:
        raise refused(f"{refusal.reason} ({refusal.rule})", "Task.status")


async def _outreach_open(runtime: Runtime, tenant: str, task: Resource) -> bool:
    """Whether somebody still is to ask how this person is."""
    name = "patient" if "reference" in task["for"] else "patient:identifier"
    criteria = [
        (name, subject_key(runtime, task["for"])),
        ("code", f"{code_system('task')}|{builders.OUTREACH}"),
        ("status", "requested,accepted,in-progress,on-hold"),
    ]
    query = query_of(runtime.engine, runtime.engine.registry.types["Task"], criteria, (), strict=True)
    query.count = 1
    return bool(await runtime.store.search(tenant, *query.page_statement()))


async def referral_of(runtime: Runtime, tenant: str, appointment: Resource) -> Resource | None:
    """The waiting referral that an Appointment is for: at one of its services, of its person."""
    person = builders.person_in(appointment)
    services = {
        f"HealthcareService/{each['actor']['reference'].rpartition('/')[2]}"
        for each in appointment.get("participant", ())
        if "HealthcareService/" in str(each.get("actor", {}).get("reference", ""))
    }
    if person is None or not services:
        return None
    name = "patient" if "reference" in person else "patient:identifier"
    key = subject_key(runtime, person)
    criteria = [(name, key), ("status", ",".join(WAITING)), ("owner", ",".join(sorted(services)))]
    query = query_of(runtime.engine, runtime.engine.registry.types["Task"], criteria, (), strict=True)
    query.count = 1
    rows = await runtime.store.search(tenant, *query.page_statement())
    found = await read_resource(runtime, tenant, "Task", rows[0]["id"]) if rows else None
    return None if found is None else found[0]


async def send_reminder(runtime: Runtime, due: DueReminder) -> None:
    """Writes one reminder and sets the next; an Appointment that is no longer booked reminds nobody."""

    async def attempt() -> None:
        now = runtime.clock()
        unit = UnitOfWork(due.tenant)
        found = await read_resource(runtime, due.tenant, "Appointment", due.appointment_id)
        appointment = found[0] if found is not None else {}
        person = builders.person_in(appointment)
        if appointment.get("status") != "booked" or person is None:
            unit.effects.append(reminder_effect(due.appointment_id, due.step, None))
            await runtime.store.commit(unit)
            return
        start = datetime.fromisoformat(appointment["start"])
        id_ = derived_id(
            runtime.engine.base_url, due.tenant, "reminder", due.appointment_id, appointment["start"], str(due.step)
        )
        if start > now and await runtime.store.read(due.tenant, "Communication", id_) is None:
            key = subject_key(runtime, person)
            language = await language_of(runtime, due.tenant, key, "en")
            words = _words(appointment, start, language)
            add_message(runtime, unit, builders.reminder(id_, appointment, person, words, language), key, now)
        hours = data.booking_data()["reminders"]["hours_before"]
        step, moment = next_reminder(start, hours, now, due.step) or (due.step, None)
        unit.effects.append(reminder_effect(due.appointment_id, step, moment))
        await runtime.store.commit(unit)

    await until_committed(attempt)


def _words(appointment: Resource, start: datetime, language: str) -> str:
    is_remote, asked = builders.space_asked(appointment)
    return builders.reminder_words(
        data.booking_words()[language], start, is_remote=is_remote, asks_for_space=is_remote and not asked
    )
