"""What routing ships, put into a tenant: its policies as PlanDefinitions. A published version never changes."""

from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from stepwell_routing.policies import policy_document, shipped_names


async def ship_policies(runtime: Runtime, tenant: str) -> None:
    """Adds the policy versions that the tenant does not have yet, each under an id that names its version."""
    documents = (policy_document(name) for name in shipped_names())
    await ship(runtime.engine, tenant, *({**each, "id": f"{each['id']}-{each['version']}"} for each in documents))
