"""Places of slots are taken and given back, each in one unit of work with the Appointment, the Slot and the row that
locks the place."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral.booking_tables import claim_effect, claims_of, pace_effect, release_effect, reminder_effect
from stepwell_referral.builders import booking as builders
from stepwell_referral.rules.booking import Claim, Refusal, Taken, free_places, slot_status, take_place

# Each time that somebody else was first, one place more is taken: as many as a large group has.
ATTEMPTS_MAX = 32
OPEN_STATUSES = frozenset({"free", "busy", "busy-tentative"})

Resource = dict[str, Any]
Made = TypeVar("Made")

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


@dataclass(frozen=True)
class Opened:
    """A slot as it stands, with its calendar and the claims on its places."""

    slot: Resource
    version: int
    schedule: Resource
    claims: Sequence[Claim]

    @property
    def slot_id(self) -> str:
        return str(self.slot["id"])

    @property
    def places(self) -> int:
        return builders.places_of(self.slot)

    @property
    def actors(self) -> list[Resource]:
        """Who takes part from the side of the service: the actors of the calendar."""
        return list(self.schedule["actor"])

    @property
    def service_id(self) -> str | None:
        """The HealthcareService of this deployment whose calendar it is."""
        return service_id_of(self.schedule)


async def until_committed(attempt: Callable[[], Awaitable[Made]]) -> Made:
    """What an attempt that reads, decides and commits comes to; it is made again when somebody else was first."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return await attempt()
        except WriteConflictError:
            continue
    raise FhirError(Category.CONFLICT, "this time is being booked by too many at once; try again")


def service_id_of(schedule: Resource) -> str | None:
    """The id of the HealthcareService among the actors of a calendar."""
    for actor in schedule.get("actor", ()):
        kind, _, id_ = str(actor.get("reference", "")).rpartition("/")
        if kind == "HealthcareService":
            return id_
    return None


async def read_resource(runtime: Runtime, tenant: str, resource_type: str, id_: str) -> tuple[Resource, Stored] | None:
    """What is stored, as a dict and as it is; None when it is not there."""
    stored = await runtime.store.read(tenant, resource_type, id_)
    return None if stored is None or stored.body is None else (_resource.decode(stored.body), stored)


async def opened_slot(runtime: Runtime, tenant: str, slot_id: str) -> Opened:
    """The slot with its claims. Raises FhirError BUSINESS_RULE for one that is not there or cannot be booked.

    The slot is read before the claims: who changes one changes the other, so that what is decided on an older slot
    meets its version.
    """
    found = await read_resource(runtime, tenant, "Slot", slot_id)
    if found is None or found[0]["status"] not in OPEN_STATUSES:
        raise refused("this slot is not there or is not for booking", "Appointment.slot")
    slot, stored = found
    schedule = await read_resource(runtime, tenant, "Schedule", slot["schedule"]["reference"].rpartition("/")[2])
    if schedule is None or not schedule[0].get("active", True):
        raise refused("the calendar of this slot is not in use", "Appointment.slot")
    claims = (await claims_of(runtime.database, tenant, [slot_id]))[slot_id]
    return Opened(slot, stored.version, schedule[0], claims)


async def take(
    runtime: Runtime,
    unit: UnitOfWork,
    opened: Opened,
    *,
    person: str,
    appointment_id: str,
    held_until: datetime | None,
    now: datetime,
) -> Refusal | Taken:
    """Adds to the unit what takes a place, or says why there is none. Holds that this ends are cancelled with it."""
    taken = take_place(opened.claims, opened.places, person, appointment_id, now)
    if isinstance(taken, Refusal):
        return taken
    gone = {claim.appointment_id for claim in taken.lapsed}
    for claim in taken.lapsed:
        await _end_hold(runtime, unit, opened.slot_id, claim.appointment_id, now)
    claim = Claim(taken.place, appointment_id, person, held_until)
    unit.effects.append(claim_effect(opened.slot_id, claim))
    others = [each for each in opened.claims if each.appointment_id not in {*gone, appointment_id}]
    change_slot(runtime, unit, opened, [*others, claim], now)
    return taken


async def give_back(runtime: Runtime, unit: UnitOfWork, slot_id: str, appointment_id: str, now: datetime) -> None:
    """Adds to the unit what makes the place of an Appointment free again; nothing when it has none."""
    found = await read_resource(runtime, unit.tenant, "Slot", slot_id)
    claims = (await claims_of(runtime.database, unit.tenant, [slot_id]))[slot_id]
    if found is None or not any(claim.appointment_id == appointment_id for claim in claims):
        return
    slot, stored = found
    schedule = await read_resource(runtime, unit.tenant, "Schedule", slot["schedule"]["reference"].rpartition("/")[2])
    opened = Opened(slot, stored.version, schedule[0] if schedule else {}, claims)
    unit.effects.append(release_effect(slot_id, appointment_id))
    change_slot(runtime, unit, opened, [each for each in claims if each.appointment_id != appointment_id], now)


def change_slot(runtime: Runtime, unit: UnitOfWork, opened: Opened, claims: Sequence[Claim], now: datetime) -> None:
    """The next version of a slot with these claims: whoever decides on the one before is too late."""
    status = slot_status(claims, opened.places, now)
    if opened.slot["status"] not in OPEN_STATUSES:
        status = opened.slot["status"]
    counted = builders.counted_slot(opened.slot, status=status, free=free_places(claims, opened.places, now))
    unit.changes.append(built(runtime.engine, counted, now, version=opened.version + 1))
    service_id = service_id_of(opened.schedule)
    if service_id is not None:
        unit.effects.append(pace_effect(service_id, None, now))


async def _end_hold(runtime: Runtime, unit: UnitOfWork, slot_id: str, appointment_id: str, now: datetime) -> None:
    """A hold whose time is over: its place is free, and its Appointment says so."""
    unit.effects.append(release_effect(slot_id, appointment_id))
    unit.effects.append(reminder_effect(appointment_id, 0, None))
    found = await read_resource(runtime, unit.tenant, "Appointment", appointment_id)
    if found is not None and found[0]["status"] == "pending":
        ended = builders.ended_appointment(found[0], reason="other", text="The time for which it was held is over.")
        unit.changes.append(built(runtime.engine, ended, now, version=found[1].version + 1))


async def end_lapsed_hold(runtime: Runtime, tenant: str, slot_id: str, appointment_id: str) -> None:
    """Makes a place free whose hold is over, if it is still so."""

    async def attempt() -> None:
        now = runtime.clock()
        claims = (await claims_of(runtime.database, tenant, [slot_id]))[slot_id]
        if not any(each.appointment_id == appointment_id and each.has_lapsed(now) for each in claims):
            return
        unit = UnitOfWork(tenant)
        await give_back(runtime, unit, slot_id, appointment_id, now)
        await _end_hold(runtime, unit, slot_id, appointment_id, now)
        await runtime.store.commit(unit)

    await until_committed(attempt)


def refused(text: str, expression: str) -> FhirError:
    """A business rule that what was asked does not meet."""
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])
