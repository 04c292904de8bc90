"""Promises of a safety Task that waits: somebody is told, again and again, once at each step, until a person acts."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from stepwell_screening.app import service
from stepwell_screening.timers import claim_due, safety_figures, set_on_call
from stepwell_screening.use_cases.escalation import Escalation, escalate, loops
from stepwell_screening.use_cases.on_call import checked_on_call
from stepwell_shared.auth.tenants import add_tenant
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime
from stepwell_shared.telemetry.metrics import Metrics

from tests.services.screening.submitting import CLINICIAN, EHR, WORKER, Resource, accept, form, said, the
from tests.support.runtime import NORTH, SOUTH, Clock, stored

TENANTS = [NORTH]
MINUTE = timedelta(minutes=1)


def pass_time(runtime: Runtime, time: timedelta) -> None:
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += time


async def free_leases(runtime: Runtime) -> None:
    """As if whoever held them had gone."""
    async with runtime.database.transaction(NORTH) as connection:
        await connection.execute("UPDATE safety_timer SET lease_until = '-infinity'")


def statuses(task: Resource) -> list[str]:
    return [coding["code"] for coding in task["businessStatus"]["coding"]]


async def run_loop(runtime: Runtime, metrics: Metrics) -> None:
    """As a process does from its start, for as long as it takes to look once."""
    await add_tenant(runtime.database, NORTH, runtime.clock())
    runtime.metrics = metrics
    (run,) = loops(runtime)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.8):
            await run()


async def acknowledge(
    http: httpx.AsyncClient, task: Resource, headers: dict[str, str] = CLINICIAN, **parameters: Any
) -> httpx.Response:
    given = [{"name": name, **value} for name, value in parameters.items()]
    body = {"resourceType": "Parameters", **({"parameter": given} if given else {})}
    return await http.post(f"Task/{task['id']}/$acknowledge", json=body, headers=headers)


@pytest.fixture
async def task(runtime: Runtime, http: httpx.AsyncClient) -> Resource:
    """A safety Task that has just opened."""
    await accept(http, form(1))
    return await the(runtime, "Task")


class TestRefusals:
    @pytest.mark.parametrize(
        ("headers", "parameters", "status"),
        [
            (EHR, {}, 422),
            (EHR, {"by": {"valueReference": {"reference": "Patient/p1"}}}, 422),
            (EHR, {"by": {"valueReference": {"display": "Dr Example"}}}, 422),
            (EHR, {"by": {"valueString": "Practitioner/dr-1"}}, 422),
            ({}, {}, 401),
        ],
    )
    async def test_nothing_but_a_person_acknowledges(
        self,
        runtime: Runtime,
        http: httpx.AsyncClient,
        task: Resource,
        headers: dict[str, str],
        parameters: Any,
        status: int,
    ) -> None:
        assert (await acknowledge(http, task, headers, **parameters)).status_code == status
        assert await the(runtime, "Task") == task

    async def test_a_closed_task_is_not_taken_on(self, http: httpx.AsyncClient, task: Resource) -> None:
        parameter = [{"name": "level", "valueCode": "low"}]
        body = {"resourceType": "Parameters", "parameter": parameter}
        assert (
            await http.post(f"Task/{task['id']}/$record-risk-level", json=body, headers=CLINICIAN)
        ).status_code == 200
        assert (await acknowledge(http, task)).status_code == 409

    async def test_whoever_was_told_by_a_step_does_not_stand_for_a_level(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        rota = {"zone": "UTC", "roles": [], "lastResort": role("PractitionerRole/duty")}
        await set_on_call(runtime.database, NORTH, checked_on_call(json.dumps(rota)), runtime.clock())
        pass_time(runtime, 16 * MINUTE)
        await Escalation(runtime).escalate_due(TENANTS)
        assert (await the(runtime, "Task"))["owner"] == {"reference": "PractitionerRole/duty"}
        body = {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": "low"}]}
        refused = await http.post(f"Task/{task['id']}/$record-risk-level", json=body, headers=EHR)
        assert refused.status_code == 422


def role(reference: str, code: str = "duty") -> Resource:
    return {"code": code, "display": code, "recipient": {"reference": reference}}


class TestEscalation:
    async def test_nothing_happens_before_its_time(self, runtime: Runtime, task: Resource) -> None:
        pass_time(runtime, 14 * MINUTE)
        assert await Escalation(runtime).escalate_due(TENANTS) == 0
        assert await the(runtime, "Task") == task
        assert await stored(runtime, NORTH, "Communication") == []

    async def test_a_step_is_told_written_down_and_announced_in_one(
        self, runtime: Runtime, task: Resource, emitted: Callable[[Resource], None]
    ) -> None:
        pass_time(runtime, 15 * MINUTE)
        assert await Escalation(runtime).escalate_due(TENANTS) == 1
        moved, told = await the(runtime, "Task"), await the(runtime, "Communication")
        assert (statuses(moved), moved["status"], moved["priority"]) == (["escalated"], "requested", "stat")
        assert moved["owner"] == told["recipient"][0] == {"type": "PractitionerRole", "display": "Clinician on duty"}
        assert (told["priority"], told["status"]) == ("stat", "in-progress")
        assert told["about"] == [{"reference": f"Task/{task['id']}"}]
        assert "Example" not in json.dumps(told)
        again = (await said(runtime, "safety-alert"))[-1]
        kinds = [each["resourceType"] for each in again.entries.values()]
        assert (again.focus, kinds) == (moved, ["Task", "RiskAssessment", "Communication"])
        provenance = (await stored(runtime, NORTH, "Provenance"))[-1]
        assert provenance["activity"]["text"] == "escalate"
        assert f"Task/{task['id']}/_history/2" in [target["reference"] for target in provenance["target"]]
        for resource in (moved, told, provenance):
            validation.check(encode(resource), resource["resourceType"])
            emitted(resource)

    async def test_each_step_reaches_the_next_and_after_the_deadline_it_is_overdue(
        self, runtime: Runtime, task: Resource
    ) -> None:
        reached = []
        for minutes in (15, 15, 30, 60, 60, 60, 60):
            pass_time(runtime, minutes * MINUTE)
            assert await Escalation(runtime).escalate_due(TENANTS) == 1
            reached.append((await stored(runtime, NORTH, "Communication"))[-1]["recipient"][-1]["display"])
        assert reached[:3] == ["Clinician on duty", "Clinical lead", "Whoever answers for this site"]
        assert set(reached[3:]) == {"Whoever answers for this site"}
        assert statuses(await the(runtime, "Task")) == ["escalated", "overdue"]

    async def test_what_fell_due_while_everything_was_down_is_done_at_the_start(
        self, runtime: Runtime, task: Resource
    ) -> None:
        pass_time(runtime, timedelta(days=3))
        await run_loop(runtime, Metrics("screening"))
        told = await the(runtime, "Communication")
        assert [each["display"] for each in told["recipient"]] == [
            "Clinician on duty",
            "Clinical lead",
            "Whoever answers for this site",
        ]

    async def test_two_replicas_with_the_same_timer_tell_once(self, runtime: Runtime, task: Resource) -> None:
        pass_time(runtime, 15 * MINUTE)
        done = await asyncio.gather(*(Escalation(runtime).escalate_due(TENANTS) for _ in range(6)))
        assert sum(done) == 1
        assert (await the(runtime, "Task"))["meta"]["versionId"] == "2"

    async def test_a_timer_that_two_hold_at_once_still_counts_once(self, runtime: Runtime, task: Resource) -> None:
        pass_time(runtime, 15 * MINUTE)
        first = await claim_due(runtime.database, TENANTS, runtime.clock())
        await free_leases(runtime)
        second = await claim_due(runtime.database, TENANTS, runtime.clock())
        assert first == second != []
        done = await asyncio.gather(*(escalate(runtime, due) for due in [*first, *second] * 3))
        assert done.count(True) == 1
        await the(runtime, "Communication")

    async def test_whoever_dies_after_the_lease_leaves_the_timer_to_another(
        self, runtime: Runtime, task: Resource
    ) -> None:
        pass_time(runtime, 15 * MINUTE)
        assert len(await claim_due(runtime.database, TENANTS, runtime.clock())) == 1
        assert await Escalation(runtime).escalate_due(TENANTS) == 0
        await free_leases(runtime)
        assert await Escalation(runtime).escalate_due(TENANTS) == 1

    async def test_nobody_on_call_is_said_and_the_last_resort_told_at_once(
        self, runtime: Runtime, task: Resource
    ) -> None:
        never = {**role("Practitioner/day"), "hours": [{"days": ["mon"], "from": "00:00", "to": "00:01"}]}
        rota = {"zone": "UTC", "roles": [never], "lastResort": role("Organization/site", "last")}
        await set_on_call(runtime.database, NORTH, checked_on_call(json.dumps(rota)), runtime.clock())
        pass_time(runtime, 15 * MINUTE)
        await Escalation(runtime).escalate_due(TENANTS)
        told = await the(runtime, "Communication")
        assert told["recipient"] == [{"reference": "Organization/site"}]
        assert "Nobody is on call" in told["payload"][0]["contentString"]

    async def test_an_alert_of_another_tenant_is_told_by_that_tenants_list(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        rota = {"zone": "UTC", "roles": [role("Practitioner/south")], "lastResort": role("Organization/s", "last")}
        await set_on_call(runtime.database, SOUTH, checked_on_call(json.dumps(rota)), runtime.clock())
        pass_time(runtime, 15 * MINUTE)
        assert await Escalation(runtime).escalate_due([NORTH]) == 1
        assert (await the(runtime, "Communication"))["recipient"][0]["display"] == "Clinician on duty"
        assert await stored(runtime, SOUTH, "Communication") == []


class TestAcknowledgement:
    async def test_it_says_who_and_when_and_completes_nothing(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource, emitted: Callable[[Resource], None]
    ) -> None:
        answer = await acknowledge(http, task)
        assert answer.status_code == 200
        taken = await the(runtime, "Task")
        assert answer.json() == taken
        assert (taken["status"], statuses(taken)) == ("accepted", ["acknowledged"])
        assert taken["owner"] == {"reference": "Practitioner/dr-1"}
        outputs = {each["type"]["coding"][0]["code"]: each for each in taken["output"]}
        assert outputs["acknowledged-by"]["valueReference"] == {"reference": "Practitioner/dr-1"}
        assert outputs["acknowledged-at"]["valueInstant"] == taken["lastModified"]
        assert (await the(runtime, "RiskAssessment"))["status"] == "preliminary"
        provenance = (await stored(runtime, NORTH, "Provenance"))[-1]
        assert provenance["agent"][0]["who"] == {"reference": "Practitioner/dr-1"}
        for resource in (taken, provenance):
            validation.check(encode(resource), resource["resourceType"])
            emitted(resource)

    async def test_nobody_else_is_told_until_the_deadline_and_then_somebody_is(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        await acknowledge(http, task)
        pass_time(runtime, timedelta(hours=3, minutes=55))
        assert await Escalation(runtime).escalate_due(TENANTS) == 0
        pass_time(runtime, 6 * MINUTE)
        assert await Escalation(runtime).escalate_due(TENANTS) == 1
        overdue = await the(runtime, "Task")
        assert statuses(overdue) == ["acknowledged", "overdue"]
        assert overdue["owner"] == {"reference": "Practitioner/dr-1"}

    async def test_saying_it_again_changes_nothing_and_another_person_takes_over(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        answers = [await acknowledge(http, task) for _ in range(2)]
        assert [answer.json()["meta"]["versionId"] for answer in answers] == ["2", "2"]
        other = {"by": {"valueReference": {"reference": "https://ehr.example/fhir/Practitioner/dr-2"}}}
        assert (await acknowledge(http, task, EHR, **other)).status_code == 200
        assert (await the(runtime, "Task"))["owner"]["reference"].endswith("Practitioner/dr-2")

    async def test_many_at_once_leave_one_of_them_as_owner(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        pass_time(runtime, 15 * MINUTE)
        answers = await asyncio.gather(
            acknowledge(http, task), acknowledge(http, task, WORKER), Escalation(runtime).escalate_due(TENANTS)
        )
        assert [answer.status_code for answer in answers[:2] if isinstance(answer, httpx.Response)] == [200, 200]
        last = await the(runtime, "Task")
        by = next(each for each in last["output"] if each["type"]["coding"][0]["code"] == "acknowledged-by")
        assert "acknowledged" in statuses(last)
        assert last["owner"] == by["valueReference"]

    async def test_a_person_who_accepts_by_changing_the_task_has_acknowledged_it(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        accepted = {**task, "status": "accepted"}
        assert (await http.put(f"Task/{task['id']}", json=accepted, headers=WORKER)).status_code == 200
        assert statuses(await the(runtime, "Task")) == ["acknowledged"]
        pass_time(runtime, 60 * MINUTE)
        assert await Escalation(runtime).escalate_due(TENANTS) == 0

    async def test_a_system_that_accepts_for_nobody_stops_nothing(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        assert (
            await http.put(f"Task/{task['id']}", json={**task, "status": "accepted"}, headers=EHR)
        ).status_code == 200
        pass_time(runtime, 15 * MINUTE)
        assert await Escalation(runtime).escalate_due(TENANTS) == 1

    async def test_a_person_who_read_the_task_before_it_escalated_is_not_refused(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        pass_time(runtime, 15 * MINUTE)
        await Escalation(runtime).escalate_due(TENANTS)
        accepted = {**task, "status": "accepted"}
        assert (await http.put(f"Task/{task['id']}", json=accepted, headers=WORKER)).status_code == 200

    async def test_a_recorded_level_stops_the_timer_for_good(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        body = {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": "low"}]}
        await http.post(f"Task/{task['id']}/$record-risk-level", json=body, headers=CLINICIAN)
        pass_time(runtime, timedelta(days=30))
        assert await Escalation(runtime).escalate_due(TENANTS) == 0
        assert statuses(await the(runtime, "Task")) == ["reviewed"]


class TestWorklist:
    async def test_code_safety_finds_every_kind_the_most_urgent_first_and_what_is_overdue(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        for concern in ("perinatal", "psychosis-or-mania", "medical-red-flag"):
            body = {"resourceType": "Parameters", "parameter": [{"name": "concern", "valueCode": concern}]}
            answer = await http.post("Patient/p1/$raise-safety-concern", json=body, headers=CLINICIAN)
            assert answer.status_code == 201, answer.text
        found = (await http.get("Task?code=safety", headers=CLINICIAN)).json()["entry"]
        kinds = [each["resource"]["code"]["coding"][0]["code"] for each in found]
        assert kinds == ["safety-review", "manual-triage", "medical-review", "manual-triage"]
        ends = [each["resource"]["restriction"]["period"]["end"] for each in found]
        assert ends == sorted(ends)
        pass_time(runtime, timedelta(hours=5))
        await Escalation(runtime).escalate_due(TENANTS)
        late = (await http.get("Task?code=safety&business-status=overdue", headers=CLINICIAN)).json()["entry"]
        assert [each["resource"]["id"] for each in late] == [task["id"]]
        assert "entry" not in (await http.get("Task?code=safety&due=lt2020", headers=CLINICIAN)).json()

    async def test_the_figures_name_kinds_and_no_tenant(
        self, runtime: Runtime, http: httpx.AsyncClient, task: Resource
    ) -> None:
        metrics = Metrics("screening")
        pass_time(runtime, timedelta(hours=5))
        await run_loop(runtime, metrics)
        text = metrics.text().decode()
        assert 'stepwell_safety_tasks_overdue{service="screening",kind="safety-review"} 1' in text
        assert 'stepwell_safety_tasks_open{service="screening",kind="safety-review"}' in text
        assert NORTH not in text
        (figure,) = await safety_figures(runtime.database, TENANTS, runtime.clock())
        assert (figure.open, figure.overdue) == (1, 1)


def test_the_service_runs_the_loop() -> None:
    names = [getattr(run, "__qualname__", "") for run in service.loops(Runtime())]
    assert "Escalation.run" in names
