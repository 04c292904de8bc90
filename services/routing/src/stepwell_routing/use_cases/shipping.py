"""What routing ships, put into a tenant: its policies as PlanDefinitions, and texts as drafts that the site approves.

A published version never changes.
"""

from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from stepwell_routing.policies import policy_document, shipped_ids
from stepwell_routing.use_cases.content import ship_content


async def ship_policies(runtime: Runtime, tenant: str) -> None:
    """Adds the policy versions that the tenant does not have yet, each under an id that names its version."""
    names = shipped_ids()
    present = await runtime.store.present(tenant, "PlanDefinition", names)
    for id_ in names.keys() - present:  # one after the other, for each is large
        await ship(runtime.engine, tenant, {**policy_document(names[id_]), "id": id_})
    await ship_content(runtime, tenant)
