"""What was asked for here ends here: a ServiceRequest that was sent to referral is closed with the last that it led to.

Every other ServiceRequest is closed by its owner, who hears of the Task.
"""

from stepwell_referral.builders import support as builders
from stepwell_referral.rules.transitions import STATUSES, TERMINAL, service_request_status
from stepwell_referral.use_cases.arranging import tasks_of
from stepwell_referral.use_cases.progress import Progress, request_of
from stepwell_referral.use_cases.support import end_interim

OPEN_REQUEST = frozenset({"active", "on-hold", "draft"})
_OPEN = ",".join(each for each in STATUSES if each not in TERMINAL)


async def close_own_request(progress: Progress) -> None:
    """The Task says how it ended, and the request that was sent here ends with it."""
    status = service_request_status(progress.task["status"])
    if status in {"revoked", "completed"}:
        await _close(progress, status)


async def close_after_decision(progress: Progress) -> None:
    """People have decided how it goes on after a place said no: what nobody asks for any more is closed.

    With another referral open for the same request nothing is closed.
    """
    kind, _, id_ = str(progress.task.get("focus", {}).get("reference", "")).partition("/")
    found = await progress.read("Task", id_) if kind == "Task" else None
    if found is None or found[1]["status"] not in TERMINAL:
        return
    stored, task = found
    request = await request_of(lambda kind, id_: progress.runtime.store.read(progress.tenant, kind, id_), task)
    referral = Progress(progress.runtime, progress.unit, task, task, stored, request, progress.now)
    if referral.has_own_request and not await _is_asked_again(referral):
        await end_interim(referral, care_begins=False)
        await _close(referral, "revoked")


async def _is_asked_again(referral: Progress) -> bool:
    """Whether another referral rests on the same request and is open."""
    criteria = [("code", f"{builders.TASK_CODES}|tier-referral"), ("status", _OPEN)]
    tasks = await tasks_of(referral.runtime, referral.tenant, referral.task["for"], criteria)
    return any(task["focus"]["reference"].rpartition("/")[2] == referral.request_id for _, task in tasks)


async def _close(progress: Progress, status: str) -> None:
    if not progress.has_own_request:
        return
    found = await progress.read("ServiceRequest", progress.request_id)
    if found is not None and found[1]["status"] in OPEN_REQUEST:
        progress.put(builders.closed_request(found[1], status), previous=found[0])
