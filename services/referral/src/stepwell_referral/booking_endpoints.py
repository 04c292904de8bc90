"""Referral's operations of booking: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_referral.use_cases.booking import book, hold, reschedule
from stepwell_referral.use_cases.finding import find

_WISH = (
    "slot and patient-reference (valueReference), or appointment-resource (what $find proposed, with the person as a"
    " participant); perhaps referral (valueReference), comment (valueString), private-space (valueBoolean: whether the"
    " person has a place for a remote session), and overtaking-reason (valueCode) where others who wait are next"
)


def appointment_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Appointment."""
    yield Operation(
        "find",
        partial(find, runtime),
        Interaction.READ,
        "Times that are free, as proposed Appointments that are not stored, the earliest first: start, end"
        " (valueDateTime), healthcare-service, practitioner (valueReference), specialty, visit-type (valueCode),"
        " count.",
        instance=False,
        affects_state=False,
        result="Bundle",
    )
    yield Operation(
        "hold",
        partial(hold, runtime),
        Interaction.UPDATE,
        f"Keeps a time for a person for some minutes. Parameters: {_WISH}; minutes. Who comes too late gets 409 with"
        " other times.",
        instance=False,
        result="Bundle",
    )
    yield Operation(
        "book",
        partial(book, runtime),
        Interaction.UPDATE,
        "Books a time, or a series of sessions, for a person: all of it or nothing, and never one place for two"
        f" people. Parameters: appointment-reference (what is held), or {_WISH}; sessions and interval-days for a"
        " series. Who comes too late gets 409 with other times.",
        instance=False,
        result="Bundle",
    )
    yield Operation(
        "reschedule",
        partial(reschedule, runtime),
        Interaction.UPDATE,
        "Moves what is held or booked to another slot (valueReference): the new place is taken and the old one given"
        " back together.",
        result="Bundle",
    )
