"""New evidence comes in: decide by the policy, and keep the decision with everything that explains it.

One cause makes one decision: the id of its Provenance is derived from it. Decisions on one person are serialised
by the version of the EpisodeOfCare that each of them moves on.
"""

import asyncio
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime
from stepwell_shared.telemetry.tracing import Part

from stepwell_routing import builders
from stepwell_routing.builders import course as course_builders
from stepwell_routing.rules.decisions import Decision, Evidence, decide
from stepwell_routing.rules.policies import Policy
from stepwell_routing.tables import SAID, evidence_effect
from stepwell_routing.timers import REVIEW
from stepwell_routing.use_cases.besides import keep_besides
from stepwell_routing.use_cases.boosters import (
    booster_taken,
    cancel_boosters,
    complete_boosters,
    keep_taken,
)
from stepwell_routing.use_cases.causes import (
    Cause,
    cause_of_alert,
    cause_of_course,
    cause_of_response,
)
from stepwell_routing.use_cases.course import course_of
from stepwell_routing.use_cases.evidence import WITHDRAWN, outcome_rows
from stepwell_routing.use_cases.governing import governing
from stepwell_routing.use_cases.knowledge import evidence_of, known_of, situation_of, with_step
from stepwell_routing.use_cases.outcomes import EXIT, Making, Outcome, outcome_of, step_pause
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
from stepwell_routing.use_cases.standing import COURSE, standing_of
from stepwell_routing.use_cases.units import announced, contended, evidence_effects, is_known, next_episode, versioned

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

        with Part("decide"):
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
        _count(runtime, decision)
        count_shadows(runtime, besides)

    await until_committed(attempt, contended())


def _count(runtime: Runtime, decision: Decision) -> None:
    """Counts what was committed: how often which tier, and which rules led there; of nobody in particular."""
    tier = decision.tier.code
    runtime.metrics.tally("stepwell_decisions_total", "Decisions by tier and move", ("tier", "move")).add(
        tier, decision.outcome
    )
    rules = runtime.metrics.tally("stepwell_rules_fired_total", "Rules that applied in decisions", ("tier", "rule"))
    for fired in decision.fired:
        rules.add(tier, fired.code)


async def _hold(runtime: Runtime, tenant: str, cause: Cause, received: ReceivedEvent) -> None:
    """A question has opened: what stands is decided again; with nothing there, the next decision will know of it.

    The episode is moved on with the evidence, so that no decision at the same moment can miss it.
    """

    async def attempt() -> bool:
        standing, known = await asyncio.gather(
            standing_of(runtime, tenant, cause.subject_key), known_of(runtime, tenant, cause.subject_key)
        )
        if is_known(cause, known):
            return False  # the response that opened it was here first
        if standing.requests:
            return True
        governed = await governing(runtime, tenant, standing, cause.subject_key, received=received)
        change = next_episode(runtime, cause, standing, governed, [], runtime.clock())
        await runtime.store.commit(UnitOfWork(tenant, [change], evidence_effects(cause)))
        return False

    if await until_committed(attempt, contended()):
        await _decide(runtime, tenant, cause, received)


async def _keep_evidence(runtime: Runtime, tenant: str, cause: Cause) -> None:
    """A withdrawn score, or a change that is not reliable, moves nobody; the next decision is made with it in mind."""
    known = await known_of(runtime, tenant, cause.subject_key)
    if not is_known(cause, known):
        await runtime.store.commit(UnitOfWork(tenant, effects=evidence_effects(cause)))


def _unit(making: Making, outcome: Outcome, marker_id: str) -> UnitOfWork:
    """The decision as resources: what changes, the episode, the review, the Provenance, and events of what changed."""
    runtime, standing, decision = making.runtime, making.standing, making.decision
    cause, now = making.cause, decision.decided_at
    unit = UnitOfWork(making.tenant, [*outcome.changes], evidence_effects(cause))
    kept = outcome_rows(making.governed.policy, decision, f"Provenance/{marker_id}")
    unit.effects += [evidence_effect(cause.subject_key, each) for each in kept]
    unit.effects += [announced(runtime, cause.subject_key, change.stored, now) for change in outcome.changes]
    keeping = Keeping(runtime, unit, standing, cause.subject_key, now)
    targets = [] if outcome.in_force is None else [versioned(outcome.in_force)]
    targets += [versioned(change.stored) for change in outcome.changes]
    if outcome.in_force is not None:
        open_plans = [each.reference for each in (standing.plan, *standing.earlier) if each is not None]
        requests = list(dict.fromkeys([f"ServiceRequest/{outcome.in_force.id}", *open_plans]))
        episode = next_episode(runtime, cause, standing, making.governed, requests, now, outcome.status)
        unit.changes.append(episode)
        targets.append(versioned(episode.stored))
        _keep_dates(making, outcome, keeping)
        cancel_boosters(keeping)
    elif standing.prior is not None:
        targets.append(versioned(standing.prior))
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
