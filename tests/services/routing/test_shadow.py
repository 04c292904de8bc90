"""Promises of shadow: a version decides beside the live one, nothing follows for anybody, and its report compares."""

from typing import Any

import httpx
import pytest
from stepwell_shared.fhir import validation
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import Resource, assessment, everything, hear, scored
from tests.services.routing.rules.test_simulation import without_safety
from tests.services.routing.test_live_pathways import derived, publish
from tests.services.routing.test_publishing import ACTIVE, SHADOW, policy
from tests.services.routing.test_simulating import ANALYST, counts
from tests.support.runtime import NORTH, SOUTH

LOWER = derived("stepped-care", phq9_tier_3_minimum=15)


def person(number: int) -> Resource:
    return {"identifier": {"system": "https://ehr.example/mrn", "value": str(number)}}


async def shadows(runtime: Runtime, tenant: str = NORTH) -> list[Any]:
    async with runtime.database.transaction(tenant) as connection:
        return list(await connection.fetch("SELECT * FROM shadow_decision ORDER BY decided_at"))


async def test_nothing_follows_from_a_shadow_but_a_row_about_nobody(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(15, subject=person(1)))
    before = await everything(runtime, NORTH)
    await publish(http, LOWER, SHADOW)
    await hear(runtime, scored(15, subject=person(1)))
    assert (await everything(runtime, NORTH), await shadows(runtime)) == (before, []), "one decision for each cause"
    await hear(runtime, scored(15, "r2", subject=person(2)), scored(15, "r2", subject=person(2)))
    after = await everything(runtime, NORTH)
    assert [each["category"] for each in after["ServiceRequest"]] == [before["ServiceRequest"][0]["category"]] * 2
    assert {each["instantiatesCanonical"][0] for each in after["ServiceRequest"]} == {
        before["ServiceRequest"][0]["instantiatesCanonical"][0]
    }
    assert LOWER["url"] not in str(after)
    (row,) = await shadows(runtime)
    assert (row["policy"], row["present_step"], row["step"], row["move"]) == (
        f"{LOWER['url']}|1",
        "tier-2",
        "tier-3",
        "up",
    )
    written = " ".join(str(value) for value in row)
    assert not any(each["id"] in written for name in ("ServiceRequest", "Provenance") for each in after[name])
    assert await shadows(runtime, SOUTH) == []


async def test_a_shadow_that_cannot_decide_holds_up_nobody(
    runtime: Runtime, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(http, LOWER, SHADOW)

    def fails(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr("stepwell_routing.use_cases.shadowing.shadow_of", fails)
    await hear(runtime, scored(15))
    assert len((await everything(runtime, NORTH))["ServiceRequest"]) == 1
    assert await shadows(runtime) == []


async def test_the_report_says_what_is_unsafe_first_then_how_often_it_agrees(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    unsafe = {**policy(**SHADOW), "action": without_safety()["action"]}
    await publish(http, unsafe, SHADOW)
    await publish(http, LOWER, SHADOW)
    for number, total in enumerate([15] * 6 + [3] * 6):
        await hear(runtime, scored(total, f"r{number}", subject=person(number)))
    await hear(runtime, scored(3, "risk", risk=assessment("high")))
    query = {"cohort": "live", "start": "2026-11-01", "end": "2026-12-31"}
    found = {}
    for id_ in (LOWER["id"], unsafe["id"]):
        answer = await http.get(f"PlanDefinition/{id_}/$simulate", params=query, headers=ANALYST)
        assert answer.status_code == 200, answer.text
        validation.check(answer.content, "MeasureReport")
        found[id_] = answer.json()
    assert counts(found[LOWER["id"]], "shadow-moves")["same"] == 5, "rounded, as everything about people"
    first = found[unsafe["id"]]["group"][0]
    assert first["code"]["text"] == "safety-promises-broken"
    assert [s["value"]["text"] for s in first["stratifier"][0]["stratum"]] == ["SAF-2"]
    answer = await http.get(f"PlanDefinition/{LOWER['id']}/$equity-watch", params=query, headers=ANALYST)
    assert answer.status_code == 400, "nobody's strata are kept beside a shadow"
    await publish(http, LOWER, ACTIVE)
    await hear(runtime, scored(15, "late", subject=person(99)))
    assert [each["policy"] for each in await shadows(runtime)].count(f"{LOWER['url']}|1") == 13
