"""Clients say how a Task or a message of ours stands; what it is about is not theirs to change."""

from typing import Any

import orjson
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write

STANDING = {
    "Task": frozenset(
        {"status", "statusReason", "businessStatus", "owner", "note", "output", "lastModified", "executionPeriod"}
    ),
    "Communication": frozenset({"status", "statusReason", "sent", "received", "medium", "note"}),
}


async def change_standing(write: Write) -> None:
    """Raises FhirError BUSINESS_RULE for a change of anything but how it stands."""
    previous: dict[str, Any] = orjson.loads(write.previous.body) if write.previous and write.previous.body else {}
    current = write.resource or {}
    free = STANDING[write.stored.resource_type] | {"meta", "text"}
    changed = [name for name in (previous.keys() | current.keys()) - free if previous.get(name) != current.get(name)]
    if changed:
        place = f"{write.stored.resource_type}.{min(changed)}"
        text = "what it is about stays as it was made; say how it stands"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", place)])
