"""Builds what a question among colleagues leads to: the Task with the time until which the answer is promised.

https://hl7.org/fhir/R4/communication.html and task.html
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system, instant

from stepwell_routing.builders.content import CARE_TASK, concept

Resource = dict[str, Any]

CASE_REVIEW = code_system("case-review")
QUESTION, ANSWER = "econsult-question", "econsult-answer"


def answer_task(question: Mapping[str, Any], *, resource_id: str, asked: datetime, due: datetime) -> Resource:
    """The Task of who was asked; `due` is when the answer is promised at the latest."""
    return {
        "resourceType": "Task",
        "id": resource_id,
        **({"basedOn": question["basedOn"]} if "basedOn" in question else {}),
        "status": "requested",
        "intent": "order",
        "priority": question.get("priority", "routine"),
        "code": {"coding": [concept(CARE_TASK, "answer-econsult")]},
        "focus": {"reference": f"Communication/{question['id']}"},
        "for": dict(question["subject"]),
        "authoredOn": instant(asked),
        "lastModified": instant(asked),
        "requester": dict(question["sender"]),
        "owner": dict(question["recipient"][0]),
        "restriction": {"period": {"start": instant(asked), "end": instant(due)}},
    }
