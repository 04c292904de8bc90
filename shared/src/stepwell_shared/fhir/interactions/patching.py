"""Patch and conditional patch: an update that says only what changes. https://hl7.org/fhir/R4/http.html#patch"""

from dataclasses import replace

from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.matching import match_of
from stepwell_shared.fhir.interactions.reach import not_found, require_reach, visible
from stepwell_shared.fhir.interactions.writing import WRITE_ATTEMPTS_MAX, contended, write
from stepwell_shared.fhir.messages import Request, Response, check_if_match
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.patch import patched
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.store import WriteConflictError


async def patch(engine: Engine, request: Request) -> Response:
    """Applies a JSON Patch or FHIRPath Patch to the resource at the id, or to the one that the criteria match.

    The type's rules see it as the update that it is.
    """
    served_type = engine.permitted(request, Interaction.PATCH)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    for _ in range(WRITE_ATTEMPTS_MAX):
        if request.id:
            previous = await engine.store.read(request.access.tenant, request.resource_type, request.id)
        else:
            previous = await match_of(engine, request, served_type)
            if previous is None:
                raise FhirError(Category.NOT_FOUND, "no resource matches the criteria")
        if previous is None:
            raise not_found(request)
        at = replace(request, id=previous.id)
        stored = await visible(engine, at, served_type, previous, Interaction.PATCH)
        check_if_match(at, stored)
        body, resource = patched(stored.body or b"", request.body, media_type)
        at = replace(at, body=body)
        await require_reach(engine, at, served_type, Interaction.PATCH, at.id, resource)
        try:
            return await write(
                engine, at, served_type, Interaction.UPDATE, at.id, stored, resource, asked=Interaction.PATCH
            )
        except WriteConflictError:
            continue  # another writer was first: the patch is applied to what that one left
    raise contended()
