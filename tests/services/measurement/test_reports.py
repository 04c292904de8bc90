"""Promises of measure-report-ready: told once for each version of a report that is not pending."""

from typing import Any

import httpx
import pytest
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, SOUTH, URLS, announced, token

# A client with a role that no release knows has the scopes of a whole system.
SYSTEM = token(NORTH, "reporting")
Resource = dict[str, Any]


def report(**more: Any) -> Resource:
    return {
        "resourceType": "MeasureReport",
        "id": "report-1",
        "status": "complete",
        "type": "summary",
        "measure": "https://stepwell.health/fhir/Measure/response",
        "period": {"start": "2026-10-01", "end": "2026-10-31"},
        **more,
    }


async def put(http: httpx.AsyncClient, body: Resource, headers: dict[str, str] = SYSTEM) -> int:
    return (await http.put(f"MeasureReport/{body['id']}", json=body, headers=headers)).status_code


@pytest.mark.parametrize("role", ["analyst", "patient", "coordinator"])
async def test_who_only_reads_reports_stores_none(runtime: Runtime, http: httpx.AsyncClient, role: str) -> None:
    assert await put(http, report(), token(NORTH, role)) == 403
    assert await announced(runtime, NORTH) == []


async def test_a_pending_report_is_not_ready(runtime: Runtime, http: httpx.AsyncClient) -> None:
    assert await put(http, report(status="pending")) == 201
    assert await announced(runtime, NORTH) == []


async def test_a_report_whose_status_is_absent_with_a_reason_is_told(runtime: Runtime, http: httpx.AsyncClient) -> None:
    unknown = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    body = {name: value for name, value in report().items() if name != "status"}
    assert await put(http, {**body, "_status": {"extension": [unknown]}}) == 201
    assert len(await announced(runtime, NORTH)) == 1


async def test_a_report_is_told_exactly_once_when_its_figures_are_there(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await put(http, report(status="pending"))
    await put(http, report())
    created = await http.post("MeasureReport", json=report(status="error"), headers=SYSTEM)
    events = await announced(runtime, NORTH)
    assert [(each.topic, each.focus["status"], each.focus["meta"]["versionId"]) for each in events] == [
        ("measure-report-ready", "complete", "2"),
        ("measure-report-ready", "error", "1"),
    ]
    assert [each.subject for each in events] == ["MeasureReport/report-1", f"MeasureReport/{created.json()['id']}"]
    assert await announced(runtime, SOUTH) == []


async def test_a_persons_report_is_in_the_order_of_that_persons_events(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    url = f"{URLS['screening']}/Patient/p1"
    await put(http, report(type="individual", subject={"reference": url}))
    (event,) = await announced(runtime, NORTH)
    assert event.subject == "Patient/p1"
    found = await http.get(
        "MeasureReport?patient=p1&measure=https://stepwell.health/fhir/Measure/response", headers=SYSTEM
    )
    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == ["report-1"]
