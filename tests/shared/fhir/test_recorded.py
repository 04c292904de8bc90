"""Look-ups that are kept on record in the commit of their own statement."""

import asyncio
from collections.abc import Sequence

import pytest
from stepwell_shared.fhir.outcome import FhirError

from tests.shared.fhir.test_store import calls_of, change, effect, unit
from tests.support.engine import NORTH, SOUTH, Bench

BY_ID = "SELECT r.id, r.body FROM fhir_patient AS r WHERE r.tenant = s.tenant AND r.id = $2[1] AND r.body IS NOT NULL"
SLOW_FOR_ONE = f"{BY_ID} AND ($2[1] <> 'p1' OR pg_sleep(30) IS NOT NULL)"
WRONG_FOR_ONE = f"{BY_ID} AND 1 / CASE $2[1] WHEN 'p1' THEN 0 ELSE 1 END = 1"


async def searched(bench: Bench, statement: str, *asked: Sequence[str]) -> list[list[str] | type]:
    """The ids that each search finds, or its error; each is on record under the id that it asked for."""
    recorded = bench.engine.store.recorded
    found = await asyncio.gather(
        *(recorded.search(NORTH, statement, values, effect(values[0]), is_brief=True) for values in asked),
        return_exceptions=True,
    )
    return [type(each) if isinstance(each, BaseException) else [row["id"] for row in each] for each in found]


async def on_record(bench: Bench) -> list[str]:
    return sorted(str(row[0]) for row in await bench.audit())


async def test_a_search_that_is_too_slow_stops_no_other_and_is_not_on_record(bench: Bench) -> None:
    bench.engine.store._search_seconds_max = 0.5
    await bench.engine.store.commit(unit(*(change(bench, f"p{number}") for number in range(3))))
    assert await searched(bench, SLOW_FOR_ONE, ["p0"], ["p1"], ["p2"]) == [["p0"], FhirError, ["p2"]]
    assert await on_record(bench) == ["p0", "p2"]


async def test_a_search_that_fails_spoils_no_other_and_is_not_on_record(bench: Bench) -> None:
    await bench.engine.store.commit(unit(*(change(bench, f"p{number}") for number in range(3))))
    *others, failed = await searched(bench, WRONG_FOR_ONE, ["p0"], ["p2"], ["p1"])
    assert others == [["p0"], ["p2"]]
    assert failed not in {list, FhirError}
    assert await on_record(bench) == ["p0", "p2"]


async def test_searches_of_one_moment_share_a_statement_and_each_gets_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.engine.store.commit(unit(*(change(bench, f"p{number}") for number in range(5))))
    calls = calls_of(bench, monkeypatch)
    asked = [["p3"], ["nobody"], ["p1"], ["p1"]]
    assert await searched(bench, BY_ID, *asked) == [["p3"], [], ["p1"], ["p1"]]
    assert len(calls) == 1
    assert await on_record(bench) == ["nobody", "p1", "p1", "p3"]


async def test_one_search_after_the_other_is_planned_a_few_times_and_not_at_each(bench: Bench) -> None:
    store = bench.engine.store
    for number in range(20):
        await store.recorded.search(NORTH, BY_ID, ["p1"], effect(f"{number}"), is_brief=True)
    planned = "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE $1"
    ((custom, generic),) = await store.fetch(planned, "SELECT asked.place%")
    assert (custom, generic) == (5, 15)  # PostgreSQL compares from the sixth on


async def test_a_search_that_finds_nothing_is_on_record(bench: Bench) -> None:
    recorded = bench.engine.store.recorded
    assert await recorded.search(NORTH, BY_ID, ["p1"], effect("found nothing"), is_brief=False) == []
    assert await on_record(bench) == ["found nothing"]


async def test_another_tenants_resources_are_not_found_together_with_ours(bench: Bench) -> None:
    await bench.engine.store.commit(unit(change(bench, "p1")))
    recorded = bench.engine.store.recorded
    ours, theirs = await asyncio.gather(
        *(recorded.search(tenant, BY_ID, ["p1"], effect(tenant), is_brief=True) for tenant in (NORTH, SOUTH))
    )
    assert (len(ours), len(theirs)) == (1, 0)
