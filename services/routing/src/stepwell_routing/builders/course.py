"""Builds the Tasks of somebody's course: reviews, boosters, checks whether to resume, and the proposal to end.

https://hl7.org/fhir/R4/task.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from stepwell_shared.canonical import code_system, instant

from stepwell_routing.builders import SOFTWARE, acceptance_provenance

Resource = dict[str, Any]

REVIEW, BOOSTER, RESUME_CHECK, EXIT_REVIEW = "course-review", "booster", "resume-check", "exit-review"
ADVICE, TRACK, ACTIVITY = "co-treatment", "parallel-track", "activity-change"
SCHEDULED, DUE, OVERDUE = "scheduled", "due", "overdue"
OPEN = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
WORDS = {
    REVIEW: ("Review of the course", "Please look at this person's course with the measures, and talk with them."),
    BOOSTER: ("Booster", "Please ask this person how they are, with the usual questionnaires."),
    RESUME_CHECK: (
        "Check whether to resume",
        "Care rests. Please ask whether the reason still holds; stay in touch.",
    ),
    ADVICE: ("Advice or co-treatment", "Please advise, or treat this person alongside. The step goes on."),
    TRACK: ("A track beside the steps", "Please open what runs beside the steps for this person. The step goes on."),
    ACTIVITY: (
        "An activity rests or changes",
        "Please agree with this person how they go on: one activity rests or is done in another way. The step goes on.",
    ),
    EXIT_REVIEW: ("Proposal to end care", "The criteria for the end of care are met. Please decide with this person."),
}
_STATUS_WORDS = {
    SCHEDULED: "Has a date",
    DUE: "Is due",
    OVERDUE: "Overdue: there are no new measures",
}


class Period(NamedTuple):
    """From when to when somebody can act."""

    start: datetime
    end: datetime


def course_task(
    kind: str,
    *,
    task_id: str,
    episode: str,
    request: str | None,
    subject: Mapping[str, Any],
    period: Period,
    now: datetime,
    priority: str = "routine",
    ask: Sequence[str] = (),
    tell: Sequence[str] = (),
    reason: str | None = None,
    about: Mapping[str, Any] | None = None,
    previous: Mapping[str, Any] | None = None,
) -> Resource:
    """One Task of a course, dated: it is due at the end of its period.

    `ask` names the evidence to ask for, `tell` the roles that are told; `reason` says in words why it is there, and
    `about` which activity, discipline or track it is about.
    """
    title, description = WORDS[kind]
    kept = {} if previous is None else {"authoredOn": previous["authoredOn"]}
    body: Resource = {
        "resourceType": "Task",
        "id": task_id,
        "basedOn": [{"reference": request}] if request else [],
        "status": "requested",
        "businessStatus": _status(SCHEDULED),
        "intent": "order",
        "priority": priority,
        "code": {"coding": [{"system": code_system("task"), "code": kind, "display": title}], "text": title},
        "description": description,
        "focus": {"reference": episode},
        "for": dict(subject),
        "authoredOn": instant(now),
        **kept,
        "lastModified": instant(now),
        "requester": SOFTWARE,
        "performerType": [{"text": role} for role in tell],
        "reasonCode": {"text": reason} if reason else {},
        "restriction": {"period": {"start": instant(period.start), "end": instant(period.end)}},
        "input": [
            *({"type": {"text": "Ask for"}, "valueString": name} for name in ask),
            *([{"type": {"text": "About"}, "valueCodeableConcept": dict(about)}] if about else []),
        ],
    }
    return {name: value for name, value in body.items() if value not in ([], {})}


def marked(task: Mapping[str, Any], status: str, now: datetime) -> Resource:
    """The Task with where it stands: due, or overdue because no measures have come."""
    return {**_kept(task), "businessStatus": _status(status), "lastModified": instant(now)}


def closed(
    task: Mapping[str, Any],
    status: str,
    now: datetime,
    *,
    by: str | None = None,
    reason: Mapping[str, Any] | None = None,
) -> Resource:
    """The Task once it is completed, or cancelled because something else has taken its place.

    `by` is who says so, as a reference, and `reason` what they said.
    """
    found = {**_kept(task), "status": status, "lastModified": instant(now)}
    if reason is not None:
        found["statusReason"] = dict(reason)
    if by is not None:
        who = {"type": {"coding": [{"system": code_system("care-task"), "code": "completed-by"}]}}
        found["output"] = [*task.get("output", ()), {**who, "valueReference": {"reference": by}}]
    return found


def due_at(task: Mapping[str, Any]) -> datetime:
    """When it is due."""
    return datetime.fromisoformat(task["restriction"]["period"]["end"])


def starts_at(task: Mapping[str, Any]) -> datetime:
    """Since when measures count for it."""
    return datetime.fromisoformat(task["restriction"]["period"]["start"])


def pathway_provenance(
    *,
    resource_id: str,
    targets: Sequence[str],
    ended: str | None,
    practitioner: str,
    policy: str,
    reason: str | None,
    started_at: datetime,
) -> Resource:
    """A named clinician started a pathway: `targets` are the versions of what began and ended with it, the episode
    first; `ended` is the version of the episode that it follows."""
    found = acceptance_provenance(
        resource_id=resource_id,
        target=targets[0],
        others=targets[1:],
        proposal=ended,
        practitioner=practitioner,
        policy=policy,
        accepted_at=started_at,
        activity="start-pathway",
    )
    return {**found, **({"reason": [{"text": reason}]} if reason else {})}


def _kept(task: Mapping[str, Any]) -> Resource:
    return {name: value for name, value in task.items() if name != "meta"}


def _status(code: str) -> Resource:
    words = _STATUS_WORDS[code]
    return {"coding": [{"system": code_system("review-status"), "code": code, "display": words}], "text": words}
