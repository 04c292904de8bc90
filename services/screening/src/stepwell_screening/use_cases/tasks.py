"""People and systems change what screening made: safety Tasks, forms that are asked for, and messages that are sent."""

from collections.abc import Mapping
from typing import Any

import orjson
from stepwell_shared.canonical import code_system, instant
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_screening import solicitation_builders as builders
from stepwell_screening.builders import TERMINOLOGY
from stepwell_screening.rules.safety_reviews import OPEN_STATUSES, has_code
from stepwell_screening.subscriptions import QUESTIONNAIRE_CHANGED
from stepwell_screening.use_cases.safety import change_safety_task
from stepwell_screening.use_cases.subjects import subject_key

# What may be changed on a Task that asks for a form, and on a message; the rest says what happened and stays.
TASK_CHANGEABLE = frozenset({"id", "meta", "status", "statusReason", "businessStatus", "owner", "note", "output",
                             "lastModified", "executionPeriod", "text"})  # fmt: skip
MESSAGE_CHANGEABLE = frozenset({"id", "meta", "status", "statusReason", "sent", "received", "medium", "text"})
SENT = frozenset({"preparation", "in-progress", "completed", "not-done", "stopped"})

Resource = dict[str, Any]


async def change_task(runtime: Runtime, write: Write) -> None:
    """A Task that asks for a form may be taken on, declined and closed; every other Task is one of safety.

    Raises FhirError BUSINESS_RULE for a change of what happened or for an answer that is no response, CONFLICT once
    it is closed.
    """
    before = _before(write)
    if not is_solicitation(before):
        await change_safety_task(runtime, write)
        return
    task = write.resource
    assert task is not None, "Tasks are never deleted"
    if before["status"] not in OPEN_STATUSES:
        raise FhirError(Category.CONFLICT, "this Task is closed")
    _refuse_rewriting(before, task, TASK_CHANGEABLE, "Task")
    _refuse_outputs(task)
    said = {**task, "businessStatus": before["businessStatus"], "lastModified": instant(write.now)}
    if task["status"] not in OPEN_STATUSES:
        code = builders.ANSWERED if task["status"] == "completed" else builders.WITHDRAWN
        said["businessStatus"] = builders.business_status(code)
    change = built(runtime.engine, said, write.now, version=write.stored.version)
    write.unit.changes[0], write.stored, write.resource = change, change.stored, said
    focus, key = f"Task/{write.stored.id}", subject_key(runtime, said["for"], "Task.for")
    entries = [(f"{runtime.engine.base_url}/{focus}", write.stored)]
    write.unit.effects.append(event(QUESTIONNAIRE_CHANGED.canonical, key, focus, entries, write.now))


async def change_message(runtime: Runtime, write: Write) -> None:
    """Whoever brings messages to people says by the status of a reminder how far it is; nothing else changes.

    Raises FhirError BUSINESS_RULE for any other change, CONFLICT once nothing is to be sent any more.
    """
    before, message = _before(write), write.resource
    assert message is not None, "Communications are never deleted"
    is_reminder = any(
        has_code(each, f"{TERMINOLOGY}/communication-category", "reminder") for each in before.get("category", ())
    )
    if not is_reminder:
        text = "this says whom an alert was brought to and cannot be changed; its Task can"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Communication")])
    if before["status"] not in {"preparation", "in-progress"}:
        raise FhirError(Category.CONFLICT, "this message is closed")
    _refuse_rewriting(before, message, MESSAGE_CHANGEABLE, "Communication")
    if message["status"] not in SENT:
        text = f"the status of a message is one of {', '.join(sorted(SENT))}"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Communication.status")])


def is_solicitation(task: Mapping[str, Any]) -> bool:
    """Whether a Task asks for a form, or tells that one was not answered."""
    code = task.get("code")
    return has_code(code, builders.SDC, builders.COMPLETE_QUESTIONNAIRE) or has_code(
        code, code_system("task"), builders.FOLLOW_UP
    )


def _before(write: Write) -> Resource:
    if write.previous is None or write.previous.body is None or write.resource is None:
        raise FhirError(Category.METHOD_NOT_ALLOWED, "screening makes these; they can only be changed")
    before: Resource = orjson.loads(write.previous.body)
    return before


def _refuse_rewriting(before: Resource, after: Resource, changeable: frozenset[str], type_: str) -> None:
    changed = [name for name in sorted({*before, *after} - changeable) if before.get(name) != after.get(name)]
    if changed:
        text = "this says what happened and cannot be changed"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", f"{type_}.{name}") for name in changed])


def _refuse_outputs(task: Resource) -> None:
    """An answer is a response, and nothing else."""
    for index, output in enumerate(task.get("output", ())):
        reference = (output.get("valueReference") or {}).get("reference", "")
        is_response = has_code(output.get("type"), builders.SDC, builders.QUESTIONNAIRE_RESPONSE)
        if not is_response or "QuestionnaireResponse/" not in reference:
            text = "what comes of this Task is a questionnaire-response"
            raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", f"Task.output[{index}]")])
