"""Consent as every service serves it, and the copies that others keep of what screening owns."""

from typing import Any, Protocol

from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir.copies import keep_copy
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.registry import READ_ONLY, ServedType, served

# `any-actor` is ours: R4's `actor` does not look into provisions within provisions.
CONSENT_PARAMETERS = (
    *("action", "actor", "any-actor", "category", "consentor", "data", "date", "identifier", "organization", "patient"),
    *("period", "purpose", "scope", "security-label", "source-reference", "status"),
)
RELATED_PERSON_PARAMETERS = (
    *("active", "address", "address-city", "address-country", "address-postalcode", "address-state", "address-use"),
    *("birthdate", "email", "gender", "identifier", "name", "patient", "phone", "relationship", "telecom"),
)
CONSENT_CHANGED = ("screening", "consent-changed")


class HasEngine(Protocol):
    """What keeps copies: a running service."""

    @property
    def engine(self) -> Engine: ...


def consent_copy() -> ServedType:
    """The read-only copy of Consent that the topic consent-changed keeps."""
    return served(
        "Consent",
        CONSENT_PARAMETERS,
        interactions=READ_ONLY,
        indexes=(("patient", "status"),),
        documentation="A copy under the id that screening gave; screening owns it. This service shares by it.",
    )


async def keep_consent(runtime: HasEngine, received: ReceivedEvent, tenant: str) -> None:
    """Topic consent-changed: keeps the copy of Consent up to date. What it says holds as soon as it is stored."""
    for url, resource in consents_in(received):
        await keep_copy(runtime.engine, tenant, resource, f"{url}/_history/{resource['meta']['versionId']}")


def consents_in(received: ReceivedEvent) -> list[tuple[str, dict[str, Any]]]:
    """The Consents of an event with their addresses."""
    return [(url, each) for url, each in received.resources.items() if each["resourceType"] == "Consent"]
