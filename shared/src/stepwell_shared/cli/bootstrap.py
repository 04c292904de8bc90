"""Prepares a PostgreSQL server for Stepwell: one database per service and two logins that are no superusers.

`stepwell_owner` owns databases and tables and migrates them; `stepwell_runtime` owns nothing, so that row-level
security holds for every service at run time.
"""

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from stepwell_shared.cli.errors import SetupError

OWNER_ROLE = "stepwell_owner"
RUNTIME_ROLE = "stepwell_runtime"
ROLES = (OWNER_ROLE, RUNTIME_ROLE)
OLDEST_SERVER_VERSION = 150000
BOOTSTRAP_LOCK = 0x57E9_0001  # advisory lock number: two runs at once take turns


class DatabaseUrls(NamedTuple):
    """The two ways into one database, for migrations and for the running service."""

    owner: str
    runtime: str

    def __repr__(self) -> str:
        """Both URLs hold passwords, so neither is shown."""
        return "DatabaseUrls(...)"


def database_name(service: str) -> str:
    """The database of a service."""
    return f"stepwell_{service}"


def login_url(url: str, database: str, user: str, password: str) -> str:
    """The same server as in `url`, with another database and login."""
    parts = urlsplit(url)
    _login, _, place = parts.netloc.rpartition("@")
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{place}"
    # urlunsplit drops the slashes of an empty place, which URLs of a Unix socket have
    return urlunsplit((parts.scheme, netloc, f"/{quote(database)}", parts.query, ""))


async def bootstrap(
    url_admin: str, database_names: Sequence[str], credentials_file: Path, *, server_is_ours: bool = False
) -> dict[str, DatabaseUrls]:
    """Makes what is missing of the databases and the two logins; doing it again changes nothing.

    The passwords are made once and kept in `credentials_file` (mode 0600). When a login is there and its password is
    not kept, a server of our own gets a new one; on a foreign server that would lock out somebody else, so it is
    refused. Raises SetupError in words for the person who runs the server.
    """
    connection = await _connect(url_admin)
    try:
        await _refuse_old_server(connection)
        await connection.execute("SELECT pg_advisory_lock($1)", BOOTSTRAP_LOCK)
        passwords = await _ensure_roles(connection, credentials_file, server_is_ours=server_is_ours)
        for name in database_names:
            await _ensure_database(connection, name)
    except asyncpg.InsufficientPrivilegeError as error:
        raise SetupError(f"The login of STEPWELL_DATABASE_URL may not prepare the server: {error}.") from error
    finally:
        await connection.close()
    return {
        name: DatabaseUrls(
            owner=login_url(url_admin, name, OWNER_ROLE, passwords[OWNER_ROLE]),
            runtime=login_url(url_admin, name, RUNTIME_ROLE, passwords[RUNTIME_ROLE]),
        )
        for name in database_names
    }


async def _connect(url_admin: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(url_admin)
    except (OSError, TimeoutError) as error:
        raise SetupError(
            "No PostgreSQL answers at the place that STEPWELL_DATABASE_URL names: check host and port."
        ) from error
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise SetupError(f"PostgreSQL refused the login of STEPWELL_DATABASE_URL: {error}.") from error
    except (ValueError, asyncpg.InterfaceError) as error:
        raise SetupError(
            "STEPWELL_DATABASE_URL is not a PostgreSQL URL: postgresql://user:password@host:5432/postgres is one."
        ) from error


async def _refuse_old_server(connection: asyncpg.Connection) -> None:
    version = int(await connection.fetchval("SHOW server_version_num"))
    if version < OLDEST_SERVER_VERSION:
        raise SetupError(f"Stepwell needs PostgreSQL 15 or newer, and this server is PostgreSQL {version // 10000}.")


async def _require(connection: asyncpg.Connection, attribute: str, purpose: str) -> None:
    """Raises SetupError unless the login has the attribute, `rolcreaterole` or `rolcreatedb`, or is a superuser."""
    row = await connection.fetchrow("SELECT rolname, to_jsonb(r) FROM pg_roles r WHERE rolname = current_user")
    attributes = json.loads(row[1])
    if not (attributes["rolsuper"] or attributes[attribute]):
        right = attribute.removeprefix("rol").upper()
        raise SetupError(f'The login "{row[0]}" may not {purpose}: run ALTER ROLE {row[0]} {right} as a superuser.')


async def _ensure_roles(
    connection: asyncpg.Connection, credentials_file: Path, *, server_is_ours: bool
) -> dict[str, str]:
    passwords = _read_passwords(credentials_file)
    rows = await connection.fetch(
        "SELECT rolname, rolsuper OR rolbypassrls AS all_powerful FROM pg_roles WHERE rolname = any($1)", ROLES
    )
    present = {row["rolname"]: row["all_powerful"] for row in rows}
    for role in ROLES:
        if present.get(role):
            raise SetupError(
                f"The login {role} may pass row-level security: run ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS."
            )
        if role in present and role not in passwords and not server_is_ours:
            raise SetupError(
                f"The login {role} is already on this server, and its password is not in {credentials_file}: "
                f"bring that file back, or remove the login if nobody uses it."
            )
    wanted = {role: passwords.get(role) or secrets.token_urlsafe(32) for role in ROLES}
    if wanted != passwords:
        _keep_passwords(credentials_file, wanted)
    for role in ROLES:
        if role not in present:
            await _require(connection, "rolcreaterole", "create logins")
        if role not in present or server_is_ours:
            verb = "ALTER" if role in present else "CREATE"
            # token_urlsafe has no character that needs quoting
            await connection.execute(f"{verb} ROLE {role} LOGIN PASSWORD '{wanted[role]}'")
    return wanted


async def _ensure_database(connection: asyncpg.Connection, name: str) -> None:
    if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name) is None:
        await _require(connection, "rolcreatedb", "create databases")
        # PostgreSQL 16 split membership: who creates a login may administer it, not yet act as it.
        membership = "SET" if connection.get_server_version().major >= 16 else "MEMBER"
        if not await connection.fetchval("SELECT pg_has_role(current_user, $1, $2)", OWNER_ROLE, membership):
            await connection.execute(f"GRANT {OWNER_ROLE} TO CURRENT_USER")
        await connection.execute(f'CREATE DATABASE "{name}" OWNER {OWNER_ROLE} TEMPLATE template0 ENCODING UTF8')
    closed = await connection.fetchval(
        "SELECT has_database_privilege($1, $2, 'CONNECT') AND NOT has_database_privilege('public', $2, 'CONNECT')",
        RUNTIME_ROLE,
        name,
    )
    if not closed:
        await close_database(connection, name)


async def close_database(connection: asyncpg.Connection, name: str) -> None:
    """Lets the owner and the runtime login into a database, and nobody else. CREATE DATABASE copies no grants."""
    await connection.execute(
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC; GRANT CONNECT ON DATABASE "{name}" TO {RUNTIME_ROLE}'
    )


def _read_passwords(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {role: kept[role] for role in ROLES}
    except (ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"The file {path} is damaged: it should hold the passwords of {' and '.join(ROLES)}."
        ) from error


def _keep_passwords(path: Path, passwords: dict[str, str]) -> None:
    """Writes the file whole or not at all, readable by us alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        json.dump(passwords, handle)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.replace(path)
