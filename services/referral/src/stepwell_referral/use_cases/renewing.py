"""Promises are reckoned anew when a service's queue or capacity changes: people hear of it, and urgent need that no
place meets in time is brought to a person."""

from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from stepwell_shared.background import DATABASE_AWAY
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral import builders as task_builders
from stepwell_referral import data
from stepwell_referral.booking_tables import claim_paces, figures_of, pace_effect
from stepwell_referral.builders import booking as builders
from stepwell_referral.builders import support
from stepwell_referral.builders.promises import Told, promised_of
from stepwell_referral.rules.forecast import Pace
from stepwell_referral.rules.queue import ordered
from stepwell_referral.rules.waits import WaitPromise, promise, queue_by_urgency, urgency_of, wait_words
from stepwell_referral.subscriptions import CAPACITY_CHANGED
from stepwell_referral.use_cases.finding import same_tier
from stepwell_referral.use_cases.following import follow_up
from stepwell_referral.use_cases.messages import language_of, tell_person, told_text
from stepwell_referral.use_cases.paces import is_reckoned, pace_from, pace_text, paces_of, reckoned, weekly_starts
from stepwell_referral.use_cases.progress import referral_changed, referral_with_request
from stepwell_referral.use_cases.queues import Waiting, waiting_at
from stepwell_referral.use_cases.taking import read_resource

log = structlog.get_logger("stepwell.waits")

Resource = dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """One person in a queue: how many who have no appointment are before, and the wait that follows."""

    waiting: Waiting
    ahead: int
    wait: WaitPromise


async def work_on_paces(runtime: Runtime, tenants: Sequence[str]) -> int:
    """Reckons anew what is due; how many services that were. One that fails holds up no other."""
    done = 0
    for tenant, service_id in await claim_paces(runtime.database, tenants, runtime.clock()):
        done += await _tried(tenant, _renew(runtime, tenant, service_id))
    return done


async def _tried(tenant: str, work: Awaitable[None]) -> bool:
    try:
        await work
    except DATABASE_AWAY:
        raise
    except WriteConflictError:
        return False  # somebody changed it meanwhile: it stays due
    except Exception:
        log.exception("waits could not be reckoned anew; it is tried again", tenant=tenant)
        return False
    return True


async def _renew(runtime: Runtime, tenant: str, service_id: str) -> None:
    """Keeps the figures, announces a changed capacity, and renews the promises of those who wait.

    The figures come last: until they are kept the service stays due.
    """
    now = runtime.clock()
    found = await read_resource(runtime, tenant, "HealthcareService", service_id)
    again = now + timedelta(hours=data.pace_data()["renewal"]["hours"])
    if found is None:
        nothing = pace_text(Pace((), now, 0.0), now)
        await runtime.store.commit(UnitOfWork(tenant, effects=[pace_effect(service_id, nothing, again)]))
        return
    service, stored = found
    queue = await waiting_at(runtime, tenant, service_id)
    pace = await reckoned(runtime, tenant, service, queue, now)
    overtaken = [
        each for each in standings(queue, pace, now) if not await _renew_one(runtime, tenant, service, each, now)
    ]
    if overtaken:
        raise WriteConflictError  # the others have been told; these are reckoned anew
    unit = UnitOfWork(tenant)
    before = (await figures_of(runtime.database, tenant)).get(service_id)
    if _is_other_capacity(pace, pace_from(before) if before else None):
        focus = f"HealthcareService/{service_id}"
        entries = [(f"{runtime.engine.base_url}/{focus}", stored)]
        unit.effects.append(event(CAPACITY_CHANGED.canonical, focus, focus, entries, now))
    unit.effects.append(pace_effect(service_id, pace_text(pace, now), again))
    await runtime.store.commit(unit)


def standings(queue: list[Waiting], pace: Pace, now: datetime) -> list[Standing]:
    """Everybody who waits without an appointment, in their order, with the wait of each."""
    limits = data.urgency_classes()
    by_id = {each.entry.task_id: each for each in queue if not each.is_booked}
    # Who has an appointment is not counted before anybody, so nothing is taken off for them either.
    alone = replace(pace, booked={}) if is_reckoned(pace) else None
    found = []
    for placed in ordered([each.entry for each in by_id.values()], now, data.queue_parameters()):
        priority = placed.entry.priority
        ahead = placed.position - 1
        queued = {urgency_of(priority, limits).code: ahead}
        wait = promise(queued, pace.weekly_starts, priority, now, limits, alone)
        found.append(Standing(by_id[placed.entry.task_id], ahead, wait))
    return found


async def _renew_one(runtime: Runtime, tenant: str, service: Resource, standing: Standing, now: datetime) -> bool:
    """False when somebody has changed the referral since the queue was read."""
    task = standing.waiting.task
    told = promised_of(task)
    unit = UnitOfWork(tenant)
    if told is None or is_news(told, standing.wait):
        await _tell(runtime, unit, service, standing, now)
    if not standing.wait.keepable and urgency_of(standing.waiting.entry.priority, data.urgency_classes()).rank < 3:
        await _contingency(runtime, unit, service, standing, now)
    try:
        await runtime.store.commit(unit)
    except WriteConflictError:
        return False
    return True


async def _tell(runtime: Runtime, unit: UnitOfWork, service: Resource, standing: Standing, now: datetime) -> None:
    """The referral says the new wait, and the person is told."""
    task = standing.waiting.task
    words = wait_words(standing.wait, service.get("name", service["id"]), data.wait_templates())
    renewed = task_builders.renewed_task(task, at=now, wait=standing.wait, words=words)
    progress = await referral_with_request(runtime, unit, task, renewed, now)
    await follow_up(progress)
    key = standing.waiting.person
    language = await language_of(runtime, unit.tenant, key, task.get("language", "en"))
    text = told_text("wait-changed", language, wait=support.said_in(renewed, language), is_waiting=True)
    cause = ("wait", task["id"], str(progress.stored.version))
    tell_person(runtime, unit, renewed, cause, subject_key=key, language=language, text=text, now=now)


async def _contingency(
    runtime: Runtime, unit: UnitOfWork, service: Resource, standing: Standing, now: datetime
) -> None:
    """Urgent need that this place does not meet in time: one Task for a person, with what else there is."""
    task = standing.waiting.task
    id_ = derived_id(runtime.engine.base_url, unit.tenant, "contingency", task["id"], service["id"])
    if await runtime.store.read(unit.tenant, "Task", id_) is not None:
        return
    priority, waits = standing.waiting.entry.priority, {}
    for other_id in await same_tier(runtime, unit.tenant, service["id"]):
        other = await read_resource(runtime, unit.tenant, "HealthcareService", other_id)
        if other is not None:
            waits[other_id] = await next_wait(runtime, unit.tenant, other[0], priority, now)
    share = data.queue_data()["contingency"]["due_share"]
    limit = urgency_of(priority, data.urgency_classes()).maximum_wait
    made = builders.contingency_task(
        id_,
        task,
        in_time=[place_id for place_id, wait in waits.items() if wait.keepable],
        steps=data.queue_data()["contingency"]["steps"],
        reason=standing.wait.reason,
        due_by=now + share * limit,
        at=now,
    )
    change = built(runtime.engine, made, now)
    unit.changes.append(change)
    unit.effects.append(referral_changed(runtime, change.stored, made, [], now))


def is_news(told: Told, wait: WaitPromise) -> bool:
    """Whether a wait differs so much from what was told that the person hears of it: the promised day moves by more
    than some days and a share of the wait, or behind the longest wait of the class. One that is within it again by a
    day or two is no news: it might not stay so."""
    bound, keepable = told
    limits = data.pace_data()["renewal"]
    if (keepable and not wait.keepable) or (bound is None) != (wait.promised_by is None):
        return True
    if bound is None or wait.promised_by is None or wait.upper_days is None:
        return False
    moved = abs(wait.promised_by - bound) / timedelta(days=1)
    return bool(moved > max(limits["change_days"], limits["change_share"] * wait.upper_days))


def _is_other_capacity(now: Pace, before: Pace | None) -> bool:
    """Whether a place takes more or fewer people in a week than before: by more than what days that pass make of it."""
    if not now.calendar and (before is None or not before.calendar):
        return False  # what a service says of itself is told when it says it
    old = before.weekly_places if before is not None else 0.0
    return bool(
        abs(now.weekly_places - old) > data.pace_data()["renewal"]["change_share"] * max(now.weekly_places, old)
    )


async def next_wait(runtime: Runtime, tenant: str, service: Resource, priority: str, now: datetime) -> WaitPromise:
    """The wait of one more person of this priority at a service."""
    limits = data.urgency_classes()
    counts = Counter(each.entry.priority for each in await waiting_at(runtime, tenant, service["id"]))
    pace = (await paces_of(runtime, tenant, now)).get(service["id"])
    return promise(queue_by_urgency(counts, limits), weekly_starts(service), priority, now, limits, pace)
