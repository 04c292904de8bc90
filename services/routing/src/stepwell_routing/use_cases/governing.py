"""Which policy decides on a person: that of the pathway that they are on, as it is in force at their site.

The episode names both: its type is the pathway, its managing organization the site. A new one begins on the pathway
that the site has made its default, at the managing organization of the Patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.runtime import Runtime

from stepwell_routing.policies import (
    active_policies,
    default_pathway,
    policies_in_shadow,
    policy_in_force,
    publishing,
)
from stepwell_routing.policies.published import DEFAULT_PATHWAY
from stepwell_routing.rules.lifecycle import EVERYWHERE
from stepwell_routing.rules.policies import Policy
from stepwell_routing.use_cases.standing import Standing

Resource = dict[str, Any]


@dataclass(frozen=True)
class Governing:
    """The pathway that somebody is on, the site that treats them, and the policy in force there.

    `organization` is the site as a Reference that can be followed from anywhere, where it is known. `shadows` are the
    versions that decide beside the policy, without consequence.
    """

    pathway: str
    site: str
    organization: Resource | None
    policy: Policy
    shadows: Sequence[Policy] = ()


async def governing(
    runtime: Runtime,
    tenant: str,
    standing: Standing,
    subject_key: str,
    *,
    received: ReceivedEvent | None = None,
    pathway: str | None = None,
) -> Governing:
    """What governs the next decision on a person; `pathway` is the one that they are to begin now.

    Rests on what was heard last of the tenant's publications: whoever decides has just read the person's evidence,
    and with it how many there are. `received` may bring the Patient, who may not be kept here yet.
    """
    published = await publishing(runtime).heard(tenant)
    organization = standing.organization
    if organization is None and (standing.episode is None or published.has_sites):
        organization = _organization_in(runtime, received)
        if organization is None and published.has_sites:
            organization = await _organization_of(runtime, tenant, subject_key)
    site = site_named(runtime, organization)
    pathway = pathway or standing.pathway or await default_pathway(runtime, tenant, published, site)
    policy = await policy_in_force(runtime, tenant, published, pathway, site)
    shadows = await policies_in_shadow(runtime, tenant, published, pathway, site)
    return Governing(pathway, site, organization, policy or active_policies()[DEFAULT_PATHWAY], shadows)


async def governing_now(
    runtime: Runtime, tenant: str, standing: Standing, subject_key: str, *, pathway: str | None = None
) -> Governing:
    """The same for whoever has not just read the person's evidence: asks what is published."""
    await publishing(runtime).read(tenant)
    return await governing(runtime, tenant, standing, subject_key, pathway=pathway)


def site_named(runtime: Runtime, organization: Mapping[str, Any] | None) -> str:
    """What names a site in what it publishes: the reference of its Organization, or its identifier's value."""
    if organization is None:
        return EVERYWHERE
    reference = organization.get("reference")
    if isinstance(reference, str):
        return runtime.engine.localise(reference)
    return str(organization.get("identifier", {}).get("value", EVERYWHERE))


def _organization_in(runtime: Runtime, received: ReceivedEvent | None) -> Resource | None:
    patients = [each for each in (received.resources if received else {}).values() if each["resourceType"] == "Patient"]
    return next((found for each in patients if (found := managing_organization(runtime, each)) is not None), None)


async def _organization_of(runtime: Runtime, tenant: str, subject_key: str) -> Resource | None:
    """The managing organization of a Patient whom we keep a copy of."""
    if not subject_key.startswith("Patient/"):
        return None
    stored = await runtime.store.read(tenant, "Patient", subject_key.removeprefix("Patient/"))
    return None if stored is None or stored.body is None else managing_organization(runtime, orjson.loads(stored.body))


def managing_organization(runtime: Runtime, patient: Mapping[str, Any]) -> Resource | None:
    """The Patient is screening's: what its reference leaves out is screening's address."""
    found = patient.get("managingOrganization")
    if not isinstance(found, dict) or not ("reference" in found or "value" in found.get("identifier", {})):
        return None
    reference = found.get("reference")
    if reference is None or "://" in reference:
        return found
    return {**found, "reference": f"{runtime.settings.url_of('screening')}/{reference}"}
