"""A clinician decides for another tier than the one that was proposed, and says why: a plan that replaces the proposal.

Referral, and whoever else listens, hears of the plan as of any tier assignment; that it was somebody's own decision is
told, and counted, beside it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.database.functions import Effect
from stepwell_shared.events.outbox import Content, event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import Change, Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.policies import active_policies, tiers
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.safety_floor import safety_floor
from stepwell_routing.rules.tiers import Tier
from stepwell_routing.subscriptions import TIER_ASSIGNED, TIER_OVERRIDDEN
from stepwell_routing.tables import STEP, Known, evidence_effect
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Dated, Keeping, keep_reviewed
from stepwell_routing.use_cases.standing import PATHWAY, PROPOSAL, Standing, key_of, standing_of

REASON_CHARACTERS_MAX = 2_000

Resource = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """The tier that the clinician decides for, and why: a CodeableConcept with words or a code."""

    tier: Tier
    reason: Resource


async def override_proposal(runtime: Runtime, request: Request) -> Response:
    """`ServiceRequest/[id]/$override` with `tier` and `reason`: the answer is the plan in place of the proposal.

    Asked again for the same tier it answers with the same plan. Raises FhirError: INVALID for other parameters,
    FORBIDDEN when the token names no person, BUSINESS_RULE for what is no open proposal, for the tier that was
    proposed, and for less than a safety rule asks for; CONFLICT when it was overridden otherwise.
    """
    clinician = request.access.fhir_user
    if clinician is None:
        text = "a person decides otherwise: use a client that is registered with --fhir-user Practitioner/..."
        raise FhirError(Category.FORBIDDEN, text)
    wish = _wish(request.body)
    served_type = runtime.engine.served("ServiceRequest", Interaction.READ)
    tenant = request.access.tenant
    plan_id = derived_id(runtime.engine.base_url, tenant, "override", request.id)

    async def attempt() -> Response:
        proposal = await runtime.store.read(tenant, "ServiceRequest", request.id)
        if proposal is None or proposal.body is None or request.access.filters("ServiceRequest", Interaction.UPDATE):
            raise FhirError(Category.NOT_FOUND, "there is no ServiceRequest with this id")
        made = await runtime.store.read(tenant, "ServiceRequest", plan_id)
        if made is not None and made.body is not None:
            _refuse_another(orjson.loads(made.body), wish)
            return written(runtime.engine.base_url, request, served_type, made, created=False, witnessed=False)
        body = orjson.loads(proposal.body)
        _refuse_unready(body, wish)
        standing = await standing_of(runtime, tenant, key_of(runtime, body["subject"]))
        unit, plan = _overridden(
            _Override(runtime, tenant, clinician, wish, proposal, plan_id, runtime.clock()), standing
        )
        answer = written(runtime.engine.base_url, request, served_type, plan, created=False)
        unit.effects += request.records("$override", answer)
        await runtime.store.commit(unit)
        return answer

    text = "this proposal is being changed by too many at once; try again"
    return await until_committed(attempt, FhirError(Category.CONFLICT, text))


def _wish(body: bytes) -> Wish:
    try:
        given = {each["name"]: each for each in orjson.loads(body)["parameter"]}
        code, reason = given["tier"]["valueCode"], given["reason"]
        words = reason.get("valueString")
        concept = {"text": words} if words is not None else reason["valueCodeableConcept"]
        said = concept.get("text") or "".join(coding.get("code", "") for coding in concept.get("coding", ()))
        well_formed = len(given) == 2 and isinstance(said, str) and bool(said.strip())
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        well_formed = False
    if not well_formed or len(said) > REASON_CHARACTERS_MAX:
        text = "Parameters: tier (valueCode), and reason (valueString, or valueCodeableConcept with text or code)"
        raise FhirError(Category.INVALID, [Issue(text, "required", "Parameters.parameter")])
    tier = tiers().by_code(code) if isinstance(code, str) else None
    if tier is None:
        text = f"tier is one of {', '.join(each.code for each in tiers().tiers)}"
        raise FhirError(Category.INVALID, [Issue(text, "value", "Parameters.parameter.where(name = 'tier')")])
    return Wish(tier, concept)


def _refuse_another(plan: Resource, wish: Wish) -> None:
    if builders.tier_code(plan) != wish.tier.code:
        raise FhirError(Category.CONFLICT, "this proposal was overridden already, by another tier")


def _refuse_unready(proposal: Resource, wish: Wish) -> None:
    policy = active_policies()[PATHWAY]
    floor = safety_floor(policy, builders.rule_codes(proposal))
    expression = "ServiceRequest.status"
    if proposal["intent"] != PROPOSAL:
        text, expression = "this is a plan already; what is overridden is a proposal", "ServiceRequest.intent"
    elif proposal["status"] == "on-hold":
        text = "a safety question is open (the reason codes say which); a clinician records a risk level first"
    elif proposal["status"] != "active":
        text = "this proposal was withdrawn; another has taken its place"
    elif builders.tier_code(proposal) == wish.tier.code:
        text, expression = "this tier is what was proposed: $accept it", "Parameters.parameter.where(name = 'tier')"
    elif wish.tier.rank < floor:
        text = f"the recorded risk asks for tier-{floor} at least; safety is not lowered by an override"
        expression = "Parameters.parameter.where(name = 'tier')"
    else:
        return
    raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])


@dataclass(frozen=True)
class _Override:
    """One override on its way to the store."""

    runtime: Runtime
    tenant: str
    clinician: str
    wish: Wish
    proposal: Stored
    plan_id: str
    now: datetime


def _overridden(override: _Override, standing: Standing) -> tuple[UnitOfWork, Stored]:
    """Plan and withdrawn proposal, the episode that enters the tier, the Provenance, and the events."""
    engine, now, tenant = override.runtime.engine, override.now, override.tenant
    body = orjson.loads(override.proposal.body or b"null")
    policy, tier = active_policies()[PATHWAY], override.wish.tier
    plan = builders.overriding_assignment(
        body,
        resource_id=override.plan_id,
        tier=tier,
        reason=override.wish.reason,
        practitioner=override.clinician,
        overridden_at=now,
        review_at=now + _review_within(policy, tier),
    )
    made = built(engine, plan, now)
    revoked = {name: value for name, value in body.items() if name != "meta"} | {"status": "revoked"}
    withdrawn = built(engine, revoked, now, version=override.proposal.version + 1)
    provenance = builders.override_provenance(
        resource_id=derived_id(engine.base_url, tenant, "override", override.plan_id),
        targets=[_versioned(made), _versioned(withdrawn)],
        proposal=f"ServiceRequest/{override.proposal.id}/_history/{override.proposal.version}",
        practitioner=override.clinician,
        reason=override.wish.reason,
        policy=body["instantiatesCanonical"][0],
        overridden_at=now,
    )
    key = key_of(override.runtime, body["subject"])
    changes = [made, withdrawn, _episode(override, body, key, standing), built(engine, provenance, now)]
    entered = Known(STEP, tier.code, now, f"ServiceRequest/{override.plan_id}", made.stored.version)
    effects = [*_events(override, key, made.stored, withdrawn.stored), evidence_effect(key, entered)]
    unit = UnitOfWork(tenant, changes, effects)
    plan_dated = Dated(plan, now + _review_within(policy, tier), plan["priority"])
    keep_reviewed(Keeping(override.runtime, unit, standing, key, now), plan_dated)
    return unit, made.stored


def _review_within(policy: Policy, tier: Tier) -> timedelta:
    return policy.steps[tier.rank - 1].review_within


def _episode(override: _Override, proposal: Resource, key: str, standing: Standing) -> Change:
    earlier = [each.reference for each in (standing.plan, *standing.earlier) if each is not None]
    episode = builders.episode(
        resource_id=standing.episode_id,
        pathway=PATHWAY,
        subject=proposal["subject"],
        requests=[f"ServiceRequest/{override.plan_id}", *earlier],
        moment=override.now,
        tier=override.wish.tier.code,
        previous=standing.episode_body,
    )
    version = standing.version
    return built(override.runtime.engine, episode, override.now, version=version)


def _events(override: _Override, key: str, plan: Stored, withdrawn: Stored) -> list[Effect]:
    made, taken_back = (_entry(override, each) for each in (plan, withdrawn))
    focus = f"ServiceRequest/{plan.id}"
    return [
        event(TIER_ASSIGNED.canonical, key, focus, [made], override.now),
        event(TIER_ASSIGNED.canonical, key, f"ServiceRequest/{withdrawn.id}", [taken_back], override.now),
        event(TIER_OVERRIDDEN.canonical, key, focus, [made, taken_back], override.now),
    ]


def _entry(override: _Override, stored: Stored) -> tuple[str, Content]:
    return f"{override.runtime.engine.base_url}/ServiceRequest/{stored.id}", stored


def _versioned(change: Change) -> str:
    return f"{change.stored.resource_type}/{change.stored.id}/_history/{change.stored.version}"
