"""A site keeps its calendars: what people have places in stays as it is, and waits are reckoned anew."""

from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_referral.booking_tables import claims_of, pace_effect
from stepwell_referral.builders import booking as builders
from stepwell_referral.rules.booking import free_places, slot_status
from stepwell_referral.use_cases.finding import YEARS
from stepwell_referral.use_cases.taking import OPEN_STATUSES, refused, service_id_of

# No session is for more people: a larger number is a slip of the pen.
PLACES_MAX = 1000

Resource = dict[str, Any]


async def change_schedule(runtime: Runtime, write: Write) -> None:
    """The services of a calendar are reckoned anew."""
    before = orjson.loads(write.previous.body) if write.previous is not None and write.previous.body else {}
    for schedule in (before, write.resource or {}):
        service_id = service_id_of(schedule)
        if service_id is not None:
            write.unit.effects.append(pace_effect(service_id, None, write.now))


async def change_slot_of_site(runtime: Runtime, write: Write) -> None:
    """Raises FhirError BUSINESS_RULE: for a slot of no calendar, one that ends before it begins or whose places are no
    number; for another time, calendar or status than people were told who have a place in it."""
    slot = write.resource or {}
    _refuse_unsaid(slot)
    schedule = await write.read("Schedule", str(slot["schedule"].get("reference", "")).rpartition("/")[2])
    if schedule is None or schedule.body is None:
        raise refused("the calendar of this slot is not there", "Slot.schedule")
    total = builders.places_of(slot)
    if total > PLACES_MAX or not builders.places_are_said_well(slot):
        raise refused(f"a slot has one slot-places, with total as a number from 1 to {PLACES_MAX}", "Slot.extension")
    await _refuse_breaking(runtime, write, slot)
    service_id = service_id_of(orjson.loads(schedule.body))
    if service_id is not None:
        write.unit.effects.append(pace_effect(service_id, None, write.now))


def _refuse_unsaid(slot: Resource) -> None:
    """A time that can be booked has a status, a beginning and an end, whatever the reason for which one is absent."""
    for name in ("status", "start", "end"):
        if name not in slot:
            raise refused(f"a slot says its {name}", f"Slot.{name}")
    try:
        start, end = (datetime.fromisoformat(slot[name]) for name in ("start", "end"))
    except ValueError as error:
        raise refused("this is no time of a clock", "Slot.start") from error
    if start.year not in YEARS or end.year not in YEARS:
        raise refused(f"a slot is between {YEARS.start} and {YEARS.stop - 1}", "Slot.start")
    if end <= start:
        raise refused("a slot ends after it begins", "Slot.end")


async def _refuse_breaking(runtime: Runtime, write: Write, slot: Resource) -> None:
    """What people have been told of a time is not changed behind their back."""
    claims = (await claims_of(runtime.database, write.unit.tenant, [write.stored.id]))[write.stored.id]
    live = [claim for claim in claims if not claim.has_lapsed(write.now)]
    total = builders.places_of(slot)
    said = builders.free_said(slot)
    if said is not None and said != free_places(claims, total, write.now):
        raise refused(f"free is how many places are free: {free_places(claims, total, write.now)}", "Slot.extension")
    if not live:
        return
    before = orjson.loads(write.previous.body) if write.previous is not None and write.previous.body else {}
    if any(before.get(name) != slot.get(name) for name in ("schedule", "start", "end")):
        raise refused("people have places in this slot: $reschedule their Appointments first", "Slot.start")
    if total < max(claim.place for claim in live):
        raise refused("more people have places in this slot than that", "Slot.extension")
    status = slot_status(claims, total, write.now)
    if slot["status"] != status or slot["status"] not in OPEN_STATUSES:
        raise refused(f"people have places in this slot: its status is {status}", "Slot.status")
