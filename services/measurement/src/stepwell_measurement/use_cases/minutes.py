"""Decisions of the board: read for reports and pages, and recorded by leaders."""

from stepwell_shared.runtime import Runtime

from stepwell_measurement.improvement_tables import newest_decisions
from stepwell_measurement.rules.minutes import Decision


async def decisions_of(runtime: Runtime, tenant: str) -> list[Decision]:
    """Every decision of a tenant as it stands now."""
    return await newest_decisions(runtime.database, tenant)
