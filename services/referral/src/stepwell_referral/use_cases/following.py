"""What follows a version of a referral Task, in the unit of work that brings it: timer, support, words, the next place.

Whoever changes a referral Task calls `follow_up`; what is decided stands in rules/loop.py.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import code_system

from stepwell_referral import data
from stepwell_referral.builders import support as builders
from stepwell_referral.builders.promises import promised_of
from stepwell_referral.data.loop import reasons, time_outs
from stepwell_referral.rules.loop import Follow, Moved, Reason, first_due, follows
from stepwell_referral.rules.transitions import TERMINAL, WAITING
from stepwell_referral.rules.waits import urgency_of
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.arranging import open_supports
from stepwell_referral.use_cases.closing import close_own_request
from stepwell_referral.use_cases.elsewhere import refer_elsewhere
from stepwell_referral.use_cases.messages import language_of, tell_person, told_text
from stepwell_referral.use_cases.paces import first_look
from stepwell_referral.use_cases.parts import cancel_parts, complete_whole, is_last_part
from stepwell_referral.use_cases.progress import Progress, content
from stepwell_referral.use_cases.support import end_interim, next_step, start_interim
from stepwell_referral.use_cases.teams import follow_team

DECLINE_REASONS = code_system("decline-reason")

Resource = dict[str, Any]


async def follow_up(progress: Progress) -> None:
    """Adds to the unit of work what this version leads to; a version that is no move sets its timer at most."""
    _set_timer(progress)
    before, after = progress.before, progress.task["status"]
    if before is not None and before["status"] == after:
        return
    if before is None and after == "draft":
        return  # nobody has accepted it: there is nothing to tell yet, and the hot path ends here
    part = builders.part_code(progress.task)
    is_last = part is not None and after in TERMINAL and await is_last_part(progress)
    moved = Moved(
        None if before is None else before["status"],
        after,
        reason_of(progress.task),
        is_part=part is not None,
        is_last_part=is_last,
        is_ours=not progress.is_of_partner,
    )
    found = follows(moved)
    language = await _language(progress) if {Follow.TELL_PERSON, Follow.START_INTERIM} & set(found) else ""
    for each in found:
        if each is Follow.REFER_ELSEWHERE:
            await _elsewhere(progress, language)
            return
        await _do(progress, each, language)
    if part is None:
        await follow_team(progress)
        await close_own_request(progress)


def reason_of(task: Resource) -> Reason | None:
    """The coded reason for which a place says no, if it is one of ours."""
    codings = task.get("statusReason", {}).get("coding", ())
    codes = (each.get("code") for each in codings if each.get("system") == DECLINE_REASONS)
    return next((reasons()[code] for code in codes if code in reasons()), None)


async def _do(progress: Progress, what: Follow, language: str) -> None:
    if what is Follow.START_INTERIM:
        owner = str(progress.task.get("owner", {}).get("reference", ""))
        progress.unit.effects += await first_look(progress.runtime, progress.tenant, owner, progress.now)
        start_interim(progress, language)
        await open_supports(progress, language)
    elif what in {Follow.COMPLETE_INTERIM, Follow.END_INTERIM}:
        await end_interim(progress, care_begins=what is Follow.COMPLETE_INTERIM)
    elif what is Follow.TELL_TEAM:
        next_step(progress, _why(progress.task))
    elif what is Follow.CANCEL_PARTS:
        await cancel_parts(progress)
    elif what is Follow.COMPLETE_WHOLE:
        await _complete_whole(progress)
    elif what is Follow.TELL_PERSON:
        _tell(progress, language)


async def _complete_whole(progress: Progress) -> None:
    """The last part has ended: the whole ends as any other referral does."""
    whole = await complete_whole(progress)
    if whole is not None:
        _set_timer(whole)
        if not whole.is_of_partner:
            _tell(whole, await _language(whole))
        await follow_team(whole)
        await close_own_request(whole)


async def _elsewhere(progress: Progress, language: str) -> None:
    """The next best place is asked; without one people look on, and the Task without a place says so to them."""
    await cancel_parts(progress)
    asked = await refer_elsewhere(progress)
    if asked is None:
        next_step(progress, _why(progress.task))
        _tell(progress, language)
        return
    _set_timer(asked)
    if progress.before is not None and progress.before["status"] == "in-progress":
        start_interim(asked, language, previous=progress.stored.id)
    _tell(replace(progress, interim=None), language, asked=asked if "owner" in asked.task else None)


def _tell(progress: Progress, language: str, asked: Progress | None = None) -> None:
    """What the person is told of this move, in words that name no condition."""
    task, reason = progress.task, reason_of(progress.task)
    part = builders.part_code(task)
    state = task["status"]
    if asked is not None:
        state = "elsewhere"
    elif part is not None:
        state = "part-ended" if state in TERMINAL else "part"
    elif state in {"rejected", "failed"}:
        state = "asked"
    why = content(progress.request) if state == "requested" else {}
    text = told_text(
        "cancelled" if state == "entered-in-error" else state,
        language,
        wait=builders.said_in(task if asked is None else asked.task, language),
        reason="other" if reason is None else reason.code,
        part=part or "",
        interim=progress.interim,
        is_waiting=state in {"requested", "accepted", "elsewhere", "asked"},
        why=builders.in_language(why, "patientInstruction", language),
        options=builders.options_in(why, language),
    )
    tell_person(
        progress.runtime,
        progress.unit,
        task,
        (progress.stored.id, str(progress.stored.version)),
        subject_key=progress.subject_key,
        language=language,
        text=text,
        now=progress.now,
        urgent=task.get("priority") == "stat" or (reason is not None and reason.code == "urgent-help-needed"),
    )


def _set_timer(progress: Progress) -> None:
    """By when somebody is told that it still stands so; it stays as it is while the Task does."""
    task, before = progress.task, progress.before
    status = task["status"]
    same = before is not None and all(
        before.get(name) == task.get(name) for name in ("status", "priority", "restriction", "owner")
    )
    if same or (status in TERMINAL and before is None):
        return
    due_at = progress.now if status != "draft" and "owner" not in task else _first_due(progress)
    due_at = None if status in TERMINAL else due_at
    told = promised_of(task) if status in WAITING else None
    progress.unit.effects.append(timer_effect(progress.stored.id, status, due_at, told=told))


def _first_due(progress: Progress) -> datetime | None:
    task = progress.task
    end = task.get("restriction", {}).get("period", {}).get("end")
    # A partner may name a day only; then the class's limit counts.
    promised_by = datetime.fromisoformat(end) if end is not None and "T" in end else None
    urgency = urgency_of(task.get("priority", "routine"), data.urgency_classes()).code
    return first_due(task["status"], urgency, progress.now, promised_by, time_outs())


async def _language(progress: Progress) -> str:
    language = progress.task.get("language", "")
    return await language_of(progress.runtime, progress.tenant, progress.subject_key, language)


def _why(task: Resource) -> str:
    reason = task.get("statusReason", {})
    codings = [each.get("display") or each.get("code", "") for each in reason.get("coding", ())]
    return str(reason.get("text") or next(iter(codings), "") or "The place gave no reason.")
