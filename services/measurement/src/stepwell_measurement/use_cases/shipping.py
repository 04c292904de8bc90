"""What measurement ships, put into a tenant: its Measures. A version that is there never changes."""

from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders.measures import measure_resource
from stepwell_measurement.data.measures import dimensions, measures


async def ship_measures(runtime: Runtime, tenant: str) -> None:
    """Adds the Measures that the tenant does not have yet."""
    await ship(runtime.engine, tenant, *(measure_resource(each, dimensions()) for each in measures().values()))
