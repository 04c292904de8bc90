"""Delete. https://hl7.org/fhir/R4/http.html#delete"""

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.reach import visible
from stepwell_shared.fhir.interactions.writing import WRITE_ATTEMPTS_MAX, contended, write
from stepwell_shared.fhir.messages import Request, Response, check_if_match
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.store import WriteConflictError


async def delete(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#delete; what is already gone stays gone."""
    served_type = engine.permitted(request, Interaction.DELETE)
    for _ in range(WRITE_ATTEMPTS_MAX):
        previous = await engine.store.read(request.access.tenant, request.resource_type, request.id)
        if previous is None or previous.body is None:
            return Response(204, id=request.id)
        await visible(engine, request, served_type, previous, Interaction.DELETE)
        check_if_match(request, previous)
        try:
            return await write(engine, request, served_type, Interaction.DELETE, request.id, previous, None)
        except WriteConflictError:
            continue
    raise contended()
