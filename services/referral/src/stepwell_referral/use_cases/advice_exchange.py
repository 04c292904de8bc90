"""Questions for advice on their way to a partner, and what comes back: the same transport as for referrals."""

from datetime import datetime
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import event
from stepwell_shared.federation.partners import Partner
from stepwell_shared.fhir.copies import copy_change, version_in
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import advice as builders
from stepwell_referral.builders import exchange as task_builders
from stepwell_referral.builders import news, support
from stepwell_referral.rules.exchange import Step, follow
from stepwell_referral.rules.transitions import TERMINAL
from stepwell_referral.subscriptions import COMMUNICATION_CHANGED
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.advice import advice_changed
from stepwell_referral.use_cases.progress import content, subject_key
from stepwell_referral.use_cases.validity import is_valid

ATTEMPTS_MAX = 16

Resource = dict[str, Any]


async def told_advice(runtime: Runtime, tenant: str, task: Resource) -> list[Resource]:
    """What who asked is told: the Task, and the answer once there is one."""
    told = [news.told_task(task)]
    for output in task.get("output", ()):
        kind, _, id_ = str(output.get("valueReference", {}).get("reference", "")).partition("/")
        answer = content(await runtime.store.read(tenant, kind, id_)) if kind == "Communication" else {}
        told += [builders.told_answer(answer)] if answer else []
    return told


async def question_of(runtime: Runtime, tenant: str, task: Resource) -> Resource:
    """The question that a Task of ours is about; empty when it is gone."""
    return content(await runtime.store.read(tenant, "Communication", task["focus"]["reference"].rpartition("/")[2]))


async def take_answer(
    runtime: Runtime, partner: Partner, received: ReceivedEvent, theirs: Resource, id_: str, version_url: str
) -> None:
    """Our Task follows the partner's, the answer is kept, and whoever brings messages hears of it. Twice is once.

    Raises FhirError BUSINESS_RULE for what is no question of ours to this partner.
    """
    for _ in range(ATTEMPTS_MAX):
        stored = await runtime.store.read(partner.tenant, "Task", id_)
        task = content(stored)
        if stored is None or not builders.is_advice(task) or task["owner"]["reference"] != partner.organization:
            text = "this is no question of ours to this partner"
            raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", received.expression)])
        known, _ = task_builders.partner_state(task)
        decision = follow(task["status"], version_in(known), theirs["status"], version_in(version_url))
        if decision.outcome is Step.NOTHING:
            return
        unit, now = UnitOfWork(partner.tenant), runtime.clock()
        moved = task_builders.followed_task if decision.outcome is Step.FOLLOW else task_builders.noted_task
        after = moved(task, news.with_business_state(theirs), version_url, at=now)
        copies = await _answers(runtime, unit, partner, received, task, now)
        after = news.with_copies(after, copies)
        change = built(runtime.engine, after, now, version=stored.version + 1)
        unit.changes.append(change)
        if after["status"] in TERMINAL and task["status"] not in TERMINAL:
            await _close(runtime, unit, task, after["status"], now)
        unit.effects.append(advice_changed(runtime, change.stored, after, [], now))
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue  # somebody here was first: look again
        return
    raise FhirError(Category.UNAVAILABLE, "this question is being changed by too many at once; try again")


async def _answers(
    runtime: Runtime, unit: UnitOfWork, partner: Partner, received: ReceivedEvent, task: Resource, now: datetime
) -> dict[str, str]:
    """Adds the answers that came along to the unit; our copies by the partner's addresses."""
    question, copies = await question_of(runtime, partner.tenant, task), {}
    for url, told in received.resources.items():
        if told.get("resourceType") != "Communication" or not partner.sent(url) or not question:
            continue
        if not is_valid(partner, told) or not any("contentString" in each for each in told.get("payload", ())):
            continue
        id_ = derived_id(runtime.engine.base_url, partner.tenant, "partner-copy", url)
        answer = builders.kept_answer(told, question, id_=id_, organization=partner.organization)
        source = f"{url}/_history/{told.get('meta', {}).get('versionId', '1')}"
        change, _ = await copy_change(runtime.engine, partner.tenant, answer, source, now)
        copies[url] = f"Communication/{id_}"
        if change is not None:
            unit.changes.append(change)
            unit.effects.append(_communication_changed(runtime, change.stored, answer, now))
    return copies


async def _close(runtime: Runtime, unit: UnitOfWork, task: Resource, status: str, now: datetime) -> None:
    unit.effects.append(timer_effect(task["id"], support.MESSAGE, None))
    id_ = task["focus"]["reference"].rpartition("/")[2]
    stored = await runtime.store.read(unit.tenant, "Communication", id_)
    question = content(stored)
    if stored is not None and question.get("status") == "in-progress":
        closed = builders.closed_question(question, "completed" if status == "completed" else "stopped")
        unit.changes.append(built(runtime.engine, closed, now, version=stored.version + 1))


def _communication_changed(runtime: Runtime, stored: Stored, message: Resource, now: datetime) -> Any:
    focus = f"Communication/{stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", stored)]
    return event(COMMUNICATION_CHANGED.canonical, subject_key(runtime, message["subject"]), focus, entries, now)
