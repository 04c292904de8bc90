"""Update and conditional update. https://hl7.org/fhir/R4/http.html#update"""

from dataclasses import replace
from typing import Any

from stepwell_shared.fhir import validation
from stepwell_shared.fhir.interactions.creating import free_place
from stepwell_shared.fhir.interactions.engine import Engine
from stepwell_shared.fhir.interactions.matching import criteria_of, match_of
from stepwell_shared.fhir.interactions.reach import require_reach, visible
from stepwell_shared.fhir.interactions.writing import WRITE_ATTEMPTS_MAX, contended, write
from stepwell_shared.fhir.messages import Request, Response, check_if_match
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.presentation import is_subsetted
from stepwell_shared.fhir.registry import Interaction, ServedType
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored

Resource = dict[str, Any]


async def update(engine: Engine, request: Request) -> Response:
    """https://hl7.org/fhir/R4/http.html#update; creates when the id is new, resurrects when it was deleted."""
    served_type = engine.permitted(request, Interaction.UPDATE)
    resource = validation.check(request.body, request.resource_type)
    refuse_subset(resource)
    if not request.id:
        return await _update_match(engine, request, served_type, resource)
    if resource.get("id") != request.id:
        raise _other_id(request)
    await require_reach(engine, request, served_type, Interaction.UPDATE, request.id, resource)
    for _ in range(WRITE_ATTEMPTS_MAX):
        previous = await engine.store.read(request.access.tenant, request.resource_type, request.id)
        try:
            return await _put(engine, request, served_type, previous, resource)
        except WriteConflictError:
            continue  # another writer was first: look again; If-Match then says no
    raise contended()


def refuse_subset(resource: Resource) -> None:
    """Raises BUSINESS_RULE for a resource that is only a part of one: the rest would be lost."""
    if is_subsetted(resource):
        text = "this is only a part of the resource (SUBSETTED); send the whole, or PATCH what changes"
        place = f"{resource['resourceType']}.meta.tag"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", place)])


async def _put(
    engine: Engine, request: Request, served_type: ServedType, previous: Stored | None, resource: Resource
) -> Response:
    """Writes the next version at the request's id; raises WriteConflictError when `previous` is not the last one."""
    if previous is not None and previous.body is not None:
        await visible(engine, request, served_type, previous, Interaction.UPDATE)
    check_if_match(request, previous)
    if (previous is None or previous.body is None) and not served_type.allows_update_create:
        text = f"{request.resource_type} with new ids are not made by clients; there is none with this id"
        raise FhirError(Category.METHOD_NOT_ALLOWED, text)
    return await write(engine, request, served_type, Interaction.UPDATE, request.id, previous, resource)


async def _update_match(engine: Engine, request: Request, served_type: ServedType, resource: Resource) -> Response:
    """https://hl7.org/fhir/R4/http.html#cond-update

    Like a conditional create, one that finds nothing takes an id that follows from the criteria, so that of many at
    one moment one creates and the others update what it created.
    """
    tenant, sent_id = request.access.tenant, resource.get("id")
    for _ in range(WRITE_ATTEMPTS_MAX):
        free_id, previous = await free_place(engine, tenant, served_type.name, criteria_of(request))
        match = await match_of(engine, request, served_type)
        if match is not None and sent_id not in {None, match.id}:
            raise _other_id(request)
        if match is not None:
            free_id, previous = match.id, match
        elif sent_id is not None:
            free_id, previous = sent_id, await engine.store.read(tenant, served_type.name, sent_id)
            if previous is not None and previous.body is not None:
                text = "the resource with the id in the body is there, and the criteria do not match it"
                raise FhirError(Category.CONFLICT, [Issue(text, "conflict", f"{served_type.name}.id")])
        at, resource["id"] = replace(request, id=free_id), free_id
        await require_reach(engine, at, served_type, Interaction.UPDATE, free_id, resource)
        try:
            return await _put(engine, at, served_type, previous, resource)
        except WriteConflictError:
            continue
    raise contended()


def _other_id(request: Request) -> FhirError:
    text = "the id in the body must be the id of the resource that the URL names"
    return FhirError(Category.INVALID, [Issue(text, "invalid", f"{request.resource_type}.id")])
