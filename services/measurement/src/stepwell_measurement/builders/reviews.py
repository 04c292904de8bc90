"""What asks for a look: Tasks about readings outside of a plan and about goals, and the message to the person.

Pure: ids, times and references are passed in. https://hl7.org/fhir/R4/task.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant

Json = dict[str, Any]

READING_REVIEW, GOAL_REVIEW = "reading-review", "goal-review"
READING, GOAL = "reading", "goal"
WORDS = {
    READING_REVIEW: (
        "Reading outside of the plan",
        "A value that this person sent is outside of what their plan says. Please look at it with them.",
    ),
    GOAL_REVIEW: (
        "Look at the goals",
        "Care has moved on. Please ask how far this person has come with their goals, and whether they still fit.",
    ),
}
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_SOFTWARE = {"display": "Stepwell measurement"}


def review_task(
    kind: str,
    *,
    task_id: str,
    focus: str,
    subject: Mapping[str, Any],
    about: Sequence[str],
    now: datetime,
    previous: Mapping[str, Any] | None = None,
) -> Json:
    """A Task for the team. `about` are references of the readings or goals; without any it is cancelled."""
    title, description = WORDS[kind]
    kept = {} if previous is None else {name: value for name, value in previous.items() if name != "meta"}
    item = READING if kind == READING_REVIEW else GOAL
    body: Json = {
        "resourceType": "Task",
        "id": task_id,
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": code_system("task"), "code": kind, "display": title}], "text": title},
        "description": description,
        "focus": {"reference": focus},
        "for": dict(subject),
        "authoredOn": instant(now),
        "requester": _SOFTWARE,
        **kept,
        "status": "requested" if about else "cancelled",
        "lastModified": instant(now),
        "input": [
            {
                "type": {"coding": [{"system": code_system("task"), "code": item}]},
                "valueReference": {"reference": each},
            }
            for each in about
        ],
    }
    return {name: value for name, value in body.items() if value != []}


def feedback(*, message_id: str, task: str, subject: Mapping[str, Any], text: str, language: str) -> Json:
    """What the person is told: in preparation until whoever brings messages to people has it."""
    category = {"system": f"{_TERMINOLOGY}/communication-category", "code": "notification", "display": "Notification"}
    return {
        "resourceType": "Communication",
        "id": message_id,
        "language": language,
        "status": "preparation",
        "category": [{"coding": [category], "text": "Notification"}],
        "subject": dict(subject),
        "about": [{"reference": task}],
        "recipient": [dict(subject)],
        "sender": _SOFTWARE,
        "payload": [{"contentString": text}],
    }
