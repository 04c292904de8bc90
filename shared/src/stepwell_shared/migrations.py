"""Brings one service's database to its declared shape: Alembic's versions, then what is derived from the tables.

Tables change in numbered versions. Functions, row-level security and grants follow from the tables and are
installed anew each time, in one transaction.

There are two halves around a release. `before`: what the new release needs, beside which the old one works on
(migrations/versions). `after`, when no process of the old release runs any more: what only that one needed goes
(migrations/after, a chain of its own, so that several releases may be passed in one step).
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import Connection, pool

from stepwell_shared.database.functions import security_statements
from stepwell_shared.installed import service_named
from stepwell_shared.runtime import Service

# Alembic is imported where it works: the command line knows this module, and a process that serves has no use for
# a tenth more memory.
if TYPE_CHECKING:
    from alembic.config import Config

MIGRATION_LOCK = 0x57E9_0002  # advisory lock number: two migrations at once take turns
# A change that waits for its table holds up everybody behind it: it gives up, and is tried again.
LOCK_SECONDS_MAX = 5
REVISION = re.compile(r"^(revision|down_revision) = ['\"](\w+)['\"]", re.MULTILINE)


class Half(StrEnum):
    """One of the two parts of a migration."""

    BEFORE = "before"
    AFTER = "after"

    @property
    def folder(self) -> str:
        """Below a service's migrations."""
        return "versions" if self is Half.BEFORE else "after"

    @property
    def version_table(self) -> str:
        """Where Alembic keeps how far this half is."""
        return "alembic_version" if self is Half.BEFORE else "alembic_version_after"


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
            for statement in service.function_statements():
                await owner.execute(statement)
            for statement in security_statements(service.metadata().sorted_tables, runtime_role):
                await owner.execute(statement)
            # A process sees by it whether the database is as its release needs it.
            await owner.execute(f'GRANT SELECT ON {Half.BEFORE.version_table} TO "{runtime_role}"')
    finally:
        await owner.close()


def superseded(service: Service) -> frozenset[str]:
    """The revisions of the first half that newer ones of this release follow."""
    texts = [path.read_text(encoding="utf-8") for path in (service.migrations / Half.BEFORE.folder).glob("*.py")]
    return frozenset(name for text in texts for kind, name in REVISION.findall(text) if kind == "down_revision")


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
    config.attributes["metadata"] = service.metadata()
    config.attributes["version_table"] = half.version_table
    return config
