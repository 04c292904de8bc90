"""A client moves a Task: who may move it where, what must be said with it, and what follows in the same commit."""

from typing import Any

from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import support as builders
from stepwell_referral.builders.booking import CONTINGENCY, OUTREACH
from stepwell_referral.builders.coordination import ARRANGE_SUPPORT
from stepwell_referral.builders.referral import BSER_BUSINESS_STATUS
from stepwell_referral.data.loop import reasons
from stepwell_referral.rules.authorisation import authorises
from stepwell_referral.rules.loop import may_complete
from stepwell_referral.rules.support import check_support
from stepwell_referral.rules.transitions import TERMINAL, Actor, actors_of, allowed_targets, check_transition
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.appointments import refuse_discharge
from stepwell_referral.use_cases.arranging import change_support_task
from stepwell_referral.use_cases.closing import close_after_decision
from stepwell_referral.use_cases.documents import refuse_foreign_results
from stepwell_referral.use_cases.following import DECLINE_REASONS, follow_up, reason_of
from stepwell_referral.use_cases.parts import open_parts
from stepwell_referral.use_cases.progress import Progress, content, context_of, referral_changed, request_of
from stepwell_referral.use_cases.teams import join_as_caller

# What people may change on a Task; the rest says what was asked for, of whom and why, and stays.
CHANGEABLE = frozenset({"id", "meta", "text", "status", "statusReason", "businessStatus", "owner", "note", "output",
                        "lastModified", "executionPeriod"})  # fmt: skip
SUPPORT = (builders.INTERIM, builders.NEXT_STEP, builders.MESSAGE, OUTREACH, CONTINGENCY, ARRANGE_SUPPORT)
# BSeR: who asked wants it to end; then who was asked may end it.
CANCEL_REQUESTED = "5.2"

Resource = dict[str, Any]


async def change_task(runtime: Runtime, write: Write) -> None:
    """Holds a client's change to the state table and to the ServiceRequest; what follows and its event go with it.

    Raises FhirError METHOD_NOT_ALLOWED for a Task that is not there, BUSINESS_RULE with the allowed targets for a move
    that is not the caller's to make, for a request without an authorising ServiceRequest, for a refusal without a coded
    reason, for a whole whose parts are open, and for a change of what was asked.
    """
    task = write.resource
    if task is None or write.previous is None or write.previous.body is None:
        raise FhirError(Category.METHOD_NOT_ALLOWED, "referral Tasks are made by referral; they can only be changed")
    before = content(write.previous)
    if "status" not in task:
        raise _unprocessable("say the status", "Task.status")
    _refuse_rewriting(before, task)
    progress = Progress(runtime, write.unit, before, task, write.stored, await request_of(write.read, task), write.now)
    if any(builders.is_coded(before, code) for code in SUPPORT):
        await _change_support(progress)
        await join_as_caller(progress, write.access)
        return
    _refuse_move(before, task, write.access)
    _refuse_unsaid(before, task)
    await refuse_discharge(runtime, write.unit.tenant, before, task)
    await refuse_foreign_results(runtime, write, task)
    if before["status"] == "draft" and task["status"] == "requested":
        _refuse_unauthorised(progress.request)
    if task["status"] == "completed" != before["status"]:
        await _refuse_open_parts(progress)
    entries = [] if progress.request is None else [context_of(runtime, task, progress.request)]
    write.unit.effects.append(referral_changed(runtime, write.stored, task, entries, write.now))
    await follow_up(progress)
    await join_as_caller(progress, write.access)


async def _change_support(progress: Progress) -> None:
    """Support while waiting, the next step or an answer moves on; what authorises it closes with it."""
    before, task = progress.before or {}, progress.task
    refused = check_support(before["status"], task["status"])
    if refused is not None:
        raise _unprocessable(f"{refused.reason} {_targets(refused.allowed)}", "Task.status")
    if task["status"] not in TERMINAL or before["status"] in TERMINAL:
        return
    progress.unit.effects.append(timer_effect(progress.stored.id, task["status"], None))
    if builders.is_coded(task, ARRANGE_SUPPORT):
        await change_support_task(progress)
    if builders.is_coded(task, builders.NEXT_STEP):
        await close_after_decision(progress)
    if builders.is_coded(task, builders.INTERIM):
        request = await progress.read("ServiceRequest", progress.request_id)
        status = "completed" if task["status"] == "completed" else "revoked"
        closed = None
        if request is not None and request[1]["status"] == "active":
            closed = progress.put(builders.closed_request(request[1], status), previous=request[0])
        progress.announce_support(progress.stored, closed)


def _refuse_rewriting(before: Resource, after: Resource) -> None:
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    refused = [name for name in changed if name.removeprefix("_") not in CHANGEABLE]
    if refused:
        text = "this says what was asked for and cannot be changed"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", f"Task.{name}") for name in refused])


def _refuse_move(before: Resource, task: Resource, access: Access) -> None:
    """Allowed is what either of the caller's sides may do; who was asked may end what the other side wants to end."""
    status, after = before["status"], task["status"]
    actors = sorted(actors_of(access.roles if isinstance(access, Caller) else ()))
    asked = _is_cancel_requested(before)
    if not asked and _is_cancel_requested(task) and Actor.REQUESTER not in actors:
        raise _unprocessable("only who has asked for a referral asks to cancel it", "Task.businessStatus")
    refusals = [check_transition(status, after, actor, cancel_requested=asked) for actor in actors]
    if None in refusals:
        return
    allowed = sorted({each for actor in actors for each in allowed_targets(status, actor, cancel_requested=asked)})
    reason = next(refusal.reason for refusal in refusals if refusal is not None)
    raise _unprocessable(f"{reason} {_targets(allowed)}", "Task.status")


def _refuse_unsaid(before: Resource, task: Resource) -> None:
    """A No has a coded reason, so that something can follow from it; a reason has words, so that people can read it."""
    if task["status"] in {"rejected", "failed"} and before["status"] != task["status"] and reason_of(task) is None:
        text = f"say why with a code of {DECLINE_REASONS}: {', '.join(reasons())}"
        raise _unprocessable(text, "Task.statusReason")
    is_new = task.get("statusReason", {}) != before.get("statusReason", {})
    if is_new and "statusReason" in task and not task["statusReason"].get("text"):
        raise _unprocessable("say the reason in words as well", "Task.statusReason.text")


async def _refuse_open_parts(progress: Progress) -> None:
    parts = await open_parts(progress.runtime, progress.tenant, progress.stored.id)
    if not may_complete(len(parts)):
        names = ", ".join(f"Task/{stored.id}" for stored, _ in parts)
        text = f"its parts are open: {names}. With businessStatus only-parts it is completed when they are"
        raise _unprocessable(text, "Task.status")


def _refuse_unauthorised(request: Stored | None) -> None:
    """A safety hold, or a proposal that nobody has accepted, is not got round by moving the Task."""
    found = content(request)
    if not authorises(found.get("status", ""), found.get("intent", "")):
        text = "the ServiceRequest does not authorise this yet: its proposal is accepted in routing, once it is active"
        raise _unprocessable(text, "Task.status")


def _is_cancel_requested(task: Resource) -> bool:
    codings = task.get("businessStatus", {}).get("coding", ())
    return any(each.get("system") == BSER_BUSINESS_STATUS and each.get("code") == CANCEL_REQUESTED for each in codings)


def _targets(allowed: list[str] | tuple[str, ...]) -> str:
    return f"From here this client may move it to: {', '.join(allowed) or 'nothing'}."


def _unprocessable(text: str, place: str) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", place)])
