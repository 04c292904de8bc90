"""A write on its way to the store: the next version, what the type's hook adds to it, and the answer."""

from datetime import datetime
from functools import partial
from typing import Any

from stepwell_shared.fhir.body import with_meta
from stepwell_shared.fhir.interactions.engine import Engine, change_of
from stepwell_shared.fhir.interactions.provenance import add_provenance
from stepwell_shared.fhir.messages import Request, Response, etag, written
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction, ServedType, Write
from stepwell_shared.fhir.unit import Method, Stored, UnitOfWork

WRITE_ATTEMPTS_MAX = 8
_METHODS = {Interaction.CREATE: Method.POST, Interaction.DELETE: Method.DELETE}


async def write(
    engine: Engine,
    request: Request,
    served_type: ServedType,
    interaction: Interaction,
    id_: str,
    previous: Stored | None,
    resource: dict[str, Any] | None,
    *,
    asked: Interaction | None = None,
) -> Response:
    """Builds the next version, lets the type's hook add to it or refuse it, and commits everything at once.

    `asked` is what the client calls it, where that is not what it is (a patch is an update).
    """
    now, tenant = engine.clock(), request.access.tenant
    stored = next_version(served_type, interaction, id_, previous, resource, request.body, now)
    unit = UnitOfWork(tenant, [change_of(engine, stored, resource)])
    read = partial(engine.store.read, tenant)
    write = Write(request.access, interaction, resource, previous, stored, unit, now, read)
    response = await complete(engine, request, served_type, write, asked=asked)
    await engine.store.commit(unit)
    return response


def next_version(
    served_type: ServedType,
    interaction: Interaction,
    id_: str,
    previous: Stored | None,
    resource: dict[str, Any] | None,
    body: bytes,
    now: datetime,
) -> Stored:
    """The version that a write makes of a received body; a deletion has no resource."""
    version = previous.version + 1 if previous else 1
    method = _METHODS.get(interaction, Method.PUT)
    text = with_meta(body, resource, id_, version, now) if resource is not None else None
    return Stored(served_type.name, id_, version, now, text, method)


async def complete(
    engine: Engine, request: Request, served_type: ServedType, write: Write, *, asked: Interaction | None = None
) -> Response:
    """Lets the type's hook refuse the write or add to its unit of work, and puts access and answer on record there.

    The answer is the write's as soon as the unit is committed.
    """
    if served_type.on_write is not None:
        await served_type.on_write(write)
    await add_provenance(engine, request, write)
    if write.interaction is Interaction.DELETE:
        response = Response(204, b"", {"ETag": etag(write.stored)}, write.stored.id, witnessed=True)
    else:
        created = write.previous is None or write.previous.body is None
        response = written(engine.base_url, request, served_type, write.stored, created=created)
    write.unit.effects += request.records(asked or write.interaction, response)
    return response


def contended() -> FhirError:
    return FhirError(Category.CONFLICT, "this resource is being changed by too many at once; try again")
