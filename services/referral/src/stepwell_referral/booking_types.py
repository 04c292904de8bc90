"""Which types of booking referral serves: calendars, their slots, and the appointments that take them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry, ServedType, served
from stepwell_shared.runtime import Runtime

from stepwell_referral.booking_endpoints import appointment_operations, service_operations, task_operations
from stepwell_referral.use_cases.calendars import change_schedule, change_slot_of_site
from stepwell_referral.use_cases.supervision import write_appointment

KEPT = READ_ONLY | {Interaction.CREATE, Interaction.UPDATE}


def booking_types(runtime: Runtime) -> Iterator[ServedType]:
    """Schedule, Slot and Appointment."""
    yield served(
        "Schedule",
        ["active", "actor", "date", "identifier", "service-category", "service-type", "specialty"],
        interactions=KEPT,
        on_write=partial(change_schedule, runtime),
        documentation="The calendars: of a HealthcareService, perhaps of one Practitioner or Location there.",
    )
    yield served(
        "Slot",
        [
            *("appointment-type", "identifier", "schedule", "service-category", "service-type", "specialty"),
            *("start", "status"),
        ],
        interactions=KEPT,
        on_write=partial(change_slot_of_site, runtime),
        indexes=(("schedule", "start"),),
        documentation="The times that can be booked. A slot for a group has places; whoever holds or books one of them"
        " has it alone.",
    )
    yield served(
        "Appointment",
        [
            *("actor", "appointment-type", "based-on", "date", "identifier", "location", "part-status", "patient"),
            *("practitioner", "reason-code", "reason-reference", "service-category", "service-type", "slot"),
            *("specialty", "status", "supporting-info"),
        ],
        interactions=KEPT,
        on_write=partial(write_appointment, runtime),
        indexes=(("date",),),
        operations=tuple(appointment_operations(runtime)),
        update_create=False,
        documentation="Who comes when. A slot is taken with $hold and $book; an update says what became of it.",
    )


def add_queue_operations(found: Registry, runtime: Runtime) -> None:
    """Gives Task and HealthcareService the operations on queues, beside those that they have."""
    for name, operations in (("Task", task_operations(runtime)), ("HealthcareService", service_operations(runtime))):
        served_type = found.types[name]
        found.types[name] = replace(served_type, operations=(*served_type.operations, *operations))
