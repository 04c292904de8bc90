"""Referral's operations of booking and of queues: parse, call one use case, reply."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.runtime import Runtime

from stepwell_referral.use_cases.booking import book, hold, reschedule
from stepwell_referral.use_cases.finding import find
from stepwell_referral.use_cases.queue_answers import capacity_forecast, queue, wait, wait_calibration

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
        f"Keeps a time for a person for a while. Parameters: {_WISH}; seconds. Who comes too late gets 409 with"
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


def service_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on HealthcareService that say how its queue and its promises stand."""
    yield Operation(
        "queue",
        partial(queue, runtime),
        Interaction.READ,
        "Everybody who waits at the service, the next one first: position, what puts them before the next, how much of"
        " the longest wait is over, whether it can be kept. Takes a token that reaches every Task.",
        affects_state=False,
        result="Parameters",
    )
    for instance in (False, True):
        yield Operation(
            "wait-calibration",
            partial(wait_calibration, runtime),
            Interaction.READ,
            "Which share of promised waits was kept, by service and month; few promises show no share.",
            instance=instance,
            affects_state=False,
            result="Parameters",
        )
    yield Operation(
        "capacity-forecast",
        partial(capacity_forecast, runtime),
        Interaction.READ,
        "Demand against capacity by week and tier: who is expected, how many can begin, how many wait at its end, and"
        " where that is more than the longest wait allows.",
        instance=False,
        affects_state=False,
        result="Parameters",
    )


def task_operations(runtime: Runtime) -> Iterator[Operation]:
    """The operations on Task that say where one person stands."""
    yield Operation(
        "wait",
        partial(wait, runtime),
        Interaction.READ,
        "Where this referral stands in its queue now, how long it is likely to be and on what that rests, in numbers"
        " and in words. Nobody else is shown.",
        affects_state=False,
        result="Parameters",
    )
