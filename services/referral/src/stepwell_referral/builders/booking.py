"""Appointments, slots, reminders and outreach as FHIR R4, and what is read of them into rules.

Pure: ids, times, references and decisions are passed in. Appointment: https://hl7.org/fhir/R4/appointment.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import CANONICAL, code_system, extension_url, instant

from stepwell_referral.builders.messages import CATEGORIES, CHANNEL, SENDER
from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS
from stepwell_referral.rules.booking import Missed

Json = dict[str, Any]

SERIES_IDENTIFIERS = f"{CANONICAL}/NamingSystem/appointment-series"
APPOINTMENT_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0276"
FOLLOW_UP = "FOLLOWUP"
OUTREACH, CONTINGENCY = "outreach", "urgent-contingency"
CANCELLATION_REASONS = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"
SCHEDULED, UNATTENDED, EVENT_CANCELLED, EVENT_COMPLETED = "5.1.1", "5.1.2", "5.1.3", "5.1.4"
_EVENT_WORDS = {
    SCHEDULED: "Appointment made",
    UNATTENDED: "Did not come",
    EVENT_CANCELLED: "Appointment cancelled",
    EVENT_COMPLETED: "First appointment took place",
}
_COPIED = ("serviceCategory", "serviceType", "specialty", "appointmentType")
# Who gives an appointment, as a calendar names them; everybody else is there for the person.
_GIVES = re.compile(r"(^|/)(HealthcareService|Practitioner|PractitionerRole|Location|Device)/")


@dataclass(frozen=True, slots=True)
class Booked:
    """What an Appointment is about. `person` is a Reference; `actors` those of the schedule; `overtaking` the codes of
    the reasons for which others were passed, with how many each; `private_space` is None while nobody has asked."""

    appointment_id: str
    person: Mapping[str, Any]
    actors: Sequence[Mapping[str, Any]]
    service_request: str | None = None
    comment: str | None = None
    series: str | None = None
    telehealth_link: str | None = None
    is_remote: bool = False
    private_space: bool | None = None
    overtaking: Mapping[str, int] = field(default_factory=dict)


def proposed_appointment(slot: Mapping[str, Any], actors: Sequence[Mapping[str, Any]]) -> Json:
    """What can be booked: not stored, and nobody's yet."""
    return {
        "resourceType": "Appointment",
        "status": "proposed",
        **_timed(slot),
        "participant": [_participant(actor, "accepted") for actor in actors] or [_anybody()],
    }


def appointment(booked: Booked, slot: Mapping[str, Any], *, status: str, at: datetime, held_until: datetime | None
                ) -> Json:  # fmt: skip
    """A held (`pending`) or booked Appointment."""
    made: Json = {"resourceType": "Appointment", "id": booked.appointment_id, "status": status}
    if extensions := _extensions(booked, held_until):
        made["extension"] = extensions
    if booked.series:
        made["identifier"] = [{"system": SERIES_IDENTIFIERS, "value": booked.series}]
    made |= _timed(slot)
    made["created"] = instant(at)
    if booked.comment:
        made["comment"] = booked.comment
    if booked.service_request:
        made["basedOn"] = [{"reference": booked.service_request}]
    made["participant"] = [_participant(booked.person, "accepted")]
    made["participant"] += [_participant(actor, "accepted") for actor in booked.actors]
    return made


def confirmed_appointment(held: Mapping[str, Any], booked: Booked) -> Json:
    """A held Appointment that is booked: what it was held with stays, and what was said since comes to it."""
    made = {name: value for name, value in held.items() if name not in {"meta", "extension"}} | {"status": "booked"}
    if extensions := _extensions(booked, None):
        made["extension"] = extensions
    if booked.comment:
        made["comment"] = booked.comment
    return made


def moved_appointment(
    before: Mapping[str, Any], slot: Mapping[str, Any], schedule: Mapping[str, Any], *, private_space: bool | None
) -> Json:
    """The Appointment at another time: who comes stays, and who gives it and in which way is as the calendar says."""
    kept = {name: value for name, value in before.items() if name not in {"meta", "extension", *_COPIED}}
    is_remote, link = telehealth_of(schedule)
    way = Booked("", {}, (), telehealth_link=link, is_remote=is_remote, private_space=private_space)
    others = [each for each in before.get("extension", ()) if each.get("url") != extension_url("telehealth")]
    extensions = [*others, *_extensions(way, None)]
    coming = [each for each in before.get("participant", ()) if not _GIVES.search(_who(each))]
    giving = [_participant(actor, "accepted") for actor in schedule.get("actor", ())]
    moved = {**kept, **_timed(slot), "participant": [*coming, *giving]}
    return {**moved, "extension": extensions} if extensions else moved


def said_of_space(appointment: Mapping[str, Any]) -> bool | None:
    """What was said of a place to talk undisturbed, if anything was."""
    found = _parts(appointment, "telehealth").get("private-space", {}).get("valueBoolean")
    return found if isinstance(found, bool) else None


def ended_appointment(before: Mapping[str, Any], *, reason: str, text: str) -> Json:
    """A cancelled Appointment; `reason` is a code of R4's cancellation reasons."""
    kept = {name: value for name, value in before.items() if name not in {"meta", "extension"}}
    others = [each for each in before.get("extension", ()) if each["url"] != extension_url("appointment-hold")]
    if others:
        kept["extension"] = others
    concept = {"coding": [{"system": CANCELLATION_REASONS, "code": reason}], "text": text}
    return {**kept, "status": "cancelled", "cancelationReason": concept}


def counted_slot(slot: Mapping[str, Any], *, status: str, free: int) -> Json:
    """The slot as it is after a place was taken or given back; a slot for one person says only its status."""
    counted = {name: value for name, value in slot.items() if name != "meta"} | {"status": status}
    if places_of(slot) > 1:
        others = [each for each in slot.get("extension", ()) if each["url"] != extension_url("slot-places")]
        counted["extension"] = [*others, slot_places(places_of(slot), free)]
    return counted


def slot_places(total: int, free: int) -> Json:
    """How many people a group slot is for, and how many places are free."""
    parts = [{"url": "total", "valuePositiveInt": total}, {"url": "free", "valueUnsignedInt": free}]
    return {"url": extension_url("slot-places"), "extension": parts}


def places_of(slot: Mapping[str, Any]) -> int:
    """How many people can come to a slot; one where it does not say."""
    parts = _parts(slot, "slot-places")
    total = parts.get("total", {}).get("valuePositiveInt", 1)
    return total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else 1


def free_said(slot: Mapping[str, Any]) -> int | None:
    """How many places a slot says are free; None when it does not say."""
    free = _parts(slot, "slot-places").get("free", {}).get("valueUnsignedInt")
    return free if isinstance(free, int) else None


def places_are_said_well(slot: Mapping[str, Any]) -> bool:
    """Whether a slot says how many places it has at most once, and as a number from 1."""
    said = [each for each in slot.get("extension", ()) if each.get("url") == extension_url("slot-places")]
    totals = [
        part.get("valuePositiveInt")
        for each in said
        for part in each.get("extension", ())
        if part.get("url") == "total"
    ]
    return not said or (len(said) == 1 and len(totals) == 1 and isinstance(totals[0], int) and totals[0] > 0)


def subgroups_of(slot: Mapping[str, Any]) -> frozenset[str]:
    """For whom a slot is kept, as codes such as a language; empty: for everybody."""
    url = extension_url("slot-subgroup")
    found = (each.get("valueCode") for each in slot.get("extension", ()) if each.get("url") == url)
    return frozenset(each for each in found if isinstance(each, str))


def is_follow_up(slot: Mapping[str, Any]) -> bool:
    """Whether a slot is for people who are in care already."""
    codings = slot.get("appointmentType", {}).get("coding", ())
    return any(each.get("system") == APPOINTMENT_TYPES and each.get("code") == FOLLOW_UP for each in codings)


def telehealth_of(schedule: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Whether sessions of this calendar are remote, and the link to them where the calendar says it."""
    parts = _parts(schedule, "telehealth")
    link = parts.get("link", {}).get("valueUrl")
    return bool(parts), link if isinstance(link, str) else None


def space_asked(appointment: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether an Appointment is remote, and whether somebody asked for a private space."""
    parts = _parts(appointment, "telehealth")
    return bool(parts), parts.get("space-asked", {}).get("valueBoolean") is True


def person_in(appointment: Mapping[str, Any]) -> Json | None:
    """The Reference to the person whose Appointment this is; None when nothing names them."""
    actors = (each.get("actor", {}) for each in appointment.get("participant", ()))
    for actor in actors:
        kind = actor.get("type") or str(actor.get("reference", "")).rpartition("/")[0].rpartition("/")[2]
        if kind == "Patient" and is_named(actor):
            return dict(actor)
    return None


def is_named(reference: Mapping[str, Any]) -> bool:
    """Whether a Reference says who is meant, by an address or an identifier, and not by a display alone."""
    return "reference" in reference or "value" in reference.get("identifier", {})


def slot_id_of(appointment: Mapping[str, Any]) -> str | None:
    """The slot that an Appointment has, if it has one of ours."""
    references = [each.get("reference", "") for each in appointment.get("slot", ())]
    return references[0].rpartition("/")[2] if len(references) == 1 and references[0] else None


def appointed_task(task: Mapping[str, Any], *, event: str, at: datetime, status: str | None = None) -> Json:
    """The referral's next version after something happened to its first appointment (BSeR event states)."""
    kept = {name: value for name, value in task.items() if name != "meta"}
    coding = {"system": BSER_BUSINESS_STATUS, "code": event}
    kept["businessStatus"] = {"coding": [coding], "text": _EVENT_WORDS[event]}
    kept["lastModified"] = instant(at)
    return kept | ({"status": status} if status else {})


def has_appointment(task: Mapping[str, Any]) -> bool:
    """Whether somebody who waits has a first appointment ahead."""
    return any(each.get("code") == SCHEDULED for each in task.get("businessStatus", {}).get("coding", ()))


def was_missed(task: Mapping[str, Any]) -> bool:
    """Whether the last that happened to a referral is that the person did not come."""
    return any(each.get("code") == UNATTENDED for each in task.get("businessStatus", {}).get("coding", ()))


def outreach_task(task_id: str, appointment: Mapping[str, Any], person: Mapping[str, Any], missed: Missed, at: datetime
                  ) -> Json:  # fmt: skip
    """Asks somebody to find out how a person is who did not come. It has no owner: whoever is free takes it."""
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": code_system("task"), "code": OUTREACH}], "text": "Outreach"},
        "description": "Somebody did not come. Please ask how they are, and what would help them to come.",
        "focus": {"reference": f"Appointment/{appointment['id']}"},
        "for": dict(person),
        "authoredOn": instant(at),
        "lastModified": instant(at),
        "requester": {"type": "Device", "display": "Stepwell referral"},
        "reasonCode": {"coding": [{"system": code_system("queue"), "code": missed.rule}], "text": missed.reason},
        "restriction": {"period": {"start": instant(at), "end": instant(missed.due_by)}},
    }


def contingency_task(
    task_id: str, task: Mapping[str, Any], *, in_time: Sequence[str], steps: Sequence[str], reason: str,
    due_by: datetime, at: datetime,
) -> Json:  # fmt: skip
    """Asks a person to see to urgent need that its place does not meet in time; `in_time` are services that could.

    It has no owner: whoever is free takes it. `steps` are what can be done, first to last.
    """
    todo = [step for step in steps if in_time or step != "CONTINGENCY-OTHER-PLACE"]
    inputs: list[Json] = [
        {"type": _queue_code("CONTINGENCY-OTHER-PLACE"), "valueReference": {"reference": f"HealthcareService/{each}"}}
        for each in in_time
    ]
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "intent": "order",
        "priority": task.get("priority", "urgent"),
        "code": {"coding": [{"system": code_system("task"), "code": CONTINGENCY}], "text": "Urgent, no place in time"},
        "description": "Urgent need, and the place that was asked has none in time. Please find another way today.",
        "focus": {"reference": f"Task/{task['id']}"},
        "for": dict(task["for"]),
        "authoredOn": instant(at),
        "lastModified": instant(at),
        "requester": {"type": "Device", "display": "Stepwell referral"},
        "reasonCode": {"coding": _queue_code(todo[0])["coding"], "text": reason},
        "restriction": {"period": {"start": instant(at), "end": instant(due_by)}},
        "input": [*inputs, *({"type": _queue_code(step), "valueBoolean": True} for step in todo)],
    }


def _queue_code(code: str) -> Json:
    return {"coding": [{"system": code_system("queue"), "code": code}]}


def reminder(communication_id: str, appointment: Mapping[str, Any], person: Mapping[str, Any], words: str, language: str
             ) -> Json:  # fmt: skip
    """Reminds a person of a time, in preparation until whoever brings messages to people has it. It names no place, no
    service and no condition: it may travel over any channel."""
    coding = {"system": CATEGORIES, "code": "reminder", "display": "Reminder"}
    return {
        "resourceType": "Communication",
        "id": communication_id,
        "language": language,
        "status": "preparation",
        "category": [{"coding": [coding]}],
        "subject": dict(person),
        "about": [{"reference": f"Appointment/{appointment['id']}"}],
        "recipient": [dict(person)],
        "sender": dict(SENDER),
        "payload": [{"extension": [{"url": CHANNEL, "valueCode": "open"}], "contentString": words}],
    }


def reminder_words(words: Mapping[str, Any], start: datetime, *, is_remote: bool, asks_for_space: bool) -> str:
    """The text of a reminder in one language, at the clock time that the slot itself says."""
    parts = [words["reminder"].format(moment=_moment(words, start))]
    parts += [words["remote"]] if is_remote else []
    parts += [words["private_space"]] if asks_for_space else []
    return " ".join([*parts, words["change"]])


def appointment_words(words: Mapping[str, Any], appointment: Mapping[str, Any], event: str, *, count: int) -> list[str]:
    """What is told of an appointment in one language: for any channel, and for where only the person reads it.

    `event` is booked, moved or cancelled; `count` how many were booked together.
    """
    start = datetime.fromisoformat(str(appointment["start"]))
    moment = _moment(words, start)
    if event == "cancelled":
        return [words["cancelled"].format(moment=moment)]
    said = words["moved"] if event == "moved" else words["series"] if count > 1 else words["reminder"]
    is_remote, asked = space_asked(appointment)
    parts = [said.format(moment=moment, count=count)]
    parts += [words["remote"]] if is_remote else []
    parts += [words["private_space"]] if is_remote and not asked else []
    link = _parts(appointment, "telehealth").get("link", {}).get("valueUrl")
    closed = [words["link"].format(link=link)] if link else []
    return [" ".join([*parts, words["change"]]), *closed]


def appointment_message(
    communication_id: str, appointment: Mapping[str, Any], person: Mapping[str, Any], told: Sequence[str], language: str
) -> Json:
    """What the person is told of an appointment; a link is for where nobody else reads it."""
    coding = {"system": CATEGORIES, "code": "notification", "display": "Notification"}
    message = reminder(communication_id, appointment, person, told[0], language)
    closed = [{"extension": [{"url": CHANNEL, "valueCode": "closed"}], "contentString": text} for text in told[1:]]
    return {**message, "category": [{"coding": [coding]}], "payload": [*message["payload"], *closed]}


def _moment(words: Mapping[str, Any], start: datetime) -> str:
    month = words["months"][start.month - 1]
    return str(words["moment"].format(day=start.day, month=month, year=start.year, time=f"{start:%H:%M}"))


def _timed(slot: Mapping[str, Any]) -> Json:
    """What an Appointment takes over from its slot, the times as they are written there."""
    copied = {name: slot[name] for name in _COPIED if name in slot}
    return {**copied, "start": slot["start"], "end": slot["end"], "slot": [{"reference": f"Slot/{slot['id']}"}]}


def _extensions(booked: Booked, held_until: datetime | None) -> list[Json]:
    found: list[Json] = []
    if held_until:
        found.append({"url": extension_url("appointment-hold"), "valueInstant": instant(held_until)})
    if booked.is_remote:
        parts: list[Json] = [{"url": "link", "valueUrl": booked.telehealth_link}] if booked.telehealth_link else []
        if booked.private_space is not None:
            parts.append({"url": "private-space", "valueBoolean": booked.private_space})
        parts.append({"url": "space-asked", "valueBoolean": booked.private_space is not None})
        found.append({"url": extension_url("telehealth"), "extension": parts})
    for code, people in sorted(booked.overtaking.items()):
        coding = {"url": "reason", "valueCoding": {"system": code_system("queue"), "code": code}}
        found.append(
            {"url": extension_url("overtaking"), "extension": [coding, {"url": "people", "valuePositiveInt": people}]}
        )
    return found


def _parts(resource: Mapping[str, Any], name: str) -> dict[str, Json]:
    url = extension_url(name)
    found: Json = next((each for each in resource.get("extension", ()) if each.get("url") == url), {})
    return {part["url"]: part for part in found.get("extension", ()) if "url" in part}


def _who(participant: Mapping[str, Any]) -> str:
    return str(participant.get("actor", {}).get("reference", ""))


def _participant(actor: Mapping[str, Any], status: str) -> Json:
    return {"actor": dict(actor), "status": status}


def _anybody() -> Json:
    """An Appointment has a participant, with a type when it is nobody in particular (app-1)."""
    attender = {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "PPRF"}
    return {"type": [{"coding": [attender]}], "status": "accepted"}
