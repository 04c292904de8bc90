"""A site changes its catalogue: the numbers that waits are promised from must be numbers."""

from typing import Any

from stepwell_shared.canonical import extension_url
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write

# No service begins with so many people in a week: a larger number is a slip of the pen.
WEEKLY_STARTS_MAX = 100_000


async def change_service(write: Write) -> None:
    """Raises FhirError BUSINESS_RULE for a capacity from which no wait could be reckoned."""
    extensions = (write.resource or {}).get("extension", ())
    capacities = [item for item in extensions if item.get("url") == extension_url("service-capacity")]
    if len(capacities) > 1 or not all(_is_capacity(item) for item in capacities):
        text = f"a service has one capacity, with weekly-starts as a decimal from 0 to {WEEKLY_STARTS_MAX}"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "HealthcareService.extension")])


def _is_capacity(extension: dict[str, Any]) -> bool:
    parts = extension.get("extension", ())
    starts = [part.get("valueDecimal") for part in parts if part.get("url") == "weekly-starts"]
    return len(starts) == 1 and starts[0] is not None and 0 <= starts[0] <= WEEKLY_STARTS_MAX
