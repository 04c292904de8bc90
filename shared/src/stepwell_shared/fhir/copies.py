"""Copies of what another service or organisation owns, kept under the owner's id.

`meta.source` of a copy is the address of the version that it was made from, so that a version that comes
twice, or after a newer one, changes nothing.
"""

import asyncio
from datetime import datetime
from typing import Any

import orjson

from stepwell_shared.fhir.body import encode, with_meta
from stepwell_shared.fhir.interactions import Engine, built, change_of
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Change, Method, Stored, UnitOfWork


def source_of(stored: Stored | None) -> str:
    """Where a copy came from; nothing for what is no copy."""
    if stored is None or stored.body is None:
        return ""
    return str(orjson.loads(stored.body).get("meta", {}).get("source", ""))


def version_in(source: str) -> int:
    """The version number at the end of a versioned address; 0 when there is none."""
    number = source.rpartition("/_history/")[2]
    return int(number) if number.isdecimal() else 0


async def copy_change(
    engine: Engine, tenant: str, resource: dict[str, Any], source: str, now: datetime
) -> tuple[Change | None, Stored | None]:
    """The change that keeps this version as a copy, and what was there before.

    No change when this version or a newer one is kept already. `source` ends in `/_history/{version}`.
    """
    previous = await engine.store.read(tenant, resource["resourceType"], resource["id"])
    if previous is not None and version_in(source) <= version_in(source_of(previous)):
        return None, previous
    version = previous.version + 1 if previous else 1
    kept = {**resource, "meta": {**resource.get("meta", {}), "source": source}}
    body = with_meta(encode(kept), kept, resource["id"], version, now)
    stored = Stored(resource["resourceType"], resource["id"], version, now, body, Method.PUT)
    return change_of(engine, stored, kept), previous


async def keep_copy(engine: Engine, tenant: str, resource: dict[str, Any], source: str) -> None:
    """Commits the copy alone; another replica that was first has the same or a newer version."""
    while True:
        change, _ = await copy_change(engine, tenant, resource, source, engine.clock())
        if change is None:
            return
        try:
            await engine.store.commit(UnitOfWork(tenant, [change]))
        except WriteConflictError:
            continue
        return


async def ship(engine: Engine, tenant: str, *resources: dict[str, Any]) -> None:
    """Puts resources that the product ships into a tenant, each unless something stands under its id already.

    They are looked up and written together, but each is a unit of work of its own.
    """
    by_type: dict[str, dict[str, dict[str, Any]]] = {}
    for each in resources:
        by_type.setdefault(each["resourceType"], {})[each["id"]] = each
    for type_, by_id in by_type.items():
        missing = by_id.keys() - await engine.store.present(tenant, type_, by_id)
        await asyncio.gather(*(_ship(engine, tenant, by_id[id_]) for id_ in by_id if id_ in missing))


async def _ship(engine: Engine, tenant: str, resource: dict[str, Any]) -> None:
    try:
        await engine.store.commit(UnitOfWork(tenant, [built(engine, resource, engine.clock())]))
    except WriteConflictError:
        return  # another replica shipped it
