"""SQL functions that read versions: of one resource by number, of whole types in the order of their transactions.

Types are read below the snapshot's horizon, the oldest transaction that is still open: whatever is committed later
comes above all that was ever shown, so that nobody who goes on from what they saw misses a slow commit.
"""

from stepwell_shared.database.functions import INDEXED_PLAN

# How long a version may wait between getting its time and being committed.
_COMMIT_DELAY = "interval '1 minute'"
# A version is current from its own time until the next one's.
_CURRENT = """CASE WHEN at_low_in IS NULL THEN true ELSE v.last_updated < at_high_in AND at_low_in < coalesce((
        SELECT n.last_updated FROM {table} AS n WHERE n.tenant = v.tenant AND n.resource_type = v.resource_type
          AND n.id = v.id AND n.version = v.version + 1), 'infinity') END"""


def history_functions(table: str) -> list[str]:
    """The functions for this table of versions."""
    return [_read_versions(table), _history_floor(table), _read_history(table)]


def _read_versions(table: str) -> str:
    """Versions of one resource, newest first, strictly older than a version number when one is given."""
    return f"""CREATE OR REPLACE FUNCTION read_versions(
  tenant_in text, type_in text, id_in text, before_in integer, version_in integer, since_in timestamptz,
  at_low_in timestamptz, at_high_in timestamptz, most_in integer)
RETURNS TABLE (id text, version integer, last_updated timestamptz, method text, body bytea)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT v.id, v.version, v.last_updated, v.method, v.body FROM {table} AS v
    WHERE v.tenant = tenant_in AND v.resource_type = type_in AND v.id = id_in
      AND (before_in IS NULL OR v.version < before_in) AND (version_in IS NULL OR v.version = version_in)
      AND (since_in IS NULL OR v.last_updated >= since_in)
      AND {_CURRENT.format(table=table)}
    ORDER BY v.version DESC LIMIT most_in;
END $function$"""


def _history_floor(table: str) -> str:
    """The first transaction of a type that wrote a version at or after a time; none when there is none.

    Times follow transactions but for a short delay, so the place is found by halving instead of reading every time.
    """
    return f"""CREATE OR REPLACE FUNCTION history_floor(tenant_in text, type_in text, since_in timestamptz)
RETURNS xid8 LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
DECLARE
  low bigint := 0;
  high bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
  middle bigint;
  found timestamptz;
BEGIN
  WHILE high - low > 1 LOOP
    middle := (low + high) / 2;
    SELECT v.last_updated INTO found FROM {table} AS v
      WHERE v.tenant = tenant_in AND v.resource_type = type_in AND v.transaction >= middle::text::xid8
      ORDER BY v.transaction, v.last_updated LIMIT 1;
    IF found < since_in - {_COMMIT_DELAY} THEN low := middle; ELSE high := middle; END IF;
  END LOOP;
  RETURN (SELECT v.transaction FROM {table} AS v
    WHERE v.tenant = tenant_in AND v.resource_type = type_in AND v.transaction >= low::text::xid8
      AND v.last_updated >= since_in
    ORDER BY v.transaction, v.last_updated LIMIT 1);
END $function$"""


def _read_history(table: str) -> str:
    """Versions of these types, newest transaction first, after the place where the page before ended.

    `since_in` starts at the first transaction with a version of that time: what was committed after it is later,
    even when its own time is a moment earlier. A place is (transaction, time, type, id, version).
    """
    place = "v.transaction, v.last_updated, v.resource_type, v.id, v.version"
    order = "transaction DESC, last_updated DESC, resource_type DESC, id DESC, version DESC"
    ordered = ", ".join(f"v.{each.strip()}" for each in order.split(","))
    return f"""CREATE OR REPLACE FUNCTION read_history(
  tenant_in text, types_in text[], since_in timestamptz, at_low_in timestamptz, at_high_in timestamptz,
  transaction_in text, last_updated_in timestamptz, type_in text, id_in text, version_in integer, most_in integer)
RETURNS TABLE (transaction text, resource_type text, id text, version integer, last_updated timestamptz, method text,
  body bytea)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
DECLARE
  horizon xid8 := pg_snapshot_xmin(pg_current_snapshot());
  place_transaction xid8 := coalesce(transaction_in::xid8, horizon);
  place_time timestamptz := coalesce(last_updated_in, '-infinity');
  before_time timestamptz := coalesce(at_high_in, 'infinity');
  floors xid8[];
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  SELECT array_agg(CASE WHEN since_in IS NULL THEN '0'::xid8 ELSE history_floor(tenant_in, u.name, since_in) END
    ORDER BY u.position) INTO floors FROM unnest(types_in) WITH ORDINALITY AS u(name, position);
  RETURN QUERY SELECT v.transaction::text, v.resource_type, v.id, v.version, v.last_updated, v.method, v.body
    FROM unnest(types_in, floors) AS wanted(name, floor) CROSS JOIN LATERAL (
      SELECT v.* FROM {table} AS v
      WHERE v.tenant = tenant_in AND v.resource_type = wanted.name AND v.transaction < horizon
        AND v.transaction >= wanted.floor
        AND (since_in IS NULL OR v.transaction > wanted.floor OR v.last_updated >= since_in)
        AND v.transaction <= place_transaction AND v.last_updated < before_time
        AND ({place}) < (place_transaction, place_time, type_in, id_in, version_in)
        AND {_CURRENT.format(table=table)}
      ORDER BY {ordered} LIMIT most_in
    ) AS v
    ORDER BY {ordered} LIMIT most_in;
END $function$"""
