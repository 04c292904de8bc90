"""SQL functions that read resources as they were below a horizon: what transactions before it have left.

Versions are never changed, so that the same place of an export reads the same today and tomorrow, on every replica.
"""

from stepwell_shared.database.functions import INDEXED_PLAN
from stepwell_shared.database.leases import claim_function
from stepwell_shared.fhir.table_names import VERSION_TABLE

CLAIM = "claim_exports"

# The version that was current below the horizon. A later one may be of an earlier transaction, so all are asked.
_CURRENT = f"""v.transaction < horizon_in::xid8 AND NOT EXISTS (
        SELECT 1 FROM {VERSION_TABLE} AS n WHERE n.tenant = v.tenant AND n.resource_type = v.resource_type
          AND n.id = v.id AND n.version > v.version AND n.transaction < horizon_in::xid8)"""
# Changed since: by a transaction after `low`, or by itself where it has a time of its own to be after.
CHANGED_SINCE = """({low} IS NULL OR {version}.transaction > {low}::xid8 OR ({version}.transaction = {low}::xid8
        AND ({since} IS NULL OR {version}.last_updated >= {since}::timestamptz)))"""
_WANTED = f"""FROM {VERSION_TABLE} AS v
    WHERE v.tenant = tenant_in AND v.resource_type = type_in AND v.id > after_in AND v.id <= last_in
      AND (v.body IS NULL) = deleted_in AND {CHANGED_SINCE.format(low="low_in", since="since_in", version="v")}
      AND {_CURRENT}
    ORDER BY v.id LIMIT most_in"""
_PARAMETERS = """tenant_in text, type_in text, after_in text, last_in text, horizon_in text, low_in text,
  since_in text, deleted_in boolean, most_in integer"""
_VERSION = "id text, version integer, last_updated timestamptz, method text, body bytea"
_SELECTED = "v.id, v.version, v.last_updated, v.method, v.body"


def export_functions() -> list[str]:
    """The functions for the tables of exports and for the history that they read."""
    return [_claim(), _versions(), _extent(), _changed(), _as_they_were(), _floor()]


def _claim() -> str:
    return claim_function(CLAIM, table="export_job", key="id", due="due_at", columns="tenant text, id text")


def _function(name: str, parameters: str, returned: str, body: str) -> str:
    return f"""CREATE OR REPLACE FUNCTION {name}({parameters})
RETURNS TABLE ({returned})
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY {body};
END $function$"""


def _versions() -> str:
    """The resources of one type, by id, between two ids."""
    return _function("export_versions", _PARAMETERS, _VERSION, f"SELECT {_SELECTED} {_WANTED}")


def _extent() -> str:
    """How many of the next resources there are, up to a bound, and the last of their ids."""
    body = f"SELECT count(*)::integer, max(p.id) FROM (SELECT v.id {_WANTED}) AS p"
    return _function("export_extent", _PARAMETERS, "resources integer, last_id text", body)


def _changed() -> str:
    """The resources between two ids that were changed at or after the horizon."""
    body = f"""SELECT DISTINCT v.id FROM {VERSION_TABLE} AS v
    WHERE v.tenant = tenant_in AND v.resource_type = type_in AND v.transaction >= horizon_in::xid8
      AND v.id > after_in AND v.id <= last_in ORDER BY v.id"""
    parameters = "tenant_in text, type_in text, after_in text, last_in text, horizon_in text"
    return _function("export_changed", parameters, "id text", body)


def _as_they_were() -> str:
    """Resources of these ids as they were below the horizon, where they were changed since; or what they said last."""
    body = f"""SELECT {_SELECTED} FROM unnest(id_in) AS u(wanted) CROSS JOIN LATERAL (
      SELECT w.* FROM {VERSION_TABLE} AS w WHERE w.tenant = tenant_in AND w.resource_type = type_in
        AND w.id = u.wanted AND w.transaction < horizon_in::xid8 AND (w.body IS NOT NULL OR NOT living_in)
      ORDER BY w.version DESC LIMIT 1) AS v
    WHERE v.body IS NOT NULL AND {CHANGED_SINCE.format(low="low_in", since="since_in", version="v")} ORDER BY v.id"""
    parameters = (
        "tenant_in text, type_in text, id_in text[], horizon_in text, low_in text, since_in text, living_in boolean"
    )
    return _function("export_as_they_were", parameters, _VERSION, body)


def _floor() -> str:
    """Where `_since` begins: the horizon of the export that had this very transaction time, or else the first
    transaction with a version of that time. No row when nothing is that new."""
    body = """SELECT coalesce(e.low, f.low)::text, e.low IS NOT NULL
    FROM (SELECT min(j.horizon::text::bigint)::text::xid8 AS low FROM export_job AS j
      WHERE j.tenant = tenant_in AND j.transaction_time = since_in) AS e
    CROSS JOIN LATERAL (SELECT history_floor(tenant_in, type_in, since_in) AS low) AS f
    WHERE e.low IS NOT NULL OR f.low IS NOT NULL"""
    parameters = "tenant_in text, type_in text, since_in timestamptz"
    return _function("export_floor", parameters, "low text, is_exact boolean", body)
