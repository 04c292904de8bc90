"""Search values for what was stored before search knew of them: columns and index rows are made anew from the bodies.

Searches are exact before and meanwhile for concepts in columns; a parameter that a release adds finds older resources
once this has run. It takes few rows at a time, waits for nobody's transaction but that of a row's own writer, changes
only what differs, and can be stopped and started again.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from stepwell_shared.database.pool import Connection, Database
from stepwell_shared.fhir.indexing import Localise, columns_of, numbers_of, rows_of
from stepwell_shared.fhir.parameters import Storage
from stepwell_shared.fhir.registry import Registry, ServedType
from stepwell_shared.fhir.table_names import SHAPE_TABLE, column_names, current_table, index_table, number_table

BATCH = 200
# Raised when the values change that a parameter keeps of the same element.
RULES = 1

_INDEX_COLUMNS = ("parameter", "system", "code", "display")
_NUMBER_COLUMNS = ("parameter", "ordinal", "key_system", "key_code", "system", "code", "unit", "low", "high")
_TYPES = {"ordinal": "integer", "low": "float8", "high": "float8"}


@dataclass(frozen=True)
class Reindexed:
    """How many resources of a type were looked at, and how many of them search found differently before."""

    resource_type: str
    seen: int
    changed: int


def shape_of(served_type: ServedType) -> str:
    """A digest of what search keeps of a type; another one means that stored resources are to be indexed anew."""
    kept = [[p.name, p.storage, p.type, p.paths, p.parts, p.targets] for p in served_type.parameters.values()]
    return sha256(orjson.dumps([RULES, kept])).hexdigest()


async def reindex(
    database: Database, registry: Registry, localise: Localise, tenants: Sequence[str], *, everything: bool = False
) -> list[Reindexed]:
    """Indexes anew the resources of all types whose shape is another than when this last ran, or with `everything`
    of all. To be run when no process of the release before writes any more."""
    shapes = {row["resource_type"]: row["shape"] for row in await database.fetch(f"SELECT * FROM {SHAPE_TABLE}")}
    done = []
    for served_type in registry:
        if served_type.view is not None:
            continue
        shape = shape_of(served_type)
        if shapes.get(served_type.name) == shape and not everything:
            continue
        counts = [await _tenant(database, served_type, localise, tenant) for tenant in tenants]
        done.append(Reindexed(served_type.name, sum(seen for seen, _ in counts), sum(new for _, new in counts)))
        await database.fetch(
            f"INSERT INTO {SHAPE_TABLE} (resource_type, shape) VALUES ($1, $2)"
            " ON CONFLICT (resource_type) DO UPDATE SET shape = excluded.shape",
            served_type.name,
            shape,
        )
    return done


async def _tenant(database: Database, served_type: ServedType, localise: Localise, tenant: str) -> tuple[int, int]:
    """How many resources of one tenant were seen and changed."""
    seen = changed = 0
    last = ""
    while True:
        async with database.transaction(tenant) as connection:
            batch = await _batch(connection, served_type, tenant, last)
            if not batch:
                return seen, changed
            changed += await _index(connection, served_type, localise, tenant, batch)
        seen, last = seen + len(batch), batch[-1]["id"]


async def _batch(connection: Connection, served_type: ServedType, tenant: str, last: str) -> list[Any]:
    """The next resources with their columns; nobody changes them until the transaction ends."""
    names = ", ".join(["id", "body", *_columns(served_type)])
    found: list[Any] = await connection.fetch(
        f"SELECT {names} FROM {current_table(served_type.name)} WHERE tenant = $1 AND id > $2 AND body IS NOT NULL"
        f" ORDER BY id LIMIT {BATCH} FOR UPDATE",
        tenant,
        last,
    )
    return found


def _columns(served_type: ServedType) -> list[str]:
    return [name for parameter in served_type.columns for name in column_names(parameter)]


async def _index(
    connection: Connection, served_type: ServedType, localise: Localise, tenant: str, batch: Sequence[Any]
) -> int:
    """How many of these resources had other values."""
    resources = {row["id"]: orjson.loads(row["body"]) for row in batch}
    names = _columns(served_type)
    columns = {id_: columns_of(served_type, resource, localise) for id_, resource in resources.items()}
    changed = {row["id"] for row in batch if columns[row["id"]] != tuple(row[name] for name in names)}
    await _set_columns(connection, served_type, tenant, {id_: columns[id_] for id_ in changed})
    if served_type.rows or served_type.references:
        rows = {id_: rows_of(served_type, each, localise, columns[id_]) for id_, each in resources.items()}
        changed |= await _replace(connection, index_table(served_type.name), _INDEX_COLUMNS, tenant, rows)
    if served_type.numbers:
        numbers = {id_: numbers_of(served_type, resource) for id_, resource in resources.items()}
        changed |= await _replace(connection, number_table(served_type.name), _NUMBER_COLUMNS, tenant, numbers)
    return len(changed)


async def _set_columns(
    connection: Connection, served_type: ServedType, tenant: str, columns: dict[str, tuple[object, ...]]
) -> None:
    if not columns:
        return
    names = _columns(served_type)
    dates = {
        name for each in served_type.columns if each.storage is Storage.DATE_COLUMNS for name in column_names(each)
    }
    kinds = ["text", *("timestamptz" if name in dates else "text" for name in names)]
    arrays = ", ".join(f"${number + 2}::{kind}[]" for number, kind in enumerate(kinds))
    await connection.execute(
        f"UPDATE {current_table(served_type.name)} AS t SET {', '.join(f'{name} = u.{name}' for name in names)}"
        f" FROM unnest({arrays}) AS u(id, {', '.join(names)}) WHERE t.tenant = $1 AND t.id = u.id",
        tenant,
        *zip(*((id_, *values) for id_, values in columns.items()), strict=True),
    )


async def _replace(
    connection: Connection,
    table: str,
    names: Sequence[str],
    tenant: str,
    wanted: dict[str, Iterable[tuple[object, ...]]] | dict[str, list[Any]],
) -> set[str]:
    """Puts these rows in the place of those that are there; the ids for which they differed."""
    there: dict[str, set[tuple[object, ...]]] = defaultdict(set)
    listed = ", ".join(names)
    found = await connection.fetch(
        f"SELECT id, {listed} FROM {table} WHERE tenant = $1 AND id = ANY($2)", tenant, [*wanted]
    )
    for row in found:
        there[row["id"]].add(tuple(row[name] for name in names))
    changed = {id_ for id_, rows in wanted.items() if there[id_] != set(rows)}
    if changed:
        await connection.execute(f"DELETE FROM {table} WHERE tenant = $1 AND id = ANY($2)", tenant, [*changed])
    rows = [(id_, *row) for id_ in changed for row in wanted[id_]]
    if rows:
        arrays = ", ".join(f"${number + 2}::{_TYPES.get(name, 'text')}[]" for number, name in enumerate(("id", *names)))
        await connection.execute(
            f"INSERT INTO {table} (tenant, id, {listed}) SELECT $1, u.* FROM unnest({arrays}) AS u",
            tenant,
            *zip(*rows, strict=True),
        )
    return changed
