"""A clinician accepts a proposal: it becomes a plan, and referral starts."""

import asyncio
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.builders.besides import is_tier_assignment
from stepwell_routing.policies.published import DEFAULT_PATHWAY
from stepwell_routing.proposal_answers import ACCEPTED
from stepwell_routing.subscriptions import TIER_ASSIGNED
from stepwell_routing.tables import STEP, Known, evidence_effect
from stepwell_routing.use_cases.answering import answered, count_answer
from stepwell_routing.use_cases.boosters import enter_step
from stepwell_routing.use_cases.episodes import episode_told
from stepwell_routing.use_cases.governing import governing
from stepwell_routing.use_cases.knowledge import known_of
from stepwell_routing.use_cases.people import why_held
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Keeping
from stepwell_routing.use_cases.standing import PROPOSAL, Standing, key_of, standing_of


async def accept_proposal(runtime: Runtime, request: Request) -> Response:
    """`ServiceRequest/[id]/$accept`: the proposal's next version is a plan requested by the caller's person.

    Accepting what is accepted changes nothing. Raises FhirError: BUSINESS_RULE while it is on hold or after it was
    withdrawn, FORBIDDEN when the token names no person.
    """
    clinician = request.access.fhir_user
    if clinician is None:
        text = "a person accepts a proposal: use a client that is registered with --fhir-user Practitioner/..."
        raise FhirError(Category.FORBIDDEN, text)
    served_type = runtime.engine.served("ServiceRequest", Interaction.READ)
    tenant = request.access.tenant

    async def attempt() -> Response:
        stored = await runtime.store.read(tenant, "ServiceRequest", request.id)
        if stored is None or stored.body is None or request.access.filters("ServiceRequest", Interaction.UPDATE):
            raise FhirError(Category.NOT_FOUND, "there is no ServiceRequest with this id")
        proposal = orjson.loads(stored.body)
        if proposal["intent"] != PROPOSAL:
            return written(runtime.engine.base_url, request, served_type, stored, created=False, witnessed=False)
        _refuse_unready(proposal)
        key = key_of(runtime, proposal["subject"])
        standing, known = await asyncio.gather(standing_of(runtime, tenant, key), known_of(runtime, tenant, key))
        unit, accepted = _accepted(runtime, request, stored, clinician, standing)
        if "basedOn" not in proposal:
            policy = (await governing(runtime, tenant, standing, key)).policy
            keeping = Keeping(runtime, unit, standing, key, runtime.clock())
            step = policy.step_of(builders.step_code(proposal))
            await enter_step(keeping, step, f"ServiceRequest/{stored.id}", proposal["subject"], known)
        answer = written(runtime.engine.base_url, request, served_type, accepted, created=False)
        unit.effects += request.records("$accept", answer)
        await runtime.store.commit(unit)
        count_answer(runtime, ACCEPTED, builders.rule_codes(proposal))
        return answer

    text = "this proposal is being changed by too many at once; try again"
    return await until_committed(attempt, FhirError(Category.CONFLICT, text))


def _refuse_unready(proposal: dict[str, Any]) -> None:
    status = proposal["status"]
    if status == "on-hold":
        text = why_held(builders.rule_codes(proposal))
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "ServiceRequest.status")])
    if status != "active":
        text = "this proposal was withdrawn; another has taken its place"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "ServiceRequest.status")])


def _accepted(
    runtime: Runtime, request: Request, stored: Stored, clinician: str, standing: Standing
) -> tuple[UnitOfWork, Stored]:
    """The plan, the episode that enters its tier, the Provenance, and the event."""
    engine, now, tenant = runtime.engine, runtime.clock(), request.access.tenant
    proposal = orjson.loads(stored.body or b"null")
    plan = builders.accepted_assignment(proposal, practitioner=clinician, accepted_at=now)
    change = built(engine, plan, now, version=stored.version + 1)
    focus = f"ServiceRequest/{stored.id}"
    provenance = builders.acceptance_provenance(
        resource_id=derived_id(engine.base_url, tenant, "acceptance", stored.id, str(stored.version)),
        target=f"{focus}/_history/{change.stored.version}",
        proposal=f"{focus}/_history/{stored.version}",
        practitioner=clinician,
        policy=proposal["instantiatesCanonical"][0],
        accepted_at=now,
    )
    key = key_of(runtime, proposal["subject"])
    entries = [(f"{engine.base_url}/{focus}", change.stored)]
    told = event(TIER_ASSIGNED.canonical, key, focus, entries, now)
    if "basedOn" in proposal:  # it runs beside the step, which nobody leaves by that
        effects = [told] if is_tier_assignment(proposal) else []
        return UnitOfWork(tenant, [change, built(engine, provenance, now)], effects), change.stored
    earlier = [each.reference for each in (standing.plan, *standing.earlier) if each is not None]
    episode = builders.episode(
        resource_id=standing.episode_id,
        pathway=standing.pathway or DEFAULT_PATHWAY,
        subject=proposal["subject"],
        requests=[focus, *earlier],
        moment=now,
        entered=(builders.step_code(proposal), builders.tier_code(proposal)),
        previous=standing.episode_body,
    )
    moved = built(engine, episode, now, version=standing.version)
    entered = Known(STEP, builders.step_code(plan), now, focus, change.stored.version)
    effects = [
        told,
        evidence_effect(key, entered),
        answered(proposal, standing, now, ACCEPTED),
        episode_told(runtime, key, moved.stored, now),
    ]
    return UnitOfWork(tenant, [change, moved, built(engine, provenance, now)], effects), change.stored
