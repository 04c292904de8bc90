"""Which types of messages and documents referral serves: search parameters, rules at a write."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from stepwell_shared.fhir.registry import READ_ONLY, Content, Interaction, ServedType, served
from stepwell_shared.runtime import Runtime

from stepwell_referral.data.loop import document_bytes_max, document_endings
from stepwell_referral.use_cases.advice import write_communication
from stepwell_referral.use_cases.documents import write_binary, write_document

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
        on_write=partial(write_communication, runtime),
        indexes=(("patient", "-sent"),),
        update_create=False,
        documentation="What a person is told of their referral, whom an open one was brought to, and messages between"
        " people and their team: what a person writes is answered by a person by the time that the receipt says. Each"
        " part says by message-channel where it may travel: `open` names nobody and nothing. Whoever brings messages"
        " follows communication-changed, and says by the status that one was sent. A question to a partner organisation"
        " (case-review|econsult-question) and its answer move nobody's care.",
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
        " (Task.output): with up to 512 KiB of content, or its address, such as Binary/x.",
    )
    binary = served(
        "Binary",
        [],
        interactions=frozenset({Interaction.CREATE, Interaction.READ}),
        on_write=partial(write_binary, runtime),
        update_create=False,
        documentation="Content of documents, sent and read as it is or as FHIR: of the media types that are listed,"
        " never guessed, up to 512 KiB. Who may read its securityContext (X-Security-Context) may read it.",
    )
    yield replace(binary, content=Content(document_endings(), document_bytes_max()))
