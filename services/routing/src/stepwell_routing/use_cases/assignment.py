"""New evidence comes in: decide by the policy, and keep the decision with everything that explains it.

One cause makes one decision: the id of its Provenance is derived from it. Decisions on one person are serialised
by the version of the EpisodeOfCare that each of them moves on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import event as outbox_event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Change, Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.policies import active_policies, tiers
from stepwell_routing.rules.decisions import Decision, Evidence, EvidenceValue, change_from, decide
from stepwell_routing.subscriptions import TIER_ASSIGNED
from stepwell_routing.tables import Known, evidence_effect, evidence_reader
from stepwell_routing.use_cases.causes import Cause, cause_of_alert, cause_of_response
from stepwell_routing.use_cases.evidence import WITHDRAWN, gather
from stepwell_routing.use_cases.standing import PATHWAY, Assignment, Standing, episode_id, standing_of

ATTEMPTS_MAX = 16
SETTLED = "completed"

Resource = dict[str, Any]


async def decide_on_response(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic score-finalized: a response was scored; its safety state comes with it."""
    cause = cause_of_response(runtime, received)
    if cause.status == WITHDRAWN:
        await _keep_evidence(runtime, tenant, cause)
    else:
        await _decide(runtime, tenant, cause)


async def decide_on_alert(runtime: Runtime, received: ReceivedEvent, tenant: str) -> None:
    """Topic safety-alert: what stands is held while a safety question is open, and decided again once it is settled."""
    cause = cause_of_alert(runtime, received)
    if cause.status == SETTLED:
        await _decide(runtime, tenant, cause)
    else:
        await _hold(runtime, tenant, cause)


async def _decide(runtime: Runtime, tenant: str, cause: Cause) -> None:
    """Decides once, however often the cause comes in and however many replicas hear of it."""
    engine, policy = runtime.engine, active_policies()[PATHWAY]
    marker_id = derived_id(engine.base_url, tenant, "decision", PATHWAY, cause.subject_key, *cause.id)
    for _ in range(ATTEMPTS_MAX):
        marker, standing, known = await asyncio.gather(
            runtime.store.read(tenant, "Provenance", marker_id),
            standing_of(runtime, tenant, cause.subject_key),
            _evidence(runtime).get((tenant,), cause.subject_key),
        )
        if marker is not None:
            return
        now = runtime.clock()
        evidence = _with_step(gather(policy, [*(known or []), *cause.known]), standing, now)
        decision = decide(policy, evidence, now)
        try:
            await runtime.store.commit(_unit(runtime, tenant, cause, decision, standing, marker_id))
        except WriteConflictError:
            continue  # another decision on this person was first: look at everything again
        return
    raise _contended()


async def _hold(runtime: Runtime, tenant: str, cause: Cause) -> None:
    """A safety question has opened: a proposal that stands is decided again; with none, the next one will know of it.

    The episode is moved on with the evidence, so that no decision at the same moment can miss it.
    """
    for _ in range(ATTEMPTS_MAX):
        standing, known = await asyncio.gather(
            standing_of(runtime, tenant, cause.subject_key), _evidence(runtime).get((tenant,), cause.subject_key)
        )
        if _is_known(cause, known or []):
            return  # the response that opened it was here first
        if standing.requests:
            await _decide(runtime, tenant, cause)
            return
        now = runtime.clock()
        unit = UnitOfWork(tenant, [_episode(runtime, tenant, cause, standing, [], now)], _evidence_effects(cause))
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue
        return
    raise _contended()


async def _keep_evidence(runtime: Runtime, tenant: str, cause: Cause) -> None:
    """A withdrawn score is no reason to move anybody; the next decision is made without it."""
    known = await _evidence(runtime).get((tenant,), cause.subject_key) or []
    if not _is_known(cause, known):
        await runtime.store.commit(UnitOfWork(tenant, effects=_evidence_effects(cause)))


@dataclass(frozen=True)
class _Outcome:
    """What a decision does: its activity, the requests that change, and the one that it leaves in force."""

    activity: str
    changes: list[Change]
    in_force: Stored


def _unit(
    runtime: Runtime, tenant: str, cause: Cause, decision: Decision, standing: Standing, marker_id: str
) -> UnitOfWork:
    """The decision as resources: what changes, the episode, the Provenance, and the event for what changed."""
    engine, now = runtime.engine, decision.decided_at
    outcome = _outcome(runtime, tenant, cause, decision, standing)
    plan = [standing.plan.reference] if standing.plan else []
    requests = list(dict.fromkeys([f"ServiceRequest/{outcome.in_force.id}", *plan]))
    episode = _episode(runtime, tenant, cause, standing, requests, now)
    targets = dict.fromkeys(_versioned(each.stored) for each in (*outcome.changes, episode))
    provenance = builders.decision_provenance(
        decision,
        resource_id=marker_id,
        activity=outcome.activity,
        targets=list(dict.fromkeys([_versioned(outcome.in_force), *targets])),
        questionnaire_response=cause.source,
    )
    effects = _evidence_effects(cause)
    effects += [_announced(runtime, cause.subject_key, change.stored, now) for change in outcome.changes]
    return UnitOfWork(tenant, [*outcome.changes, episode, built(engine, provenance, now)], effects)


def _outcome(runtime: Runtime, tenant: str, cause: Cause, decision: Decision, standing: Standing) -> _Outcome:
    """Care that a person has accepted goes on as it is until its tier changes; a proposal follows every decision."""
    plan, proposal = standing.plan, standing.proposal
    withdrawn = [_revoked(runtime, proposal, decision.decided_at)] if proposal else []
    if plan is not None and plan.tier == decision.tier.code:
        return _Outcome("stay", withdrawn, plan.stored)
    if proposal is not None:
        body = proposal.body
        activity = change_from(decision, proposal.tier, body["status"], body["priority"])
        if activity == "stay":
            return _Outcome(activity, [], proposal.stored)
        if activity == "modify":
            replaced = next((each["reference"] for each in body.get("replaces", ())), None)
            change = _assignment(runtime, cause, decision, proposal.stored.id, replaced, proposal.stored.version + 1)
            return _Outcome(activity, [change], change.stored)
    engine, prior = runtime.engine, proposal or plan
    id_ = derived_id(engine.base_url, tenant, "assignment", PATHWAY, cause.subject_key, *cause.id)
    change = _assignment(runtime, cause, decision, id_, prior.reference if prior else None, 1)
    return _Outcome("assign", [change, *withdrawn], change.stored)


def _assignment(
    runtime: Runtime, cause: Cause, decision: Decision, id_: str, replaced: str | None, version: int
) -> Change:
    body = builders.tier_assignment(
        decision,
        resource_id=id_,
        identifier=id_,
        subject=cause.subject,
        questionnaire_response=cause.response_url,
        prior=replaced,
    )
    return built(runtime.engine, body, decision.decided_at, version=version)


def _revoked(runtime: Runtime, proposal: Assignment, now: datetime) -> Change:
    """A proposal that nobody accepted is withdrawn when it no longer holds."""
    body = {name: value for name, value in proposal.body.items() if name != "meta"}
    return built(runtime.engine, {**body, "status": "revoked"}, now, version=proposal.stored.version + 1)


def _episode(
    runtime: Runtime, tenant: str, cause: Cause, standing: Standing, requests: Sequence[str], now: datetime
) -> Change:
    """The episode's next version."""
    body = builders.episode(
        resource_id=episode_id(runtime, tenant, cause.subject_key),
        pathway=PATHWAY,
        subject=cause.subject,
        requests=requests,
        moment=now,
        previous=standing.episode_body,
    )
    return built(runtime.engine, body, now, version=standing.episode.version + 1 if standing.episode else 1)


def _with_step(evidence: Evidence, standing: Standing, now: datetime) -> Evidence:
    """Adds the step in which care has begun; a proposal that nobody accepted binds nobody."""
    tier = tiers().by_code(standing.plan.tier) if standing.plan else None
    if standing.plan is None or tier is None:
        return evidence
    step = EvidenceValue(tier.rank, now, standing.plan.reference)
    return Evidence({**evidence.values, "current_tier": step}, evidence.risk)


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


def _evidence(runtime: Runtime) -> Coalescer[list[Known]]:
    reader = runtime.cache.get(evidence_reader)
    if not isinstance(reader, Coalescer):
        reader = runtime.cache[evidence_reader] = evidence_reader(runtime.database)
    return reader
