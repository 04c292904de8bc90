"""The migrated database of each service is the declared one, and migrating is safe to repeat."""

import asyncio
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls
from stepwell_shared.database.transaction_id import Xid8
from stepwell_shared.installed import service_named
from stepwell_shared.migrations import migrate
from stepwell_shared.schema import functions_of, metadata_of
from stepwell_shared.settings import SERVICES

from tests.conftest import DatabaseOf
from tests.support.postgres import EMPTY

FUNCTIONS = """SELECT p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
  pg_get_functiondef(p.oid) AS text FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace"""
CATALOGUE = """SELECT (SELECT jsonb_object_agg(relname, jsonb_build_array(relkind, relacl::text)) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace)
  || (SELECT jsonb_object_agg(tablename || '.' || policyname, coalesce(qual, '') || coalesce(with_check, ''))
    FROM pg_policies)"""


async def functions(url: str) -> dict[str, str]:
    connection = await asyncpg.connect(url)
    try:
        return {row["name"]: row["text"] for row in await connection.fetch(FUNCTIONS)}
    finally:
        await connection.close()


async def state(urls: DatabaseUrls) -> tuple[dict[str, str], str]:
    """Functions, tables, rights and policies."""
    connection = await asyncpg.connect(urls.owner)
    try:
        return await functions(urls.owner), await connection.fetchval(CATALOGUE)
    finally:
        await connection.close()


def differences(connection: Connection, service: str) -> list[Any]:
    names: dict[str, Any] = {**connection.dialect.ischema_names, "xid8": Xid8}  # type: ignore[attr-defined]  # PostgreSQL's
    connection.dialect.ischema_names = names  # type: ignore[attr-defined]  # SQLAlchemy does not know xid8 by itself
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata_of(service_named(service))))


def test_a_service_that_is_not_installed_is_named() -> None:
    with pytest.raises(LookupError, match="nonsense is not installed"):
        service_named("nonsense")


@pytest.mark.parametrize("service", SERVICES)
class TestEveryService:
    async def test_the_migrated_tables_are_the_declared_ones(self, database_of: DatabaseOf, service: str) -> None:
        urls = await database_of(service)
        engine = create_async_engine("postgresql+asyncpg://" + urls.owner.partition("://")[2], poolclass=pool.NullPool)
        try:
            async with engine.connect() as connection:
                assert await connection.run_sync(differences, service) == []
        finally:
            await engine.dispose()

    async def test_the_installed_functions_are_the_declared_ones(self, database_of: DatabaseOf, service: str) -> None:
        urls = await database_of(service)
        installed = await functions(urls.owner)
        connection = await asyncpg.connect(urls.owner)
        try:
            for name in installed:
                await connection.execute(f"DROP FUNCTION {name} CASCADE")
            for statement in functions_of(service_named(service)):
                await connection.execute(statement)
        finally:
            await connection.close()
        assert await functions(urls.owner) == installed

    async def test_migrating_again_changes_nothing(self, database_of: DatabaseOf, service: str) -> None:
        urls = await database_of(service)
        before = await state(urls)
        await migrate(service, urls.owner, RUNTIME_ROLE)
        assert await state(urls) == before


async def test_two_migrations_at_once_take_turns(database_of: DatabaseOf) -> None:
    urls = await database_of(EMPTY)
    await asyncio.gather(*(migrate("screening", urls.owner, RUNTIME_ROLE) for _ in range(3)))
    again = await database_of("screening")
    assert set(await functions(urls.owner)) == set(await functions(again.owner))
