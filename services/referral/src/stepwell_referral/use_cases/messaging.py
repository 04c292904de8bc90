"""Messages between people and their team: every one is read by a person, by a time that is said at once.

Nothing is answered or sorted by a machine. When many wait, people are told the longer time before they wait.
"""

from datetime import timedelta
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Write
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import messages as message_builders
from stepwell_referral.builders import support as builders
from stepwell_referral.data.loop import message_policy, words
from stepwell_referral.rules.support import OPEN
from stepwell_referral.subscriptions import COMMUNICATION_CHANGED
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.messages import add_message, language_of
from stepwell_referral.use_cases.progress import content, subject_key

# What changes once a message is there: how it was brought to whom it is for.
CHANGEABLE = frozenset({"id", "meta", "text", "status", "statusReason", "sent", "received", "medium"})

Resource = dict[str, Any]


async def write_message(runtime: Runtime, write: Write) -> None:
    """A person writes to the team, the team to a person, or somebody says how a message was brought.

    Raises FhirError: FORBIDDEN for words in somebody else's name, BUSINESS_RULE for what is empty, too long, or about
    somebody else.
    """
    message: Resource = {**(write.resource or {}), "id": write.stored.id}
    if write.interaction is not Interaction.CREATE:
        _refuse_rewriting(content(write.previous), message)
        _announce(runtime, write, message)
        return
    user = write.access.fhir_user
    sender = runtime.engine.localise(str(message.get("sender", {}).get("reference", "")))
    if user is None or sender != runtime.engine.localise(user):
        raise FhirError(Category.FORBIDDEN, "who sends it is the person whom the token names")
    _refuse_unreadable(message)
    if sender.startswith("Patient/"):
        await _from_person(runtime, write, message, sender)
    else:
        await _from_team(runtime, write, message)
    _announce(runtime, write, message)


async def _from_person(runtime: Runtime, write: Write, message: Resource, sender: str) -> None:
    """Keeps it, gives it to people as a Task, and says until when it is answered and whom to call before that."""
    if _subject(runtime, message) != sender:
        raise _unprocessable("people write about themselves", "Communication.subject")
    policy, tenant, now = message_policy(), write.access.tenant, write.now
    is_busy = await _open_count(runtime, tenant, policy.open_max) >= policy.open_max
    within = policy.reply_busy if is_busy else policy.reply
    _give_to_people(runtime, write, message, within)
    language = await language_of(runtime, tenant, sender, message.get("language", ""))
    said = words()[language]
    text = said["message_busy" if is_busy else "message_received"].format(reply_by=(now + within).date().isoformat())
    about = {"id": _task_id(runtime, tenant, write.stored.id), "for": message["subject"]}
    receipt = message_builders.message_to_person(
        about,
        communication_id=derived_id(runtime.engine.base_url, tenant, "receipt", write.stored.id),
        language=language,
        open_text=said["open"],
        text=f"{text}\n{said['crisis']}",
    )
    answered = {**receipt, "inResponseTo": [{"reference": f"Communication/{write.stored.id}"}]}
    add_message(runtime, write.unit, answered, sender, now)


def _give_to_people(runtime: Runtime, write: Write, message: Resource, within: timedelta) -> None:
    id_ = _task_id(runtime, write.access.tenant, write.stored.id)
    task = builders.message_task(message, task_id=id_, reply_within=within, at=write.now)
    write.unit.changes.append(built(runtime.engine, task, write.now))
    write.unit.effects.append(timer_effect(id_, builders.MESSAGE, write.now + within))


async def _from_team(runtime: Runtime, write: Write, message: Resource) -> None:
    """It is for the person whom it is about; an answer closes what waited for it."""
    person = _subject(runtime, message)
    recipients = [runtime.engine.localise(str(each.get("reference", ""))) for each in message.get("recipient", ())]
    if not person or recipients != [person]:
        raise _unprocessable("a message of the team is for the person whom it is about", "Communication.recipient")
    for question in message.get("inResponseTo", ()):
        kind, _, id_ = runtime.engine.localise(str(question.get("reference", ""))).partition("/")
        asked = content(await write.read("Communication", id_)) if kind == "Communication" else {}
        if not asked or _subject(runtime, asked) != person:
            raise _unprocessable("it answers a message of this person", "Communication.inResponseTo")
        await _close(runtime, write, id_)


async def _close(runtime: Runtime, write: Write, message_id: str) -> None:
    id_ = _task_id(runtime, write.access.tenant, message_id)
    stored = await write.read("Task", id_)
    task = content(stored)
    if stored is None or task.get("status") not in OPEN:
        return
    closed = builders.closed_task(task, "completed", at=write.now)
    write.unit.changes.append(built(runtime.engine, closed, write.now, version=stored.version + 1))
    write.unit.effects.append(timer_effect(id_, builders.MESSAGE, None))


async def _open_count(runtime: Runtime, tenant: str, most: int) -> int:
    """How many messages wait for an answer, counted up to `most`."""
    engine = runtime.engine
    criteria = [("code", builders.MESSAGE), ("status", ",".join(OPEN))]
    query = query_of(engine, engine.registry.types["Task"], criteria, (), strict=True)
    query.count = most
    return min(len(await engine.store.search(tenant, *query.page_statement())), most)


def _announce(runtime: Runtime, write: Write, message: Resource) -> None:
    subject = message.get("subject", {})
    named = "reference" in subject or "value" in subject.get("identifier", {})
    focus = f"Communication/{write.stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", write.stored)]
    key = subject_key(runtime, subject) if named else focus
    write.unit.effects.append(event(COMMUNICATION_CHANGED.canonical, key, focus, entries, write.now))


def _refuse_unreadable(message: Resource) -> None:
    texts = [each.get("contentString", "") for each in message.get("payload", ())]
    if not "".join(texts).strip():
        raise _unprocessable("say something", "Communication.payload")
    if sum(map(len, texts)) > message_policy().characters_max:
        text = f"a message has at most {message_policy().characters_max} characters"
        raise _unprocessable(text, "Communication.payload")


def _refuse_rewriting(before: Resource, after: Resource) -> None:
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    refused = [name for name in changed if name.removeprefix("_") not in CHANGEABLE]
    if refused:
        text = "what was said stays; how it was brought can be changed"
        raise FhirError(
            Category.BUSINESS_RULE, [Issue(text, "business-rule", f"Communication.{name}") for name in refused]
        )


def _subject(runtime: Runtime, message: Resource) -> str:
    return runtime.engine.localise(str(message.get("subject", {}).get("reference", "")))


def _task_id(runtime: Runtime, tenant: str, message_id: str) -> str:
    return derived_id(runtime.engine.base_url, tenant, "answer-message", message_id)


def _unprocessable(text: str, place: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", place)])
