"""Which types of messages and documents referral serves: search parameters, rules at a write."""

from collections.abc import Iterator
from functools import partial

from stepwell_shared.fhir.registry import READ_ONLY, Interaction, ServedType, served
from stepwell_shared.runtime import Runtime

from stepwell_referral.use_cases.documents import write_document
from stepwell_referral.use_cases.messaging import write_message

KEPT = READ_ONLY | {Interaction.CREATE, Interaction.UPDATE}


def message_types(runtime: Runtime) -> Iterator[ServedType]:
    """What people are told and say, and the documents that travel with a referral."""
    yield served(
        "Communication",
        [
            *("based-on", "category", "encounter", "identifier", "instantiates-canonical", "instantiates-uri"),
            *("medium", "part-of", "patient", "received", "recipient", "sender", "sent", "status", "subject"),
        ],
        interactions=KEPT,
        on_write=partial(write_message, runtime),
        indexes=(("patient", "-sent"),),
        update_create=False,
        documentation="What a person is told of their referral, whom an open one was brought to, and messages between"
        " people and their team: what a person writes is answered by a person by the time that the receipt says. Each"
        " part says by message-channel where it may travel: `open` names nobody and nothing. Whoever brings messages"
        " follows communication-changed, and says by the status that one was sent.",
    )
    yield served(
        "DocumentReference",
        [
            *("authenticator", "author", "category", "contenttype", "custodian", "date", "description", "encounter"),
            *("event", "facility", "format", "identifier", "language", "location", "patient", "period", "related"),
            *("relatesto", "relation", "security-label", "setting", "status", "subject", "type"),
        ],
        interactions=KEPT,
        on_write=partial(write_document, runtime),
        indexes=(("patient", "-date"),),
        update_create=False,
        documentation="What travels with a referral (ServiceRequest.supportingInfo), and the notes that come back"
        " (Task.output): with up to 512 KiB of content, or its address.",
    )
