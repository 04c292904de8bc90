"""A site changes its catalogue: the numbers that waits are promised from must be numbers, and others hear of them.

Every replica looks at the directory again before it matches next.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from stepwell_shared.canonical import extension_url
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral.booking_tables import pace_effect
from stepwell_referral.directory_tables import revision_effect
from stepwell_referral.subscriptions import CAPACITY_CHANGED

# No service begins with so many people in a week: a larger number is a slip of the pen.
WEEKLY_STARTS_MAX = 100_000


_resource = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


async def change_service(runtime: Runtime, write: Write) -> None:
    """Raises FhirError BUSINESS_RULE for a capacity from which no wait could be reckoned; announces a change of it."""
    service = write.resource or {}
    capacities = _capacities(service)
    if len(capacities) > 1 or not all(_is_capacity(item) for item in capacities):
        text = f"a service has one capacity, with weekly-starts as a decimal from 0 to {WEEKLY_STARTS_MAX}"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "HealthcareService.extension")])
    await change_directory(runtime, write)
    before = _resource.decode(write.previous.body) if write.previous is not None and write.previous.body else {}
    if announce_capacity(runtime, write.unit, write.stored, before, service, write.now):
        write.unit.effects.append(pace_effect(write.stored.id, None, write.now))


def announce_capacity(
    runtime: Runtime, unit: UnitOfWork, stored: Stored, before: dict[str, Any], service: dict[str, Any], now: datetime
) -> bool:
    """Adds the event of another capacity to the unit that stores the service; whether it is another one."""
    if _weekly_starts(service) == _weekly_starts(before):
        return False
    focus = f"HealthcareService/{stored.id}"
    entries = [(f"{runtime.engine.base_url}/{focus}", stored)]
    unit.effects.append(event(CAPACITY_CHANGED.canonical, focus, focus, entries, now))
    return True


async def change_directory(runtime: Runtime, write: Write) -> None:
    """Counts the change in the commit that makes it, so that no replica goes on with what was."""
    write.unit.effects.append(revision_effect(f"{write.stored.resource_type}/{write.stored.id}"))


def _weekly_starts(service: dict[str, Any]) -> Decimal:
    """How many people can begin in a week at a checked service; none where it is not active or does not say."""
    parts = (part for capacity in _capacities(service) for part in capacity["extension"])
    starts = next((Decimal(part["valueDecimal"]) for part in parts if part["url"] == "weekly-starts"), Decimal(0))
    return starts if service and service.get("active", True) else Decimal(0)


def _capacities(service: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in service.get("extension", ()) if item.get("url") == extension_url("service-capacity")]


def _is_capacity(extension: dict[str, Any]) -> bool:
    parts = extension.get("extension", ())
    starts = [part.get("valueDecimal") for part in parts if part.get("url") == "weekly-starts"]
    return len(starts) == 1 and starts[0] is not None and 0 <= starts[0] <= WEEKLY_STARTS_MAX
