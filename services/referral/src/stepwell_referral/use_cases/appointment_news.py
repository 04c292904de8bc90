"""People hear of their appointments: that there is one, that it has moved, and that it does not take place."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.builders import booking as builders
from stepwell_referral.use_cases.messages import add_message, language_of
from stepwell_referral.use_cases.progress import subject_key

BOOKED, MOVED, CANCELLED = "booked", "moved", "cancelled"

Resource = dict[str, Any]


async def tell_of_appointments(
    runtime: Runtime, unit: UnitOfWork, appointments: Sequence[Resource], event: str, now: datetime
) -> None:
    """Adds to the unit of work what the person is told of these, which belong together; nothing of what is over, or
    has no time or nobody yet. The first part of the message names no place and no condition."""
    coming = [each for each in appointments if "start" in each and datetime.fromisoformat(each["start"]) > now]
    first = min(coming, key=lambda each: datetime.fromisoformat(each["start"]), default=None)
    person = None if first is None else builders.person_in(first)
    if first is None or person is None or not builders.is_named(person):
        return
    key = subject_key(runtime, person)
    language = await language_of(runtime, unit.tenant, key, "en")
    id_ = derived_id(runtime.engine.base_url, unit.tenant, "appointment", event, first["id"], first["start"])
    if await runtime.store.read(unit.tenant, "Communication", id_) is not None:
        return  # booked again at a time that it had before
    words = data.booking_words()[language]
    told = builders.appointment_words(words, first, event, count=len(coming))
    message = builders.appointment_message(id_, first, person, told, language)
    add_message(runtime, unit, message, key, now)
