"""Advice between organisations: asked and answered once by people, and nobody's care moves.

Question and answer are Communications, with a Task beside every referral: no queue counts it, no place is taken, and
the ServiceRequest that they may be about stays with who asked.
"""

from datetime import datetime
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.outbox import event
from stepwell_shared.federation.partners import Partner, organization_of
from stepwell_shared.federation.terms import ADVICE
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.partnering import partners_of
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.builders import advice as builders
from stepwell_referral.builders import support
from stepwell_referral.rules.support import check_support
from stepwell_referral.rules.transitions import TERMINAL
from stepwell_referral.rules.waits import urgency_of
from stepwell_referral.subscriptions import ADVICE_CHANGED
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.messaging import write_message
from stepwell_referral.use_cases.progress import content, subject_key
from stepwell_referral.use_cases.tasks import CHANGEABLE

TAKEN_BACK = "The organisation that asked has taken this back."

Resource = dict[str, Any]


async def write_communication(runtime: Runtime, write: Write) -> None:
    """A question to a partner, its answer, or any other message.

    Raises FhirError: FORBIDDEN for words in somebody else's name, BUSINESS_RULE for what cannot be asked or answered.
    """
    message: Resource = {**(write.resource or {}), "id": write.stored.id}
    kind = builders.category_of(message)
    if write.interaction is not Interaction.CREATE or kind is None:
        await write_message(runtime, write)
        return
    partner = await partners_of(runtime).of_client(write.access.tenant, write.access.client_id)
    if partner is not None:
        await _take_question(runtime, write, partner, message, kind)
        return
    _refuse_unsigned(runtime, write, message)
    if not any(each.get("contentString", "").strip() for each in message.get("payload", ())):
        raise _unprocessable("say something", "Communication.payload")
    await (_ask if kind == builders.QUESTION else _answer)(runtime, write, message)


async def change_advice(runtime: Runtime, write: Write) -> None:
    """People move the Task of a question: who was asked takes it on or says no, who asked takes it back.

    Raises FhirError BUSINESS_RULE with what is allowed.
    """
    before, task = content(write.previous), write.resource or {}
    changed = sorted(name for name in before.keys() | task.keys() if before.get(name) != task.get(name))
    refused = [name for name in changed if name.removeprefix("_") not in CHANGEABLE - {"owner", "output"}]
    if refused:
        issues = [Issue("this says what was asked for", "business-rule", f"Task.{name}") for name in refused]
        raise FhirError(Category.BUSINESS_RULE, issues)
    after, is_asked = task.get("status", ""), _is_partner(before.get("requester", {}))
    refusal = check_support(before["status"], after)
    if refusal is not None:
        allowed = ", ".join(refusal.allowed) or "nothing"
        raise _unprocessable(f"{refusal.reason} From here: {allowed}.", "Task.status")
    if after != before["status"]:
        if after == "completed":
            raise _unprocessable("an answer closes it: a Communication in response to the question", "Task.status")
        if (after == "cancelled") == is_asked:
            says = (
                "who was asked says no: rejected, with a reason" if is_asked else "who asked takes it back: cancelled"
            )
            raise _unprocessable(says, "Task.status")
        if after == "rejected" and not task.get("statusReason", {}).get("text"):
            raise _unprocessable("say why in words", "Task.statusReason.text")
    if after in TERMINAL and before["status"] not in TERMINAL:
        write.unit.effects.append(timer_effect(write.stored.id, support.MESSAGE, None))
        await _close_question(runtime, write, task)
    write.unit.effects.append(advice_changed(runtime, write.stored, task, [], write.now))


async def take_advice_task(runtime: Runtime, write: Write, partner: Partner, task: Resource) -> None:
    """The Task of a partner's question, which came with it in one transaction. Raises FhirError BUSINESS_RULE."""
    id_ = _local(runtime, task.get("focus", {}), "Communication")
    question = await write.read("Communication", id_) if id_ else None
    asked = content(question)
    if not asked or asked.get("sender", {}).get("reference") != partner.organization:
        raise _unprocessable("the focus is the question that comes with it", "Task.focus")
    if task.get("requester", {}).get("reference") != partner.organization or task.get("for") != asked["subject"]:
        raise _unprocessable("it is of who asks, about the person of the question", "Task.requester")
    if (task["status"], task["intent"]) != ("requested", "order") or builders.advice_id(task) is None:
        raise _unprocessable("a question comes as a requested order with its identifier", "Task.status")
    if question is None:
        return
    due = write.now + urgency_of(task.get("priority", "routine"), data.urgency_classes()).maximum_wait
    write.unit.effects.append(timer_effect(write.stored.id, support.MESSAGE, due))
    write.unit.effects.append(advice_changed(runtime, write.stored, task, [question], write.now))


def take_back_advice(runtime: Runtime, write: Write, stored: Stored, task: Resource) -> None:
    """The partner has taken its question back, if it is still open."""
    if task["status"] in TERMINAL:
        return
    closed = support.closed_task(task, "cancelled", at=write.now, reason=TAKEN_BACK)
    change = built(runtime.engine, closed, write.now, version=stored.version + 1)
    write.unit.changes.append(change)
    write.unit.effects.append(timer_effect(stored.id, support.MESSAGE, None))
    write.unit.effects.append(advice_changed(runtime, change.stored, closed, [], write.now))


def advice_changed(runtime: Runtime, stored: Stored, task: Resource, context: list[Stored], now: datetime) -> Effect:
    """The event that goes with this version of the Task."""
    base_url = runtime.engine.base_url
    entries = [(f"{base_url}/{each.resource_type}/{each.id}", each) for each in (stored, *context)]
    return event(ADVICE_CHANGED.canonical, subject_key(runtime, task["for"]), f"Task/{stored.id}", entries, now)


def advice_task_id(runtime: Runtime, tenant: str, question_id: str) -> str:
    """The id of the Task of a question."""
    return derived_id(runtime.engine.base_url, tenant, "advice", question_id)


async def _ask(runtime: Runtime, write: Write, question: Resource) -> None:
    recipients = [runtime.engine.localise(str(each.get("reference", ""))) for each in question.get("recipient", ())]
    partners = await partners_of(runtime).all(write.access.tenant)
    asked = next((each for each in partners if recipients == [each.organization]), None)
    if asked is None or not asked.is_asked_for_advice:
        text = "the recipient is one partner that takes questions for advice; colleagues ask each other in routing"
        raise _unprocessable(text, "Communication.recipient")
    if question.get("status") != "in-progress" or "inResponseTo" in question:
        raise _unprocessable("a question is in-progress and answers nothing", "Communication.status")
    person = _local(runtime, question.get("subject", {}), "Patient")
    if not person or not content(await write.read("Patient", person)):
        raise _unprocessable("it is about a Patient who is here", "Communication.subject")
    due = write.now + urgency_of(question.get("priority", "routine"), data.urgency_classes()).maximum_wait
    id_ = advice_task_id(runtime, write.access.tenant, write.stored.id)
    task = builders.advice_task(question, task_id=id_, owner=asked.organization, at=write.now, due=due)
    change = built(runtime.engine, task, write.now)
    write.unit.changes.append(change)
    write.unit.effects.append(timer_effect(id_, support.MESSAGE, due))
    write.unit.effects.append(advice_changed(runtime, change.stored, task, [write.stored], write.now))


async def _answer(runtime: Runtime, write: Write, answer: Resource) -> None:
    """Closes a partner's question with its Task, in the commit of the answer."""
    ids = [_local(runtime, each, "Communication") for each in answer.get("inResponseTo", ())]
    stored = await write.read("Communication", ids[0]) if len(ids) == 1 and ids[0] else None
    question = content(stored)
    is_open = question.get("status") == "in-progress" and builders.category_of(question) == builders.QUESTION
    if answer.get("status") != "completed" or stored is None or not is_open or not _is_partner(question["sender"]):
        text = "an answer is completed, and in response to one open question of a partner"
        raise _unprocessable(text, "Communication.inResponseTo")
    if answer.get("subject") != question["subject"] or answer.get("recipient") != [question["sender"]]:
        raise _unprocessable("it is for who asked, about the person of the question", "Communication.recipient")
    previous, task = await _task_of(runtime, write, question)
    if previous is None or task["status"] in TERMINAL:
        raise _unprocessable("this question is closed", "Communication.inResponseTo")
    closed = builders.closed_question(question)
    write.unit.changes.append(built(runtime.engine, closed, write.now, version=stored.version + 1))
    done = builders.answered_task(task, f"Communication/{answer['id']}", at=write.now)
    change = built(runtime.engine, done, write.now, version=previous.version + 1)
    write.unit.changes.append(change)
    write.unit.effects.append(timer_effect(previous.id, support.MESSAGE, None))
    write.unit.effects.append(advice_changed(runtime, change.stored, done, [write.stored], write.now))


async def _take_question(runtime: Runtime, write: Write, partner: Partner, question: Resource, kind: str) -> None:
    """A partner's question. Raises FhirError BUSINESS_RULE for what it may not say or we have not agreed to take."""
    if kind != builders.QUESTION or question.get("sender", {}).get("reference") != partner.organization:
        raise _unprocessable(f"a partner asks as itself: {partner.organization}", "Communication.sender")
    if reason := partner.taken_here.refusal(ADVICE):
        raise _unprocessable(f"this organisation {reason}", "Communication.category")
    person = _local(runtime, question.get("subject", {}), "Patient")
    patient = content(await write.read("Patient", person)) if person else {}
    if patient.get("managingOrganization", {}).get("reference") != partner.organization:
        raise _unprocessable("this is a Patient that you have sent", "Communication.subject")
    if question.get("status") != "in-progress" or not question.get("identifier"):
        raise _unprocessable("a question is in-progress and has an identifier", "Communication.status")


async def _task_of(runtime: Runtime, write: Write, question: Resource) -> tuple[Stored | None, Resource]:
    """The Task of a partner's question: what came with it has it as its focus."""
    engine = runtime.engine
    criteria = [("focus", f"Communication/{question['id']}")]
    query = query_of(engine, engine.registry.types["Task"], criteria, (), strict=True)
    query.count = 1
    rows = await engine.store.search(write.access.tenant, *query.page_statement())
    stored = await write.read("Task", str(rows[0]["id"])) if rows else None
    return stored, content(stored)


async def _close_question(runtime: Runtime, write: Write, task: Resource) -> None:
    id_ = _local(runtime, task["focus"], "Communication")
    stored = await write.read("Communication", id_)
    question = content(stored)
    if stored is not None and question.get("status") == "in-progress":
        stopped = builders.closed_question(question, "stopped")
        write.unit.changes.append(built(runtime.engine, stopped, write.now, version=stored.version + 1))


def _refuse_unsigned(runtime: Runtime, write: Write, message: Resource) -> None:
    user = write.access.fhir_user
    sender = runtime.engine.localise(str(message.get("sender", {}).get("reference", "")))
    if user is None or sender != runtime.engine.localise(user):
        raise FhirError(Category.FORBIDDEN, "who sends it is the person whom the token names")
    if sender.startswith(("Patient/", "RelatedPerson/")):
        raise FhirError(Category.FORBIDDEN, "organisations ask each other; people write to their team")


def _is_partner(reference: Resource) -> bool:
    return str(reference.get("reference", "")).startswith(organization_of(""))


def _local(runtime: Runtime, reference: Resource, resource_type: str) -> str:
    kind, _, id_ = runtime.engine.localise(str(reference.get("reference", ""))).partition("/")
    return id_ if kind == resource_type else ""


def _unprocessable(text: str, place: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", place)])
