"""I12: the history of a resource, a type and a service, refusals first; nothing is missed behind a slow commit."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.shared.fhir.interactions.refusing import EAST, refused, status_of
from tests.support.engine import NORTH, Bench, FakeAccess, link, patient, response
from tests.support.horizon import settled

Entry = dict[str, Any]


def versions(bundle: dict[str, Any]) -> list[str]:
    """`id/version` of every entry, in order."""
    found = []
    for entry in bundle.get("entry", []):
        id_ = entry["fullUrl"].rpartition("/")[2]
        found.append(f"{id_}/{entry['response']['etag'][3:-1]}")
    return found


async def three_patients(bench: Bench) -> None:
    """p1 and p2, a minute apart, then p1 again, then p2 deleted, then a response."""
    for act in (
        bench.update(patient(id="p1", gender="female")),
        bench.update(patient(id="p2")),
        bench.update(patient(id="p1", gender="male")),
        bench.delete("Patient", "p2"),
        bench.update(response(id="r1")),
    ):
        await act
        bench.clock.advance(minutes=1)
    await settled(bench.database)


@pytest.mark.parametrize("address", [("Patient", "p1"), ("Patient", ""), ("", "")])
@pytest.mark.parametrize(
    "query",
    [
        "_count=1&_count=2",
        "_since=2026-11-21T20:54:00Z&_since=2026-11-21T20:54:00Z",
        "_at=2026&_at=2027",
        "_since=2026",
        "_since=2026-11-21",
        "_since=yesterday",
        "_since=2026-13-41T20:54:00Z",
        "_at=yesterday",
        "_at=2026-13",
        "_count=-1",
        "_count=x",
        "_list=42",
        "_summary=everything",
    ],
)
async def test_i12_what_a_history_does_not_take_is_refused(bench: Bench, address: tuple[str, str], query: str) -> None:
    await bench.update(patient(id="p1"))
    assert await status_of(bench.history(*address, query)) == 400


async def test_i12_types_that_are_not_served_have_no_history(bench: Bench) -> None:
    assert await status_of(bench.history("Observation")) == 404
    assert await status_of(bench.history("Patient", "nobody")) == 404


async def test_i12_a_history_must_be_granted(bench: Bench) -> None:
    for denied in ("Patient.history-type", "*.history-system"):
        address = "" if denied.startswith("*") else "Patient"
        assert await status_of(bench.history(address, access=FakeAccess(denied=frozenset({denied})))) == 403


async def test_i12_a_page_link_is_only_for_the_history_that_gave_it(bench: Bench) -> None:
    await three_patients(bench)
    place = (link(await bench.history("Patient", query="_count=1"), "next") or "").rpartition("_cursor=")[2]
    assert await status_of(bench.history("", query=f"_cursor={place}")) == 400
    assert await status_of(bench.history("Patient", query=f"_cursor=x{place}")) == 400


async def test_i12_another_tenant_has_another_history(bench: Bench) -> None:
    await three_patients(bench)
    await bench.update(patient(id="p1"), access=EAST)
    await bench.update(response(id="r2"))
    await settled(bench.database)  # north wrote last
    for address in ("Patient", ""):
        assert versions(await bench.history(address, access=EAST)) == ["p1/1"]
        assert len(versions(await bench.history(address))) == (4 if address else 6)


async def test_i12_types_and_everything_are_told_newest_first_with_deletions(bench: Bench) -> None:
    await three_patients(bench)
    of_type = await bench.history("Patient")
    assert (of_type["type"], versions(of_type)) == ("history", ["p2/2", "p1/2", "p2/1", "p1/1"])
    assert versions(await bench.history()) == ["r1/1", "p2/2", "p1/2", "p2/1", "p1/1"]
    deleted, *others = of_type["entry"]
    assert (deleted["request"], "resource" in deleted) == ({"method": "DELETE", "url": "Patient/p2"}, False)
    for entry in others:
        assert entry["request"]["method"] == "PUT"
        assert entry["resource"]["id"] == entry["fullUrl"].rpartition("/")[2]
    assert all("lastModified" in entry["response"] for entry in of_type["entry"])


async def test_i12_created_resources_are_posted_to_their_type(bench: Bench) -> None:
    await bench.create(patient())
    await settled(bench.database)
    entry = (await bench.history("Patient"))["entry"][0]
    assert (entry["request"], entry["response"]["status"]) == ({"method": "POST", "url": "Patient"}, "201")


@pytest.mark.parametrize("address", ["Patient", ""])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_i12_pages_follow_each_other_to_the_end_while_others_write(bench: Bench, address: str, size: int) -> None:
    await three_patients(bench)
    whole = versions(await bench.history(address))
    found: list[str] = []
    query = f"_count={size}&_since=2020-01-01T00:00:00Z"
    while query:
        page = await bench.history(address, query=query)
        assert len(page["entry"]) <= size
        found += versions(page)
        await bench.update(patient(id="p1", active=bool(len(found) % 2)))
        query = (link(page, "next") or "").partition("?")[2].replace("%3A", ":").replace("%3D", "=")
    assert found == whole


@pytest.mark.parametrize("address", [("Patient", ""), ("", ""), ("Patient", "p1")])
async def test_i12_since_starts_at_an_instant(bench: Bench, address: tuple[str, str]) -> None:
    await three_patients(bench)
    whole = versions(await bench.history(*address))
    for query, expected in (
        ("_since=2026-11-21T20:54:00Z", whole),
        ("_since=2026-11-21T20:55:30Z", [each for each in whole if each in {"r1/1", "p2/2", "p1/2"}]),
        ("_since=2026-11-21T21:56:00+01:00", [each for each in whole if each in {"r1/1", "p2/2", "p1/2"}]),
        ("_since=2026-11-21T21:56:00 01:00", [each for each in whole if each in {"r1/1", "p2/2", "p1/2"}]),
        ("_since=2026-11-22T00:00:00Z", []),
    ):
        bundle = await bench.history(*address, query)
        assert versions(bundle) == expected
        assert link(bundle, "self") is not None
        assert "_since=" in (link(bundle, "self") or "")


@pytest.mark.parametrize("address", [("Patient", ""), ("", "")])
async def test_i12_at_finds_what_was_current_then(bench: Bench, address: tuple[str, str]) -> None:
    await three_patients(bench)
    for query, expected in (
        ("_at=2026-11-21T20:53:59Z", []),
        ("_at=2026-11-21T20:54:30Z", ["p1/1"]),
        ("_at=2026-11-21T20:55:30Z", ["p2/1", "p1/1"]),
        ("_at=2026-11-21T20:56:30Z", ["p1/2", "p2/1"]),
        ("_at=2026-11-21T20:57:30Z", ["p2/2", "p1/2"]),
    ):
        assert versions(await bench.history(*address, query)) == expected


async def test_i12_at_finds_the_version_of_one_resource(bench: Bench) -> None:
    await three_patients(bench)
    assert versions(await bench.history("Patient", "p1", "_at=2026-11-21T20:54:30Z")) == ["p1/1"]
    assert versions(await bench.history("Patient", "p1", "_at=2026")) == ["p1/2", "p1/1"]


async def test_i12_count_zero_and_summary_count_tell_only_how_many(bench: Bench) -> None:
    await three_patients(bench)
    for query in ("_count=0", "_summary=count"):
        bundle = await bench.history("Patient", "p1", query)
        assert (bundle["total"], "entry" in bundle) == (2, False)
    assert "entry" not in await bench.history("Patient", query="_count=0")
    assert (await refused(bench.history("Patient", query="_summary=count"))).status == 400


async def test_i12_s17_a_history_shows_as_much_as_is_wanted(bench: Bench) -> None:
    await three_patients(bench)
    for address in (("Patient", "p1"), ("Patient", ""), ("", "")):
        entries = [e for e in (await bench.history(*address, "_elements=active"))["entry"] if "resource" in e]
        assert all("gender" not in entry["resource"] for entry in entries)
        assert all(entry["resource"]["meta"]["tag"][-1]["code"] == "SUBSETTED" for entry in entries)


async def test_i12_what_commits_slowly_holds_back_what_came_later_and_is_never_skipped(bench: Bench) -> None:
    await bench.update(patient(id="p0"))
    bench.clock.advance(minutes=1)
    slow = await asyncpg.connect(bench.urls.runtime)
    try:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("SELECT set_config('stepwell.tenant', $1, true)", NORTH)
        await slow.execute(
            "INSERT INTO fhir_version (tenant, resource_type, id, version, last_updated, method, body)"
            " VALUES ($1, 'Patient', 'slow', 1, $2, 'PUT', $3)",
            *(NORTH, bench.clock.now, b'{"resourceType":"Patient"}'),
        )
        bench.clock.advance(seconds=1)
        await bench.update(patient(id="fast"))
        for address in ("Patient", ""):
            assert set(versions(await bench.history(address))) <= {"p0/1"}
        await transaction.commit()
    finally:
        await slow.close()
    await settled(bench.database)
    assert versions(await bench.history("Patient")) == ["fast/1", "slow/1", "p0/1"]


async def test_i12_since_never_skips_a_version_that_got_its_time_early_and_its_place_late(bench: Bench) -> None:
    await bench.update(patient(id="p0"))
    late = bench.clock.now + timedelta(seconds=1)
    bench.clock.advance(seconds=2)
    await bench.update(patient(id="p1"))
    bench.clock.now = late  # given its time before p1, committed after it
    await bench.update(patient(id="p2"))
    await settled(bench.database)
    assert versions(await bench.history("Patient", query="_since=2026-11-21T20:54:02Z")) == ["p2/1", "p1/1"]
    assert versions(await bench.history("Patient", query="_since=2026-11-21T20:54:01Z")) == ["p2/1", "p1/1"]


async def test_i12_many_versions_written_at_once_are_all_told_once(bench: Bench) -> None:
    await asyncio.gather(*(bench.update(patient(id=f"p{number}")) for number in range(30)))
    await settled(bench.database)
    found: list[str] = []
    query = "_count=7"
    while query:
        page = await bench.history("Patient", query=query)
        found += versions(page)
        query = (link(page, "next") or "").partition("?")[2].replace("%3D", "=")
    assert sorted(found) == sorted(f"p{number}/1" for number in range(30))
