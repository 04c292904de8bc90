"""What is asked of a booking: who, when, and what was said about it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stepwell_shared.fhir.interactions.asked import asked, is_true, whole_number
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.builders import booking as builders
from stepwell_referral.use_cases.progress import subject_key
from stepwell_referral.use_cases.queues import reason_given
from stepwell_referral.use_cases.taking import read_resource, refused

Resource = dict[str, Any]

COMMENT_CHARACTERS_MAX = 2_000
_WHOLE = ("valuePositiveInt", "valueUnsignedInt", "valueInteger")
PARAMETERS: dict[str, tuple[str, ...]] = {
    "appointment-reference": ("valueReference",),
    "appointment-resource": ("resource",),
    "slot": ("valueReference",),
    "patient-reference": ("valueReference",),
    "referral": ("valueReference",),
    "comment": ("valueString",),
    "overtaking-reason": ("valueCode",),
    "private-space": ("valueBoolean",),
    "seconds": _WHOLE,
    "sessions": _WHOLE,
    "interval-days": _WHOLE,
}


@dataclass(frozen=True)
class Wish:
    """A time for a person. `held` is the Appointment that is held already; `series` names sessions that belong
    together."""

    slot_id: str
    person: Resource
    person_key: str
    held: str | None = None
    referral: str | None = None
    comment: str | None = None
    overtaking_reason: str | None = None
    private_space: bool | None = None
    seconds: int | None = None
    sessions: int = 1
    interval: timedelta = timedelta(days=7)
    series: str = ""


async def wish_of(runtime: Runtime, request: Request, *, keeps_person: bool = False) -> Wish:
    """Raises FhirError: INVALID for parameters that say neither slot nor Appointment or no person, BUSINESS_RULE for
    a local person or Appointment that is not there."""
    given = asked(request, PARAMETERS, "appointment-resource")
    held, appointment = await _appointment(runtime, request, given)
    slot_id = _id_of(given.get("slot"), "Slot") or builders.slot_id_of(appointment)
    person = given.get("patient-reference") or builders.person_in(appointment) or ({} if keeps_person else None)
    if slot_id is None or person is None:
        text = (
            "Parameters: slot and patient-reference, or an appointment-resource with both, or an appointment-reference"
        )
        raise FhirError(Category.INVALID, [Issue(text, "required", "Parameters.parameter")])
    if not keeps_person:
        await _refuse_unknown(runtime, request, person)
    limits = data.booking_data()["series"]
    sessions = whole_number(given, "sessions")
    interval = whole_number(given, "interval-days")
    _refuse_outside("sessions", sessions, limits["sessions_most"])
    _refuse_outside("interval-days", interval, 366)
    seconds = whole_number(given, "seconds")
    _refuse_outside("seconds", seconds, data.booking_data()["hold"]["seconds_most"])
    comment = given.get("comment") or appointment.get("comment")
    if comment is not None and len(comment) > COMMENT_CHARACTERS_MAX:
        raise FhirError(Category.INVALID, [Issue("the comment is too long", "too-long", "Appointment.comment")])
    return Wish(
        slot_id=slot_id,
        person=person,
        person_key="" if keeps_person else subject_key(runtime, person),
        held=held,
        referral=_reference(given.get("referral")) or _first_reference(appointment.get("basedOn")),
        comment=comment,
        overtaking_reason=reason_given(given.get("overtaking-reason")),
        private_space=is_true(given, "private-space") if "private-space" in given else None,
        seconds=seconds,
        sessions=sessions or 1,
        interval=timedelta(days=interval or limits["interval_days"]),
        series=runtime.engine.new_id(),
    )


async def _appointment(runtime: Runtime, request: Request, given: dict[str, Any]) -> tuple[str | None, Resource]:
    """What is wished for as an Appointment: one that is held, or one that was proposed."""
    id_ = _id_of(given.get("appointment-reference"), "Appointment")
    if id_ is not None:
        found = await read_resource(runtime, request.access.tenant, "Appointment", id_)
        if found is None:
            raise refused("there is no Appointment with this id", _place("appointment-reference"))
        if found[0]["status"] == "cancelled":
            text = "this Appointment was cancelled, or the time for which it was held is over: $find another"
            raise FhirError(Category.CONFLICT, [Issue(text, "conflict", _place("appointment-reference"))])
        return id_, found[0]
    proposed = given.get("appointment-resource", {})
    if proposed and proposed.get("resourceType") != "Appointment":
        raise FhirError(Category.INVALID, [Issue("this takes an Appointment", "structure", "Parameters.parameter")])
    return None, proposed


async def _refuse_unknown(runtime: Runtime, request: Request, person: Resource) -> None:
    if not builders.is_named(person):
        text = "the person is named by a reference or by an identifier with a value"
        raise FhirError(Category.INVALID, [Issue(text, "required", _place("patient-reference"))])
    kind, _, id_ = subject_key(runtime, person).partition("/")
    if "reference" not in person or kind != "Patient":
        return
    if await read_resource(runtime, request.access.tenant, "Patient", id_) is None:
        raise refused("there is no Patient with this id here", _place("patient-reference"))


def _refuse_outside(name: str, number: int | None, most: int) -> None:
    if number is not None and not 1 <= number <= most:
        raise FhirError(Category.INVALID, [Issue(f"{name} is a number from 1 to {most}", "value", _place(name))])


def _id_of(reference: Resource | None, kind: str) -> str | None:
    text = _reference(reference)
    if text is None:
        return None
    parts = text.split("/_history/")[0].rsplit("/", 2)
    if len(parts) < 2 or parts[-2] != kind:
        raise FhirError(Category.INVALID, [Issue(f"this takes a reference to {kind}", "value", "Parameters.parameter")])
    return parts[-1]


def _reference(reference: Resource | None) -> str | None:
    found = (reference or {}).get("reference")
    return found if isinstance(found, str) else None


def _first_reference(references: list[Resource] | None) -> str | None:
    return _reference(references[0]) if references else None


def _place(name: str) -> str:
    return f"Parameters.parameter.where(name='{name}')"
