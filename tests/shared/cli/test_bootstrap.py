"""Preparing a server: refusals in sentences, logins that cannot pass row-level security, no change the second time."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from stepwell_shared.cli import bootstrap as module
from stepwell_shared.cli.bootstrap import OWNER_ROLE, ROLES, RUNTIME_ROLE, DatabaseUrls, bootstrap, login_url
from stepwell_shared.cli.embedded import EmbeddedPostgres
from stepwell_shared.cli.errors import SetupError

from tests.support import postgres

NAMES = ("stepwell_screening", "stepwell_routing")


@pytest.fixture
async def foreign_server(tmp_path: Path, initialised: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server of its own, because logins belong to a whole server; taken as somebody else's."""
    shutil.copytree(initialised, tmp_path / "postgres")
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as server:
        yield server


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def run_sql(url: str, sql: str) -> None:
    async with connected(url) as connection:
        await connection.execute(sql)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://nobody:secret@127.0.0.1:1/postgres", "No PostgreSQL answers"),
        ("mysql://nobody:secret@127.0.0.1/postgres", "is not a PostgreSQL URL"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_a_sentence_without_the_password(
    url: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match=sentence) as caught:
        await bootstrap(url, NAMES, tmp_path / "credentials.json")
    assert "secret" not in str(caught.value)


async def test_a_server_that_is_too_old_is_refused_with_both_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OLDEST_SERVER_VERSION", 990000)
    with pytest.raises(SetupError, match=r"PostgreSQL 15 or newer, and this server is PostgreSQL \d+\."):
        await bootstrap(postgres.server().url(), NAMES, tmp_path / "credentials.json")


async def test_a_wrong_password_and_missing_rights_are_named(foreign_server: EmbeddedPostgres, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials.json"
    with pytest.raises(SetupError, match="refused the login"):
        await bootstrap(foreign_server.url(password="guess"), NAMES, credentials)
    await run_sql(foreign_server.url(), "CREATE ROLE deployer LOGIN PASSWORD 'd'")
    deployer = foreign_server.url(user="deployer", password="d")
    with pytest.raises(SetupError, match="ALTER ROLE deployer CREATEROLE"):
        await bootstrap(deployer, NAMES, credentials)
    await run_sql(foreign_server.url(), "ALTER ROLE deployer CREATEROLE")
    with pytest.raises(SetupError, match="ALTER ROLE deployer CREATEDB"):
        await bootstrap(deployer, NAMES, credentials)
    await run_sql(foreign_server.url(), "ALTER ROLE deployer CREATEDB")
    urls = await bootstrap(deployer, NAMES, credentials)
    await run_sql(urls[NAMES[0]].owner, "CREATE TABLE scores (value int)")


async def test_a_login_of_somebody_elses_installation_is_not_taken_over(
    foreign_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    await bootstrap(foreign_server.url(), NAMES, tmp_path / "theirs.json")
    with pytest.raises(SetupError, match=r"stepwell_owner is already on this server.*ours\.json"):
        await bootstrap(foreign_server.url(), NAMES, tmp_path / "ours.json")
    assert not (tmp_path / "ours.json").exists()
    again = await bootstrap(foreign_server.url(), NAMES, tmp_path / "ours.json", server_is_ours=True)
    await run_sql(again[NAMES[0]].runtime, "SELECT 1")


@pytest.mark.parametrize("power", ["SUPERUSER", "BYPASSRLS"])
async def test_a_login_that_passes_row_level_security_is_refused(
    foreign_server: EmbeddedPostgres, tmp_path: Path, power: str
) -> None:
    await bootstrap(foreign_server.url(), NAMES, tmp_path / "credentials.json")
    await run_sql(foreign_server.url(), f"ALTER ROLE {RUNTIME_ROLE} {power}")
    with pytest.raises(SetupError, match=f"{RUNTIME_ROLE} may pass row-level security"):
        await bootstrap(foreign_server.url(), NAMES, tmp_path / "credentials.json")


async def test_a_damaged_password_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text('{"stepwell_owner": "x"', encoding="utf-8")
    with pytest.raises(SetupError, match=r"credentials\.json is damaged"):
        await bootstrap(postgres.server().url(), NAMES, file)


async def test_the_second_time_changes_nothing(foreign_server: EmbeddedPostgres, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    first = await bootstrap(foreign_server.url(), NAMES, file)
    kept = file.read_text(encoding="utf-8")
    assert await bootstrap(foreign_server.url(), NAMES, file) == first
    assert file.read_text(encoding="utf-8") == kept
    assert file.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(kept)) == set(ROLES)


async def test_the_runtime_login_owns_nothing_and_the_owner_is_no_superuser(
    foreign_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    urls = await bootstrap(foreign_server.url(), NAMES, tmp_path / "credentials.json")
    here = urls[NAMES[0]]
    await run_sql(here.owner, "CREATE TABLE scores (value int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run_sql(here.runtime, "CREATE TABLE mine (value int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run_sql(here.runtime, "SELECT * FROM scores")
    async with connected(here.runtime) as connection:
        rows = await connection.fetch(
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb AS power FROM pg_roles"
            " WHERE rolname = any($1)",
            ROLES,
        )
        assert [row["power"] for row in rows] == [False, False]
        assert await connection.fetchval("SELECT pg_has_role($1, $2, 'MEMBER')", RUNTIME_ROLE, OWNER_ROLE) is False


async def test_no_other_login_enters_the_databases(foreign_server: EmbeddedPostgres, tmp_path: Path) -> None:
    await bootstrap(foreign_server.url(), NAMES, tmp_path / "credentials.json")
    await run_sql(foreign_server.url(), "CREATE ROLE stranger LOGIN PASSWORD 's'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(foreign_server.url(NAMES[0], "stranger", "s"))


def test_login_urls_keep_the_place_and_quote_what_they_add() -> None:
    socket = "postgresql://admin:a@/postgres?host=/run/socket&port=5432"
    assert login_url(socket, "one", "o", "p/@") == "postgresql://o:p%2F%40@/one?host=/run/socket&port=5432"
    network = "postgresql://admin:a%40b@db.example:6432/postgres?sslmode=verify-full"
    assert login_url(network, "two", "o", "p") == "postgresql://o:p@db.example:6432/two?sslmode=verify-full"


def test_database_urls_hide_their_passwords() -> None:
    assert "secret" not in repr(DatabaseUrls("postgresql://o:secret@/a", "postgresql://r:secret@/a"))


async def test_each_test_gets_a_database_of_its_own(empty_database: DatabaseUrls) -> None:
    """The tests' own ground: what one test leaves behind, no other sees."""
    other_name, other = await postgres.create_database(postgres.EMPTY)
    try:
        await run_sql(other.owner, "CREATE TABLE left_over (value int)")
        async with connected(empty_database.owner) as connection:
            assert await connection.fetchval("SELECT to_regclass('left_over')") is None
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run_sql(empty_database.runtime, "CREATE TABLE mine (value int)")
    finally:
        postgres.drop_database(other_name)
