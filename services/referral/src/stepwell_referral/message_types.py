"""Which types of messages and documents referral serves: search parameters, rules at a write."""

from collections.abc import Iterator

from stepwell_shared.fhir.registry import READ_ONLY, ServedType, served
from stepwell_shared.runtime import Runtime


def message_types(runtime: Runtime) -> Iterator[ServedType]:
    """What people are told and say, and the documents that travel with a referral."""
    yield served(
        "Communication",
        [
            *("based-on", "category", "encounter", "identifier", "instantiates-canonical", "instantiates-uri"),
            *("medium", "part-of", "patient", "received", "recipient", "sender", "sent", "status", "subject"),
        ],
        interactions=READ_ONLY,
        indexes=(("patient", "-sent"),),
        documentation="What a person is told of their referral, and whom an open referral was brought to.",
    )
    yield served(
        "DocumentReference",
        [
            *("authenticator", "author", "category", "contenttype", "custodian", "date", "description", "encounter"),
            *("event", "facility", "format", "identifier", "language", "location", "patient", "period", "related"),
            *("relatesto", "relation", "security-label", "setting", "status", "subject", "type"),
        ],
        interactions=READ_ONLY,
        indexes=(("patient", "-date"),),
        documentation="What travels with a referral, and the notes that come back.",
    )
