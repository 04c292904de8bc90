"""`$export`: takes an export in, as of now, and says where it will be told how it goes.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-kick-off-request
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson

from stepwell_shared.auth.caller import Caller
from stepwell_shared.database.pool import UNAVAILABLE_ERRORS
from stepwell_shared.export import jobs
from stepwell_shared.export.asking import EXPORT, Asked, asked, exporter_of, names_of, recipe_of
from stepwell_shared.export.exports import Exports
from stepwell_shared.export.people import PATIENT
from stepwell_shared.export.recipe import Level, Recipe, Selection
from stepwell_shared.fhir.messages import Request, Response, address_of
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import Stored

GROUP = "Group"


async def kick_off(exports: Exports, level: Level, request: Request) -> Response:
    """202 with the address of the status. Raises FhirError."""
    engine, caller = exports.engine, exporter_of(request.access)
    wanted = asked(engine, request, level)
    names = names_of(engine, caller, wanted, level)
    members = await _members(exports, caller, request, wanted, level)
    now = engine.clock()
    # As a FHIR instant has it: what it is compared with has been through one.
    now = now.astimezone(UTC).replace(microsecond=now.microsecond // 1000 * 1000)
    id_ = engine.new_id()
    try:
        async with exports.database.transaction(caller.tenant) as connection:
            horizon = await jobs.horizon_of(connection)
            floors = await _floors(connection, caller.tenant, names, wanted.since)
            recipe = recipe_of(engine, caller, wanted, _narrowed(level, wanted), members, floors)
            job = _job(id_, caller, _address(exports, request), recipe, now, horizon, exports.keep)
            await jobs.add(connection, caller.tenant, job, exports.bounds, now)
    except UNAVAILABLE_ERRORS as error:
        raise exports.unavailable() from error
    exports.wake()
    return Response(202, headers={"Content-Location": f"{exports.address}/{id_}"}, id=request.id)


def _narrowed(level: Level, wanted: Asked) -> Level:
    """An export of named patients is one of a group that nobody keeps."""
    return "group" if wanted.people else level


def _job(
    id_: str, caller: Caller, address: str, recipe: Recipe, now: datetime, horizon: str, keep: timedelta
) -> jobs.Job:
    return jobs.Job(
        id=id_,
        client_id=caller.client_id,
        request=address,
        recipe=recipe,
        transaction_time=now,
        horizon=horizon,
        status=jobs.PLANNING,
        reason="",
        place=0,
        selection=0,
        after_id="",
        resources=0,
        expires_at=now + keep,
    )


def _address(exports: Exports, request: Request) -> str:
    """The URL as it was asked."""
    parts = (exports.engine.base_url, request.resource_type, request.id, EXPORT)
    return address_of("/".join(part for part in parts if part), request.parameters)


async def _floors(
    connection: asyncpg.Connection, tenant: str, names: Iterable[str], since: datetime | None
) -> dict[str, Selection]:
    """By type where `_since` begins; a type that nothing is that new of has no place."""
    found: dict[str, Selection] = {}
    for name in names if since is not None else ():
        assert since is not None
        row = await connection.fetchrow("SELECT * FROM export_floor($1, $2, $3)", tenant, name, since)
        if row is not None:
            own = None if row["is_exact"] else since.isoformat()
            found[name] = Selection(name, changed_in=row["low"], changed_since=own)
    return found


async def _members(exports: Exports, caller: Caller, request: Request, wanted: Asked, level: Level) -> list[str]:
    """The patients whose resources are wanted, such as `Patient/x`; nobody unless it is about some."""
    localise = exports.engine.localise
    named = [localise(each) for each in wanted.people]
    if level != "group":
        return named
    stored = await exports.engine.store.read(caller.tenant, GROUP, request.id)
    group = _in_group(stored, localise)
    return [each for each in group if each in set(named)] if named else group


def _in_group(stored: Stored | None, localise: Callable[[str], str]) -> list[str]:
    """The patients that are in a group now."""
    if stored is None or stored.body is None:
        raise FhirError(Category.NOT_FOUND, "there is no Group with this id")
    members = orjson.loads(stored.body).get("member", ())
    found = [
        localise(each.get("entity", {}).get("reference", "")) for each in members if not each.get("inactive", False)
    ]
    return list(dict.fromkeys(each for each in found if each.startswith(f"{PATIENT}/")))
