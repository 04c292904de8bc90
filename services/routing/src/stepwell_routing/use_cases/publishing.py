"""A PlanDefinition is written: drafts as their authors like; from shadow on checked whole, and then left as it is.

A version is put in force, and the one before it retired, in one commit; of two who do so at one moment the second is
told.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import CANONICAL
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.runtime import Runtime

from stepwell_routing.policies import active_policies
from stepwell_routing.policies.publications import PolicyStep, policy_step_effect
from stepwell_routing.policies.published import compile_document, in_force, publishing
from stepwell_routing.rules.lifecycle import Life, base_of, check_move, life_of, site_of
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.reading import DocumentError, Finding

Resource = dict[str, Any]


async def change_policy(runtime: Runtime, write: Write) -> None:
    """Lets a site keep policies of its own: draft, then shadow, active and retired.

    Raises FhirError BUSINESS_RULE with every finding and its place for a policy that cannot be published, for a step
    that its life does not have and for what belongs to the product; CONFLICT when its `url|version` is taken.
    """
    assert write.resource is not None, "PlanDefinitions are never deleted"
    assert write.stored.body is not None, "what is no deletion has a body"
    after: Resource = json.loads(write.stored.body, parse_float=Decimal)
    before = _parsed(write.previous.body) if write.previous else None
    _refuse_ours(before, after)
    _refuse(check_move(before, after))
    life = life_of(after)
    unchanged = before is not None and life_of(before) is life
    if life is None or life is Life.DRAFT or unchanged or (before is None and life is Life.RETIRED):
        return
    if before is not None and life_of(before) is Life.DRAFT and life is Life.RETIRED:
        return  # a draft that was given up was never published
    await _publish(runtime, write, after, life)


async def _publish(runtime: Runtime, write: Write, document: Resource, life: Life) -> None:
    tenant = write.access.tenant
    policy = await _compiled(runtime, tenant, document)
    steps = (await publishing(runtime).read(tenant)).of(policy.pathway)
    site, id_ = runtime.engine.localise(site_of(document)), write.stored.id
    taken = {step.plan_definition_id for step in steps if (step.url, step.version) == (policy.url, policy.version)}
    if taken - {id_}:
        text = f"PlanDefinition/{min(taken - {id_})} is published under this url and version; take another version"
        raise FhirError(Category.CONFLICT, [Issue(text, "duplicate", "PlanDefinition.version")])
    number = max((step.number for step in steps if step.site == site), default=0)
    by = write.access.fhir_user or write.access.client_id
    standing = in_force(steps, site) if life is Life.ACTIVE else None
    if standing is not None:
        number += 1
        await _retire(runtime, write, standing._replace(number=number, life=Life.RETIRED.value, at=write.now), by)
    named = policy.url, policy.version, id_
    step = PolicyStep(policy.pathway, site, number + 1, life.value, *named, write.now, write.stored.version)
    write.unit.effects.append(policy_step_effect(step, by))


async def _retire(runtime: Runtime, write: Write, step: PolicyStep, by: str) -> None:
    """What was in force so far is retired in the same commit."""
    stored = await runtime.store.read(write.access.tenant, "PlanDefinition", step.plan_definition_id)
    if stored is not None and stored.body is not None:
        body = json.loads(stored.body, parse_float=Decimal)
        kept = {name: value for name, value in body.items() if name != "meta"}
        write.unit.changes.append(
            built(runtime.engine, {**kept, "status": "retired"}, write.now, version=stored.version + 1)
        )
    write.unit.effects.append(policy_step_effect(step, by))


async def _compiled(runtime: Runtime, tenant: str, document: Resource) -> Policy:
    try:
        policy = await compile_document(runtime, tenant, document)
    except DocumentError as refused:
        raise _refusal(refused.findings) from refused
    pathway = policy.pathway
    if base_of(document) is None and pathway not in active_policies():
        text = f"the pathway {pathway} is none of {', '.join(active_policies())}: name one of them as topic"
        raise _refusal([Finding("PlanDefinition.topic", text)])
    return policy


def _refuse_ours(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
    if before is not None and _is_ours(before):
        _refuse([Finding("PlanDefinition", "this policy ships with the product: publish one of your own")])
    elif _is_ours(after):
        _refuse([Finding("PlanDefinition.url", "this url belongs to the product: give the policy one of your own")])


def _is_ours(document: Mapping[str, Any]) -> bool:
    return str(document.get("url", "")).startswith(f"{CANONICAL}/")


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise _refusal(findings)


def _refusal(findings: Sequence[Finding]) -> FhirError:
    return FhirError(Category.BUSINESS_RULE, [Issue(found.text, "business-rule", found.path) for found in findings])


def _parsed(body: bytes | None) -> Resource | None:
    return json.loads(body, parse_float=Decimal) if body else None
