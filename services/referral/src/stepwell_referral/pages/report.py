"""The worklist as data: what the pages show, by the same names, for programs that render it themselves."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import instant

from stepwell_referral.use_cases.worklist import Listed, Queue, Unanswered
from stepwell_referral.use_cases.worklist_case import Case
from stepwell_referral.use_cases.worklist_lines import Line
from stepwell_referral.use_cases.worklist_reach import cursor_of
from stepwell_referral.use_cases.worklist_sites import Sites
from stepwell_referral.worklist_queries import After, PractitionerRow, ServiceRow

Json = dict[str, Any]


def overview_report(counted: Mapping[str, int], lists: Sequence[Listed]) -> Json:
    """How much is on each list, and the first few lines of each."""
    numbers = {name: number for name, number in counted.items() if name != "revision"}
    return {"counts": numbers, "lists": [list_report(each) for each in lists]}


def list_report(found: Listed) -> Json:
    """A page of a list; `after` is where the next one begins."""
    return {"list": found.view, "lines": [line_report(each) for each in found.lines], **_after(found.after)}


def line_report(line: Line) -> Json:
    """A Task on a list; what does not apply is left out."""
    said: Json = {
        "task": f"Task/{line.id}",
        "kind": line.kind,
        "status": line.status,
        "urgency": line.urgency,
        "person": line.person,
        "subject": line.subject,
        "owner": line.owner,
        "place": line.place,
        "tier": line.tier,
        "askedAt": _moment(line.asked_at),
        "answerBy": _moment(line.answer_by),
        "toldNextAt": _moment(line.due_at),
        "told": list(line.told),
        "promisedBy": _moment(line.promised_by),
        "medianDays": line.median_days,
        "keepable": line.keepable,
        "hasAppointment": line.is_booked,
        "wasMissed": line.was_missed,
        "barrier": line.barrier,
        "supports": list(line.supports),
    }
    return {name: value for name, value in said.items() if value not in (None, "", [])}


def queue_report(found: Queue) -> Json:
    """A page of a queue; `from` is the position after which the next one begins."""
    stood = [
        {
            **line_report(each.line),
            "position": each.placed.position,
            "waitingSince": instant(each.placed.entry.entered_at),
            "waitedShare": round(each.share, 3),
            "rule": each.placed.rule,
        }
        for each in found.stood
    ]
    return {"owner": found.owner, "people": found.people, "waiting": stood,
            **({} if found.after is None else {"from": found.after})}  # fmt: skip


def services_report(sites: Sites, rows: Sequence[ServiceRow]) -> Json:
    """Services for which somebody waits or that care for somebody; `total` is how many there are."""
    return {
        "total": rows[0].services if rows else 0,
        "services": [
            {
                "owner": each.owner,
                "name": sites.name_of(each.owner),
                "waiting": each.waiting,
                "urgent": each.urgent,
                "overLongestWait": each.late,
                "inCare": each.in_care,
                **({"firstAskedAt": instant(each.first_asked)} if each.first_asked else {}),
            }
            for each in rows
        ],
    }


def load_report(sites: Sites, rows: Sequence[ServiceRow], people: Sequence[PractitionerRow], days: int) -> Json:
    """Case load by team and, for the days to come, by practitioner."""
    by_person = [
        {"practitioner": each.practitioner, "people": each.people, "appointments": each.appointments} for each in people
    ]
    return {**services_report(sites, rows), "days": days, "practitioners": by_person}


def unanswered_report(found: Sequence[Unanswered], after: After | None) -> Json:
    """Appointments that nobody has confirmed."""
    rows = [
        {"appointment": f"Appointment/{each.id}", "start": instant(each.at), "status": each.status,
         "person": each.person,
         **({"task": f"Task/{each.task_id}"} if each.task_id else {}), "place": each.place}
        for each in found
    ]  # fmt: skip
    return {"appointments": rows, **_after(after)}


def case_report(case: Case) -> Json:
    """One line with what can be done next, and the times that are free for it."""
    return {
        **line_report(case.line),
        "version": case.line.version,
        "acts": list(case.acts),
        "times": [{"slot": f"Slot/{each.slot}", "start": instant(each.start)} for each in case.times],
        "appointments": [
            {
                "appointment": f"Appointment/{each.id}",
                "status": each.status,
                "acts": list(each.acts),
                **({"start": instant(each.start)} if each.start else {}),
            }
            for each in case.appointments
        ],
        "beside": [line_report(each) for each in case.beside],
        **({"message": case.message} if case.message else {}),
    }


def _after(after: After | None) -> Json:
    return {} if after is None else {"after": cursor_of(after)}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)
