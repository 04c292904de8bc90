"""A migration has two halves around a release, stands in nobody's way, and a process knows whether it came."""

import shutil
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette
from stepwell_shared import migrations
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls
from stepwell_shared.database.pool import Database
from stepwell_shared.health import Health
from stepwell_shared.installed import service_named
from stepwell_shared.migrations import migrate
from stepwell_shared.revisions import REVISION, Half, superseded
from stepwell_shared.settings import SERVICES

from tests.conftest import DatabaseOf

SERVICE = "screening"
NEWEST = "9999_next_release"
MIGRATION = """from alembic import op

revision = '{revision}'
down_revision = {follows!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute({statement!r})
"""
NEEDED = "ALTER TABLE tenant ADD COLUMN needed text"
NOT_NEEDED_ANY_MORE = "ALTER TABLE tenant DROP COLUMN needed"


@pytest.fixture
async def urls(database_of: DatabaseOf) -> DatabaseUrls:
    """The database of this release. It is made before anything pretends to be the next one."""
    return await database_of(SERVICE)


@pytest.fixture
def next_release(urls: DatabaseUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """From now on screening is a later release, with one more migration in each half. The newest revision before it."""
    service = service_named(SERVICE)
    (head,) = newest(SERVICE)
    shutil.copytree(service.migrations, tmp_path / "migrations")
    write(tmp_path / "migrations" / "versions", NEWEST, head, NEEDED)
    write(tmp_path / "migrations" / "after", "0001_gone", None, NOT_NEEDED_ANY_MORE)
    monkeypatch.setattr(migrations, "service_named", lambda _: replace(service, package=tmp_path))
    return head


def newest(service: str) -> set[str]:
    """The revisions of the first half that none follows."""
    files = (service_named(service).migrations / "versions").glob("*.py")
    found = [REVISION.findall(path.read_text()) for path in files]
    return {name for each in found for kind, name in each if kind == "revision"} - superseded(service_named(service))


def write(folder: Path, revision: str, follows: str | None, statement: str) -> None:
    folder.mkdir(exist_ok=True)
    text = MIGRATION.format(revision=revision, follows=follows, statement=statement)
    (folder / f"{revision}.py").write_text(text)


async def columns(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT column_name FROM information_schema.columns WHERE table_name = 'tenant'")
        return {row["column_name"] for row in rows}
    finally:
        await connection.close()


async def readiness(urls: DatabaseUrls, superseded_by_us: frozenset[str], health: Health | None = None) -> int:
    """What a process answers at `/readyz`."""
    async with Database.open(urls.runtime) as database:
        routes = (health or Health()).routes(database, superseded_by_us)
        transport = httpx.ASGITransport(Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            assert (await client.get("/livez")).status_code == 200
            return (await client.get("/readyz")).status_code


@pytest.mark.parametrize("service", SERVICES)
def test_a_release_has_one_newest_revision(service: str) -> None:
    assert len(newest(service)) == 1


async def test_the_first_half_leaves_what_only_the_old_release_needs(urls: DatabaseUrls, next_release: str) -> None:
    await migrate(SERVICE, urls.owner, RUNTIME_ROLE, [Half.BEFORE])
    assert "needed" in await columns(urls.owner)
    await migrate(SERVICE, urls.owner, RUNTIME_ROLE, [Half.AFTER])
    assert "needed" not in await columns(urls.owner)


async def test_a_new_process_is_not_ready_before_its_first_half_and_an_old_one_stays_ready_after_it(
    urls: DatabaseUrls, next_release: str
) -> None:
    old = superseded(service_named(SERVICE))
    new = old | {next_release}
    assert (await readiness(urls, old), await readiness(urls, new)) == (200, 503)
    await migrate(SERVICE, urls.owner, RUNTIME_ROLE, [Half.BEFORE])
    assert (await readiness(urls, old), await readiness(urls, new)) == (200, 200)


async def test_a_database_that_was_never_migrated_is_not_ready(database_of: DatabaseOf) -> None:
    urls = await database_of("empty")
    assert await readiness(urls, frozenset()) == 503


async def test_migrating_again_waits_for_nobody_who_works(urls: DatabaseUrls) -> None:
    writer = await asyncpg.connect(urls.owner)
    try:
        tables = await writer.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200")
        async with writer.transaction():
            await writer.execute(f"LOCK TABLE {', '.join(row['relname'] for row in tables)} IN ROW EXCLUSIVE MODE")
            await migrate(SERVICE, urls.owner, RUNTIME_ROLE)
    finally:
        await writer.close()


@pytest.mark.usefixtures("next_release")
async def test_a_migration_that_would_keep_everybody_waiting_gives_up(
    urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_SECONDS_MAX", 1)
    reader = await asyncpg.connect(urls.owner)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT count(*) FROM tenant")
            with pytest.raises(Exception, match="lock timeout"):
                await migrate(SERVICE, urls.owner, RUNTIME_ROLE, [Half.BEFORE])
    finally:
        await reader.close()
    assert "needed" not in await columns(urls.owner)


async def test_who_was_told_to_stop_is_alive_and_not_ready(urls: DatabaseUrls) -> None:
    health = Health()
    assert await readiness(urls, frozenset(), health) == 200
    health.leave()
    assert await readiness(urls, frozenset(), health) == 503
