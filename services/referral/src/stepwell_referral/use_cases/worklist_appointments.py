"""What can be done with an Appointment on a line of the worklist: it is booked, taken back, or its outcome is said.

Each is one interaction of the engine with the caller's own rights, as every act of the worklist is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import booking
from stepwell_referral.rules.booking import TABLE
from stepwell_referral.use_cases.progress import subject_key
from stepwell_referral.use_cases.worklist_acts import Ask, Given
from stepwell_referral.use_cases.worklist_lines import decode

# Appointments of a person that are looked at with their line.
APPOINTMENTS_MAX = 20
TARGETS: Mapping[str, str] = {"confirm": "booked", "came": "fulfilled", "missed": "noshow", "cancel": "cancelled"}
_WHEN_BEGUN = frozenset({"came", "missed"})

Resource = dict[str, Any]


def possible_with(appointment: Mapping[str, Any], access: Caller, now: datetime) -> tuple[str, ...]:
    """What this caller may do with an Appointment: what became of it is said once its time has come, and a time that is
    to come is booked or taken back."""
    if not access.permits("Appointment", Interaction.UPDATE):
        return ()
    allowed = TABLE.get(appointment["status"], ())
    begun = "start" in appointment and datetime.fromisoformat(appointment["start"]) <= now
    return tuple(act for act, target in TARGETS.items() if target in allowed and (act in _WHEN_BEGUN) == begun)


async def act_on_appointment(runtime: Runtime, ask: Ask, access: Caller, task_id: str, given: Given) -> None:
    """Does it with an Appointment of the person of the Task.

    Raises FhirError as the interaction does, and BUSINESS_RULE for what cannot be done with it now.
    """
    task = decode((await interactions.read(runtime.engine, ask("Task", task_id))).body)
    found = await interactions.read(runtime.engine, ask("Appointment", given.appointment))
    appointment = decode(found.body)
    person = booking.person_in(appointment)
    if person is None or subject_key(runtime, person) != subject_key(runtime, task["for"]):
        raise FhirError(Category.NOT_FOUND, "this person has no such appointment")
    if given.act not in possible_with(appointment, access, runtime.clock()):
        raise _refused("this cannot be done with it now; it may have changed meanwhile", "Appointment.status")
    if given.act == "confirm" and "slot" in appointment:
        await _book_held(runtime, ask, given.appointment)
        return
    changed: Resource = {name: value for name, value in appointment.items() if name != "meta"}
    changed["status"] = TARGETS[given.act]
    if given.act == "cancel":
        words = given.words.strip()
        if not words:
            raise _refused("say why, in a few words", "Appointment.cancelationReason.text")
        coding = {"system": booking.CANCELLATION_REASONS, "code": "other"}
        changed["cancelationReason"] = {"coding": [coding], "text": words}
    request = ask("Appointment", given.appointment)
    headers = {"if-match": f'W/"{given.version}"'}
    await interactions.update(runtime.engine, replace(request, body=encode(changed), headers=headers))


async def appointments_of(runtime: Runtime, access: Caller, subject: str, now: datetime) -> list[Resource]:
    """Appointments of a person from today on, and those whose end nobody has told, the next one first."""
    engine = runtime.engine
    granted = access.filters("Appointment", Interaction.SEARCH_TYPE)
    found: dict[str, Resource] = {}
    days: Sequence[tuple[str, str]] = (("date", f"ge{now:%Y-%m-%d}"), ("status", "booked,pending,proposed,checked-in"))
    for narrowed in days:
        criteria = [("patient", subject), narrowed, ("_sort", "date")]
        query = query_of(engine, engine.registry.types["Appointment"], criteria, granted, strict=True)
        query.count = APPOINTMENTS_MAX
        rows = await engine.store.search(access.tenant, *query.page_statement())
        found |= {each["id"]: decode(each["body"]) for each in rows[:APPOINTMENTS_MAX]}
    return sorted(found.values(), key=lambda each: (each.get("start", ""), each["id"]))


async def _book_held(runtime: Runtime, ask: Ask, id_: str) -> None:
    held = {"name": "appointment-reference", "valueReference": {"reference": f"Appointment/{id_}"}}
    operation = next(each for each in runtime.engine.registry.types["Appointment"].operations if each.name == "book")
    body = encode({"resourceType": "Parameters", "parameter": [held]})
    await interactions.operate(operation, runtime.engine, replace(ask("Appointment", ""), body=body))


def _refused(text: str, place: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", place)])
