"""Advice and guidance between organisations: a question, its Task and its answer, and no transfer of care. Pure.

The same codes as for questions among colleagues of one organisation: CodeSystems case-review and care-task.
https://hl7.org/fhir/R4/communication.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import CANONICAL, code_system, instant

from stepwell_referral.builders.exchange import Placer, created_once, patient_sent

Json = dict[str, Any]

CASE_REVIEW, CARE_TASK = code_system("case-review"), code_system("care-task")
QUESTION, ANSWER, TO_ANSWER = "econsult-question", "econsult-answer", "answer-econsult"
ADVICE_IDENTIFIERS = f"{CANONICAL}/NamingSystem/advice"
URI_IDENTIFIERS = "urn:ietf:rfc:3986"
_SAID = ("language", "priority", "sent", "payload")


def category_of(message: Mapping[str, Any]) -> str | None:
    """Whether a Communication is a question for advice or an answer to one; None for every other message."""
    codings = (coding for each in message.get("category", ()) for coding in each.get("coding", ()))
    codes = (each.get("code") for each in codings if each.get("system") == CASE_REVIEW)
    return next((code for code in codes if code in {QUESTION, ANSWER}), None)


def is_advice(task: Mapping[str, Any]) -> bool:
    """Whether a Task asks for advice."""
    codings = task.get("code", {}).get("coding", ())
    return any((each.get("system"), each.get("code")) == (CARE_TASK, TO_ANSWER) for each in codings)


def advice_id(task: Mapping[str, Any]) -> str | None:
    """The identifier of the asking side under which both sides know the Task."""
    values = [each.get("value") for each in task.get("identifier", ()) if each.get("system") == ADVICE_IDENTIFIERS]
    return str(values[0]) if values and values[0] else None


def advice_task(question: Mapping[str, Any], *, task_id: str, owner: str, at: datetime, due: datetime) -> Json:
    """The Task of a question to a partner; `due` is when the answer is promised at the latest."""
    return {
        "resourceType": "Task",
        "id": task_id,
        "identifier": [{"system": ADVICE_IDENTIFIERS, "value": task_id}],
        **({"basedOn": question["basedOn"]} if "basedOn" in question else {}),
        "status": "requested",
        "intent": "order",
        "priority": question.get("priority", "routine"),
        "code": {"coding": [{"system": CARE_TASK, "code": TO_ANSWER}]},
        "description": "Advice is asked for; care stays where it is",
        "focus": {"reference": f"Communication/{question['id']}"},
        "for": dict(question["subject"]),
        "authoredOn": instant(at),
        "lastModified": instant(at),
        "requester": dict(question["sender"]),
        "owner": {"reference": owner},
        "restriction": {"period": {"start": instant(at), "end": instant(due)}},
    }


def outgoing_question(
    task: Mapping[str, Any], question: Mapping[str, Any], person: Mapping[str, Any], placer: Placer, *, owner: str
) -> list[Json]:
    """The Bundle entries of a question: the Patient by the least, what is asked, and the Task; no ServiceRequest."""
    patient = patient_sent(person, placer)
    sent_question: Json = {
        "resourceType": "Communication",
        "identifier": [{"system": ADVICE_IDENTIFIERS, "value": str(question["id"])}],
        "status": "in-progress",
        "category": _category(QUESTION),
        "sender": {"reference": placer.organization_there},
        "recipient": [{"reference": owner}],
        **_said(question),
    }
    sent_task: Json = {
        "resourceType": "Task",
        "identifier": [dict(task["identifier"][0])],
        "status": "requested",
        "intent": "order",
        "requester": {"reference": placer.organization_there},
        "owner": {"reference": owner},
        **{name: task[name] for name in ("code", "priority", "authoredOn", "lastModified", "restriction")},
    }
    urls = {
        each["resourceType"]: placer.full_url(each["resourceType"], each["identifier"][0]["value"])
        for each in (patient, sent_question, sent_task)
    }
    sent_question["subject"] = sent_task["for"] = {"reference": urls["Patient"]}
    sent_task["focus"] = {"reference": urls["Communication"]}
    return [created_once(each, urls[each["resourceType"]]) for each in (patient, sent_question, sent_task)]


def answered_task(task: Mapping[str, Any], answer: str, *, at: datetime) -> Json:
    """The Task's next version: answered, by a Communication (a reference)."""
    output = {"type": {"coding": [{"system": CASE_REVIEW, "code": ANSWER}]}, "valueReference": {"reference": answer}}
    done = {name: value for name, value in task.items() if name != "meta"}
    return {**done, "status": "completed", "lastModified": instant(at), "output": [output]}


def closed_question(question: Mapping[str, Any], status: str = "completed") -> Json:
    """The question's next version, closed."""
    return {**{name: value for name, value in question.items() if name != "meta"}, "status": status}


def told_answer(answer: Mapping[str, Any]) -> Json:
    """An answer as who asked gets it: what is said, by whom by name."""
    told: Json = {
        "resourceType": "Communication",
        "id": answer["id"],
        "meta": {"versionId": str(answer.get("meta", {}).get("versionId", "1"))},
        "status": answer["status"],
        "category": _category(ANSWER),
        **_said(answer),
    }
    name = answer.get("sender", {}).get("display")
    return told | ({"sender": {"display": name}} if name else {})


def kept_answer(told: Mapping[str, Any], question: Mapping[str, Any], *, id_: str, organization: str) -> Json:
    """Our copy of a partner's answer, to the question as we have it."""
    name = told.get("sender", {}).get("display")
    return {
        "resourceType": "Communication",
        "id": id_,
        "inResponseTo": [{"reference": f"Communication/{question['id']}"}],
        "status": "completed",
        "category": _category(ANSWER),
        "subject": dict(question["subject"]),
        "recipient": [dict(question["sender"])],
        "sender": {"reference": organization, **({"display": name} if name else {})},
        **_said(told),
    }


def advice_named(urls: Sequence[str]) -> list[Json]:
    """Answers that a referral rests on, by the address at who gave them."""
    return [{"type": "Communication", "identifier": {"system": URI_IDENTIFIERS, "value": each}} for each in urls]


def _said(message: Mapping[str, Any]) -> Json:
    """What was said, as text alone: what else a message refers to stays where it is."""
    kept = {name: message[name] for name in _SAID if name in message and name != "payload"}
    texts = [each["contentString"] for each in message.get("payload", ()) if each.get("contentString")]
    return {**kept, "payload": [{"contentString": each} for each in texts]}


def _category(code: str) -> list[Json]:
    return [{"coding": [{"system": CASE_REVIEW, "code": code}]}]
