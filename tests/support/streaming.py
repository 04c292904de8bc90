"""Two PostgreSQL servers of which one follows the log of the other, as the standby of a site does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from stepwell_shared.cli.embedded import SUPERUSER, EmbeddedPostgres

from tests.support.installation import postgresql_in


@dataclass(frozen=True)
class Streaming:
    """The two servers."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres

    def on_standby(self, url: str) -> str:
        """The same database and login there."""
        return url.replace(str(self.primary.socket_folder), str(self.standby.socket_folder))

    async def tell_standby(self, statement: str) -> object:
        """A superuser's statement; its value."""
        connection = await asyncpg.connect(self.standby.url())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@contextmanager
def streaming(folder: Path) -> Iterator[Streaming]:
    """A primary, and a standby that streams from it while it can."""
    primary, standby = (postgresql_in(folder / name, durable=True) for name in ("primary", "standby"))
    primary.start().stop()
    shutil.copytree(primary.home, standby.home)
    with primary:
        source = f"host={primary.socket_folder} port=5432 user={SUPERUSER}"
        password = (primary.home / "superuser-password").read_text(encoding="ascii")
        with (standby.data / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
            settings.write(
                f"primary_conninfo = '{source} password={password}'\nwal_retrieve_retry_interval = '200ms'\n"
            )
        (standby.data / "standby.signal").touch()
        owner = primary.data.stat()
        for path in (standby.data, *standby.data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        try:
            standby.start()
            yield Streaming(primary, standby)
        finally:
            standby.stop()
