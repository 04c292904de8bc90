"""Operations ($...): who may ask, of what that is there, and with a body that is valid FHIR; then the handler.

https://hl7.org/fhir/R4/operations.html#executing
"""

from stepwell_shared.fhir import validation
from stepwell_shared.fhir.definitions import served_types
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import visible
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Operation
from stepwell_shared.fhir.validation import json_text


async def operate(operation: Operation, engine: Engine, request: Request) -> Response:
    """Answers one operation of the service, of a type or of one resource.

    Raises FhirError: 403 without the right, 400 for a body that is no valid Parameters or resource, 404 and 410 where
    the resource that it is about is not there or not within the caller's reach.
    """
    if operation.interaction is not None:
        request.access.require(request.resource_type or "*", operation.interaction)
    if request.body:
        _check_body(request.body)
    if request.id:
        served_type = engine.registry.types[request.resource_type]
        stored = await engine.store.read(request.access.tenant, request.resource_type, request.id)
        await visible(engine, request, served_type, stored, operation.interaction or Interaction.READ)
    response: Response = await operation.handler(request)
    return response


def _check_body(body: bytes) -> None:
    """Parameters, or the resource that is an operation's only parameter."""
    parsed, _ = json_text.read(body)
    kind = parsed.get("resourceType")
    if kind not in served_types():
        text = "an operation takes Parameters, or the resource that is its only parameter"
        raise FhirError(Category.INVALID, [Issue(text, "structure", "Parameters")])
    validation.check(body, str(kind))
