"""What referral ships, put into a tenant: one Organization and one service per tier, so that there is a place."""

from stepwell_shared.fhir.copies import ship
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral.data import default_catalogue
from stepwell_referral.directory_tables import revision_effect


async def ship_catalogue(runtime: Runtime, tenant: str) -> None:
    """Adds what the tenant does not have yet; what a site has changed stays as the site wants it."""
    await ship(runtime.engine, tenant, *default_catalogue())
    # What ships is written past the hooks that tell replicas of a change.
    await runtime.store.commit(UnitOfWork(tenant, effects=[revision_effect("shipped")]))
