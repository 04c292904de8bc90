"""Update. https://hl7.org/fhir/R4/http.html#update"""

from stepwell_shared.fhir import validation
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import require_reach, visible
from stepwell_shared.fhir.interactions.writing import WRITE_ATTEMPTS_MAX, contended, write
from stepwell_shared.fhir.messages import Request, Response, check_if_match
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.store import WriteConflictError


async def update(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#update; creates when the id is new, resurrects when it was deleted."""
    served_type = engine.permitted(request, Interaction.UPDATE)
    resource = validation.check(request.body, request.resource_type)
    if resource.get("id") != request.id:
        text = "the id in the body must be the id in the URL"
        raise FhirError(Category.INVALID, [Issue(text, "invalid", f"{request.resource_type}.id")])
    await require_reach(engine, request, served_type, Interaction.UPDATE, request.id, resource)
    for _ in range(WRITE_ATTEMPTS_MAX):
        previous = await engine.store.read(request.access.tenant, request.resource_type, request.id)
        existed = previous is not None and previous.body is not None
        if existed:
            await visible(engine, request, served_type, previous, Interaction.UPDATE)
        check_if_match(request, previous)
        if not existed and not served_type.allows_update_create:
            text = f"{request.resource_type} with new ids are not made by clients; there is none with this id"
            raise FhirError(Category.METHOD_NOT_ALLOWED, text)
        try:
            return await write(engine, request, served_type, Interaction.UPDATE, request.id, previous, resource)
        except WriteConflictError:
            continue  # another writer was first: look again; If-Match then says no
    raise contended()
