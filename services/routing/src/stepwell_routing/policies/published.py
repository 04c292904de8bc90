"""Which policy decides for a tenant, a pathway and a site: the one put in force last, else the one that ships.

A tenant's steps are only ever added to, so that their number says whether what was read of them still holds: whoever
has just read it, as every decision does beside the evidence, needs no other look at the database, on any replica.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from stepwell_shared.runtime import Runtime

from stepwell_routing.policies.publications import PolicyStep, policy_step_reader
from stepwell_routing.policies.shipped import active_policies, policy_document, shipped_names, tiers
from stepwell_routing.rules.lifecycle import EVERYWHERE, Life, base_of, is_default
from stepwell_routing.rules.policies import Policy, parse_policy
from stepwell_routing.rules.reading import DocumentError, Finding
from stepwell_routing.rules.settings import settings_of

COMPILED_MAX = 256
DEFAULT_PATHWAY = "stepped-care"
"""Where somebody begins at a site that has said nothing else."""


class _Compiled(NamedTuple):
    policy: Policy
    is_default: bool


@dataclass(frozen=True)
class Publications:
    """What a tenant has published up to now; `known` keeps what was found in it."""

    steps: Sequence[PolicyStep] = ()
    known: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    @property
    def has_sites(self) -> bool:
        """Whether anything depends on the site."""
        return any(step.site != EVERYWHERE for step in self.steps)

    def of(self, pathway: str) -> list[PolicyStep]:
        """The steps of the versions for one pathway, in order."""
        return [step for step in self.steps if step.pathway == pathway]


class Publishing:
    """What this process knows of its tenants' publications, and since how many steps of theirs."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.reader = policy_step_reader(runtime.database)
        self.compiled: OrderedDict[tuple[str, str], _Compiled] = OrderedDict()
        self._kept: dict[str, Publications] = {}
        self._heard: dict[str, int] = {}

    def hear(self, tenant: str, steps: int) -> None:
        """How many steps the tenant's versions have taken, as somebody has just read."""
        self._heard[tenant] = max(steps, self._heard.get(tenant, 0))

    async def read(self, tenant: str) -> Publications:
        """What is published now, read anew."""
        steps = await self.reader.get((), tenant) or []
        kept = self._kept.get(tenant)
        if kept is None or len(steps) > len(kept.steps):
            kept = self._kept[tenant] = Publications(steps)
        self.hear(tenant, len(steps))
        return kept

    async def heard(self, tenant: str) -> Publications:
        """What is published as of the number that was heard last; costs nothing while that stays as it was."""
        kept = self._kept.get(tenant)
        if kept is not None and len(kept.steps) >= self._heard.get(tenant, 0):
            return kept
        return await self.read(tenant)


def publishing(runtime: Runtime) -> Publishing:
    """The one of this process."""
    found = runtime.cache.get(Publishing)
    if not isinstance(found, Publishing):
        found = runtime.cache[Publishing] = Publishing(runtime)
    return found


async def find_policy(runtime: Runtime, tenant: str, pathway: str, site: str = EVERYWHERE) -> Policy | None:
    """The policy in force for this pathway at this site: the site's own, the tenant's, or the one that ships."""
    return await policy_in_force(runtime, tenant, await publishing(runtime).read(tenant), pathway, site)


async def policy_in_force(
    runtime: Runtime, tenant: str, published: Publications, pathway: str, site: str = EVERYWHERE
) -> Policy | None:
    """The same, by what has been read of the tenant's publications."""
    key = "in force", pathway, site
    if key not in published.known:
        published.known[key] = await _in_force_at(runtime, tenant, published, pathway, site)
    found: Policy | None = published.known[key]
    return found


async def shadow_policies(runtime: Runtime, tenant: str, pathway: str, site: str = EVERYWHERE) -> list[Policy]:
    """The versions that decide beside the one in force, without consequence."""
    return await policies_in_shadow(runtime, tenant, await publishing(runtime).read(tenant), pathway, site)


async def policies_in_shadow(
    runtime: Runtime, tenant: str, published: Publications, pathway: str, site: str = EVERYWHERE
) -> list[Policy]:
    """The same, by what has been read: those of the site, and those of the tenant, once each."""
    key = "in shadow", pathway, site
    if key not in published.known:
        steps = [step for step in published.of(pathway) if step.site in places(site)]
        last = {step.plan_definition_id: step for step in steps}
        shadows = [step for step in last.values() if step.life == Life.SHADOW.value]
        found = [await _compiled(runtime, tenant, step) for step in shadows]
        published.known[key] = [each.policy for each in found if each is not None]
    policies: list[Policy] = published.known[key]
    return policies


async def default_pathway(runtime: Runtime, tenant: str, published: Publications, site: str = EVERYWHERE) -> str:
    """Where somebody begins at a site: the pathway whose version in force there says so, of several the newest."""
    key = "default", "", site
    if key not in published.known:
        published.known[key] = await _default_at(runtime, tenant, published, site)
    return str(published.known[key])


def places(site: str) -> Iterable[str]:
    """The names under which a site can have published, the closest first: its reference, its id, and all sites."""
    return dict.fromkeys((site, site.rpartition("/")[2], EVERYWHERE))


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
        return await asyncio.to_thread(parse_policy, document, tiers())
    found = await _base(runtime, tenant, base)
    if found is None or base_of(found) is not None:
        raise DocumentError([Finding("PlanDefinition.relatedArtifact", f"there is no policy {base} to derive from")])
    settings = settings_of(document, tiers().canonical)
    policy = await asyncio.to_thread(parse_policy, found, tiers(), site_parameters=settings)
    return replace(policy, url=str(document["url"]), version=str(document["version"]))


async def _in_force_at(
    runtime: Runtime, tenant: str, published: Publications, pathway: str, site: str
) -> Policy | None:
    for place in places(site):
        step = in_force(published.of(pathway), place)
        if step is not None:
            found = await _compiled(runtime, tenant, step)
            return None if found is None else found.policy
    return active_policies().get(pathway)


async def _default_at(runtime: Runtime, tenant: str, published: Publications, site: str) -> str:
    for place in places(site):
        found = []
        for pathway in active_policies():
            step = in_force(published.of(pathway), place)
            compiled = None if step is None else await _compiled(runtime, tenant, step)
            if step is not None and compiled is not None and compiled.is_default:
                found.append((step.at, pathway))
        if found:
            return max(found)[1]
    return DEFAULT_PATHWAY


async def _base(runtime: Runtime, tenant: str, canonical: str) -> Mapping[str, Any] | None:
    """The document of a `url|version`, shipped or published by the tenant.

    What shipped once is kept by the tenant under its name and version: a site's values outlive the next release.
    """
    for name in shipped_names():
        document = policy_document(name)
        if _canonical(document) == canonical:
            return document
    url, _, version = canonical.partition("|")
    found = await _document(runtime, tenant, f"{url.rpartition('/')[2]}-{version}")
    if found is not None and _canonical(found) == canonical:
        return found
    for step in (await publishing(runtime).read(tenant)).steps:
        if f"{step.url}|{step.version}" == canonical:
            return await _document(runtime, tenant, step.plan_definition_id)
    return None


def _canonical(document: Mapping[str, Any]) -> str:
    return f"{document.get('url')}|{document.get('version')}"


async def _document(runtime: Runtime, tenant: str, id_: str) -> dict[str, Any] | None:
    stored = await runtime.store.read(tenant, "PlanDefinition", id_)
    if stored is None or stored.body is None:
        return None
    found: dict[str, Any] = json.loads(stored.body, parse_float=Decimal)
    return found


async def _compiled(runtime: Runtime, tenant: str, step: PolicyStep) -> _Compiled | None:
    # What decides never changes once a version has left draft: the id alone names it.
    key = tenant, step.plan_definition_id
    kept = publishing(runtime).compiled
    found = kept.get(key)
    if found is None:
        document = await _document(runtime, tenant, step.plan_definition_id)
        if document is None:
            return None
        policy = await compile_document(runtime, tenant, document)
        found = kept[key] = _Compiled(policy, is_default(document, tiers().canonical))
        if len(kept) > COMPILED_MAX:
            kept.popitem(last=False)
    else:
        kept.move_to_end(key)
    return found
