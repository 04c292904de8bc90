"""Searches on a real standby: whoever has been answered a write finds it, whatever becomes of the standby."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from stepwell_screening.app import service as screening
from stepwell_shared.cli.bootstrap import RUNTIME_ROLE, DatabaseUrls, bootstrap
from stepwell_shared.database.follower import Follower, Position
from stepwell_shared.database.pool import Database, TooSlowError
from stepwell_shared.migrations import migrate
from stepwell_shared.runtime import Runtime

from tests.conftest import DatabaseOf
from tests.support import pooler, postgres
from tests.support.runtime import NORTH, SOUTH, http_of, running, token
from tests.support.streaming import Streaming, streaming

DATABASE, ANOTHER = "standing", "another"
STAFF = token(NORTH, "ehr")
TRIES_SECONDS_MAX = 60
AWAY = "postgresql://nobody@127.0.0.1:1/none"
IN_THE_WAY = """CREATE FUNCTION in_the_way() RETURNS void LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION SQLSTATE '40001' USING MESSAGE = 'conflict with recovery'; END $$"""

_names = (f"person-{number}" for number in itertools.count())


@dataclass(frozen=True)
class Site:
    """The two servers, with screening's tables; processes get at each through a pooler if the run has one."""

    servers: Streaming
    urls: DatabaseUrls
    urls_of_another: DatabaseUrls
    urls_of_processes: DatabaseUrls
    read_url: str


@dataclass(frozen=True)
class Process:
    """A process, asked over HTTP."""

    runtime: Runtime
    client: httpx.AsyncClient

    @property
    def follower(self) -> Follower:
        assert self.runtime.follower is not None
        return self.runtime.follower

    async def create(self, name: str) -> str:
        person = {"resourceType": "Patient", "name": [{"family": name}]}
        answer = await self.client.post("Patient", json=person, headers=STAFF)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def search(self, address: str, headers: dict[str, str] = STAFF) -> dict[str, Any]:
        answer = await self.client.get(address, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def found(self, name: str, headers: dict[str, str] = STAFF) -> list[str]:
        return ids_of(await self.search(f"Patient?family:exact={name}", headers))

    async def until(self, count: Callable[[Follower], int]) -> None:
        """Searches until the count of what was answered by one of the two servers moves on."""
        before = count(self.follower)
        async with asyncio.timeout(TRIES_SECONDS_MAX):
            while count(self.follower) == before:
                await self.found("nobody")
                await asyncio.sleep(0.01)


@asynccontextmanager
async def process(urls: DatabaseUrls, folder: Path, read_url: str) -> AsyncIterator[Process]:
    """One process of the service; it shares nothing with another but the database."""
    changed = {"read_database_url": SecretStr(read_url), "read_searches": True}
    async with (
        running(screening, urls, folder, is_prepared=True, settings_changed=changed) as runtime,
        http_of(runtime, screening) as client,
    ):
        yield Process(runtime, client)


def ids_of(bundle: dict[str, Any]) -> list[str]:
    return [each["resource"]["id"] for each in bundle.get("entry", ())]


def by_standby(follower: Follower) -> int:
    return follower.answered


def by_primary(follower: Follower) -> int:
    return follower.passed_over


@pytest.fixture
def site() -> Iterator[Site]:
    """Two servers for one test: what becomes of them is never undone."""
    folder = postgres.run_folder() / f"streaming-{next(_names)}"
    with streaming(folder) as servers:
        urls = asyncio.run(_migrated(servers, folder))
        direct, poolers = urls[DATABASE], [folder / "before-primary", folder / "before-standby"]
        for each in poolers:
            each.mkdir()
            shutil.copy(folder / "credentials.json", each)
        try:
            read_url = pooler.pooled_url(servers.on_standby(direct.runtime), servers.standby, poolers[1])
            yield Site(servers, direct, urls[ANOTHER], pooler.pooled(direct, servers.primary, poolers[0]), read_url)
        finally:
            for each in poolers:
                pooler.stop(each)
    shutil.rmtree(folder, ignore_errors=True)


async def _migrated(servers: Streaming, folder: Path) -> dict[str, DatabaseUrls]:
    credentials = folder / "credentials.json"
    urls = await bootstrap(servers.primary.url(), [DATABASE, ANOTHER], credentials, server_is_ours=True)
    await migrate(screening.name, urls[DATABASE].owner, RUNTIME_ROLE)
    return urls


@pytest.fixture
async def pretended(empty_database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Follower]:
    """Another way to the same server, taken for a standby that has caught up."""
    monkeypatch.setattr(Position, "is_replayed", "SELECT")
    async with (
        Database.open(empty_database.runtime, connections_max=2) as primary,
        Database.open(empty_database.runtime, connections_max=2) as other,
    ):
        follower = Follower(primary, other)
        assert await follower.fetch("SELECT 1", seconds_max=5) is None
        assert follower._trial is not None
        await follower._trial
        yield follower


async def recorded(site: Site) -> int:
    """Searches on record."""
    connection = await asyncpg.connect(site.urls.runtime)
    try:
        async with connection.transaction():
            await connection.execute("SELECT set_config('stepwell.tenant', $1, true)", NORTH)
            counted = "SELECT count(*) FROM audit WHERE interaction = 'search-type' AND status = 200"
            return int(await connection.fetchval(counted))
    finally:
        await connection.close()


async def test_what_was_written_is_found_at_once_whatever_becomes_of_the_standby(site: Site, tmp_path: Path) -> None:
    """One story, since to make the servers takes longest. Another process writes than the one that is asked."""
    async with (
        process(site.urls_of_processes, tmp_path, site.read_url) as writer,
        process(site.urls_of_processes, tmp_path, site.read_url) as reader,
    ):
        await reader.until(by_standby)
        await _another_database_is_never_asked(site)
        await _written_is_found(writer, reader)
        asked, kept = reader.follower.answered, await recorded(site)
        await reader.until(by_standby)
        assert await recorded(site) - kept >= reader.follower.answered - asked > 0

        await site.servers.tell_standby("SELECT pg_wal_replay_pause()")
        name = next(_names)
        person = await writer.create(name)
        assert await reader.found(name) == [person]
        await site.servers.tell_standby("SELECT pg_wal_replay_resume()")
        await reader.until(by_standby)
        await _pages_go_on_on_the_other_server(site, writer, reader)

        site.servers.standby.stop()
        name = next(_names)
        person = await writer.create(name)
        assert await reader.found(name) == [person]
        site.servers.standby.start()
        await reader.until(by_standby)

        await site.servers.tell_standby("SELECT pg_promote()")
        await reader.until(by_primary)
        asked = reader.follower.answered
        name = next(_names)
        person = await writer.create(name)
        assert await reader.found(name) == [person]
        assert reader.follower.answered == asked


async def _written_is_found(writer: Process, reader: Process) -> None:
    """By every kind of search; and by nobody of another tenant."""
    before = reader.follower.answered
    for number in range(40):
        name = next(_names)
        person = await writer.create(name)
        assert await reader.found(name) == [person]
        if number % 10 == 0:
            assert await reader.found(name, token(SOUTH, "ehr")) == []
            newest = await reader.search("?_type=Patient,QuestionnaireResponse&_sort=-_lastUpdated&_count=1")
            assert ids_of(newest) == [person]
            counted = await reader.search(f"Patient?family:exact={name}&_summary=count")
            assert counted["total"] == 1
            form = {**STAFF, "Content-Type": "application/x-www-form-urlencoded"}
            posted = await reader.client.post("Patient/_search", content=f"family:exact={name}", headers=form)
            assert ids_of(posted.json()) == [person]
    assert reader.follower.answered > before


async def _pages_go_on_on_the_other_server(site: Site, writer: Process, reader: Process) -> None:
    family = next(_names)
    people = [await writer.create(family) for _ in range(7)]
    address = f"Patient?family:exact={family}&_count=2"
    seen: list[str] = []
    for page in range(4):
        turn = "pause" if page % 2 else "resume"
        await site.servers.tell_standby(f"SELECT pg_wal_replay_{turn}()")
        await writer.create(next(_names))
        found = await reader.search(address)
        seen += ids_of(found)
        address = next((each["url"] for each in found["link"] if each["relation"] == "next"), "")
    assert (sorted(seen), address) == (sorted(people), "")
    await site.servers.tell_standby("SELECT pg_wal_replay_resume()")


async def test_a_standby_that_is_away_from_the_start_keeps_nobody_waiting(
    database_of: DatabaseOf, tmp_path: Path
) -> None:
    async with process(await database_of(screening.name), tmp_path, AWAY) as asked:
        name = next(_names)
        person = await asked.create(name)
        await asked.until(by_primary)
        assert await asked.found(name) == [person]
        assert asked.follower.answered == 0


async def _another_database_is_never_asked(site: Site) -> None:
    """It has tables of the same names, and follows the same log."""
    url = site.servers.on_standby(site.urls_of_another.runtime)
    async with (
        Database.open(site.urls.runtime, connections_max=1) as primary,
        Database.open(url, connections_max=1) as another,
    ):
        await _is_never_asked(Follower(primary, another))


async def _is_never_asked(follower: Follower) -> None:
    assert await follower.fetch("SELECT 1", seconds_max=5) is None
    assert follower._trial is not None
    await follower._trial
    assert await follower.fetch("SELECT 1", seconds_max=5) is None
    await follower.close()


async def test_what_takes_too_long_on_the_standby_is_stopped_there_and_the_primary_is_spared(
    pretended: Follower,
) -> None:
    with pytest.raises(TooSlowError):
        await pretended.fetch("SELECT pg_sleep(30)", seconds_max=0.05)
    assert await pretended.fetch("SELECT 1", seconds_max=5) is not None


async def test_what_was_in_the_way_of_the_replay_is_asked_of_the_primary(
    pretended: Follower, empty_database: DatabaseUrls
) -> None:
    connection = await asyncpg.connect(empty_database.owner)
    await connection.execute(IN_THE_WAY)
    await connection.close()
    assert await pretended.fetch("SELECT in_the_way()", seconds_max=5) is None
    assert await pretended.fetch("SELECT 1", seconds_max=5) is not None


async def test_a_server_that_is_no_standby_is_never_asked(empty_database: DatabaseUrls) -> None:
    async with (
        Database.open(empty_database.runtime, connections_max=2) as primary,
        Database.open(empty_database.runtime, connections_max=2) as other,
    ):
        await _is_never_asked(Follower(primary, other))
