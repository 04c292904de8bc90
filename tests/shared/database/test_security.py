"""Row-level security of the migrated databases: what the runtime login can reach, whatever a statement forgets."""

import asyncpg
import pytest
from stepwell_shared.cli.bootstrap import OWNER_ROLE, RUNTIME_ROLE
from stepwell_shared.database.pool import Database
from stepwell_shared.installed import service_named
from stepwell_shared.schema import metadata_of
from stepwell_shared.settings import SERVICES

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, NOW, SOUTH, bench, patient

INSERT = "INSERT INTO fhir_patient (tenant, id, version, last_updated) VALUES ($1, 'x', 1, now())"


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_with_a_tenant_is_locked_even_for_its_owner(database_of: DatabaseOf, service: str) -> None:
    connection = await asyncpg.connect((await database_of(service)).owner)
    try:
        rows = await connection.fetch(
            """SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS is_locked, r.rolname AS owner,
                 (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
                 EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant') AS has_tenant
               FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"""
        )
    finally:
        await connection.close()
    tables = {row["relname"]: row for row in rows}
    assert set(metadata_of(service_named(service)).tables) <= set(tables)
    for name, row in tables.items():
        assert row["owner"] == OWNER_ROLE
        assert (row["is_locked"], row["policies"]) == ((True, 1) if row["has_tenant"] else (False, 0)), name
    assert {name for name, row in tables.items() if not row["has_tenant"]} <= {
        "tenant",
        "issuer_key_set",
        "search_shape",
        "cds_client",
        "alembic_version",
    }


@pytest.mark.parametrize("service", SERVICES)
async def test_the_runtime_login_owns_nothing_and_has_no_special_right(database_of: DatabaseOf, service: str) -> None:
    connection = await asyncpg.connect((await database_of(service)).runtime)
    try:
        assert await connection.fetchval("SELECT current_user") == RUNTIME_ROLE
        role = await connection.fetchrow(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        assert not any(role)
        owned = await connection.fetchval(
            "SELECT count(*) FROM pg_shdepend WHERE deptype = 'o' AND refobjid = current_user::regrole"
            " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert owned == 0
        definers = await connection.fetchval(
            "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
        )
        assert definers == 0
        for statement in (
            "CREATE TABLE mine (a int)",
            "ALTER TABLE audit DISABLE ROW LEVEL SECURITY",
            "DROP POLICY same_tenant ON audit",
            "TRUNCATE audit",
            "SET ROLE stepwell_owner",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


class TestTenants:
    async def test_without_a_tenant_nothing_is_seen_and_nothing_written(self, database_of: DatabaseOf) -> None:
        async with bench(await database_of("screening")) as opened:
            await opened.update(patient(id="p1"))
            async with opened.database.connection() as connection:
                for table in ("fhir_patient", "fhir_version", "audit"):
                    assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
                assert await connection.execute("UPDATE fhir_patient SET version = 9") == "UPDATE 0"
                assert await connection.execute("DELETE FROM fhir_patient") == "DELETE 0"
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(INSERT, NORTH)

    async def test_in_one_tenant_no_other_is_seen_or_written(self, database_of: DatabaseOf) -> None:
        async with bench(await database_of("screening")) as opened:
            await opened.update(patient(id="p1", identifier=[{"value": "1"}]))
            async with opened.database.transaction(SOUTH) as connection:
                for table in ("fhir_patient", "fhir_patient_index", "fhir_version", "audit"):
                    assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
                assert await connection.execute("UPDATE fhir_patient SET version = 9") == "UPDATE 0"
            for statement in (INSERT, "UPDATE fhir_patient SET tenant = $1"):
                async with opened.database.connection() as connection:
                    transaction = connection.transaction()
                    await transaction.start()
                    await connection.execute(f"SELECT set_config('stepwell.tenant', '{NORTH}', true)")
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement, SOUTH)
                    await transaction.rollback()

    async def test_a_tenant_does_not_outlive_its_transaction(self, database_of: DatabaseOf) -> None:
        async with Database.open((await database_of("screening")).runtime, connections_max=1) as database:
            async with database.transaction(NORTH) as connection:
                await connection.execute(INSERT, NORTH)
            await database.fetch("SELECT * FROM read_fhir_patient($1, $2)", NORTH, ["x"])
            async with database.connection() as connection:
                assert await connection.fetchval("SELECT count(*) FROM fhir_patient") == 0
                assert not await connection.fetchval("SELECT current_setting('stepwell.tenant', true)")

    async def test_a_search_statement_cannot_leave_its_tenant(self, database_of: DatabaseOf) -> None:
        async with bench(await database_of("screening")) as opened:
            await opened.update(patient(id="p1"))
            everything = "SELECT r.id, r.tenant FROM fhir_patient AS r WHERE s.tenant IS NOT NULL"
            assert await opened.engine.store.search(SOUTH, everything, []) == []
            assert len(await opened.engine.store.search(NORTH, everything, [])) == 1
            assert opened.clock.now == NOW

    @pytest.mark.parametrize("table", ["audit", "fhir_version"])
    @pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET tenant = tenant", "TRUNCATE {}"])
    async def test_what_was_recorded_can_be_neither_changed_nor_removed(
        self, database_of: DatabaseOf, table: str, change: str
    ) -> None:
        urls = await database_of("screening")
        async with Database.open(urls.runtime) as database:
            for tenant in ("north", "south"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with database.transaction(tenant) as connection:
                        await connection.execute(change.format(table))
