"""The store: what many writers and readers at once may rely on, and what happens when the database is away."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
import pytest
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Change, UnitOfWork

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, NOW, SOUTH, Bench, FakeAccess, access_record, patient
from tests.support.engine import bench as open_bench
from tests.support.postgres import administrator

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"


def change(bench: Bench, id_: str, version: int = 1, **members: object) -> Change:
    return built(bench.engine, patient(id=id_, **members), NOW, version=version)


def unit(*changes: Change, tenant: str = NORTH, effects: Sequence[Effect] = ()) -> UnitOfWork:
    return UnitOfWork(tenant, list(changes), list(effects))


def effect(interaction: str = "create") -> Effect:
    return access_record(FakeAccess(), interaction, "", "", 200, "")


def database_name(bench: Bench) -> str:
    return urlsplit(bench.urls.runtime).path.removeprefix("/")


async def outcomes(*calls: Any) -> list[type | None]:
    found = await asyncio.gather(*calls, return_exceptions=True)
    return [None if each is None else type(each) for each in found]


def calls_of(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """Every statement that reaches the database from now on."""
    calls: list[tuple[str, tuple[Any, ...]]] = []
    fetch = bench.database.fetch

    async def counted(statement: str, *arguments: Any, **given: Any) -> Any:
        calls.append((statement, arguments))
        return await fetch(statement, *arguments, **given)

    monkeypatch.setattr(bench.database, "fetch", counted)
    return calls


class TestConflicts:
    async def test_a_version_that_does_not_follow_is_refused(self, bench: Bench) -> None:
        store = bench.engine.store
        await store.commit(unit(change(bench, "p1")))
        for version in (1, 3):
            with pytest.raises(WriteConflictError):
                await store.commit(unit(change(bench, "p1", version)))
        with pytest.raises(WriteConflictError):
            await store.commit(unit(change(bench, "nobody", 2)))
        await store.commit(unit(change(bench, "p1", 2)))

    async def test_a_refused_unit_leaves_nothing_at_all(self, bench: Bench) -> None:
        store = bench.engine.store
        await store.commit(unit(change(bench, "p1", identifier=[{"value": "old"}])))
        bad = unit(change(bench, "p2"), change(bench, "p1", 3, identifier=[{"value": "new"}]), effects=[effect()])
        with pytest.raises(WriteConflictError):
            await store.commit(bad)
        assert await store.read(NORTH, "Patient", "p2") is None
        assert await bench.found("Patient", "identifier=old") == ["p1"]
        assert await bench.found("Patient", "identifier=new") == []
        assert len(await store.versions(NORTH, "Patient", "p1", most=9)) == 1
        assert await bench.audit() == []

    async def test_one_bad_unit_among_many_fails_alone(self, bench: Bench) -> None:
        store = bench.engine.store
        await store.commit(unit(change(bench, "taken")))
        units = [unit(change(bench, "taken" if n == 7 else f"p{n}"), effects=[effect(f"i{n}")]) for n in range(20)]
        found = await outcomes(*(store.commit(each) for each in units))
        assert [n for n, error in enumerate(found) if error] == [7]
        assert found[7] is WriteConflictError
        assert len(await bench.found("Patient")) == 20
        assert sorted(row[0] for row in await bench.audit()) == sorted(f"i{n}" for n in range(20) if n != 7)

    async def test_a_unit_that_the_database_cannot_take_fails_alone(self, bench: Bench) -> None:
        store = bench.engine.store
        broken = change(bench, "bad")
        broken = replace(broken, rows=[("family", "a", "b\x00", None)])
        found = await outcomes(
            store.commit(unit(change(bench, "p1"))), store.commit(unit(broken)), store.commit(unit(change(bench, "p2")))
        )
        assert found[0] is None
        assert found[2] is None
        assert found[1] is not None
        assert not issubclass(found[1], FhirError)

    async def test_two_changes_of_one_resource_are_stored_one_after_the_other(self, bench: Bench) -> None:
        store = bench.engine.store
        found = await outcomes(*(store.commit(unit(change(bench, "p1", version))) for version in (1, 2, 3)))
        assert found == [None, None, None]
        assert [each.version for each in await store.versions(NORTH, "Patient", "p1", most=9)] == [3, 2, 1]

    async def test_of_two_first_versions_at_once_one_is_stored(self, bench: Bench) -> None:
        store = bench.engine.store
        found = await outcomes(*(store.commit(unit(change(bench, "p1"))) for _ in range(2)))
        assert found == [None, WriteConflictError]

    async def test_two_processes_that_change_the_same_in_opposite_order_never_see_a_fault(self, bench: Bench) -> None:
        async with open_bench(bench.urls) as other:
            for id_ in ("a", "b"):
                await bench.engine.store.commit(unit(change(bench, id_)))
            for version in range(2, 12):
                found = await outcomes(
                    bench.engine.store.commit(unit(change(bench, "a", version), change(bench, "b", version))),
                    other.engine.store.commit(unit(change(bench, "b", version), change(bench, "a", version))),
                )
                assert sorted(found, key=str) == [WriteConflictError, None]

    async def test_a_row_that_somebody_holds_is_given_up_soon_and_stops_no_other_tenant(self, bench: Bench) -> None:
        store = bench.engine.store
        await store.commit(unit(change(bench, "p1")))
        holder = await asyncpg.connect(bench.urls.runtime)
        try:
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("SELECT set_config('stepwell.tenant', $1, true)", NORTH)
            await holder.execute("UPDATE fhir_patient SET version = version WHERE tenant = $1 AND id = 'p1'", NORTH)
            held = asyncio.create_task(store.commit(unit(change(bench, "p1", 2))))
            await asyncio.sleep(0.05)
            await store.commit(unit(change(bench, "p1"), tenant=SOUTH))
            assert not held.done()
            async with asyncio.timeout(20):
                with pytest.raises(FhirError) as refused:
                    await held
            assert (refused.value.category, refused.value.headers["Retry-After"]) == (Category.UNAVAILABLE, "1")
            await transaction.rollback()
        finally:
            await holder.close()
        await store.commit(unit(change(bench, "p1", 2)))


class TestGathering:
    async def test_tenants_never_share_a_call(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        store, calls = bench.engine.store, calls_of(bench, monkeypatch)
        units = [unit(change(bench, f"p{n}"), tenant=(NORTH, SOUTH)[n % 2]) for n in range(10)]
        await asyncio.gather(*(store.commit(each) for each in units))
        await asyncio.gather(*(store.read((NORTH, SOUTH)[n % 2], "Patient", f"p{n}") for n in range(10)))
        assert sorted(arguments[0] for _, arguments in calls) == [NORTH, NORTH, SOUTH, SOUTH]
        assert await bench.found("Patient") == [f"p{n}" for n in range(0, 10, 2)]

    async def test_a_caller_who_goes_away_takes_nobody_along(self, bench: Bench) -> None:
        store = bench.engine.store
        tasks = [asyncio.create_task(store.commit(unit(change(bench, f"p{n}")))) for n in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for n, each in enumerate(found) if n != 2] == [None] * 4
        await store.commit(unit(change(bench, "last")))
        assert {"p0", "p1", "p3", "p4", "last"} <= set(await bench.found("Patient"))

    async def test_a_reader_who_goes_away_takes_nobody_along(self, bench: Bench) -> None:
        store = bench.engine.store
        await store.commit(unit(change(bench, "p1")))
        tasks = [asyncio.create_task(store.read(NORTH, "Patient", "p1")) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(each, "id", None) for each in found] == [None, "p1", "p1"]

    async def test_a_full_queue_says_try_later(self, database_of: DatabaseOf) -> None:
        async with open_bench(await database_of("screening"), queue_max=3) as bench:
            calls = (bench.engine.store.commit(unit(change(bench, f"p{n}"))) for n in range(5))
            found = await asyncio.gather(*calls, return_exceptions=True)
            refused = [each for each in found if isinstance(each, FhirError)]
            assert [each.category for each in refused] == [Category.UNAVAILABLE] * 2
            assert refused[0].headers == {"Retry-After": "1"}
            assert len(await bench.found("Patient")) == 3

    async def test_a_unit_with_nothing_in_it_costs_nothing(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = calls_of(bench, monkeypatch)
        await bench.engine.store.commit(unit())
        assert calls == []

    async def test_listeners_hear_of_effects_after_the_commit_and_cannot_spoil_it(
        self, database_of: DatabaseOf
    ) -> None:
        heard: list[tuple[str, frozenset[str]]] = []

        def committed(tenant: str, tables: frozenset[str]) -> None:
            heard.append((tenant, tables))
            raise RuntimeError("a listener failed")

        async with open_bench(await database_of("screening"), committed=committed) as bench:
            calls = (bench.engine.store.commit(unit(change(bench, f"p{n}"), effects=[effect()])) for n in range(3))
            assert await outcomes(*calls) == [None] * 3
            assert heard == [(NORTH, frozenset({"audit"}))]
            assert len(await bench.audit()) == 3


class TestReading:
    async def test_readers_of_one_moment_share_a_call_and_each_gets_its_own(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = bench.engine.store
        await asyncio.gather(*(store.commit(unit(change(bench, f"p{n}"))) for n in range(5)))
        calls = calls_of(bench, monkeypatch)
        found = await asyncio.gather(*(store.read(NORTH, "Patient", f"p{n}") for n in (0, 1, 2, 3, 4, 9, 0)))
        assert [each and each.id for each in found] == ["p0", "p1", "p2", "p3", "p4", None, "p0"]
        assert len(calls) == 1

    async def test_versions_are_the_tenants_own(self, bench: Bench) -> None:
        store = bench.engine.store
        await store.commit(unit(change(bench, "p1")))
        await store.commit(unit(change(bench, "p1"), tenant=SOUTH))
        await store.commit(unit(change(bench, "p1", 2), tenant=SOUTH))
        assert [each.version for each in await store.versions(NORTH, "Patient", "p1", most=9)] == [1]
        assert [each.version for each in await store.versions(SOUTH, "Patient", "p1", before=2, most=9)] == [1]
        assert [each.version for each in await store.versions(SOUTH, "Patient", "p1", version=2, most=9)] == [2]


class Away:
    """The way to the database server, which a test can close and open again."""

    def __init__(self, urls: DatabaseUrls, folder: Path) -> None:
        parts = urlsplit(urls.runtime)
        (place,) = parse_qs(parts.query)["host"]
        self._place, self._way = Path(place), folder / "way"
        self._way.symlink_to(self._place)
        through = urlunsplit(parts._replace(query=parts.query.replace(place, str(self._way))))
        self.name, self.urls = parts.path.removeprefix("/"), DatabaseUrls(urls.owner, through)

    async def close(self) -> None:
        self._way.unlink()
        async with administrator() as connection:
            await connection.execute(TERMINATE, self.name)

    def open(self) -> None:
        self._way.symlink_to(self._place)


@pytest.fixture
async def away(database_of: DatabaseOf) -> AsyncIterator[Away]:
    with TemporaryDirectory() as folder:
        yield Away(await database_of("screening"), Path(folder))


class TestDatabaseAway:
    async def test_it_says_try_later_and_works_again_when_the_database_is_back(self, away: Away) -> None:
        async with open_bench(away.urls) as bench:
            store = bench.engine.store
            await store.commit(unit(change(bench, "p1")))
            await away.close()
            for call in (
                store.commit(unit(change(bench, "p2"))),
                store.read(NORTH, "Patient", "p1"),
                store.versions(NORTH, "Patient", "p1", most=1),
                store.search(NORTH, "SELECT 1", []),
            ):
                with pytest.raises(FhirError) as caught:
                    await call
                assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
            away.open()
            await store.commit(unit(change(bench, "p2")))
            assert (await bench.read("Patient", "p1")).status == 200

    async def test_everybody_in_the_batch_is_told(self, away: Away) -> None:
        async with open_bench(away.urls) as bench:
            await away.close()
            found = await outcomes(*(bench.engine.store.commit(unit(change(bench, f"p{n}"))) for n in range(4)))
            assert found == [FhirError] * 4
            away.open()
            assert await bench.found("Patient") == []

    async def test_a_server_that_dies_during_a_write_says_try_later(self, bench: Bench) -> None:
        store = bench.engine.store
        await store.commit(unit(change(bench, "p1")))
        async with administrator() as connection, bench.database.transaction(NORTH) as other:
            await other.execute("UPDATE fhir_patient SET version = version")  # holds the row
            writing = asyncio.create_task(store.commit(unit(change(bench, "p1", 2))))
            await asyncio.sleep(0.05)
            await connection.execute(f"{TERMINATE} AND wait_event_type = 'Lock'", database_name(bench))
            with pytest.raises(FhirError) as caught:
                await writing
            assert caught.value.status == 503
        await store.commit(unit(change(bench, "p1", 2)))

    async def test_connections_that_broke_while_idle_cost_at_most_a_few_refusals(self, bench: Bench) -> None:
        await asyncio.gather(*(bench.database.fetch("SELECT pg_sleep(0.05)") for _ in range(4)))
        name = database_name(bench)
        async with administrator() as connection:
            await connection.execute(TERMINATE, name)
        await asyncio.sleep(0.05)
        await bench.engine.store.commit(unit(change(bench, "p1")))

    async def test_a_programming_error_is_not_called_a_database_that_is_away(self, bench: Bench) -> None:
        with pytest.raises(asyncpg.PostgresError):
            await bench.engine.store.search(NORTH, "SELECT nonsense", [])
