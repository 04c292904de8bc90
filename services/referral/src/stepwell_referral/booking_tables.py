"""Who has which place of which slot, when somebody is reminded, and how fast each service goes: state beside FHIR."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from stepwell_shared.database.functions import Effect
from stepwell_shared.database.leases import CLAIMED_MAX, LEASE_SECONDS
from stepwell_shared.database.pool import Database

from stepwell_referral.rules.booking import Claim

# A claim with this place number gives back what the appointment has.
GIVEN_BACK = 0


class LapsedHold(NamedTuple):
    """A held place whose time is over."""

    tenant: str
    slot_id: str
    appointment_id: str


class DueReminder(NamedTuple):
    """An Appointment of which somebody is to be reminded."""

    tenant: str
    appointment_id: str
    step: int


def claim_effect(slot_id: str, claim: Claim) -> Effect:
    """Takes a place, or confirms or prolongs one that this Appointment has. The unit of work conflicts when another
    Appointment has the place, or the person another place of the slot."""
    return Effect("slot_claim", (slot_id, *claim))


def release_effect(slot_id: str, appointment_id: str) -> Effect:
    """Gives back the place that an Appointment has, before others in the same unit of work are taken."""
    return Effect("slot_claim", (slot_id, GIVEN_BACK, appointment_id, "", None))


def reminder_effect(appointment_id: str, step: int, due_at: datetime | None) -> Effect:
    """Sets the next reminder; without a time there is none."""
    return Effect("appointment_timer", (appointment_id, step, due_at))


def pace_effect(service_id: str, figures: str | None, due_at: datetime) -> Effect:
    """Keeps the figures of a service (None: those that are there) and says when they are looked at again."""
    return Effect("service_pace", (service_id, figures, due_at))


async def claims_of(database: Database, tenant: str, slot_ids: Sequence[str]) -> Mapping[str, list[Claim]]:
    """The claims on each of these slots, lapsed holds included."""
    found: dict[str, list[Claim]] = {slot_id: [] for slot_id in slot_ids}
    rows = await database.fetch("SELECT * FROM read_slot_claims($1, $2)", tenant, list(slot_ids))
    for row in rows:
        found[row["slot_id"]].append(Claim(row["place"], row["appointment_id"], row["person"], row["held_until"]))
    return found


async def claim_lapsed(database: Database, tenants: Sequence[str], now: datetime) -> list[LapsedHold]:
    """Holds whose time is over; no other replica gets them for a while."""
    rows = await _claimed(database, "claim_lapsed_holds", tenants, now)
    return [LapsedHold(row["tenant"], row["slot_id"], row["appointment_id"]) for row in rows]


async def claim_reminders(database: Database, tenants: Sequence[str], now: datetime) -> list[DueReminder]:
    """Reminders that are due, the longest due first; no other replica gets them for a while."""
    rows = await _claimed(database, "claim_appointment_timers", tenants, now)
    return [DueReminder(row["tenant"], row["appointment_id"], row["step"]) for row in rows]


async def claim_paces(database: Database, tenants: Sequence[str], now: datetime) -> list[tuple[str, str]]:
    """(tenant, service) of the figures that are to be reckoned anew."""
    rows = await _claimed(database, "claim_service_paces", tenants, now)
    return [(row["tenant"], row["service_id"]) for row in rows]


async def queue_of(database: Database, tenant: str, owner: str) -> list[tuple[bytes, datetime]]:
    """The Tasks that wait at a service (`HealthcareService/...`), and when each person first asked for what it is
    about: a Task that follows a declined one, or a step that replaces one that never began, keeps the time."""
    rows = await database.fetch("SELECT * FROM read_queue($1, $2)", tenant, owner)
    return [(row["body"], row["entered_at"]) for row in rows]


async def begun_since(database: Database, tenant: str, owner: str, since: datetime) -> list[datetime]:
    """When those asked who have begun at a service and asked after this time, ascending."""
    rows = await database.fetch("SELECT * FROM read_begun($1, $2, $3)", tenant, owner, since)
    return sorted(row["entered_at"] for row in rows)


async def figures_of(database: Database, tenant: str) -> Mapping[str, str]:
    """The figures of every service of a tenant that has any, by its id."""
    rows = await database.fetch("SELECT * FROM read_service_paces($1)", tenant)
    return {row["service_id"]: row["figures"] for row in rows}


async def _claimed(database: Database, function: str, tenants: Sequence[str], now: datetime) -> list[Any]:
    statement = f"SELECT * FROM {function}($1, $2, $3, $4)"
    return await database.fetch(statement, list(tenants), now, LEASE_SECONDS, CLAIMED_MAX)
