"""Removes what stands beside the resources: old versions, rows of the services' own tables, answers, events, exports.

Rows are found in every table and every column of text there is, so that a table which a release adds is not forgotten.
The running services cannot do this: their login may neither change nor remove a version.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from stepwell_shared.cli.erasing_finding import Found, Key
from stepwell_shared.database.pool import Connection
from stepwell_shared.fhir.erased import is_emptied
from stepwell_shared.fhir.outcome import Issue, outcome_bytes
from stepwell_shared.fhir.table_names import current_table

# Kept, or treated apart below. The audit is kept whole: it has ids and no names (docs/erasure.md).
APART: Final = frozenset(
    {
        *("assertion_seen", "audit", "audit_seal", "client", "issuer_key_set", "search_shape", "tenant"),
        *("export_job", "export_part", "idempotency_key", "outbox", "received_event"),
        *("subscription_event", "subscription_state"),
    }
)
# A bare id is compared as it is where it cannot be by accident, else only in a column that is named for its type.
ID_CHARACTERS_MIN: Final = 16

_TABLES = """SELECT c.table_name AS name, array_agg(c.column_name::text) AS columns FROM information_schema.columns AS c
  JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
  WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.data_type = 'text'
    AND c.table_name NOT LIKE 'fhir\\_%' GROUP BY c.table_name"""
_OLD_VERSIONS = "DELETE FROM fhir_version WHERE tenant = $1 AND resource_type = $2 AND id = $3 AND version < $4"
_GONE = outcome_bytes([Issue("what was asked for here was erased", "deleted")])


async def purge_versions(connection: Connection, tenant: str, keys: Sequence[Key]) -> int:
    """Removes every version before the present one. Returns how many there were."""
    removed = 0
    for resource_type, id_ in keys:
        current = f"SELECT version FROM {current_table(resource_type)} WHERE tenant = $1 AND id = $2"
        version = await connection.fetchval(current, tenant, id_)
        if version is not None:
            removed += _count(await connection.execute(_OLD_VERSIONS, tenant, resource_type, id_, version))
    return removed


async def purge_tables(connection: Connection, tenant: str, found: Found) -> int:
    """Removes or empties all rows that are the person's, or of what is erased. Returns how many."""
    ids = [id_ for _, id_ in found.erased]
    removed = 0
    for row in await connection.fetch(_TABLES):
        if row["name"] not in APART and "tenant" in row["columns"]:
            removed += await _purge_rows(connection, tenant, row["name"], row["columns"], found)
    removed += await _purge_answers(connection, tenant, found, ids)
    removed += await _purge_events(connection, tenant, found)
    return removed + await _purge_exports(connection, tenant, found)


async def _purge_rows(connection: Connection, tenant: str, table: str, columns: Sequence[str], found: Found) -> int:
    long_ids = [id_ for _, id_ in found.erased if len(id_) >= ID_CHARACTERS_MIN]
    removed = 0
    for column in columns:
        if column == "tenant":
            continue
        named = [id_ for type_, id_ in found.erased if column == f"{type_.lower()}_id"]
        statement = f'DELETE FROM {table} WHERE tenant = $1 AND "{column}" = ANY($2)'
        removed += _count(await connection.execute(statement, tenant, [*found.references, *long_ids, *named]))
    return removed


async def _purge_answers(connection: Connection, tenant: str, found: Found, ids: Sequence[str]) -> int:
    """Answers under an Idempotency-Key: the key stays, so that a request sent again does not bring it all back."""
    statement = """UPDATE idempotency_key SET status = 410, headers = '{}', body = $3
      WHERE tenant = $1 AND body <> $3 AND (resource_id = ANY($2) OR EXISTS (
        SELECT FROM unnest($4::bytea[]) AS n WHERE position(n in body) > 0))"""
    return _count(await connection.execute(statement, tenant, list(ids), _GONE, _needles(found)))


async def _purge_events(connection: Connection, tenant: str, found: Found) -> int:
    """Events keep their numbers and lose their content; whose they are is said by a reference alone."""
    rows = await connection.fetch(
        """SELECT position, payload FROM outbox WHERE tenant = $1 AND (subject = ANY($2) OR focus = ANY($2)
        OR EXISTS (SELECT FROM unnest($3::bytea[]) AS n WHERE position(n in payload) > 0))""",
        tenant,
        found.references,
        _needles(found),
    )
    emptied = 0
    for row in rows:
        left = orjson.dumps([_emptied(each) for each in orjson.loads(row["payload"])])
        if left != row["payload"]:
            emptied += 1
            statement = "UPDATE outbox SET payload = $3 WHERE tenant = $1 AND position = $2"
            await connection.execute(statement, tenant, row["position"], left)
    reference = sorted(found.person.references)[0]
    for table in ("outbox", "subscription_event"):
        names = [f"{system}|{value}" for system, value in found.person.identifiers]
        statement = f"UPDATE {table} SET subject = $3 WHERE tenant = $1 AND subject = ANY($2)"
        await connection.execute(statement, tenant, names, reference)
    watching = [id_ for type_, id_ in found.erased if type_ == "Subscription"]
    for table in ("subscription_state", "subscription_event"):
        statement = f"DELETE FROM {table} WHERE tenant = $1 AND subscription_id = ANY($2)"
        emptied += _count(await connection.execute(statement, tenant, watching))
    return emptied


def _emptied(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry without its resource; what tells of the erasure itself stays."""
    return entry if is_emptied(entry.get("resource", {})) else {"fullUrl": entry["fullUrl"]}


async def _purge_exports(connection: Connection, tenant: str, found: Found) -> int:
    """Exports that were asked for by the person; the files of all others are made from what is kept now."""
    jobs = await connection.fetch(
        """SELECT id FROM export_job WHERE tenant = $1 AND EXISTS (SELECT FROM unnest($2::bytea[]) AS n
        WHERE position(n in recipe) > 0 OR position(n in convert_to(request, 'UTF8')) > 0)""",
        tenant,
        _needles(found),
    )
    ids = [row["id"] for row in jobs]
    await connection.execute("DELETE FROM export_part WHERE tenant = $1 AND job_id = ANY($2)", tenant, ids)
    return _count(await connection.execute("DELETE FROM export_job WHERE tenant = $1 AND id = ANY($2)", tenant, ids))


def _needles(found: Found) -> list[bytes]:
    """How the person stands in bytes that are not looked into: followed by what ends a reference."""
    names = [*found.person.references, *(reference.replace("/", "\\/") for reference in found.person.references)]
    ended = [f"{name}{end}".encode() for name in names for end in ('"', "/", "&", ",")]
    return [*ended, *(orjson.dumps(value) for _, value in found.person.identifiers)]


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
