"""SQL that is derived from declared tables: batch functions of the hot path, row-level security and grants.

A function sets the transaction's tenant itself, so that a whole batch is one round trip and one commit.
`stepwell migrate` installs them after the migrations. Functions are overloaded by their argument types,
so that code of the previous release keeps calling its own while a new one is rolled out.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy
from sqlalchemy.dialects import postgresql

from stepwell_shared.database.functions import APPEND_ONLY, TENANT


def insert_columns(table: sqlalchemy.Table) -> list[sqlalchemy.Column[object]]:
    """The columns a caller supplies: all but the tenant and those the database fills itself."""
    return [c for c in table.columns if c.name != TENANT and c.server_default is None and c.identity is None]


def _type(column: sqlalchemy.Column[object]) -> str:
    dialect: sqlalchemy.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    return str(column.type.compile(dialect=dialect)).split(" COLLATE")[0]


def array_parameters(columns: Sequence[sqlalchemy.Column[object]]) -> str:
    """The parameters of a batch function: the tenant, and an array for each column."""
    return ", ".join([f"{TENANT}_in text", *(f"{c.name}_in {_type(c)}[]" for c in columns)])


def unnested(columns: Sequence[sqlalchemy.Column[object]]) -> str:
    """The arrays of a batch function as rows `u`."""
    return f"unnest({', '.join(f'{c.name}_in' for c in columns)}) AS u({', '.join(c.name for c in columns)})"


def insert_function(table: sqlalchemy.Table) -> str:
    """`insert_<table>(tenant, column arrays)`: one row per array position."""
    columns = insert_columns(table)
    names = ", ".join(c.name for c in columns)
    return f"""CREATE OR REPLACE FUNCTION insert_{table.name}({array_parameters(columns)}) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  INSERT INTO {table.name} ({TENANT}, {names}) SELECT {TENANT}_in, {names_of("u", columns)} FROM {unnested(columns)};
END $function$"""


def timer_function(table: sqlalchemy.Table, key: str) -> str:
    """The batch function of a timer table's effects, in place of the plain one: it sets a timer that is there already,
    and frees it."""
    columns = insert_columns(table)
    names = ", ".join(column.name for column in columns)
    changes = ", ".join(f"{column.name} = excluded.{column.name}" for column in columns if column.name != key)
    return f"""CREATE OR REPLACE FUNCTION insert_{table.name}({array_parameters(columns)}) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
  PERFORM set_config('stepwell.tenant', {TENANT}_in, true);
  INSERT INTO {table.name} ({TENANT}, {names}) SELECT {TENANT}_in, {names_of("u", columns)} FROM {unnested(columns)}
    ON CONFLICT ({TENANT}, {key}) DO UPDATE SET {changes}, lease_until = '-infinity';
END $function$"""


def names_of(alias: str, columns: Sequence[sqlalchemy.Column[object]]) -> str:
    return ", ".join(f"{alias}.{c.name}" for c in columns)


def security_statements(tables: Iterable[sqlalchemy.Table], runtime_role: str) -> list[str]:
    """Row-level security, forced on the owner too, and the few rights that the runtime login has."""
    role = f'"{runtime_role}"'
    statements = [f"GRANT USAGE ON SCHEMA public TO {role}"]
    for table in tables:
        statements.append(f"REVOKE ALL ON {table.name} FROM {role}")
        rights = "SELECT, INSERT" if table.info.get(APPEND_ONLY) else "SELECT, INSERT, UPDATE, DELETE"
        statements.append(f"GRANT {rights} ON {table.name} TO {role}")
        if TENANT in table.columns:
            statements.append(_tenants_apart(table.name))
    return [*statements, f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role}"]


def _tenants_apart(table: str) -> str:
    """Row-level security of a table. Where it is there already nothing is locked: a lock of all tables, one after the
    other, would stand in the way of a service at work, and one of the two would lose a deadlock.
    """
    match = f"{TENANT} = current_setting('stepwell.tenant', true)"
    as_kept = f"({TENANT} = current_setting(''stepwell.tenant''::text, true))"
    return f"""DO $block$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_class AS c JOIN pg_policy AS p ON p.polrelid = c.oid
    WHERE c.oid = '{table}'::regclass AND c.relrowsecurity AND c.relforcerowsecurity AND p.polname = 'same_tenant'
      AND p.polcmd = '*' AND p.polpermissive AND p.polroles = '{{0}}'
      AND pg_get_expr(p.polqual, c.oid) = '{as_kept}' AND pg_get_expr(p.polwithcheck, c.oid) = '{as_kept}') THEN
    ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
    ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
    DROP POLICY IF EXISTS same_tenant ON {table};
    CREATE POLICY same_tenant ON {table} USING ({match}) WITH CHECK ({match});
  END IF;
END $block$"""
