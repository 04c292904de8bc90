"""Delete and conditional delete. https://hl7.org/fhir/R4/http.html#delete"""

from dataclasses import replace

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.matching import match_of
from stepwell_shared.fhir.interactions.reach import visible
from stepwell_shared.fhir.interactions.writing import WRITE_ATTEMPTS_MAX, contended, write
from stepwell_shared.fhir.messages import Request, Response, check_if_match
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.store import WriteConflictError


async def delete(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#delete; what is already gone stays gone.

    Without an id it deletes the one resource that the criteria match.
    """
    served_type = engine.permitted(request, Interaction.DELETE)
    for _ in range(WRITE_ATTEMPTS_MAX):
        if request.id:
            previous = await engine.store.read(request.access.tenant, request.resource_type, request.id)
        else:
            previous = await match_of(engine, request, served_type)
        if previous is None or previous.body is None:
            return Response(204, id=request.id)
        at = replace(request, id=previous.id)
        await visible(engine, at, served_type, previous, Interaction.DELETE)
        check_if_match(at, previous)
        try:
            return await write(engine, at, served_type, Interaction.DELETE, at.id, previous, None)
        except WriteConflictError:
            continue
    raise contended()
