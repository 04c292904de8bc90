"""Promises of a safety Task: nobody closes it but a clinician who records a risk level, and only once."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import (
    CLINICIAN,
    EHR,
    SOUTH_EHR,
    WORKER,
    Resource,
    accept,
    everything,
    form,
    places,
    said,
    the,
)
from tests.support.runtime import NORTH, token

OWNER = {"reference": "https://ehr.example/fhir/Practitioner/dr-2"}
FHIR_JSON = {"Content-Type": "application/fhir+json"}
RESULTS = ("Task", "RiskAssessment", "Flag")


@pytest.fixture
async def task(runtime: Runtime, http: httpx.AsyncClient) -> Resource:
    """A safety Task that has just opened."""
    await accept(http, form(1))
    return await the(runtime, "Task")


def level_output(*levels: str) -> list[Resource]:
    """What a Task says once these levels are recorded on it."""
    return [
        {
            "type": {"coding": [{"system": code_system("task"), "code": "risk-level"}]},
            "valueCodeableConcept": {"coding": [{"system": code_system("risk-level"), "code": level}]},
        }
        for level in levels
    ]


async def put(
    http: httpx.AsyncClient, task: Resource, headers: dict[str, str] = CLINICIAN, **changed: Any
) -> httpx.Response:
    body = {name: value for name, value in {**task, **changed}.items() if value is not None}
    return await http.put(f"Task/{task['id']}", json=body, headers=headers)


async def record(
    http: httpx.AsyncClient, task: Resource, level: str | None = "low", headers: dict[str, str] = CLINICIAN
) -> httpx.Response:
    parameter = [{"name": "level", "valueCode": level}] if level else []
    body = {"resourceType": "Parameters", "parameter": parameter}
    return await http.post(f"Task/{task['id']}/$record-risk-level", json=body, headers=headers)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"status": "completed"}, "Task.output"),
        ({"status": "cancelled"}, "Task.status"),
        ({"status": "rejected"}, "Task.status"),
        ({"status": "failed"}, "Task.status"),
        ({"status": "entered-in-error"}, "Task.status"),
        ({"status": "draft"}, "Task.status"),
        ({"status": "in-progress", "output": level_output("low")}, "Task.status"),
        ({"status": "completed", "output": level_output("low", "high")}, "Task.output"),
        ({"status": "completed", "output": level_output("fine")}, "Task.output[0].value"),
        ({"restriction": None}, "Task.restriction"),
        ({"priority": "routine"}, "Task.priority"),
        ({"for": {"reference": "Patient/p2"}}, "Task.for"),
        ({"reasonCode": {"text": "nothing"}}, "Task.reasonCode"),
    ],
)
async def test_an_alert_is_neither_closed_without_a_level_nor_rewritten(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, changed: Resource, place: str
) -> None:
    before = await everything(runtime, NORTH)
    refused = await put(http, task, **changed)
    assert (refused.status_code, places(refused)) == (422, [place])
    assert await everything(runtime, NORTH) == before


async def test_safety_tasks_are_made_here_only(runtime: Runtime, http: httpx.AsyncClient, task: Resource) -> None:
    assert (await http.post("Task", json=task, headers=EHR)).status_code == 405
    assert (await put(http, {**task, "id": "another"}, EHR)).status_code == 405
    assert (await http.delete(f"Task/{task['id']}", headers=EHR)).status_code == 405
    assert await the(runtime, "Task") == task


@pytest.mark.parametrize(
    ("level", "place"),
    [
        (None, "Parameters.parameter"),
        ("", "Parameters.parameter"),
        ("unknown", "Parameters.parameter.where(name = 'level')"),
        ("LOW", "Parameters.parameter.where(name = 'level')"),
    ],
)
async def test_a_level_that_is_not_known_is_refused(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, level: str | None, place: str
) -> None:
    refused = await record(http, task, level)
    assert (refused.status_code, places(refused)) == (400, [place])
    broken = await http.post(f"Task/{task['id']}/$record-risk-level", content=b"{", headers=CLINICIAN | FHIR_JSON)
    assert broken.status_code == 400
    assert await the(runtime, "Task") == task


@pytest.mark.parametrize("headers", [WORKER, token(NORTH, "coordinator", "Practitioner/c1")])
async def test_who_may_work_on_tasks_but_not_rate_a_risk_hands_over(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, headers: dict[str, str]
) -> None:
    assert (await record(http, task, headers=headers)).status_code == 403
    recorded = {"status": "completed", "owner": OWNER, "output": level_output("low")}
    assert (await put(http, task, headers, **recorded)).status_code == 403
    assert await the(runtime, "Task") == task
    assert (await put(http, task, headers, owner=OWNER)).status_code == 200


async def test_the_other_tenant_finds_no_such_task(runtime: Runtime, http: httpx.AsyncClient, task: Resource) -> None:
    assert (await record(http, task, headers=SOUTH_EHR)).status_code == 404
    assert (await put(http, task, SOUTH_EHR, owner=OWNER)).status_code == 405
    assert (await record(http, {"id": "nothing"})).status_code == 404
    assert await the(runtime, "Task") == task


@pytest.mark.parametrize("owner", [None, {"reference": "Organization/o1"}, {"display": "Dr Example"}])
async def test_a_level_needs_a_clinician_who_stands_for_it(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource, owner: Resource | None
) -> None:
    refused = await put(http, task, EHR, status="completed", owner=owner, output=level_output("low"))
    assert (refused.status_code, places(refused)) == (422, ["Task.owner"])
    if owner is None:
        assert (await record(http, task, headers=EHR)).status_code == 422
    assert await the(runtime, "Task") == task


async def test_a_level_for_another_version_than_the_one_seen_is_refused(
    http: httpx.AsyncClient, task: Resource
) -> None:
    assert (await put(http, task, owner=OWNER)).status_code == 200
    assert (await record(http, task, headers={**CLINICIAN, "If-Match": 'W/"1"'})).status_code == 412
    assert (await record(http, task, headers={**CLINICIAN, "If-Match": 'W/"2"'})).status_code == 200


async def test_a_task_is_worked_on_without_settling_anything(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    assert (await put(http, task, WORKER, status="accepted", owner=OWNER)).status_code == 200
    assert (await put(http, await the(runtime, "Task"), WORKER, status="in-progress")).status_code == 200
    assert (await the(runtime, "RiskAssessment"))["status"] == "preliminary"
    assert len(await said(runtime, "safety-alert")) == 1


@pytest.mark.parametrize(
    ("level", "rule", "flag_status"),
    [("low", "SAF-4", "inactive"), ("moderate", "SAF-3", "active"), ("high", "SAF-2", "active")],
)
async def test_a_recorded_level_settles_assessment_and_flag_and_is_announced(
    runtime: Runtime,
    http: httpx.AsyncClient,
    task: Resource,
    emitted: Callable[[Resource], None],
    level: str,
    rule: str,
    flag_status: str,
) -> None:
    assert (await record(http, task, level)).status_code == 200
    closed, assessment, flag = [await the(runtime, name) for name in RESULTS]
    assert (closed["status"], closed["owner"]) == ("completed", {"reference": "Practitioner/dr-1"})
    assert (assessment["status"], assessment["performer"]) == ("final", {"reference": "Practitioner/dr-1"})
    assert assessment["prediction"][0]["qualitativeRisk"]["coding"][0]["code"] == level
    assert (flag["status"], flag["code"]["coding"][0]["code"]) == (flag_status, rule)
    assert ("end" in flag["period"]) == (flag_status == "inactive")
    event = (await said(runtime, "safety-alert"))[1]
    assert (event.subject, event.focus) == ("Patient/p1", closed)
    assert list(event.entries.values()) == [closed, assessment]
    for resource in (closed, assessment, flag):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


async def test_an_ehr_records_a_level_by_changing_the_task(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    recorded = await put(http, task, EHR, status="completed", owner=OWNER, output=level_output("moderate"))
    assert recorded.status_code == 200
    assert (await the(runtime, "RiskAssessment"))["performer"] == OWNER
    assert len(await said(runtime, "safety-alert")) == 2


async def test_what_a_task_says_besides_the_level_stays(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    other = {"type": {"text": "Call"}, "valueString": "reached by telephone"}
    await put(http, task, status="in-progress", output=[other])
    assert (await record(http, task)).status_code == 200
    kept = [output["type"].get("text") for output in (await the(runtime, "Task"))["output"]]
    assert kept == ["Call", "Acknowledged by", "Acknowledged at", "Risk level"]


async def test_a_level_stands_once_it_is_recorded(runtime: Runtime, http: httpx.AsyncClient, task: Resource) -> None:
    assert (await record(http, task, "high")).status_code == 200
    before = await everything(runtime, NORTH)
    assert (await record(http, task, "low")).status_code == 409
    assert (await put(http, task, owner=OWNER)).status_code == 409
    assert await everything(runtime, NORTH) == before


async def test_of_many_levels_recorded_at_once_one_stands(
    runtime: Runtime, http: httpx.AsyncClient, task: Resource
) -> None:
    levels = ["low", "moderate", "high"] * 2
    answers = await asyncio.gather(*(record(http, task, level) for level in levels))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    winner = levels[[answer.status_code for answer in answers].index(200)]
    assessment = await the(runtime, "RiskAssessment")
    assert assessment["prediction"][0]["qualitativeRisk"]["coding"][0]["code"] == winner
    assert (assessment["meta"]["versionId"], (await the(runtime, "Flag"))["meta"]["versionId"]) == ("2", "2")
    assert len(await said(runtime, "safety-alert")) == 2


async def test_a_settled_alert_stays_settled_when_its_response_is_amended(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, form(1, id="r1"))
    await record(http, await the(runtime, "Task"))
    await accept(http, form(2, id="r1", status="amended"))
    assert [(await the(runtime, name))["status"] for name in RESULTS] == ["completed", "final", "inactive"]
    assert len(await said(runtime, "safety-alert")) == 2


async def test_a_person_whom_only_the_ehr_keeps_has_a_level_recorded_like_anybody(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await accept(http, form(1, subject={"identifier": {"system": "https://ehr.example/mrn", "value": "7"}}))
    assert (await record(http, await the(runtime, "Task"))).status_code == 200
    assert [event.subject for event in await said(runtime, "safety-alert")] == ["https://ehr.example/mrn|7"] * 2
