"""Promises of referral's FHIR door: who may move a Task where, what stays as it is, and what is found."""

from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_shared.canonical import code_system, extension_url
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referral_events, referrals
from tests.support.runtime import NORTH, SOUTH, URLS, token

CLINICIAN, COORDINATOR, EHR = (token(NORTH, role) for role in ("clinician", "coordinator", "ehr"))
Resource = dict[str, Any]


@pytest.fixture
async def task(runtime: Runtime) -> Resource:
    """A referral that was requested."""
    await hear(runtime, assigned(accepted(assignment())))
    (found,) = await referrals(runtime, NORTH)
    return found


async def put(
    http: httpx.AsyncClient, task: Resource, headers: dict[str, str] = COORDINATOR, **changed: Any
) -> httpx.Response:
    return await http.put(f"Task/{task['id']}", json={**task, **changed}, headers=headers)


def declined(code: str, status: str = "rejected") -> Resource:
    """A place says no, for this reason."""
    coding = {"system": code_system("decline-reason"), "code": code}
    return {"status": status, "statusReason": {"coding": [coding], "text": "for this reason"}}


def why(response: httpx.Response) -> str:
    return " ".join(issue["diagnostics"] for issue in response.json()["issue"])


async def test_nobody_gets_round_a_hold_or_an_unaccepted_proposal(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, assigned(assignment()))
    (draft,) = await referrals(runtime, NORTH)
    refused = await put(http, draft, CLINICIAN, status="requested")
    assert (refused.status_code, "accepted in routing" in why(refused)) == (422, True)
    await hear(runtime, assigned({**accepted(assignment()), "status": "on-hold"}, 2))
    assert (await put(http, draft, CLINICIAN, status="requested")).status_code == 422
    assert await referrals(runtime, NORTH) == [draft]


@pytest.mark.parametrize(
    ("headers", "status", "allowed"),
    [
        (CLINICIAN, "accepted", "cancelled"),
        (EHR, "in-progress", "cancelled"),
        (COORDINATOR, "cancelled", "accepted, received, rejected"),
        (COORDINATOR, "completed", "accepted, received, rejected"),
        (COORDINATOR, "draft", "accepted, received, rejected"),
    ],
)
async def test_a_move_that_is_not_the_callers_is_refused_with_what_is_allowed(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, headers: dict[str, str], status: str, allowed: str
) -> None:
    refused = await put(http, task, headers, status=status)
    assert refused.status_code == 422
    assert why(refused).endswith(f"may move it to: {allowed}.")
    assert refused.json()["issue"][0]["expression"] == ["Task.status"]
    assert await referrals(runtime, NORTH) == [task]


async def test_a_closed_task_stays_closed(http: httpx.AsyncClient, task: Resource) -> None:
    assert (await put(http, task, **declined("not-reached"))).status_code == 200
    refused = await put(http, task, status="accepted")
    assert (refused.status_code, why(refused).endswith("nothing.")) == (422, True)


@pytest.mark.parametrize(
    "changed",
    [
        {"priority": "stat"},
        {"for": {"reference": "Patient/other"}},
        {"focus": {"reference": "ServiceRequest/other"}},
        {"restriction": {"period": {"end": "2030-01-01"}}},
        {"extension": []},
        {"intent": "plan"},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_what_was_asked_for_stays_as_it_was(
    http: httpx.AsyncClient, task: Resource, changed: dict[str, Any]
) -> None:
    body = {name: value for name, value in {**task, **changed}.items() if value != []}
    refused = await http.put(f"Task/{task['id']}", json=body, headers=COORDINATOR)
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"] == [f"Task.{next(iter(changed))}"]


async def test_tasks_and_assignments_are_not_for_clients_to_make(http: httpx.AsyncClient, task: Resource) -> None:
    assert (await http.post("Task", json=task, headers=COORDINATOR)).status_code == 405
    assert (await http.put("Task/another", json={**task, "id": "another"}, headers=EHR)).status_code == 405
    request = assignment()
    assert (await http.put("ServiceRequest/s1", json=request, headers=EHR)).status_code == 405


async def test_the_other_tenant_can_neither_see_nor_move_it(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    for path in (f"Task/{task['id']}", f"Task/{task['id']}/_history", "ServiceRequest/s1"):
        assert (await http.get(path, headers=EHR)).status_code == 200
        assert (await http.get(path, headers=token(SOUTH, "ehr"))).status_code == 404
    moved = await put(http, task, token(SOUTH, "coordinator"), status="accepted")
    assert moved.status_code == 405
    assert await referrals(runtime, SOUTH) == []


async def test_the_way_of_a_referral_is_announced_step_by_step_and_written_as_sent(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    steps = ["received", "accepted", "in-progress", "completed"]
    for status in steps:
        moved = await put(http, task, status=status, note=[{"text": "as agreed"}])
        assert moved.status_code == 200
        assert {**moved.json(), "meta": None} == {
            **task,
            "meta": None,
            "status": status,
            "note": [{"text": "as agreed"}],
        }
    events = (await referral_events(runtime, NORTH))[1:]
    assert [event.focus["status"] for event in events] == steps
    assert all(f"{URLS['routing']}/ServiceRequest/s1" in event.entries for event in events)


async def test_who_refers_may_take_it_back(http: httpx.AsyncClient, task: Resource) -> None:
    assert (await put(http, task, CLINICIAN, status="cancelled")).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "Task?patient=p1&code=tier-referral",
        "Task?subject=Patient/p1&status=requested&code=tier-referral",
        "Task?owner=HealthcareService/default-tier-3&status=requested,received",
        f"Task?focus={URLS['routing']}/ServiceRequest/s1",
        "Task?focus=ServiceRequest/s1",
        "Task?code=tier-referral&priority=routine",
        "Task?business-status=2.0",
        "ServiceRequest?patient=p1&status=active&intent=plan",
        "ServiceRequest?category=tier-3",
        "ServiceRequest?identifier=s1&priority=routine",
        "ServiceRequest?instantiates-canonical=https://stepwell.health/fhir/PlanDefinition/stepped-care|1.0.0",
        "ServiceRequest?authored=2026-11-21&category=tier-3",
    ],
)
async def test_a_referral_is_found_by_each_way_that_is_promised(
    http: httpx.AsyncClient, task: Resource, query: str
) -> None:
    found = await http.get(query, headers={**EHR, "Prefer": "handling=strict"})
    assert found.status_code == 200, found.text
    wanted = task["id"] if query.startswith("Task") else "s1"
    assert [entry["resource"]["id"] for entry in found.json().get("entry", [])] == [wanted]
    assert "entry" not in (await http.get(query, headers=token(SOUTH, "ehr"))).json()


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [{"url": "weekly-starts", "valueString": "many"}],
        [{"url": "weekly-starts", "valueDecimal": -1}],
        [{"url": "weekly-starts", "valueDecimal": 1e300}],
        [{"url": "weekly-starts", "valueDecimal": 1}, {"url": "weekly-starts", "valueDecimal": 2}],
    ],
)
async def test_a_capacity_that_is_no_number_is_refused(http: httpx.AsyncClient, parts: list[Resource]) -> None:
    place = (await http.get("HealthcareService/default-tier-3", headers=EHR)).json()
    capacity: Resource = {"url": extension_url("service-capacity"), "extension": parts}
    if not parts:
        capacity = {"url": extension_url("service-capacity"), "valueString": "many"}
    place["extension"] = [capacity]
    assert (await http.put(f"HealthcareService/{place['id']}", json=place, headers=EHR)).status_code == 422


async def test_a_site_changes_its_capacity_and_the_next_start_leaves_it_so(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    place = (await http.get("HealthcareService/default-tier-3", headers=EHR)).json()
    place["extension"][0]["extension"][0]["valueDecimal"] = 0.5
    assert (await http.put(f"HealthcareService/{place['id']}", json=place, headers=EHR)).status_code == 200
    assert service.seed is not None
    await service.seed(runtime, NORTH)
    kept = (await http.get(f"HealthcareService/{place['id']}", headers=EHR)).json()
    assert kept["extension"][0]["extension"][0]["valueDecimal"] == 0.5
    other = (await http.get(f"HealthcareService/{place['id']}", headers=token(SOUTH, "ehr"))).json()
    assert other["extension"][0]["extension"][0]["valueDecimal"] != 0.5
