"""What screening makes when a person is asked to fill in a form, as FHIR R4 JSON: Tasks and Communications.

The Task is that of SDC 4.0 (https://hl7.org/fhir/uv/sdc/StructureDefinition-sdc-task.html). Pure functions: ids, times,
words and references are passed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_screening.builders import SOFTWARE, TERMINOLOGY

Resource = dict[str, Any]

SDC = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"
COMPLETE_QUESTIONNAIRE, QUESTIONNAIRE_RESPONSE = "complete-questionnaire", "questionnaire-response"
FOLLOW_UP = "questionnaire-overdue"
DUE, OVERDUE, ANSWERED, SUPERSEDED, WITHDRAWN = "due", "overdue", "answered", "superseded", "withdrawn"
_STATUS_WORDS = {
    DUE: "Due",
    OVERDUE: "Overdue",
    ANSWERED: "Answered",
    SUPERSEDED: "A newer one has been asked for",
    WITHDRAWN: "Not asked for any more",
}
_REQUESTER = {"type": "Device", "display": SOFTWARE}


@dataclass(frozen=True, slots=True)
class Ask:
    """One form that is asked for: of whom, which (canonical with version), by which rule, from when until when."""

    subject: str
    questionnaire: str
    rule: str
    reason: str
    asked: datetime
    due: datetime
    is_urgent: bool = False


def questionnaire_task(*, task_id: str, ask: Ask, endpoint: str) -> Resource:
    """Asks a person to fill in a form. `endpoint` is where whoever shows it sends the response."""
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "businessStatus": business_status(DUE),
        "intent": "order",
        "priority": "urgent" if ask.is_urgent else "routine",
        "code": _sdc(COMPLETE_QUESTIONNAIRE, "Complete questionnaire"),
        "description": "A form to fill in",
        "for": {"reference": ask.subject},
        "authoredOn": instant(ask.asked),
        "lastModified": instant(ask.asked),
        "requester": dict(_REQUESTER),
        "owner": {"reference": ask.subject},
        "reasonCode": {"coding": [{"system": code_system("rule"), "code": ask.rule}], "text": ask.reason},
        "restriction": {"period": {"start": instant(ask.asked), "end": instant(ask.due)}},
        "input": [
            {"type": _sdc("questionnaire", "Questionnaire"), "valueCanonical": ask.questionnaire},
            {"type": _sdc("response-endpoint", "Response endpoint"), "valueUrl": endpoint},
        ],
    }


def follow_up_task(*, task_id: str, subject: str, overdue: str, moment: datetime, due: datetime) -> Resource:
    """Tells the care team that a form was not answered in time; `overdue` is the reference of its Task."""
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "businessStatus": business_status(DUE),
        "intent": "order",
        "priority": "routine",
        "code": _concept(code_system("task"), FOLLOW_UP, "Form not answered"),
        "description": "A form was not answered in time. Please ask this person how they are, and what would help.",
        "focus": {"reference": overdue},
        "for": {"reference": subject},
        "authoredOn": instant(moment),
        "lastModified": instant(moment),
        "requester": dict(_REQUESTER),
        "restriction": {"period": {"start": instant(moment), "end": instant(due)}},
    }


def answered_task(task: Mapping[str, Any], *, response: str, moment: datetime) -> Resource:
    """The Task once the form has been answered, in `response`."""
    output = {
        "type": _sdc(QUESTIONNAIRE_RESPONSE, "Questionnaire response"),
        "valueReference": {"reference": response},
    }
    closed = closed_task(task, status="completed", business=ANSWERED, moment=moment)
    return {**closed, "output": [*task.get("output", ()), output]}


def closed_task(task: Mapping[str, Any], *, status: str, business: str, moment: datetime) -> Resource:
    """The Task when it is over."""
    return {**moved_task(task, business=business, moment=moment), "status": status}


def moved_task(task: Mapping[str, Any], *, business: str, moment: datetime) -> Resource:
    """The Task with another business status."""
    kept = {name: value for name, value in task.items() if name != "meta"}
    return {**kept, "businessStatus": business_status(business), "lastModified": instant(moment)}


def message(
    *, communication_id: str, task: str, subject: str, text: str, language: str, kind: str = "reminder"
) -> Resource:
    """What the person is sent: in preparation until whoever brings messages to people has it."""
    return {
        "resourceType": "Communication",
        "id": communication_id,
        "language": language,
        "status": "preparation",
        "category": [_concept(f"{TERMINOLOGY}/communication-category", kind, kind.capitalize())],
        "subject": {"reference": subject},
        "about": [{"reference": task}],
        "recipient": [{"reference": subject}],
        "sender": dict(_REQUESTER),
        "payload": [{"contentString": text}],
    }


def unsent(communication: Mapping[str, Any]) -> Resource:
    """A message that need not be sent any more; the link in it goes with it."""
    kept = {name: value for name, value in communication.items() if name not in {"meta", "payload"}}
    return {**kept, "status": "not-done", "statusReason": {"text": "There is nothing to answer any more."}}


def business_status(code: str) -> Resource:
    """Where a form that was asked for stands."""
    return _concept(code_system("solicitation-status"), code, _STATUS_WORDS[code])


def _sdc(code: str, display: str) -> Resource:
    return _concept(SDC, code, display)


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}
