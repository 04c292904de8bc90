"""The SQL that is derived from tables."""

import sqlalchemy
from sqlalchemy import Column, Identity, Integer, MetaData, Table, Text
from stepwell_shared.database.table_functions import insert_columns, insert_function, security_statements

TABLE = Table(
    "thing",
    MetaData(),
    Column("tenant", Text(collation="C"), primary_key=True),
    Column("id", Text(collation="C"), primary_key=True),
    Column("version", Integer),
    Column("position", Integer, Identity(always=True)),
    Column("made", Text, server_default=sqlalchemy.text("'now'")),
)


def test_what_the_database_fills_is_not_supplied() -> None:
    assert [column.name for column in insert_columns(TABLE)] == ["id", "version"]


def test_arguments_are_arrays_of_the_columns_types() -> None:
    assert "insert_thing(tenant_in text, id_in TEXT[], version_in INTEGER[])" in insert_function(TABLE)


def test_functions_set_the_tenant_before_anything_else() -> None:
    body = insert_function(TABLE).partition("BEGIN")[2]
    assert body.strip().startswith("PERFORM set_config('stepwell.tenant', tenant_in, true);")


def test_a_table_without_tenant_gets_rights_and_no_policy() -> None:
    plain = Table("plain", MetaData(), Column("id", Text, primary_key=True))
    statements = security_statements([TABLE, plain], "runtime")
    assert [each for each in statements if "POLICY" in each and "plain" in each] == []
    assert 'GRANT SELECT, INSERT, UPDATE, DELETE ON plain TO "runtime"' in statements
    assert any("ALTER TABLE thing FORCE ROW LEVEL SECURITY" in each for each in statements)
    assert any("CREATE POLICY same_tenant ON thing" in each and "WITH CHECK" in each for each in statements)
