"""What stands beside a referral as Tasks of its own: support while waiting, partial referrals, the next step. Pure."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from stepwell_shared.canonical import CANONICAL, code_system, instant

from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS, TASK_CODE_FULFILL, translated
from stepwell_referral.rules.interim import InterimOffer

Json = dict[str, Any]

TASK_CODES = code_system("task")
INTERIM, NEXT_STEP, MESSAGE, PARTIAL = "interim-support", "next-step", "answer-message", "partial-referral"
PARTS = code_system("partial-referral")
ONLY_PARTS, PREVIOUS, TRANSFER_TO = "only-parts", "previous-referral", "transfer-to"
SUPPORT_IDENTIFIERS = f"{CANONICAL}/NamingSystem/interim-support"


def interim_request(
    task: Mapping[str, Any], offer: InterimOffer, *, request_id: str, at: datetime, language: str
) -> Json:
    """What authorises the support while waiting: asked for by who asked for the referral, on the day of it."""
    coding = _offer_coding(offer, language)
    repeat = {"frequency": 1, "period": offer.check_in_days, "periodUnit": "d", "boundsPeriod": {"start": instant(at)}}
    return {
        "resourceType": "ServiceRequest",
        "id": request_id,
        "language": language,
        "identifier": [{"system": SUPPORT_IDENTIFIERS, "value": request_id}],
        "basedOn": [dict(task["focus"])],
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": TASK_CODES, "code": INTERIM}]}],
        "priority": "routine",
        "code": {"coding": [coding], **translated("text", offer.title, language)},
        "subject": dict(task["for"]),
        "occurrenceTiming": {"repeat": repeat},
        "authoredOn": instant(at),
        "requester": dict(task["requester"]),
        **translated("patientInstruction", offer.text, language),
    }


def interim_task(
    task: Mapping[str, Any], offer: InterimOffer, *, task_id: str, request_id: str, at: datetime, language: str
) -> Json:
    """The Task of whoever gives the support; its period ends when somebody asks next how the person is."""
    return {
        **_support(task, INTERIM, task_id, at),
        "language": language,
        "basedOn": [{"reference": f"ServiceRequest/{request_id}"}],
        "partOf": [{"reference": f"Task/{task['id']}"}],
        "priority": "routine",
        "description": f"Support while waiting: {offer.title.get('en', offer.code)}",
        "focus": {"reference": f"ServiceRequest/{request_id}"},
        "requester": dict(task["requester"]),
        "performerType": [{"text": "Staff of the practice that asked, or a coordinator"}],
        "reasonCode": {"coding": [_offer_coding(offer, language)]},
        "restriction": _until(at, timedelta(days=offer.check_in_days)),
    }


def next_step_task(task: Mapping[str, Any], *, task_id: str, reason: str, within: timedelta, at: datetime) -> Json:
    """People decide how it goes on after a refusal that no machine can answer."""
    return {
        **_support(task, NEXT_STEP, task_id, at),
        "priority": task.get("priority", "routine"),
        "description": "Decide with the person how it goes on, and tell them",
        "focus": {"reference": f"Task/{task['id']}"},
        "requester": {"type": "Device", "display": "Stepwell referral"},
        "reasonCode": {"text": reason},
        "restriction": _until(at, within),
    }


def message_task(message: Mapping[str, Any], *, task_id: str, reply_within: timedelta, at: datetime) -> Json:
    """A person of the team reads a message and answers it; `message` is the Communication."""
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "intent": "order",
        "priority": message.get("priority", "routine"),
        "code": {"coding": [{"system": TASK_CODES, "code": MESSAGE}]},
        "description": "Read the message and answer it",
        "focus": {"reference": f"Communication/{message['id']}"},
        "for": dict(message["subject"]),
        "authoredOn": instant(at),
        "lastModified": instant(at),
        "requester": dict(message["sender"]),
        "restriction": _until(at, reply_within),
    }


def closed_task(task: Mapping[str, Any], status: str, *, at: datetime, reason: str = "") -> Json:
    """The Task's next version, closed by the service together with what it belongs to."""
    closed: Json = deepcopy({name: value for name, value in task.items() if name not in {"meta", "statusReason"}})
    closed["status"] = status
    closed["lastModified"] = instant(at)
    if reason:
        closed["statusReason"] = {"text": reason}
    if status == "completed" and is_coded(task, "tier-referral"):
        closed["businessStatus"] = {
            "coding": [{"system": BSER_BUSINESS_STATUS, "code": "7.0"}],
            "text": "Complete: all its parts are",
        }
    return closed


def closed_request(request: Mapping[str, Any], status: str) -> Json:
    """The request's next version, closed with its Task."""
    return {**{name: value for name, value in request.items() if name != "meta"}, "status": status}


def renewed_period(task: Mapping[str, Any], at: datetime) -> tuple[Json, datetime]:
    """The Task with its period moved on by its own length, and when the next one ends."""
    period = task["restriction"]["period"]
    length = datetime.fromisoformat(period["end"]) - datetime.fromisoformat(period["start"])
    renewed: Json = deepcopy({name: value for name, value in task.items() if name != "meta"})
    renewed["lastModified"] = instant(at)
    renewed["restriction"] = _until(at, length)
    return renewed, at + length


def is_coded(task: Mapping[str, Any], code: str) -> bool:
    """Whether our code system says that the Task is of this kind."""
    codings: Sequence[Mapping[str, Any]] = task.get("code", {}).get("coding", ())
    return any(each.get("system") == TASK_CODES and each.get("code") == code for each in codings)


def part_code(task: Mapping[str, Any]) -> str | None:
    """Which partial referral a Task is, such as physiotherapy; None when it is none."""
    if not is_coded(task, PARTIAL):
        return None
    codings = task.get("code", {}).get("coding", ())
    return next((each.get("code") for each in codings if each.get("system") == PARTS), None)


def whole_of(task: Mapping[str, Any]) -> str | None:
    """The id of the Task that this one is a part of."""
    reference = next((str(each.get("reference", "")) for each in task.get("partOf", ())), "")
    kind, _, id_ = reference.partition("/")
    return id_ if kind == "Task" and id_ else None


def waits_for_parts_only(task: Mapping[str, Any]) -> bool:
    """Whether its owner has said that nothing is left to do but what its parts do."""
    codings = task.get("businessStatus", {}).get("coding", ())
    return any(each.get("system") == TASK_CODES and each.get("code") == ONLY_PARTS for each in codings)


def with_previous(task: Mapping[str, Any], previous: str) -> Json:
    """The Task with the one that it follows, whose place could not take the person."""
    kind = {"coding": [{"system": TASK_CODES, "code": PREVIOUS}]}
    return {
        **task,
        "input": [*task.get("input", ()), {"type": kind, "valueReference": {"reference": f"Task/{previous}"}}],
    }


def with_wanted(task: Mapping[str, Any], wanted: Sequence[str]) -> Json:
    """The Task with what a place would like to know and nobody has said; as it is when nothing is missing."""
    if not wanted:
        return dict(task)
    coding = {"system": code_system("decline-reason"), "code": "information-missing"}
    return {**task, "statusReason": {"coding": [coding], "text": f"Not said yet: {'; '.join(wanted)}."}}


def within(task: Mapping[str, Any], whole: str) -> Json:
    """Support that belongs to another Task."""
    kept = {name: value for name, value in task.items() if name != "meta"}
    return {**kept, "partOf": [{"reference": f"Task/{whole}"}]}


def previous_of(task: Mapping[str, Any]) -> str | None:
    """The id of the Task that this one follows."""
    for each in task.get("input", ()):
        codings = each.get("type", {}).get("coding", ())
        if any(coding.get("code") == PREVIOUS for coding in codings):
            kind, _, id_ = str(each.get("valueReference", {}).get("reference", "")).partition("/")
            return id_ if kind == "Task" else None
    return None


def said_in(task: Mapping[str, Any], language: str) -> str:
    """What the Task says last about the wait, in this language if it is there."""
    notes = [each for each in task.get("note", ()) if "_text" in each] or list(task.get("note", ()))
    return in_language(notes[-1], "text", language) if notes else ""


def in_language(resource: Mapping[str, Any], name: str, language: str) -> str:
    """What a string element says in this language, or in the one that it is written in; "" where it is not there."""
    for extension in resource.get(f"_{name}", {}).get("extension", ()):
        parts = {part.get("url"): part for part in extension.get("extension", ())}
        if parts.get("lang", {}).get("valueCode") == language:
            return str(parts.get("content", {}).get("valueString", ""))
    return str(resource.get(name, ""))


def options_in(request: Mapping[str, Any], language: str) -> list[str]:
    """The ways to receive the care that is asked for, as the person reads them."""
    return [
        each for each in (in_language(detail, "text", language) for detail in request.get("orderDetail", ())) if each
    ]


def _support(task: Mapping[str, Any], code: str, task_id: str, at: datetime) -> Json:
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": TASK_CODES, "code": code}, dict(TASK_CODE_FULFILL)]},
        "for": dict(task["for"]),
        "authoredOn": instant(at),
        "lastModified": instant(at),
    }


def _offer_coding(offer: InterimOffer, language: str) -> Json:
    display = offer.title.get(language, offer.title["en"])
    return {"system": code_system("interim-support"), "code": offer.code, "display": display}


def _until(at: datetime, within: timedelta) -> Json:
    return {"period": {"start": instant(at), "end": instant(at + within)}}
