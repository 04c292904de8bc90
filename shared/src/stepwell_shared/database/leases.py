"""Timers in tables: rows that are due are leased to one replica, so that each is worked on once and survives restarts.

The table has the column `lease_until`, kept by the clock of the database; what is done with a row decides by the
version of what it changes, should two replicas hold it all the same.
"""

from stepwell_shared.database.functions import INDEXED_PLAN

LEASE_SECONDS = 15.0
CLAIMED_MAX = 50


def claim_function(name: str, *, table: str, key: str, due: str, columns: str) -> str:
    """The function that leases due rows to one replica: `key` is their key beside the tenant, `due` when they are due,
    `columns` what is returned of them."""
    returned = ", ".join(f"t.{column.split()[0]}" for column in columns.split(", "))
    return f"""CREATE OR REPLACE FUNCTION {name}(
  tenants_in text[], now_in timestamptz, lease_seconds_in float8, most_in integer
) RETURNS TABLE ({columns})
LANGUAGE plpgsql {INDEXED_PLAN} AS $function$
#variable_conflict use_column
DECLARE
  tenant_in text;
  due_key text;
BEGIN
  FOREACH tenant_in IN ARRAY tenants_in LOOP
    PERFORM set_config('stepwell.tenant', tenant_in, true);
    FOR due_key IN
      SELECT d.{key} FROM {table} AS d
        WHERE d.tenant = tenant_in AND d.{due} <= now_in AND d.lease_until <= clock_timestamp()
        ORDER BY d.{due} LIMIT most_in FOR UPDATE SKIP LOCKED
    LOOP
      RETURN QUERY UPDATE {table} AS t SET lease_until = clock_timestamp() + make_interval(secs => lease_seconds_in)
        WHERE t.tenant = tenant_in AND t.{key} = due_key RETURNING {returned};
    END LOOP;
  END LOOP;
END $function$"""
