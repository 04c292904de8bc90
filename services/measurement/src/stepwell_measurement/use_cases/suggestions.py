"""Suggestions: taken from anybody without asking who they are, read and sorted by leaders, each look on record."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.pages.door import Visit
from stepwell_shared.runtime import Runtime
from stepwell_shared.signing import opened, signed

from stepwell_measurement.improvement_tables import (
    Suggestion,
    kept_suggestions,
    suggestion_effect,
    suggestion_of,
    unread,
)
from stepwell_measurement.rules.suggestions import ERASED, FORM_LIVES, NEW, STATUSES, UNREAD_MAX, Pace, taken
from stepwell_measurement.use_cases.site import EVERYBODY, site_file

MEASURE_REPORT, NO_TYPE = "MeasureReport", "Basic"
"""R4 has no type for a suggestion or a decision of a board: the record names them as Basic, which is for that."""


class Came(StrEnum):
    """What became of something that was sent."""

    KEPT = "kept"
    LENGTH = "length"
    AGAIN = "again"
    BUSY = "busy"


@dataclass(frozen=True)
class CrisisContact:
    """Somebody to turn to at once, in the words of the site's file by language."""

    name: Mapping[str, str]
    hours: Mapping[str, str]
    phone: str
    url: str


def is_open(runtime: Runtime, tenant: str) -> bool:
    """Whether a tenant asks everybody for suggestions.

    Its site's file says so: `{"north": {"publicDashboard": {"suggestions": true}}}`.
    """
    published = site_file(runtime, tenant).get("publicDashboard")
    return isinstance(published, dict) and published.get("suggestions") is True


def crisis_contacts(runtime: Runtime, tenant: str) -> list[CrisisContact]:
    """Whom the site names for people in danger, as its forms do."""
    said: Any = (site_file(runtime, tenant) or site_file(runtime, EVERYBODY)).get("crisisContacts")
    contacts = said if isinstance(said, list) else []
    return [
        CrisisContact(each["name"], each.get("hours", {}), str(each.get("phone", "")), str(each.get("url", "")))
        for each in contacts
        if isinstance(each, dict) and isinstance(each.get("name"), dict) and each["name"]
    ]


def form_token(runtime: Runtime, tenant: str) -> str:
    """What shows that a form is from a page of ours; it says when that was made and nothing else."""
    return signed(runtime, f"suggestion {tenant}", str(int(runtime.clock().timestamp())))


async def suggest(runtime: Runtime, tenant: str, text: str, language: str, token: str) -> Came:
    """Keeps what somebody wrote: the text, the language and the day."""
    now = runtime.clock()
    parts = opened(runtime, f"suggestion {tenant}", token)
    if parts is None or now.timestamp() - int(parts[0]) > FORM_LIVES.total_seconds():
        return Came.AGAIN
    kept = taken(text)
    if kept is None:
        return Came.LENGTH
    pace = runtime.cache.setdefault(("suggestions", tenant), Pace())
    if not isinstance(pace, Pace) or not pace.takes(now) or await unread(runtime.database, tenant) >= UNREAD_MAX:
        return Came.BUSY
    suggestion = Suggestion(runtime.new_id(), now.date(), language, kept, NEW)
    await runtime.store.commit(UnitOfWork(tenant, effects=[suggestion_effect(suggestion)]))
    return Came.KEPT


def require_leader(visit: Visit) -> None:
    """Suggestions are read, and minutes written, by whoever may change every MeasureReport. Raises FORBIDDEN."""
    visit.access.require_unrestricted(MEASURE_REPORT, Interaction.UPDATE)


async def suggestions_for(visit: Visit) -> list[Suggestion]:
    """The suggestions for a leader. Raises FhirError FORBIDDEN."""
    require_leader(visit)
    return await kept_suggestions(visit.runtime.database, visit.access.tenant)


async def sort_out(visit: Visit, id_: str, status: str) -> None:
    """Says how a suggestion stands; erasing takes its text away for good. Raises FhirError."""
    require_leader(visit)
    if status not in STATUSES or status == NEW:
        raise FhirError(Category.INVALID, f"status is one of {', '.join(STATUSES[1:])}")
    known = await suggestion_of(visit.runtime.database, visit.access.tenant, id_)
    if known is None:
        raise FhirError(Category.NOT_FOUND, "there is no such suggestion")
    if known.status == ERASED:
        raise FhirError(Category.CONFLICT, "the suggestion was erased")
    row = visit.record(NO_TYPE, "update", id_, 303)
    changed = suggestion_effect(known._replace(status=status))
    await visit.runtime.store.commit(UnitOfWork(visit.access.tenant, effects=[changed, row]))
