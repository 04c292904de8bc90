"""Support from the day of the referral until care begins, and the Task of people where no machine can go on."""

from datetime import timedelta
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.runtime import Runtime

from stepwell_referral.builders import support as builders
from stepwell_referral.data.loop import time_outs
from stepwell_referral.rules.support import OPEN
from stepwell_referral.timers import timer_effect
from stepwell_referral.use_cases.progress import Progress

Resource = dict[str, Any]


def interim_ids(runtime: Runtime, tenant: str, request_id: str, task: Resource) -> list[str]:
    """The ids that Tasks of interim support of this referral can have, the newest first.

    There is one for a ServiceRequest; who waits again after care could not go on gets another.
    """
    previous = builders.previous_of(task)
    again = [] if previous is None else [previous]
    return [_interim_id(runtime, tenant, request_id, cause) for cause in [*again, ""]]


def start_interim(progress: Progress, language: str, *, previous: str = "") -> None:
    """Adds the request for support while waiting and its Task; whoever gives it is told, and asked to look again."""
    offer = progress.interim
    if offer is None:
        return
    task_id = _interim_id(progress.runtime, progress.tenant, progress.request_id, previous)
    request = builders.interim_request(progress.task, offer, request_id=task_id, at=progress.now, language=language)
    task = builders.interim_task(
        progress.task, offer, task_id=task_id, request_id=task_id, at=progress.now, language=language
    )
    request_stored = progress.put(request)
    task_stored = progress.put(task)
    due_at = progress.now + timedelta(days=offer.check_in_days)
    progress.unit.effects.append(timer_effect(task_id, builders.INTERIM, due_at))
    progress.announce_support(task_stored, request_stored)


async def end_interim(progress: Progress, *, care_begins: bool) -> None:
    """Closes the support: complete once care begins, cancelled when the person does not wait any more."""
    ids = interim_ids(progress.runtime, progress.tenant, progress.request_id, progress.task)
    for id_ in ids:
        found = await progress.read("Task", id_)
        if found is None or found[1]["status"] not in OPEN:
            continue
        status, request_status = ("completed", "completed") if care_begins else ("cancelled", "revoked")
        reason = "" if care_begins else "The referral has ended."
        task = progress.put(builders.closed_task(found[1], status, at=progress.now, reason=reason), previous=found[0])
        progress.unit.effects.append(timer_effect(id_, builders.INTERIM, None))
        request = await progress.read("ServiceRequest", id_)
        kept = None
        if request is not None and request[1]["status"] == "active":
            kept = progress.put(builders.closed_request(request[1], request_status), previous=request[0])
        progress.announce_support(task, kept)


def next_step(progress: Progress, reason: str) -> None:
    """Adds the Task of people who decide how it goes on; somebody is told of it until one of them has."""
    task_id = progress.id_of("next-step", progress.stored.id)
    first = time_outs()[builders.NEXT_STEP].first["routine"]
    task = builders.next_step_task(progress.task, task_id=task_id, reason=reason, within=first, at=progress.now)
    progress.put(task)
    progress.unit.effects.append(timer_effect(task_id, builders.NEXT_STEP, progress.now))


def _interim_id(runtime: Runtime, tenant: str, request_id: str, previous: str) -> str:
    cause = ("interim", request_id, previous) if previous else ("interim", request_id)
    return derived_id(runtime.engine.base_url, tenant, *cause)
