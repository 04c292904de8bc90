"""What somebody can do next with a line of the worklist: the same moves, bookings and messages as through FHIR.

Each act is one interaction of the engine with the caller's own rights, so that the same rules hold and the same is put
on record; nothing is decided here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stepwell_shared.auth.caller import Caller
from stepwell_shared.canonical import code_system, instant
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import booking, coordination, support
from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS
from stepwell_referral.data.loop import reasons
from stepwell_referral.rules import support as beside
from stepwell_referral.rules.loop import TRANSFERRED
from stepwell_referral.rules.transitions import Actor, actors_of, allowed_targets
from stepwell_referral.use_cases.following import DECLINE_REASONS
from stepwell_referral.use_cases.worklist_lines import KINDS, REFERRAL, decode, kind_of

# What an act asks for beside itself: a coded reason and words, words alone, a place, a time, what was arranged.
REASON, WORDS, NOTE, PLACE, TIME, ARRANGED = "reason", "words", "note", "place", "time", "arranged"
_TARGETS: Mapping[str, str] = {
    "ask": "requested",
    "acknowledge": "received",
    "accept": "accepted",
    "take": "accepted",
    "resume": "accepted",
    "begin": "in-progress",
    "start": "in-progress",
    "pause": "on-hold",
    "complete": "completed",
    "done": "completed",
    "decline": "rejected",
    "refuse": "rejected",
    "fail": "failed",
    "stop": "failed",
    "withdraw": "cancelled",
}
ASKS: Mapping[str, str] = {
    "accept": NOTE,
    "decline": REASON,
    "fail": REASON,
    "transfer": PLACE,
    "book": TIME,
    "message": WORDS,
    "withdraw": WORDS,
    "refuse": WORDS,
    "stop": WORDS,
    "pause": NOTE,
    "complete": NOTE,
    "done": NOTE,
}
_OF_REFERRAL = ("ask", "acknowledge", "accept", "begin", "complete", "pause", "decline", "fail", "withdraw")
_BESIDE = ("take", "start", "done", "pause", "refuse", "stop", "withdraw")
# BSeR: what a place says with its status; what happened to an appointment stays while it is on its way.
_BUSINESS = {
    "accept": ("3.0", "Accepted"),
    "decline": ("4.0", "Declined"),
    "transfer": ("4.0", "Declined"),
    "withdraw": ("6.0", "Taken back"),
    "fail": ("6.0", "Not given"),
    "complete": ("7.0", "Complete"),
}
WORDS_MAX = 2000

Resource = dict[str, Any]
Ask = Callable[[str, str], Request]


@dataclass(frozen=True)
class Given:
    """What a form says: the act, the version that was looked at, and what else it asks for. `yes` is that somebody has
    a private place for a remote session; with `appointment` it is about that one, and so is the version."""

    act: str
    version: str
    reason: str = ""
    words: str = ""
    place: str = ""
    slot: str = ""
    overtaking: str = ""
    yes: bool = False
    supports: Sequence[str] = ()
    appointment: str = ""


def possible(task: Mapping[str, Any], access: Caller) -> tuple[str, ...]:
    """What this caller may do with a Task, the likeliest first; by the same tables that hold at a write."""
    if not access.permits("Task", "update"):
        return ()
    kind, status = kind_of(task), task["status"]
    if kind not in {REFERRAL, support.PARTIAL}:
        return _beside(kind, status, access)
    targets = {each for actor in actors_of(access.roles) for each in allowed_targets(status, actor)}
    found = [act for act in _OF_REFERRAL if _TARGETS[act] in targets]
    if status == "on-hold":
        found = ["resume" if act == "accept" else act for act in found]
    is_owner = Actor.OWNER in actors_of(access.roles)
    if is_owner and kind == REFERRAL and targets & {"rejected", "cancelled"}:
        found.insert(-1, "transfer")
    if (
        is_owner
        and status == "accepted"
        and not booking.has_appointment(task)
        and access.permits("Appointment", "$book")
    ):
        found.insert(0, "book")
    return (*found, *(("message",) if _may_write(access) else ()))


def _beside(kind: str, status: str, access: Caller) -> tuple[str, ...]:
    if kind not in KINDS:
        return ()
    targets = beside.TABLE.get(status, frozenset())
    found = tuple(act for act in _BESIDE if _TARGETS[act] in targets)
    first = ("message",) if _may_write(access) and status in beside.TABLE else ()
    return (*first, *found) if kind == support.MESSAGE else (*found, *first)


def _may_write(access: Caller) -> bool:
    return access.fhir_user is not None and access.permits("Communication", "create")


async def act(runtime: Runtime, ask: Ask, access: Caller, task_id: str, given: Given) -> None:
    """Does it. Raises FhirError as the interaction does, and INVALID for what is no act or lacks what it asks for."""
    found = await interactions.read(runtime.engine, ask("Task", task_id))
    task = decode(found.body)
    if len(given.words) > WORDS_MAX:
        raise _invalid(f"say it in at most {WORDS_MAX} characters", "Task.note")
    if given.act not in possible(task, access):
        raise _invalid("this cannot be done with it now; it may have moved meanwhile", "Task.status")
    if given.act == "book":
        await _book(runtime, ask, task, given)
    elif given.act == "message":
        await _write(runtime, ask, access, task, given)
    else:
        changed = moved(task, given, access.fhir_user, runtime.clock())
        headers = {"if-match": f'W/"{given.version}"'}
        body = encode({name: value for name, value in changed.items() if name != "meta"})
        await interactions.update(runtime.engine, replace(ask("Task", task_id), body=body, headers=headers))


def moved(task: Mapping[str, Any], given: Given, author: str | None, now: datetime) -> Resource:
    """The Task as the act leaves it. Raises FhirError INVALID where it lacks what the act asks for."""
    changed: Resource = {**task, "status": _target(task, given), "lastModified": instant(now)}
    words = given.words.strip()
    asks = ASKS.get(given.act, "")
    if given.act == "transfer":
        changed["output"] = [*task.get("output", ()), _transfer(given.place)]
        coding = {"system": DECLINE_REASONS, "code": TRANSFERRED}
        changed["statusReason"] = {"coding": [coding], "text": words or "Another place suits better."}
    elif asks == REASON:
        if given.reason not in reasons():
            raise _invalid("choose the reason", "Task.statusReason")
        text = words or given.reason.replace("-", " ")
        changed["statusReason"] = {"coding": [{"system": DECLINE_REASONS, "code": given.reason}], "text": text}
    elif asks == WORDS:
        if not words:
            raise _invalid("say why, in a few words", "Task.statusReason.text")
        changed["statusReason"] = {"text": words}
    elif words:
        by = {"authorReference": {"reference": author}} if author else {}
        changed["note"] = [*task.get("note", ()), {**by, "time": instant(now), "text": words}]
    if given.act == "done" and given.supports and kind_of(task) == coordination.ARRANGE_SUPPORT:
        changed["output"] = [*task.get("output", ()), *map(_arranged, given.supports)]
    if given.act in _BUSINESS and kind_of(task) in {REFERRAL, support.PARTIAL}:
        code, text = _BUSINESS[given.act]
        changed["businessStatus"] = {"coding": [{"system": BSER_BUSINESS_STATUS, "code": code}], "text": text}
    return changed


def _target(task: Mapping[str, Any], given: Given) -> str:
    if given.act != "transfer":
        return _TARGETS[given.act]
    return "rejected" if task["status"] in {"requested", "received"} else "cancelled"


def _transfer(place: str) -> Resource:
    if not place.startswith("HealthcareService/"):
        raise _invalid("choose the place", "Task.output")
    kind = {"coding": [{"system": support.TASK_CODES, "code": support.TRANSFER_TO}]}
    return {"type": kind, "valueReference": {"reference": place}}


def _arranged(code: str) -> Resource:
    kind = {"coding": [{"system": support.TASK_CODES, "code": coordination.ARRANGED}]}
    return {"type": kind, "valueCodeableConcept": {"coding": [{"system": code_system("support"), "code": code}]}}


async def _book(runtime: Runtime, ask: Ask, task: Mapping[str, Any], given: Given) -> None:
    if not given.slot:
        raise _invalid("choose a time", "Appointment.slot")
    parameters: list[Resource] = [
        {"name": "slot", "valueReference": {"reference": f"Slot/{given.slot}"}},
        {"name": "patient-reference", "valueReference": task["for"]},
        {"name": "referral", "valueReference": {"reference": task["focus"]["reference"]}},
    ]
    if given.overtaking:
        parameters.append({"name": "overtaking-reason", "valueCode": given.overtaking})
    if given.words.strip():
        parameters.append({"name": "comment", "valueString": given.words.strip()})
    if given.yes:
        parameters.append({"name": "private-space", "valueBoolean": True})
    operations = runtime.engine.registry.types["Appointment"].operations
    operation = next(each for each in operations if each.name == "book")
    body = encode({"resourceType": "Parameters", "parameter": parameters})
    await interactions.operate(operation, runtime.engine, replace(ask("Appointment", ""), body=body))


async def _write(runtime: Runtime, ask: Ask, access: Caller, task: Mapping[str, Any], given: Given) -> None:
    if not given.words.strip():
        raise _invalid("say something", "Communication.payload")
    focus = str(task.get("focus", {}).get("reference", ""))
    body = {
        "resourceType": "Communication",
        "status": "preparation",
        **({"inResponseTo": [{"reference": focus}]} if focus.startswith("Communication/") else {}),
        "subject": task["for"],
        "recipient": [task["for"]],
        "sender": {"reference": access.fhir_user},
        "payload": [{"contentString": given.words.strip()}],
    }
    await interactions.create(runtime.engine, replace(ask("Communication", ""), body=encode(body)))


def _invalid(text: str, place: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", place)])
