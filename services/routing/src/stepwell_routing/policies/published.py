"""Which policy decides for a tenant, a pathway and a site: the one put in force last, else the one that ships.

Which version is in force is asked every time, so that all replicas see it at once; only what was compiled is kept.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.runtime import Runtime

from stepwell_routing.policies.publications import PolicyStep, policy_step_reader
from stepwell_routing.policies.shipped import active_policies, policy_document, shipped_names, tiers
from stepwell_routing.rules.lifecycle import EVERYWHERE, Life, base_of
from stepwell_routing.rules.policies import Policy, parse_policy
from stepwell_routing.rules.reading import DocumentError, Finding
from stepwell_routing.rules.settings import settings_of

COMPILED_MAX = 256


async def find_policy(runtime: Runtime, tenant: str, pathway: str, site: str = EVERYWHERE) -> Policy | None:
    """The policy in force for this pathway at this site: the site's own, the tenant's, or the one that ships."""
    steps = await steps_of(runtime, tenant, pathway)
    for place in dict.fromkeys((site, EVERYWHERE)):
        step = in_force(steps, place)
        if step is not None:
            return await _compiled(runtime, tenant, step)
    return active_policies().get(pathway)


async def shadow_policies(runtime: Runtime, tenant: str, pathway: str, site: str = EVERYWHERE) -> list[Policy]:
    """The versions that decide beside the one in force, without consequence."""
    steps = [step for step in await steps_of(runtime, tenant, pathway) if step.site in (site, EVERYWHERE)]
    last = {step.plan_definition_id: step for step in steps}
    found = [await _compiled(runtime, tenant, step) for step in last.values() if step.life == Life.SHADOW.value]
    return [policy for policy in found if policy is not None]


async def steps_of(runtime: Runtime, tenant: str, pathway: str) -> list[PolicyStep]:
    """Every step in the life of the tenant's own versions for a pathway, in order."""
    reader = runtime.cache.get(policy_step_reader)
    if not isinstance(reader, Coalescer):
        reader = runtime.cache[policy_step_reader] = policy_step_reader(runtime.database)
    found: list[PolicyStep] | None = await reader.get((tenant,), pathway)
    return found or []


def in_force(steps: Sequence[PolicyStep], site: str) -> PolicyStep | None:
    """The version in force at exactly this site: the last that was made active, unless it was retired since."""
    standing: PolicyStep | None = None
    for step in steps:
        if step.site != site:
            continue
        if step.life == Life.ACTIVE.value:
            standing = step
        elif standing is not None and step.plan_definition_id == standing.plan_definition_id:
            standing = None
    return standing


async def compile_document(runtime: Runtime, tenant: str, document: Mapping[str, Any]) -> Policy:
    """Compiles a PlanDefinition: a policy of its own, or a site's values for another one.

    Raises DocumentError with every finding.
    """
    base = base_of(document)
    if base is None:
        return parse_policy(document, tiers())
    found = await _base(runtime, tenant, base)
    if found is None or base_of(found) is not None:
        raise DocumentError([Finding("PlanDefinition.relatedArtifact", f"there is no policy {base} to derive from")])
    policy = parse_policy(found, tiers(), site_parameters=settings_of(document, tiers().canonical))
    return replace(policy, url=str(document["url"]), version=str(document["version"]))


async def _base(runtime: Runtime, tenant: str, canonical: str) -> Mapping[str, Any] | None:
    """The document of a `url|version`, shipped or published by the tenant."""
    for name in shipped_names():
        document = policy_document(name)
        if f"{document['url']}|{document['version']}" == canonical:
            return document
    for pathway in active_policies():
        for step in await steps_of(runtime, tenant, pathway):
            if f"{step.url}|{step.version}" == canonical:
                return await _document(runtime, tenant, step)
    return None


async def _document(runtime: Runtime, tenant: str, step: PolicyStep) -> dict[str, Any] | None:
    stored = await runtime.store.read(tenant, "PlanDefinition", step.plan_definition_id)
    if stored is None or stored.body is None:
        return None
    found: dict[str, Any] = json.loads(stored.body, parse_float=Decimal)
    return found


async def _compiled(runtime: Runtime, tenant: str, step: PolicyStep) -> Policy | None:
    # What decides never changes once a version has left draft: the id alone names it.
    key = tenant, step.plan_definition_id
    kept = _kept(runtime)
    found = kept.get(key)
    if found is None:
        document = await _document(runtime, tenant, step)
        if document is None:
            return None
        found = kept[key] = await compile_document(runtime, tenant, document)
        if len(kept) > COMPILED_MAX:
            kept.popitem(last=False)
    else:
        kept.move_to_end(key)
    return found


def _kept(runtime: Runtime) -> OrderedDict[tuple[str, str], Policy]:
    kept = runtime.cache.get(find_policy)
    if not isinstance(kept, OrderedDict):
        kept = runtime.cache[find_policy] = OrderedDict()
    return kept
