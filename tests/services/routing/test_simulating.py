"""Promises of `$simulate` and `$equity-watch` over HTTP: who may ask, what is refused, what they say and hide."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from stepwell_routing.policies import policy_document
from stepwell_shared.fhir import validation
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import Resource, everything, hear, scored
from tests.services.routing.rules.test_simulation import without_safety
from tests.support.runtime import NORTH, URLS, token

ANALYST = token(NORTH, "analyst")


def asking(policy: Resource | None = None, **values: Any) -> Resource:
    kinds = {int: "valueInteger", str: "valueString"}
    rows: list[Resource] = [{"name": name, kinds[type(value)]: value} for name, value in values.items()]
    rows.append({"name": "policy", "resource": policy or policy_document("stepped-care")})
    return {"resourceType": "Parameters", "parameter": rows}


async def simulate(http: httpx.AsyncClient, body: Resource, name: str = "$simulate") -> httpx.Response:
    return await http.post(f"PlanDefinition/{name}", json=body, headers=ANALYST)


def counts(report: Resource, figure: str) -> dict[str, int]:
    group = next(group for group in report["group"] if group["code"]["text"] == figure)
    return {s["value"]["text"]: s["population"][0]["count"] for s in group["stratifier"][0]["stratum"]}


@pytest.mark.parametrize("name", ["$simulate", "$equity-watch"])
async def test_figures_about_everybody_are_for_those_who_read_all_reports(http: httpx.AsyncClient, name: str) -> None:
    for headers, status in (
        ({}, 401),
        (token(NORTH, "patient"), 403),
        (token(NORTH, "community-health-worker"), 403),
    ):
        answer = await http.post(f"PlanDefinition/{name}", json=asking(cohort="synthetic"), headers=headers)
        assert answer.status_code == status


async def test_what_cannot_be_simulated_is_refused_with_its_place(http: httpx.AsyncClient) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"people": 100_001}, "people"),
        ({"people": 0}, "people"),
        ({"seed": -1}, "seed"),
        ({"cohort": "imagined"}, "cohort"),
        ({"horizon": 1000}, "horizon"),
        ({"start": "yesterday"}, "start"),
        ({"start": "2026-11-21", "end": "2026-11-20"}, "start"),
        ({"colour": "blue"}, "colour"),
        ({"capacity": "tier-1"}, "capacity"),
    ]
    for values, place in refused:
        answer = await simulate(http, asking(**values))
        assert answer.status_code == 400
        assert place in answer.json()["issue"][0]["expression"][0]


async def test_a_policy_that_could_not_be_published_is_refused_with_its_place(http: httpx.AsyncClient) -> None:
    broken = policy_document("stepped-care")
    broken["action"] = broken["action"][:-1]
    answer = await simulate(http, asking(broken, cohort="synthetic"))
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"]


async def test_a_tenant_with_one_person_gets_no_figures(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    answer = await simulate(http, asking(start="2026-11-01", end="2026-12-01"))
    assert answer.status_code == 422
    assert "too few people" in answer.json()["issue"][0]["diagnostics"]


async def test_the_past_is_simulated_rounded_and_nothing_is_stored(runtime: Runtime, http: httpx.AsyncClient) -> None:
    for number in range(12):
        subject = {"reference": f"{URLS['screening']}/Patient/p{number}"}
        await hear(runtime, scored(18 if number < 7 else 6, f"r{number}", subject=subject))
    before = await everything(runtime, NORTH)
    answer = await simulate(http, asking(start="2026-11-01", end="2026-12-01", capacity="tier-3:1:4"))
    assert answer.status_code == 200
    report = answer.json()
    assert counts(report, "proposed-steps") == {"tier-1": 5, "tier-2": 0, "tier-3": 5, "tier-4": 0}
    assert report["group"][0]["population"][0]["count"] == 10
    assert "meta" not in report
    assert await everything(runtime, NORTH) == before


async def test_people_who_do_not_exist_are_marked_and_counted_exactly(http: httpx.AsyncClient) -> None:
    first, second = [await simulate(http, asking(cohort="synthetic", people=300, seed=4)) for _ in range(2)]
    report = first.json()
    assert report["group"] == second.json()["group"]
    assert report["meta"]["tag"][0]["code"] == "HTEST"
    assert "do not exist" in report["text"]["div"]
    assert sum(counts(report, "proposed-steps").values()) == 300


async def test_broken_safety_is_the_first_thing_that_is_said(http: httpx.AsyncClient) -> None:
    unsafe = {**without_safety(), "version": "1.0.1"}
    report = (await simulate(http, asking(unsafe, cohort="synthetic", people=500))).json()
    first = report["group"][0]
    assert first["code"]["text"] == "safety-promises-broken"
    assert first["population"][-1]["count"] > 0
    assert set(counts(report, "safety-promises-broken")) <= {"SAF-1", "SAF-2", "SAF-3", "SAF-5"}


@pytest.mark.parametrize("name", ["$simulate", "$equity-watch"])
async def test_a_report_is_valid_and_names_nobody(runtime: Runtime, http: httpx.AsyncClient, name: str) -> None:
    answer = await simulate(http, asking(cohort="synthetic", people=400, capacity="tier-3:5:9"), name)
    assert answer.status_code == 200
    report = answer.json()
    validation.check(answer.content, "MeasureReport")
    assert report["type"] == "summary"
    assert "subjectResults" not in answer.text
    assert "evaluatedResource" not in report


async def test_a_stored_version_is_simulated_by_its_id(http: httpx.AsyncClient) -> None:
    found = (await http.get("PlanDefinition", headers=ANALYST)).json()["entry"]
    id_ = next(e["resource"]["id"] for e in found if e["resource"]["url"].endswith("/stepped-care"))
    answer = await http.get(f"PlanDefinition/{id_}/$simulate?cohort=synthetic&people=50", headers=ANALYST)
    assert answer.status_code == 200
    assert (await http.get("PlanDefinition/absent/$simulate", headers=ANALYST)).status_code == 404


async def test_others_are_served_while_a_simulation_runs(http: httpx.AsyncClient, runtime: Runtime) -> None:
    """A second simulation is told to come back; anything else hardly waits."""
    running = asyncio.create_task(simulate(http, asking(cohort="synthetic", people=4000)))
    slices, refused = [], None
    while not running.done():
        before = time.process_time()
        await asyncio.sleep(0)
        slices.append(time.process_time() - before)
        has_begun = any(isinstance(each, asyncio.Lock) and each.locked() for each in runtime.cache.values())
        if refused is None and has_begun:
            refused = await simulate(http, asking(cohort="synthetic", people=10))
    assert (await running).status_code == 200
    assert refused is not None
    assert refused.status_code == 429
    assert sorted(slices)[len(slices) // 2] < 0.05
