"""What routing ships, put into a tenant: its policies as PlanDefinitions, and texts as drafts that the site approves.

A published version never changes.
"""

from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from stepwell_routing.policies import policy_document, shipped_names
from stepwell_routing.use_cases.content import ship_content


async def ship_policies(runtime: Runtime, tenant: str) -> None:
    """Adds the policy versions that the tenant does not have yet, each under an id that names its version."""
    documents = (policy_document(name) for name in shipped_names())
    await ship(runtime.engine, tenant, *({**each, "id": f"{each['id']}-{each['version']}"} for each in documents))
    await ship_content(runtime, tenant)
