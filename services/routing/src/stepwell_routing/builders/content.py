"""Builds what the content library is made of: definition, text, and the Task that brings it to somebody.

https://hl7.org/fhir/R4/activitydefinition.html, documentreference.html and task.html
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import CANONICAL, code_system, instant

from stepwell_routing.data.library import CareText

Resource = dict[str, Any]

CONTENT, CARE_TASK = code_system("care-content"), code_system("care-task")
USE_CONTENT = "use-content"
TEXT = "text/plain; charset=utf-8"
SHIPPED_VERSION, SHIPPED_DATE = "1.0.0", "2026-11-22"
OPEN_STATUSES = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})


def document(text: CareText) -> Resource:
    """The text itself. It is about nobody, and preliminary until a site approves what refers to it."""
    attachment = {
        "contentType": TEXT,
        "language": text.language,
        "data": b64encode(text.text.encode()).decode(),
        "title": text.title,
        "creation": SHIPPED_DATE,
    }
    return {
        "resourceType": "DocumentReference",
        "id": document_id(text),
        "language": text.language,
        "status": "current",
        "docStatus": "preliminary",
        "type": {"coding": [concept(CONTENT, text.topic)]},
        "category": [{"coding": [concept(CONTENT, text.use)]}],
        "description": text.review,
        "content": [{"attachment": attachment}],
    }


def definition(text: CareText, base_url: str) -> Resource:
    """The draft that describes a text: what about, for whom, how easily read. A site approves it."""
    uses = [_context("audience", each) for each in text.audiences]
    return {
        "resourceType": "ActivityDefinition",
        "id": definition_id(text),
        "language": text.language,
        "url": f"{CANONICAL}/ActivityDefinition/{definition_id(text)}",
        "version": SHIPPED_VERSION,
        "title": text.title,
        "status": "draft",
        "date": SHIPPED_DATE,
        "publisher": "Stepwell",
        "description": text.review,
        "useContext": [*uses, _context("reading-level", text.reading_level)],
        "topic": [{"coding": [concept(CONTENT, text.topic)]}, {"coding": [concept(CONTENT, text.use)]}],
        "relatedArtifact": [
            {
                "type": "documentation",
                "label": text.language,
                "document": {
                    "contentType": TEXT,
                    "language": text.language,
                    "url": f"{base_url}/DocumentReference/{document_id(text)}",
                    "title": text.title,
                },
            }
        ],
        "kind": "Task",
        "code": {"coding": [concept(CARE_TASK, USE_CONTENT)]},
    }


def definition_id(text: CareText) -> str:
    return f"{text.topic}-{text.language}"


def document_id(text: CareText) -> str:
    return f"{definition_id(text)}-{SHIPPED_VERSION}"


def content_task(
    given: Mapping[str, Any],
    text: Mapping[str, Any],
    *,
    resource_id: str,
    subject: Mapping[str, Any],
    recipient: Mapping[str, Any],
    requester: str,
    moment: datetime,
) -> Resource:
    """The Task that brings content to somebody. The text stands within it, so that what was given stays what it was.

    `given` is the ActivityDefinition, `text` the DocumentReference; `recipient` is the subject or a related person.
    """
    contained = {name: value for name, value in text.items() if name not in {"id", "meta", "text"}} | {"id": "content"}
    return {
        "resourceType": "Task",
        "id": resource_id,
        **({"language": given["language"]} if "language" in given else {}),
        "contained": [contained],
        "instantiatesCanonical": f"{given['url']}|{given['version']}",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [concept(CARE_TASK, USE_CONTENT)]},
        "description": given["title"],
        "for": dict(subject),
        "authoredOn": instant(moment),
        "lastModified": instant(moment),
        "requester": {"reference": requester},
        "owner": dict(recipient),
        "input": [{"type": {"coding": [concept(CARE_TASK, "content")]}, "valueReference": {"reference": "#content"}}],
    }


def completed_content_task(task: Mapping[str, Any], *, completed_by: Mapping[str, Any], moment: datetime) -> Resource:
    """The Task once somebody has said that it is done."""
    said = instant(moment)
    kept = {name: value for name, value in task.items() if name != "meta"}
    by = {"type": {"coding": [concept(CARE_TASK, "completed-by")]}, "valueReference": dict(completed_by)}
    at = {"type": {"coding": [concept(CARE_TASK, "completed-at")]}, "valueDateTime": said}
    return {**kept, "status": "completed", "lastModified": said, "output": [by, at]}


def concept(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}


def _context(kind: str, code: str) -> Resource:
    return {"code": concept(CONTENT, kind), "valueCodeableConcept": {"coding": [concept(CONTENT, code)]}}
