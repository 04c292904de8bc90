"""A clinician decides for another tier than the one that was proposed, and says why: a plan that replaces the proposal.

Referral, and whoever else listens, hears of the plan as of any tier assignment; that it was somebody's own decision is
told, and counted, beside it.
"""

import asyncio
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
from stepwell_routing.data.override_reasons import OTHER, PERSON_PREFERS, SYSTEM, override_reasons
from stepwell_routing.data.plans import early_review_after, said
from stepwell_routing.policies import tier_of
from stepwell_routing.proposal_answers import LESS, MORE
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.safety_floor import safety_floor
from stepwell_routing.rules.steps import Step
from stepwell_routing.subscriptions import TIER_ASSIGNED, TIER_OVERRIDDEN
from stepwell_routing.tables import STEP, Known, evidence_effect
from stepwell_routing.use_cases.answering import answered, count_answer
from stepwell_routing.use_cases.boosters import enter_step
from stepwell_routing.use_cases.episodes import episode_told
from stepwell_routing.use_cases.governing import Governing, governing
from stepwell_routing.use_cases.knowledge import known_of
from stepwell_routing.use_cases.people import why_held
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Dated, Keeping, keep_reviewed
from stepwell_routing.use_cases.standing import PROPOSAL, Standing, key_of, standing_of

REASON_CHARACTERS_MAX = 2_000

Resource = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """The code of the step that the clinician decides for, and why: a known code, and perhaps words beside it."""

    step: str
    code: str
    words: str | None

    def reason(self, language: str) -> Resource:
        """The reason as a CodeableConcept, with what the code is called in this language, or in English."""
        display = said(override_reasons()[self.code], language)
        coding = {"system": SYSTEM, "code": self.code, "display": display}
        return {"coding": [coding], **({"text": self.words} if self.words else {})}


async def override_proposal(runtime: Runtime, request: Request) -> Response:
    """`ServiceRequest/[id]/$override` with `tier` and `reason`: the answer is the plan in place of the proposal.

    `reason` is a code of `CodeSystem/override-reason`, with words beside it as its `text` or as the parameter `text`.
    Asked again for the same tier it answers with the same plan. Raises FhirError: INVALID for other parameters,
    FORBIDDEN when the token names no person, BUSINESS_RULE for what is no open proposal, for the tier that was
    proposed, for less than a safety rule asks for, and for a reason without a known code (with the list of them);
    CONFLICT when it was overridden otherwise.
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
        key = key_of(runtime, body["subject"])
        standing, known = await asyncio.gather(standing_of(runtime, tenant, key), known_of(runtime, tenant, key))
        governed = await governing(runtime, tenant, standing, key)
        step = _step(governed.policy, wish)
        _refuse_unready(body, governed.policy, step)
        override = _Override(runtime, tenant, clinician, wish, governed, step, proposal, plan_id, runtime.clock())
        unit, plan = _overridden(override, standing)
        keeping = Keeping(runtime, unit, standing, key, override.now)
        await enter_step(keeping, step, f"ServiceRequest/{plan.id}", body["subject"], known)
        answer = written(runtime.engine.base_url, request, served_type, plan, created=False)
        unit.effects += request.records("$override", answer)
        await runtime.store.commit(unit)
        count_answer(runtime, _direction(governed.policy, body, step), builders.rule_codes(body))
        return answer

    text = "this proposal is being changed by too many at once; try again"
    return await until_committed(attempt, FhirError(Category.CONFLICT, text))


def _wish(body: bytes) -> Wish:
    try:
        given = {each["name"]: each for each in orjson.loads(body)["parameter"]}
        code, reason = given["tier"]["valueCode"], given["reason"]
        words = given["text"]["valueString"] if "text" in given else _words(reason)
        is_said = words is None or (
            isinstance(words, str) and bool(words.strip()) and len(words) <= REASON_CHARACTERS_MAX
        )
        well_formed = given.keys() <= {"tier", "reason", "text"} and is_said
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        well_formed = False
    if not well_formed:
        text = (
            "Parameters: tier (valueCode), reason (valueCode, or valueCodeableConcept with a code), and perhaps text"
            f" (valueString of at most {REASON_CHARACTERS_MAX} characters)"
        )
        raise FhirError(Category.INVALID, [Issue(text, "required", "Parameters.parameter")])
    return Wish(str(code), _reason_code(reason, words), words)


def _step(policy: Policy, wish: Wish) -> Step:
    """The step of the person's policy. Raises INVALID for another code."""
    step = policy.step_of(wish.step)
    if step is None:
        text = f"tier is one of {', '.join(each.code for each in policy.steps)}"
        raise FhirError(Category.INVALID, [Issue(text, "value", "Parameters.parameter.where(name = 'tier')")])
    return step


def _words(reason: Resource) -> Any:
    return reason.get("valueString", reason.get("valueCodeableConcept", {}).get("text"))


def _reason_code(reason: Resource, words: str | None) -> str:
    """The code of a reason. Raises FhirError BUSINESS_RULE with all there are when it has none of them, and when
    another reason is not said."""
    codings = reason.get("valueCodeableConcept", {}).get("coding", ())
    own = [each.get("code") for each in codings if isinstance(each, dict) and each.get("system") == SYSTEM]
    code = next(iter(own), reason.get("valueCode"))
    if not isinstance(code, str) or code not in override_reasons():
        text = f"the reason is coded: one code of {SYSTEM}, which are {', '.join(override_reasons())}"
    elif code == OTHER and not words:
        text = "another reason is said in words"
    else:
        return code
    place = "Parameters.parameter.where(name = 'reason')"
    raise FhirError(Category.BUSINESS_RULE, [Issue(text, "code-invalid", place)])


def _direction(policy: Policy, proposal: Resource, step: Step) -> str:
    """Whether the step is less or more than was proposed."""
    proposed = policy.step_of(builders.step_code(proposal))
    return LESS if proposed is not None and step.rank < proposed.rank else MORE


def _refuse_another(plan: Resource, wish: Wish) -> None:
    if builders.step_code(plan) != wish.step:
        raise FhirError(Category.CONFLICT, "this proposal was overridden already, by another tier")


def _refuse_unready(proposal: Resource, policy: Policy, step: Step) -> None:
    floor = safety_floor(policy, builders.rule_codes(proposal))
    expression = "ServiceRequest.status"
    if "basedOn" in proposal:
        text, expression = "this runs beside the step; what is overridden is the step", "ServiceRequest.basedOn"
    elif proposal["intent"] != PROPOSAL:
        text, expression = "this is a plan already; what is overridden is a proposal", "ServiceRequest.intent"
    elif proposal["status"] == "on-hold":
        text = why_held(builders.rule_codes(proposal))
    elif proposal["status"] != "active":
        text = "this proposal was withdrawn; another has taken its place"
    elif builders.step_code(proposal) == step.code:
        text, expression = "this tier is what was proposed: $accept it", "Parameters.parameter.where(name = 'tier')"
    elif step.rank < floor:
        lowest = policy.steps[floor - 1].code
        text = f"the recorded risk asks for {lowest} at least; safety is not lowered by an override"
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
    governed: Governing
    step: Step
    proposal: Stored
    plan_id: str
    now: datetime


def _overridden(override: _Override, standing: Standing) -> tuple[UnitOfWork, Stored]:
    """Plan and withdrawn proposal, the episode that enters the tier, the Provenance, and the events."""
    engine, now, tenant = override.runtime.engine, override.now, override.tenant
    body = orjson.loads(override.proposal.body or b"null")
    step = override.step
    direction = _direction(override.governed.policy, body, step)
    reason = override.wish.reason(body["language"])
    review_at = now + _review_within(step, override.wish, direction)
    plan = builders.overriding_assignment(
        body,
        resource_id=override.plan_id,
        offering=step.offering,
        tier=tier_of(step),
        reason=reason,
        practitioner=override.clinician,
        overridden_at=now,
        review_at=review_at,
    )
    made = built(engine, plan, now)
    revoked = {name: value for name, value in body.items() if name != "meta"} | {"status": "revoked"}
    withdrawn = built(engine, revoked, now, version=override.proposal.version + 1)
    provenance = builders.override_provenance(
        resource_id=derived_id(engine.base_url, tenant, "override", override.plan_id),
        targets=[_versioned(made), _versioned(withdrawn)],
        proposal=f"ServiceRequest/{override.proposal.id}/_history/{override.proposal.version}",
        practitioner=override.clinician,
        reason=reason,
        policy=body["instantiatesCanonical"][0],
        overridden_at=now,
    )
    key = key_of(override.runtime, body["subject"])
    episode = _episode(override, body, key, standing)
    changes = [made, withdrawn, episode, built(engine, provenance, now)]
    entered = Known(STEP, step.code, now, f"ServiceRequest/{override.plan_id}", made.stored.version)
    answer = answered(body, standing, now, direction, reason=override.wish.code)
    effects = [*_events(override, key, made.stored, withdrawn.stored), evidence_effect(key, entered), answer]
    effects.append(episode_told(override.runtime, key, episode.stored, now))
    unit = UnitOfWork(tenant, changes, effects)
    keep_reviewed(Keeping(override.runtime, unit, standing, key, now), Dated(plan, review_at, plan["priority"]))
    return unit, made.stored


def _review_within(step: Step, wish: Wish, direction: str) -> timedelta:
    """How soon the step is looked at again: early where the person chose less than was proposed (pathways rule 5)."""
    chose_less = direction == LESS and wish.code == PERSON_PREFERS
    return min(step.review_within, early_review_after()) if chose_less else step.review_within


def _episode(override: _Override, proposal: Resource, key: str, standing: Standing) -> Change:
    earlier = [each.reference for each in (standing.plan, *standing.earlier) if each is not None]
    episode = builders.episode(
        resource_id=standing.episode_id,
        pathway=override.governed.pathway,
        subject=proposal["subject"],
        requests=[f"ServiceRequest/{override.plan_id}", *earlier],
        moment=override.now,
        entered=(override.step.code, override.step.tier_code),
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
