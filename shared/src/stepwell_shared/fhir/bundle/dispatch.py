"""From an entry to the interaction that it asks for: the same functions that answer single requests."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.bundle.entries import Entry
from stepwell_shared.fhir.interactions import Engine
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction, Operation

Verb = Callable[[Engine, Request], Awaitable[Response]]
_HISTORY = "_history"
# Headers of the Bundle's request that hold for each of its entries.
_OF_ALL = ("prefer", "x-provenance")
FHIR_JSON = "application/fhir+json"  # a patch in a Bundle is a FHIRPath Patch


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
        headers={**shared, **entry.headers, "content-type": FHIR_JSON},
        parameters=entry.address.parameters,
        keep=None,
    )


def verb_of(engine: Engine, entry: Entry) -> tuple[Verb, str]:
    """What answers the entry, and the interaction's name. Raises FhirError for what is not served."""
    address = entry.address
    if address.rest == interactions.VALIDATE and entry.method == "POST":
        return interactions.validate, interactions.VALIDATE
    if address.rest.startswith("$"):
        operation = _operation(engine, entry)
        return partial(_operate, operation), address.rest
    if entry.is_read:
        if address.version_id:
            return interactions.vread, "vread"
        if address.rest == _HISTORY:
            return interactions.history, "history-instance" if address.id else "history-type"
        return (interactions.read, "read") if address.id else (interactions.search, "search-type")
    return _WRITES[entry.method]


_WRITES: dict[str, tuple[Verb, str]] = {
    "POST": (interactions.create, "create"),
    "PUT": (interactions.update, "update"),
    "PATCH": (interactions.patch, "patch"),
    "DELETE": (interactions.delete, "delete"),
}


def _operation(engine: Engine, entry: Entry) -> Operation:
    name, is_instance = entry.address.rest[1:], bool(entry.address.id)
    served_type = engine.served(entry.address.resource_type, Interaction.READ)
    for operation in served_type.operations:
        if operation.name == name and operation.instance is is_instance:
            if entry.is_read and operation.affects_state:
                raise FhirError(Category.METHOD_NOT_ALLOWED, "this operation takes POST")
            return operation
    raise FhirError(Category.NOT_FOUND, "no such operation is served")


async def _operate(operation: Operation, engine: Engine, request: Request) -> Response:
    request.access.require(request.resource_type, operation.interaction)
    response: Response = await operation.handler(request)
    return response
