"""From an entry to the interaction that it asks for: the same functions that answer single requests."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.bundle.entries import Entry
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.interactions.contents import FHIR_JSON
from stepwell_shared.fhir.interactions.operating import operate
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.fhir.search.criteria import COMPARTMENT

Verb = Callable[[Engine, Request], Awaitable[Response]]
_HISTORY = "_history"
# Headers of the Bundle's request that hold for each of its entries.
_OF_ALL = ("prefer", "x-provenance")
_SYSTEM_SEARCH = "search-system"


def request_of(bundle: Request, entry: Entry) -> Request:
    """The entry as a request of its own, with the preferences of the Bundle's."""
    witness_of = bundle.witness_of
    shared = {name: bundle.headers[name] for name in _OF_ALL if name in bundle.headers}
    return replace(
        bundle,
        witness=witness_of(entry.address.resource_type) if witness_of is not None else bundle.witness,
        resource_type=entry.address.resource_type,
        id=entry.address.id,
        version_id=entry.address.version_id,
        body=entry.body,
        headers={**shared, **entry.headers, "content-type": entry.content_type, "accept": FHIR_JSON},
        parameters=_parameters(entry),
        keep=None,
    )


def _parameters(entry: Entry) -> list[tuple[str, str]]:
    """What the address asks by, with the compartment as the search parameter that stands for it."""
    compartment = entry.address.compartment
    return [*([(COMPARTMENT, compartment)] if compartment else []), *entry.address.parameters]


def verb_of(engine: Engine, entry: Entry) -> tuple[Verb, str]:
    """What answers the entry, and the interaction's name. Raises FhirError for what is not served."""
    address = entry.address
    if entry.is_operation:
        operation = operation_of(engine, entry)
        return interactions.validate if operation is None else partial(operate, operation), address.rest
    if entry.is_read:
        return _reading(entry)
    return _WRITES[entry.method]


def _reading(entry: Entry) -> tuple[Verb, str]:
    address = entry.address
    if address.version_id:
        return interactions.vread, "vread"
    if address.rest == _HISTORY:
        of_type = "history-type" if address.resource_type else interactions.HISTORY_SYSTEM
        return interactions.history, "history-instance" if address.id else of_type
    if not address.resource_type:
        return interactions.search_types, _SYSTEM_SEARCH
    return (interactions.read, "read") if address.id else (interactions.search, "search-type")


_WRITES: dict[str, tuple[Verb, str]] = {
    "POST": (interactions.create, "create"),
    "PUT": (interactions.update, "update"),
    "PATCH": (interactions.patch, "patch"),
    "DELETE": (interactions.delete, "delete"),
}


def operation_of(engine: Engine, entry: Entry) -> Operation | None:
    """The operation that an entry asks for; None stands for $validate. Raises FhirError for what is not served."""
    name, address = entry.address.rest[1:], entry.address
    if address.rest == interactions.VALIDATE and address.resource_type:
        if entry.is_read:
            raise FhirError(Category.METHOD_NOT_ALLOWED, "this operation takes POST")
        return None
    for operation in _declared(engine, entry):
        if operation.name == name:
            if operation.is_asynchronous:
                raise FhirError(Category.INVALID, "this operation is a request of its own, not an entry of a Bundle")
            if entry.is_read and operation.affects_state:
                raise FhirError(Category.METHOD_NOT_ALLOWED, "this operation takes POST")
            return operation
    raise FhirError(Category.NOT_FOUND, "no such operation is served")


def _declared(engine: Engine, entry: Entry) -> list[Operation]:
    """The operations at the entry's kind of address: of the service, of the type or of one resource."""
    if not entry.address.resource_type:
        return list(engine.registry.operations)
    served_type = engine.served(entry.address.resource_type, Interaction.READ)
    return [each for each in served_type.operations if each.instance is bool(entry.address.id)]
