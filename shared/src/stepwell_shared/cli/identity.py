"""As whom the embedded PostgreSQL runs: ourselves, ourselves under another number, or an unprivileged user.

PostgreSQL refuses root, and initdb wants a user that the password database knows; in a container we are often neither.
"""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stepwell_shared.cli import unprivileged
from stepwell_shared.cli.errors import SetupError

Way = Literal["self", "namespace", "user"]

USUAL_NAMES = ("nobody", "postgres", "daemon")


@dataclass(frozen=True)
class Identity:
    """Who runs the server: the way there, the name it sees for itself, and who owns its files on disk."""

    way: Way
    name: str
    owner_uid: int
    owner_gid: int
    prefix: tuple[str, ...] = ()


def _known_users() -> Iterable[pwd.struct_passwd]:
    """Users other than root, the usual unprivileged ones first."""
    ranks = {name: rank for rank, name in enumerate(USUAL_NAMES)}
    users = [user for user in pwd.getpwall() if user.pw_uid != 0]
    return sorted(users, key=lambda user: ranks.get(user.pw_name, len(ranks)))


def _identity(way: Way, user: pwd.struct_passwd) -> Identity:
    if way == "self":
        return Identity(way, user.pw_name, os.geteuid(), os.getegid())
    launcher = (sys.executable, "-I", "-S", str(Path(unprivileged.__file__)), way)
    prefix = (*launcher, str(user.pw_uid), str(user.pw_gid), "--")
    if way == "namespace":
        return Identity(way, user.pw_name, os.geteuid(), os.getegid(), prefix)
    return Identity(way, user.pw_name, user.pw_uid, user.pw_gid, prefix)


def _refusal(identity: Identity) -> str | None:
    """Why this identity cannot be had here, or None when a command really ran as it."""
    done = subprocess.run(
        [*identity.prefix, "/bin/sh", "-c", 'test "$(id -u)" != 0'], capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else done.stderr.strip() or "still root"


def find_identity(way: Way | None = None) -> Identity:
    """The first way that works here, or the given one. Raises SetupError when there is none."""
    if way in (None, "self") and os.geteuid() != 0:
        try:
            return _identity("self", pwd.getpwuid(os.geteuid()))
        except KeyError:
            pass  # a container's bare number: a namespace can lend it a name
    user = next(iter(_known_users()), None)
    if user is None:
        raise SetupError("PostgreSQL needs a user other than root, and this system has none: `adduser stepwell`.")
    refusals = []
    for candidate in ("namespace", "user"):
        if way not in (None, candidate):
            continue
        identity = _identity(candidate, user)
        refusal = _refusal(identity)
        if refusal is None:
            return identity
        refusals.append(refusal)
    raise SetupError(
        f"PostgreSQL refuses to run as uid {os.geteuid()}, and this system allows no other way "
        f"({'; '.join(refusals)}). Run as an ordinary user, or set STEPWELL_DATABASE_URL to a running PostgreSQL."
    )
