"""Page by page in both directions: https://hl7.org/fhir/R4/http.html#paging (S15, S16, S19)."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.interactions.everywhere import search_types
from stepwell_shared.fhir.outcome import FhirError

from tests.support.engine import BASE_URL, SOUTH, Bench, FakeAccess, ids_in, json_of, link, patient, response

GENDERS: list[str | None] = ["male", "female", None, "other", "female", None, "male"]
SORTS = [
    "",
    "_id",
    "-_id",
    "_lastUpdated",
    "-_lastUpdated",
    "gender",
    "-gender",
    "birthdate",
    "-birthdate",
    "family",
    "-family",
    "gender,-birthdate",
    "-birthdate,gender,_id",
]


@pytest.fixture
async def bench(bench: Bench) -> Bench:
    for number, gender in enumerate(GENDERS):
        bench.clock.advance(seconds=number % 2)
        members: dict[str, Any] = {"gender": gender} if gender else {}
        if number % 3:
            members["birthDate"] = f"19{80 - number // 2}-01-02"
        if number % 4:
            members["name"] = [{"family": f"F{number % 3}"}, {"family": "Émile"}]
        await bench.update(patient(id=f"p{number}", **members))
    return bench


def relations(page: dict[str, Any]) -> list[str]:
    return [each["relation"] for each in page["link"]]


async def at(bench: Bench, url: str | None, **given: Any) -> dict[str, Any]:
    """The page at a link."""
    assert url is not None
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" in {BASE_URL, f"{BASE_URL}/Patient"}
    request = bench.request("Patient", parameters=parse_qsl(parts.query), **given)
    handler = search_types if url.startswith(f"{BASE_URL}?") else interactions.search
    return json_of(await handler(bench.engine, request))


async def everywhere(bench: Bench, query: str, **given: Any) -> dict[str, Any]:
    return json_of(await search_types(bench.engine, bench.request("", parameters=parse_qsl(query), **given)))


async def refused(bench: Bench, query: str) -> None:
    with pytest.raises(FhirError) as caught:
        await everywhere(bench, query)
    assert caught.value.status == 400, query


async def walk(bench: Bench, page: dict[str, Any], relation: str) -> list[list[str]]:
    """The ids on this page and on all that follow by this link."""
    found = [ids_in(page)]
    while following := link(page, relation):
        page = await at(bench, following)
        found.append(ids_in(page))
        assert len(found) < 20, "links that never end"
    return found


async def test_s15_what_was_used_is_stated_and_never_exceeded(bench: Bench) -> None:
    page = await bench.search("Patient", "_count=99999")
    assert (link(page, "self"), len(page["entry"])) == (f"{BASE_URL}/Patient?_count=500", len(GENDERS))
    page = await bench.search("Patient", "_count=2&_sort=_id")
    assert all("_count=2" in each["url"] for each in page["link"])
    for query in ("_summary=count&_count=3", "_count=3&_summary=count", "_count=0"):
        page = await bench.search("Patient", query)
        assert ("entry" in page, page["total"], relations(page)) == (False, len(GENDERS), ["self"])


async def test_s16_what_fits_on_one_page_has_no_other(bench: Bench) -> None:
    for query in ("", "_count=7", "_id=nobody", "_sort=gender"):
        assert relations(await bench.search("Patient", query)) == ["self"]


async def test_s16_each_page_names_those_around_it(bench: Bench) -> None:
    first = await bench.search("Patient", "_count=3&_sort=_id")
    assert relations(first) == ["self", "first", "next", "last"]
    second = await at(bench, link(first, "next"))
    assert relations(second) == ["self", "first", "previous", "next", "last"]
    third = await at(bench, link(second, "next"))
    assert relations(third) == ["self", "first", "previous", "last"]
    for page in (first, second, third):
        assert ids_in(await at(bench, link(page, "self"))) == ids_in(page)
        assert ids_in(await at(bench, link(page, "first"))) == ["p0", "p1", "p2"]
        assert ids_in(await at(bench, link(page, "last"))) == ["p4", "p5", "p6"]
    back = await at(bench, link(third, "previous"))
    assert (ids_in(back), relations(back)) == (ids_in(second), ["self", "first", "previous", "next", "last"])
    assert relations(await at(bench, link(back, "previous"))) == ["self", "first", "next", "last"]
    assert relations(await at(bench, link(first, "last"))) == ["self", "first", "previous", "last"]


@pytest.mark.parametrize("sort", SORTS)
async def test_s16_the_way_back_passes_the_same_resources(bench: Bench, sort: str) -> None:
    order = await bench.found("Patient", f"_sort={sort}")
    assert sorted(order) == [f"p{number}" for number in range(7)]
    for count in (1, 2, 3):
        page = await bench.search("Patient", f"_sort={sort}&_count={count}")
        there = await walk(bench, page, "next")
        assert [each for ids in there for each in ids] == order
        back = await walk(bench, await at(bench, link(page, "last")), "previous")
        assert [each for ids in reversed(back) for each in ids] == order
        assert [len(ids) for ids in back[:-1]] == [count] * (len(back) - 1)


async def test_s16_pages_stand_still_while_others_write(bench: Bench) -> None:
    page = await bench.search("Patient", "_sort=gender&_count=2")
    page = await at(bench, link(await at(bench, link(page, "next")), "next"))
    seen = ids_in(page)
    number = 0
    while following := link(page, "previous"):
        await asyncio.gather(
            *(bench.update(patient(id=f"new-{number}-{each}", gender=each)) for each in ("female", "male", "other"))
        )
        number += 1
        page = await at(bench, following)
        seen += ids_in(page)
    assert len(seen) == len(set(seen))
    assert {"p1", "p4", "p0", "p6"} <= set(seen)


async def test_s16_a_page_that_others_emptied_leads_on(bench: Bench) -> None:
    page = await bench.search("Patient", "_count=6&_sort=_id")
    await bench.delete("Patient", "p6")
    page = await at(bench, link(page, "next"))
    assert ("entry" in page, relations(page)) == (False, ["self", "first", "last"])
    assert ids_in(await at(bench, link(page, "last"))) == [f"p{number}" for number in range(6)]


async def test_s16_a_way_back_belongs_to_its_order(bench: Bench) -> None:
    page = await at(bench, link(await bench.search("Patient", "_count=2&_sort=gender"), "next"))
    for relation in ("previous", "last"):
        cursor = dict(parse_qsl(urlsplit(link(page, relation) or "").query))["_cursor"]
        for query in (f"_sort=-gender&_cursor={cursor}", f"_cursor={cursor}", f"_sort=gender&_cursor={cursor[:-3]}AAA"):
            with pytest.raises(FhirError) as caught:
                await bench.found("Patient", query)
            assert caught.value.status == 400


async def test_s14_words_are_sorted_without_case_and_by_their_first(bench: Bench) -> None:
    for id_, families in (("a", ["zed", "Beta"]), ("b", ["alpha"]), ("c", ["ALPHB", "Y"])):
        await bench.update(patient(id=id_, name=[{"family": each} for each in families], gender="unknown"))
    assert await bench.found("Patient", "_sort=family&gender=unknown") == ["b", "c", "a"]
    assert await bench.found("Patient", "_sort=-family&gender=unknown") == ["a", "c", "b"]


class TestSeveralTypes:
    @pytest.fixture
    async def bench(self, bench: Bench) -> Bench:
        for number in range(4):
            bench.clock.advance(seconds=1)
            authored = f"2026-0{4 - number}-01T10:00:00Z"
            await bench.update(response(id=f"r{number}", authored=authored))
            task = {"resourceType": "Task", "id": f"p{number}", "status": "ready", "intent": "order"}
            await bench.update({**task, "authoredOn": authored})
        return bench

    @pytest.mark.parametrize("sort", ["", "_id", "-_id", "_lastUpdated", "-_lastUpdated", "_lastUpdated,-_id"])
    @pytest.mark.parametrize("count", [1, 4])
    async def test_s19_all_are_in_one_order_in_both_directions(self, bench: Bench, sort: str, count: int) -> None:
        query = f"_type=Patient,QuestionnaireResponse,Task&_sort={sort}" if sort else "_type=Patient,Task"
        everything = entries_in(await everywhere(bench, f"{query}&_count=100"))
        assert len(everything) == (15 if sort else 11)
        page = await everywhere(bench, f"{query}&_count={count}")
        found = entries_in(page)
        while following := link(page, "next"):
            page = await at(bench, following)
            assert len(entries_in(page)) <= count
            found += entries_in(page)
        assert found == everything
        found = entries_in(page)
        while following := link(page, "previous"):
            page = await at(bench, following)
            found = entries_in(page) + found
        assert found == everything
        last = await at(bench, link(page, "last"))
        assert entries_in(last) == everything[-count:]

    async def test_s19_the_order_is_that_of_time_across_types(self, bench: Bench) -> None:
        page = await everywhere(bench, "_type=Patient,QuestionnaireResponse&_sort=-_lastUpdated&_count=5")
        assert entries_in(page)[:4] == [f"QuestionnaireResponse/r{number}" for number in (3, 2, 1, 0)]
        times = [entry["resource"]["meta"]["lastUpdated"] for entry in page["entry"]]
        assert times == sorted(times, reverse=True)

    async def test_s19_what_all_named_types_have_is_searched_and_sorted_by(self, bench: Bench) -> None:
        types = "_type=QuestionnaireResponse,Task"
        await bench.update(response(id="of-ann", subject={"reference": "Patient/ann"}))
        assert entries_in(await everywhere(bench, f"{types}&subject=Patient/ann")) == ["QuestionnaireResponse/of-ann"]
        found = entries_in(await everywhere(bench, "_type=QuestionnaireResponse&_sort=authored"))
        assert found == [f"QuestionnaireResponse/{each}" for each in ("r3", "r2", "r1", "r0", "of-ann")]
        for query in (
            f"{types}&authored=2026", f"{types}&_sort=authored", f"{types}&_sort=status", f"{types}&_sort=_id,subject",
            "_sort=status", "status=ready", f"{types}&subject.name=x", f"{types}&_has:Task:focus:status=x",
        ):  # fmt: skip
            await refused(bench, query)

    async def test_s19_a_place_belongs_to_its_types_and_order(self, bench: Bench) -> None:
        page = await everywhere(bench, "_type=Patient,Task&_sort=_id&_count=2")
        cursor = dict(parse_qsl(urlsplit(link(page, "next") or "").query))["_cursor"]
        for query in ("_type=Patient,Task", "_type=Task,Patient&_sort=_id", "_type=Patient&_sort=_id", "_sort=_id"):
            await refused(bench, f"{query}&_cursor={cursor}")
        for forged in ("Task~", "x", cursor[:-4] + "AAAA"):
            await refused(bench, f"_type=Patient,Task&_sort=_id&_cursor={forged}")

    async def test_s19_a_place_shows_another_tenant_only_its_own(self, bench: Bench) -> None:
        south = FakeAccess(tenant=SOUTH)
        await bench.update(patient(id="z"), access=south)
        page = await everywhere(bench, "_type=Patient,Task&_sort=_id&_count=2")
        assert ids_in(await at(bench, link(page, "next"), access=south)) == ["z"]
        assert ids_in(await at(bench, link(page, "last"), access=south)) == ["z"]


def entries_in(page: dict[str, Any]) -> list[str]:
    resources = [entry["resource"] for entry in page.get("entry", [])]
    return [f"{each['resourceType']}/{each['id']}" for each in resources]
