"""Reads the versions that events refer to, all of a batch in one query inside the tenant's row-level security."""

from collections.abc import Sequence

import msgspec

from stepwell_shared.database.pool import Database
from stepwell_shared.events.function_style import AS_TENANT, STYLE
from stepwell_shared.events.outbox import Entry

# The bodies of these versions, each beside its place among those asked for. A version without one is not there.
READ_BODIES = f"""CREATE OR REPLACE FUNCTION event_bodies(
  tenant_in text, type_in text[], id_in text[], version_in integer[]
) RETURNS TABLE (place bigint, body bytea) {STYLE} AS $function$
#variable_conflict use_column
BEGIN
  {AS_TENANT}
  RETURN QUERY SELECT u.place, v.body
    FROM unnest(type_in, id_in, version_in) WITH ORDINALITY AS u(type, id, version, place)
    JOIN fhir_version AS v ON v.tenant = tenant_in AND v.resource_type = u.type AND v.id = u.id
      AND v.version = u.version
    WHERE v.body IS NOT NULL;
END $function$"""


async def completed(database: Database, tenant: str, events: Sequence[Sequence[Entry]]) -> list[list[Entry]]:
    """The entries of each event with their resources; what is not stored any more stays without one."""
    keys = list({entry.key: None for entries in events for entry in entries if not entry.is_complete})
    bodies = await _bodies(database, tenant, keys)
    return [[_complete(entry, bodies) for entry in entries] for entries in events]


async def _bodies(
    database: Database, tenant: str, keys: Sequence[tuple[str, str, int]]
) -> dict[tuple[str, str, int], bytes]:
    if not keys:
        return {}
    columns = [list(column) for column in zip(*keys, strict=True)]
    rows = await database.fetch("SELECT place, body FROM event_bodies($1, $2, $3, $4)", tenant, *columns)
    return {keys[row["place"] - 1]: row["body"] for row in rows}


def _complete(entry: Entry, bodies: dict[tuple[str, str, int], bytes]) -> Entry:
    body = None if entry.is_complete else bodies.get(entry.key)
    return entry if body is None else Entry(entry.full_url, msgspec.Raw(body), entry.version)
