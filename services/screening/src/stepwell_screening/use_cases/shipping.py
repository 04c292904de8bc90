"""What screening ships, put into a tenant: Questionnaires and code systems. A published version never changes."""

from stepwell_shared.fhir.copies import ship
from stepwell_shared.fhir.interactions.terminology import ship_terminology
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import instruments
from stepwell_screening.use_cases.adaptive import adaptive_questionnaires


async def ship_questionnaires(runtime: Runtime, tenant: str) -> None:
    """Adds the versions that the tenant does not have yet, each under an id that names its version."""
    shipped = [instrument.questionnaire for instrument in instruments().values()]
    named = ({**each, "id": f"{each['id']}-{each['version']}"} for each in [*shipped, *adaptive_questionnaires()])
    await ship(runtime.engine, tenant, *named)
    await ship_terminology(runtime.engine, tenant)
