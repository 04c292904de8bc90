"""Brings one service's database to its declared shape: Alembic's versions, then what is derived from the tables.

Tables change in numbered versions. Functions, row-level security and grants follow from the tables and are
installed anew each time, in one transaction.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import Connection, pool

from stepwell_shared.database.table_functions import security_statements
from stepwell_shared.installed import service_named
from stepwell_shared.revisions import Half
from stepwell_shared.runtime import Service
from stepwell_shared.schema import functions_of, metadata_of

# Alembic is imported where it works: the command line knows this module, and is asked for other things too.
if TYPE_CHECKING:
    from alembic.config import Config

MIGRATION_LOCK = 0x57E9_0002  # advisory lock number: two migrations at once take turns
# A change that waits for its table holds up everybody behind it: it gives up, and is tried again.
LOCK_SECONDS_MAX = 5


async def migrate(service_name: str, owner_url: str, runtime_role: str, halves: Sequence[Half] = tuple(Half)) -> None:
    """Migrates with the owner's login and gives the runtime login its few rights; doing it again changes nothing."""
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415  only a migration needs it

    service = service_named(service_name)
    # asyncpg reads the URL, not SQLAlchemy: it knows several hosts of which one is the primary.
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=partial(asyncpg.connect, owner_url), poolclass=pool.NullPool
    )
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'")
            for half in halves:
                await connection.run_sync(_upgrade, service, half)
    finally:
        await engine.dispose()
    owner = await asyncpg.connect(owner_url)
    try:
        async with owner.transaction():
            await owner.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
            await owner.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'")
            for statement in functions_of(service):
                await owner.execute(statement)
            for statement in security_statements(metadata_of(service).sorted_tables, runtime_role):
                await owner.execute(statement)
            # A process sees by it whether the database is as its release needs it.
            await owner.execute(f'GRANT SELECT ON {Half.BEFORE.version_table} TO "{runtime_role}"')
    finally:
        await owner.close()


def _upgrade(connection: Connection, service: Service, half: Half) -> None:
    from alembic import command  # noqa: PLC0415  only a migration needs it

    if any((service.migrations / half.folder).glob("*.py")):
        command.upgrade(alembic_config(service, connection, half), "head")


def alembic_config(service: Service, connection: Connection, half: Half = Half.BEFORE) -> "Config":
    """Alembic with this service's versions and the environment that all services share."""
    from alembic.config import Config  # noqa: PLC0415  only a migration needs it

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migration_environment"))
    config.set_main_option("version_locations", str(service.migrations / half.folder))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["metadata"] = metadata_of(service)
    config.attributes["version_table"] = half.version_table
    return config
