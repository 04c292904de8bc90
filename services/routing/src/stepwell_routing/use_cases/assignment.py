"""New evidence comes in: decide by the policy, and keep the decision with everything that explains it.

One cause makes one decision: the id of its Provenance is derived from it. Decisions on one person are serialised
by the version of the EpisodeOfCare that each of them moves on.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import event as outbox_event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import Change, Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.builders import course as course_builders
from stepwell_routing.rules.decisions import Evidence, decide
from stepwell_routing.rules.policies import Policy
from stepwell_routing.subscriptions import TIER_ASSIGNED
from stepwell_routing.tables import ATTENDED, SAID, Known, evidence_effect
from stepwell_routing.timers import REVIEW, timer_effect
from stepwell_routing.use_cases.besides import is_beside, keep_besides
from stepwell_routing.use_cases.boosters import (
    booster_taken,
    cancel_boosters,
    cancel_dated,
    complete_boosters,
    keep_taken,
)
from stepwell_routing.use_cases.causes import (
    Cause,
    cause_of_alert,
    cause_of_course,
    cause_of_referral,
    cause_of_response,
)
from stepwell_routing.use_cases.course import course_of
from stepwell_routing.use_cases.endings import COMPLETE, REVOKED, TAKEN_BACK, ending_of
from stepwell_routing.use_cases.evidence import WITHDRAWN, outcome_rows
from stepwell_routing.use_cases.governing import Governing, governing
from stepwell_routing.use_cases.knowledge import evidence_of, known_of, situation_of, with_step
from stepwell_routing.use_cases.outcomes import EXIT, Making, Outcome, outcome_of, step_pause, with_status
from stepwell_routing.use_cases.persons import surroundings
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import (
    Dated,
    Keeping,
    keep_overdue,
    keep_reviewed,
    put_task,
    rest,
    resume,
)
from stepwell_routing.use_cases.shadowing import beside, count_shadows, shadow_effects
from stepwell_routing.use_cases.standing import COURSE, Assignment, Standing, standing_of

SETTLED = "completed"
MOVING = frozenset({"improvement", "deterioration"})

Resource = dict[str, Any]


async def decide_on_response(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic score-finalized: a response was scored or has answers that count; its safety state comes with it.

    Answers without a score are decided on where a course has begun; elsewhere the first score is decided with them.
    """
    cause = cause_of_response(runtime, received)
    counts = cause.status != WITHDRAWN and bool(cause.known)
    if counts and all(row.name.startswith(SAID) for row in cause.known):
        counts = (await standing_of(runtime, tenant, cause.subject_key)).status is not None
    if not counts:
        await _keep_evidence(runtime, tenant, cause)
    else:
        await _decide(runtime, tenant, cause, received)


async def decide_on_alert(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic safety-alert: what stands is held while a question is open, and decided again once it is settled.

    The question may be one of safety, a medical red flag, or who decides at all: the policy says what each holds.
    """
    cause = cause_of_alert(runtime, received)
    if cause.status == SETTLED:
        await _decide(runtime, tenant, cause, received)
    else:
        await _hold(runtime, tenant, cause, received)


async def decide_on_course(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic trajectory-changed: a reliable change is decided on; that there is none waits for the next review."""
    cause = cause_of_course(runtime, received)
    if cause.known[0].value in MOVING and (await standing_of(runtime, tenant, cause.subject_key)).status is not None:
        await _decide(runtime, tenant, cause)
    else:
        await _keep_evidence(runtime, tenant, cause)


async def hear_of_referral(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic referral-changed: contacts count for the course; with the first in a new step the old one is completed.

    A referral that was taken back revokes its request; one that is complete brings the review of the step forward.
    """
    cause = cause_of_referral(runtime, received)
    ending = ending_of(received, cause)

    async def attempt() -> None:
        standing, known = await asyncio.gather(
            standing_of(runtime, tenant, cause.subject_key), known_of(runtime, tenant, cause.subject_key)
        )
        request_id = cause.response_url.rpartition("/")[2]
        plan = standing.plan if standing.plan is not None and _is_about(cause, standing.plan) else None
        is_new = bool(cause.known) and not _is_known(cause, known)
        if not (is_new or (ending == TAKEN_BACK and plan)) or is_beside(known, request_id):
            return
        unit, now = UnitOfWork(tenant, effects=_evidence_effects(cause) if is_new else []), runtime.clock()
        if ending == TAKEN_BACK and plan is not None:
            change = with_status(runtime, plan, REVOKED, now)
            unit.changes.append(change)
            unit.effects.append(_announced(runtime, cause.subject_key, change.stored, now))
            await cancel_dated(Keeping(runtime, unit, standing, cause.subject_key, now), known)
            left = [each for each in standing.references if each != plan.reference]
            governed = await governing(runtime, tenant, standing, cause.subject_key)
            unit.changes.append(_episode(runtime, cause, standing, governed, left, now))
            await runtime.store.commit(unit)
            return
        review = None if plan is None else standing.reviews.get(plan.reference)
        if ending == COMPLETE and review is not None:
            unit.effects.append(timer_effect(review.id, REVIEW, cause.subject_key, now))
        if cause.known[0].name == ATTENDED and standing.plan is not None and _is_about(cause, standing.plan):
            for earlier in standing.earlier:
                change = with_status(runtime, earlier, SETTLED, now)
                unit.changes.append(change)
                unit.effects.append(_announced(runtime, cause.subject_key, change.stored, now))
            if standing.earlier:
                governed = await governing(runtime, tenant, standing, cause.subject_key)
                unit.changes.append(_episode(runtime, cause, standing, governed, standing.requests, now))
        await runtime.store.commit(unit)

    await until_committed(attempt, _contended())


async def decide_on_review(runtime: Runtime, tenant: str, cause: Cause, *, is_overdue: bool) -> None:
    """A review fell due: it is decided anew from what is known; with nothing new that is said and told."""
    await _decide(runtime, tenant, cause, is_overdue=is_overdue)


async def _decide(
    runtime: Runtime, tenant: str, cause: Cause, received: ReceivedEvent | None = None, *, is_overdue: bool = False
) -> None:
    """Decides once, however often the cause comes in and however many replicas hear of it."""
    marker_id = derived_id(runtime.engine.base_url, tenant, "decision", COURSE, cause.subject_key, *cause.id)

    async def attempt() -> None:
        marker, standing, known = await asyncio.gather(
            runtime.store.read(tenant, "Provenance", marker_id),
            standing_of(runtime, tenant, cause.subject_key),
            known_of(runtime, tenant, cause.subject_key),
        )
        if marker is not None:
            return
        governed = await governing(runtime, tenant, standing, cause.subject_key, received=received)
        now, rows = runtime.clock(), with_step([*known, *cause.known], standing)
        taken = booster_taken(rows, cause.known, now)
        rows += [taken] if taken is not None else []
        course, situation = course_of(rows), situation_of(standing)

        async def evidence_for(policy: Policy) -> Evidence:
            around = await surroundings(runtime, tenant, policy, governed.site, cause.subject_key, cause.person)
            return evidence_of(policy, [*rows, *around], course, situation, now, is_overdue=is_overdue)

        decision = decide(governed.policy, await evidence_for(governed.policy), now)
        making = Making(runtime, tenant, cause, decision, standing, course, governed, is_overdue)
        besides = await beside(making, evidence_for)
        outcome = outcome_of(making)
        unit = _unit(making, outcome, marker_id)
        unit.effects += shadow_effects(making, marker_id, besides)
        await keep_taken(Keeping(runtime, unit, standing, cause.subject_key, now), taken)
        await _propose_end(making, unit)
        if outcome.in_force is not None:
            await keep_besides(making, unit, rows, outcome.in_force)
        await runtime.store.commit(unit)
        count_shadows(runtime, besides)

    await until_committed(attempt, _contended())


async def _hold(runtime: Runtime, tenant: str, cause: Cause, received: ReceivedEvent) -> None:
    """A question has opened: what stands is decided again; with nothing there, the next decision will know of it.

    The episode is moved on with the evidence, so that no decision at the same moment can miss it.
    """

    async def attempt() -> bool:
        standing, known = await asyncio.gather(
            standing_of(runtime, tenant, cause.subject_key), known_of(runtime, tenant, cause.subject_key)
        )
        if _is_known(cause, known):
            return False  # the response that opened it was here first
        if standing.requests:
            return True
        governed = await governing(runtime, tenant, standing, cause.subject_key, received=received)
        change = _episode(runtime, cause, standing, governed, [], runtime.clock())
        await runtime.store.commit(UnitOfWork(tenant, [change], _evidence_effects(cause)))
        return False

    if await until_committed(attempt, _contended()):
        await _decide(runtime, tenant, cause, received)


async def _keep_evidence(runtime: Runtime, tenant: str, cause: Cause) -> None:
    """A withdrawn score, or a change that is not reliable, moves nobody; the next decision is made with it in mind."""
    known = await known_of(runtime, tenant, cause.subject_key)
    if not _is_known(cause, known):
        await runtime.store.commit(UnitOfWork(tenant, effects=_evidence_effects(cause)))


def _unit(making: Making, outcome: Outcome, marker_id: str) -> UnitOfWork:
    """The decision as resources: what changes, the episode, the review, the Provenance, and events of what changed."""
    runtime, standing, decision = making.runtime, making.standing, making.decision
    cause, now = making.cause, decision.decided_at
    unit = UnitOfWork(making.tenant, [*outcome.changes], _evidence_effects(cause))
    kept = outcome_rows(making.governed.policy, decision, f"Provenance/{marker_id}")
    unit.effects += [evidence_effect(cause.subject_key, each) for each in kept]
    unit.effects += [_announced(runtime, cause.subject_key, change.stored, now) for change in outcome.changes]
    keeping = Keeping(runtime, unit, standing, cause.subject_key, now)
    targets = [] if outcome.in_force is None else [_versioned(outcome.in_force)]
    targets += [_versioned(change.stored) for change in outcome.changes]
    if outcome.in_force is not None:
        open_plans = [each.reference for each in (standing.plan, *standing.earlier) if each is not None]
        requests = list(dict.fromkeys([f"ServiceRequest/{outcome.in_force.id}", *open_plans]))
        episode = _episode(runtime, cause, standing, making.governed, requests, now, outcome.status)
        unit.changes.append(episode)
        targets.append(_versioned(episode.stored))
        _keep_dates(making, outcome, keeping)
        cancel_boosters(keeping)
    elif standing.prior is not None:
        targets.append(_versioned(standing.prior))
        complete_boosters(keeping)
    provenance = builders.decision_provenance(
        decision,
        resource_id=marker_id,
        activity=outcome.activity,
        targets=list(dict.fromkeys(targets)),
        questionnaire_response=cause.source,
    )
    unit.changes.append(built(runtime.engine, provenance, now))
    return unit


def _keep_dates(making: Making, outcome: Outcome, keeping: Keeping) -> None:
    """By when it is looked at again, and by when somebody asks whether to resume."""
    decision, standing = making.decision, making.standing
    assert outcome.in_force is not None, "there is something to look at"
    overdue = standing.reviews.get(f"ServiceRequest/{outcome.in_force.id}") if making.is_overdue else None
    if overdue is not None:
        keep_overdue(keeping, overdue, REVIEW, decision.review_at - decision.decided_at)
    else:
        request = orjson.loads(outcome.in_force.body or b"null")
        tell = tuple(dict.fromkeys(role for role, _ in decision.tell))
        keep_reviewed(keeping, Dated(request, decision.review_at, decision.priority, decision.ask, tell))
    if outcome.rested is not None and standing.plan is not None:
        pause, reason = step_pause(decision), decision.clinician_reason[decision.language]
        until = decision.review_at if pause is None else pause.until or decision.review_at
        rest(keeping, standing.plan, outcome.rested.version, until, reason)
    if outcome.resumed:
        resume(keeping)


async def _propose_end(making: Making, unit: UnitOfWork) -> None:
    """That care can end is a Task for people, once for each version of the plan; it ends when somebody says so."""
    plan, decision, runtime = making.standing.plan, making.decision, making.runtime
    if decision.outcome != EXIT or plan is None:
        return
    task_id = derived_id(runtime.engine.base_url, making.tenant, "exit-review", plan.stored.id)
    previous = await runtime.store.read(making.tenant, "Task", task_id)
    if previous is not None:
        return
    keeping = Keeping(runtime, unit, making.standing, making.cause.subject_key, decision.decided_at)
    task = course_builders.course_task(
        course_builders.EXIT_REVIEW,
        task_id=task_id,
        episode=keeping.episode,
        request=plan.reference,
        subject=making.cause.subject,
        period=course_builders.Period(decision.decided_at, decision.review_at),
        now=decision.decided_at,
        reason=decision.clinician_reason[decision.language],
    )
    put_task(keeping, task, None, EXIT, None, is_told=True)


def _episode(
    runtime: Runtime,
    cause: Cause,
    standing: Standing,
    governed: Governing,
    requests: Sequence[str],
    now: datetime,
    status: str | None = None,
) -> Change:
    """The episode's next version."""
    body = builders.episode(
        resource_id=standing.episode_id,
        pathway=governed.pathway,
        subject=cause.subject,
        requests=requests,
        moment=now,
        previous=standing.episode_body,
        status=status,
        organization=governed.organization,
    )
    return built(runtime.engine, body, now, version=standing.version)


def _is_about(cause: Cause, plan: Assignment) -> bool:
    return cause.response_url.rpartition("/")[2] == plan.stored.id


def _is_known(cause: Cause, known: Sequence[Known]) -> bool:
    """Whether everything that this cause says is kept already, in this version or a newer one."""
    newest: dict[tuple[str, str], int] = {}
    for row in known:
        key = row.name, row.reference
        newest[key] = max(row.source_version, newest.get(key, 0))
    return all(newest.get((row.name, row.reference), 0) >= row.source_version for row in cause.known)


def _evidence_effects(cause: Cause) -> list[Effect]:
    return [evidence_effect(cause.subject_key, each) for each in cause.known]


def _announced(runtime: Runtime, subject_key: str, stored: Stored, now: datetime) -> Effect:
    focus = f"{stored.resource_type}/{stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", stored)]
    return outbox_event(TIER_ASSIGNED.canonical, subject_key, focus, entries, now)


def _versioned(stored: Stored) -> str:
    return f"{stored.resource_type}/{stored.id}/_history/{stored.version}"


def _contended() -> FhirError:
    text = "too many decisions on one person at once"
    return FhirError(Category.UNAVAILABLE, text, headers={"Retry-After": "1"})
