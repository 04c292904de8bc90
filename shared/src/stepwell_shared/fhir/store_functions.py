"""SQL behind the store: a batch of new versions with their history in one call, and reads that are kept on record.

Each function sets the transaction's tenant itself; see `database.functions`.
"""

import sqlalchemy

from stepwell_shared.database.functions import INDEXED_PLAN, TENANT, VERSION_CONFLICT
from stepwell_shared.database.table_functions import array_parameters, insert_columns, names_of, unnested
from stepwell_shared.fhir.statements import recorded_read

# How ids find rows: by themselves, or as the numbers that they are.
BY_ID = "t.id = ANY({0})"
BY_NUMBER = "t.number = ANY(ARRAY(SELECT w::bigint FROM unnest({0}) AS w WHERE w ~ '^[1-9][0-9]{{0,17}}$'))"
# Who waits for a row that another transaction holds waits with a transaction of its own, which keeps all newer events
# and histories back: better to give up soon and be asked again.
BRIEF_LOCKS = "SET lock_timeout TO '2s'"


def insert_version_function(table: sqlalchemy.Table, versions: sqlalchemy.Table, resource_type: str) -> str:
    """`insert_<table>(tenant, column arrays, methods)`: new resources, and the first version of each."""
    columns = insert_columns(table)
    names = ", ".join(column.name for column in columns)
    return f"""CREATE OR REPLACE FUNCTION insert_{table.name}({array_parameters(columns)}, method_in text[])
RETURNS void LANGUAGE plpgsql {BRIEF_LOCKS} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  INSERT INTO {table.name} ({TENANT}, {names}) SELECT {TENANT}_in, {names_of("u", columns)} FROM {unnested(columns)};
  {_insert_versions(versions, resource_type)}
END $function$"""


def update_version_function(
    table: sqlalchemy.Table, versions: sqlalchemy.Table, resource_type: str, *index_tables: sqlalchemy.Table
) -> str:
    """`update_<table>(tenant, column arrays, methods)`: each row must still be at the version before, or none is
    changed; the new versions join the history.

    Raises SQLSTATE SW409 when another writer was first. Index rows of the old version go; the caller
    inserts those of the new one. Row by row: joined with all at once, a plan made for a small table reads the tenant.
    """
    columns = insert_columns(table)
    assignments = ", ".join(f"{column.name} = next.{column.name}" for column in columns if column.name != "id")
    forget = " ".join(
        f"DELETE FROM {each.name} WHERE {TENANT} = {TENANT}_in AND id = ANY(id_in);" for each in index_tables
    )
    return f"""CREATE OR REPLACE FUNCTION update_{table.name}({array_parameters(columns)}, method_in text[])
RETURNS void LANGUAGE plpgsql {INDEXED_PLAN} {BRIEF_LOCKS} AS $function$
DECLARE next record;
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  FOR next IN SELECT {names_of("u", columns)} FROM {unnested(columns)} LOOP
    UPDATE {table.name} AS t SET {assignments}
      WHERE t.{TENANT} = {TENANT}_in AND t.id = next.id AND t.version = next.version - 1;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = '{VERSION_CONFLICT}', MESSAGE = 'another version was stored first';
    END IF;
  END LOOP;
  {forget}
  {_insert_versions(versions, resource_type)}
END $function$"""


def _insert_versions(versions: sqlalchemy.Table, resource_type: str) -> str:
    return f"""INSERT INTO {versions.name} ({TENANT}, resource_type, id, version, last_updated, method, body)
    SELECT {TENANT}_in, '{resource_type}', u.id, u.version, u.last_updated, u.method, u.body
    FROM unnest(id_in, version_in, last_updated_in, method_in, body_in)
      AS u(id, version, last_updated, method, body);"""


def read_function(table: str, found: str = BY_ID) -> str:
    """`read_<table>(tenant, ids)`: the current versions, deletions included. `found` says how the ids find rows."""
    return f"""CREATE OR REPLACE FUNCTION read_{table}(tenant_in text, id_in text[])
RETURNS TABLE (id text, version integer, last_updated timestamptz, body bytea)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT t.id, t.version, t.last_updated, t.body FROM {table} AS t
    WHERE t.tenant = tenant_in AND {found.format("id_in")};
END $function$"""


def identified_function(table: sqlalchemy.Table, rows: sqlalchemy.Table) -> str:
    """`identified_<table>(tenant, places, systems, codes)`: for each business identifier the resources that have it,
    and what is or was at the place, the id that a new one would take; `ordinal` counts the identifiers from 1."""
    return f"""CREATE OR REPLACE FUNCTION identified_{table.name}(
  tenant_in text, place_in text[], system_in text[], code_in text[])
RETURNS TABLE (ordinal bigint, has_identifier boolean, id text, version integer, last_updated timestamptz, body bytea)
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY SELECT u.ordinal, k.has_identifier, t.id, t.version, t.last_updated, t.body
    FROM unnest(place_in, system_in, code_in) WITH ORDINALITY AS u(place, system, code, ordinal)
    CROSS JOIN LATERAL (
      SELECT u.place AS id, false AS has_identifier UNION ALL
      SELECT i.id, true FROM {rows.name} AS i WHERE i.tenant = tenant_in AND i.parameter = 'identifier'
        AND i.code = u.code AND i.system = u.system
    ) AS k
    CROSS JOIN LATERAL (
      SELECT f.id, f.version, f.last_updated, f.body FROM {table.name} AS f
      WHERE f.tenant = tenant_in AND f.id = k.id OFFSET 0
    ) AS t;
END $function$"""


def recorded_read_function(table: str, records: sqlalchemy.Table, found: str = BY_ID) -> str:
    """`read_<table>_with_<records>(tenant, ids, column arrays)`: like read, and for each id that is there, and not
    deleted, the row at the same place of the arrays is kept; what is seen and what is kept are one commit.
    """
    columns = insert_columns(records)
    names = ", ".join(column.name for column in columns)
    parameters = array_parameters(columns).removeprefix(f"{TENANT}_in text, ")
    given = ", ".join(f"{column.name}_in" for column in columns)
    return f"""CREATE OR REPLACE FUNCTION {recorded_read(table, records.name)}(
  tenant_in text, wanted_in text[], {parameters})
RETURNS TABLE (id text, version integer, last_updated timestamptz, body bytea)
LANGUAGE plpgsql SET enable_seqscan TO off SET plan_cache_mode TO force_generic_plan AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', tenant_in, true);
  RETURN QUERY WITH found AS MATERIALIZED (
    SELECT t.id, t.version, t.last_updated, t.body FROM {table} AS t
      WHERE t.tenant = tenant_in AND {found.format("wanted_in")}
  ), kept AS (
    INSERT INTO {records.name} ({TENANT}, {names}) SELECT tenant_in, {names_of("u", columns)}
      FROM unnest(wanted_in, {given}) AS u(wanted, {names})
      WHERE u.wanted IN (SELECT f.id FROM found AS f WHERE f.body IS NOT NULL)
  )
  SELECT f.id, f.version, f.last_updated, f.body FROM found AS f;
END $function$"""
