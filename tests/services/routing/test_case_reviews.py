"""Promises of case reviews: nobody is on a list twice or by hand, who took part is on record, one page says it all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.builders.econsults import CASE_REVIEW
from stepwell_routing.pages import staff_pages
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.runtime import Runtime

from tests.services.routing.caring import CLINICIAN, PERSON, add_person, parameters
from tests.services.routing.hearing import alert, hear, open_request, scored
from tests.support.runtime import NORTH, Resource, caller, http_of, stored, token
from tests.support.terminology import unknown_codings

COLLEAGUES = [{"valueReference": {"reference": f"Practitioner/dr-{number}"}} for number in (1, 2)]
LIST: Resource = {
    "resourceType": "List",
    "id": "team",
    "status": "current",
    "mode": "working",
    "title": "Thursday's team",
    "code": {"coding": [{"system": CASE_REVIEW, "code": "case-review"}]},
}


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await add_person(runtime)
    async with http_of(runtime, service) as client:
        assert (await client.put("List/team", json=LIST, headers=CLINICIAN)).status_code == 201
        yield client


async def put_up(http: httpx.AsyncClient, headers: dict[str, str] = CLINICIAN, **values: Any) -> httpx.Response:
    given = {"subject": {"valueReference": PERSON}, "reason": {"valueString": "No response at week 8"}, **values}
    return await http.post("List/team/$put-up", json=parameters(**given), headers=headers)


async def conclude(http: httpx.AsyncClient, task_id: str, **values: Any) -> httpx.Response:
    given = {
        "task": {"valueReference": {"reference": f"Task/{task_id}"}},
        "decision": {"valueCode": "other-tier"},
        "participant": COLLEAGUES,
        **values,
    }
    return await http.post("List/team/$conclude", json=parameters(**given), headers=CLINICIAN)


async def test_who_is_on_a_list_is_said_by_its_operations_alone(runtime: Runtime, http: httpx.AsyncClient) -> None:
    by_hand = [{"item": {"reference": "Task/x"}}]
    for body in ({**LIST, "entry": by_hand}, {**LIST, "mode": "snapshot"}, {**LIST, "code": {"text": "other"}}):
        assert (await http.put("List/team", json=body, headers=CLINICIAN)).status_code == 422
    for values, status in (
        ({"due": {"valueDate": "2020-01-01"}}, 422),
        ({"subject": {"valueReference": {"reference": "Patient/nobody"}}}, 422),
        ({"subject": {"valueReference": {"display": "somebody"}}}, 422),
        ({"reason": {"valueString": "  "}}, 400),
    ):
        assert (await put_up(http, **values)).status_code == status, values
    assert (await put_up(http, token(NORTH, "clinician"))).status_code == 403
    assert (await put_up(http, token(NORTH, "community-health-worker", "Practitioner/w1"))).status_code == 403
    assert (await http.post("List/none/$put-up", json=parameters(subject={"valueReference": PERSON},
        reason={"valueString": "x"}), headers=CLINICIAN)).status_code == 404  # fmt: skip
    assert await stored(runtime, NORTH, "Task") == []


async def test_a_person_is_put_up_once_with_why_since_when_and_by_when(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(*(put_up(http, due={"valueDate": "2026-12-01"}) for _ in range(3)))
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    (task,) = await stored(runtime, NORTH, "Task")
    assert task["reasonCode"] == {"text": "No response at week 8"}
    assert task["restriction"]["period"]["end"].startswith("2026-12-02T00:00")
    (found,) = await stored(runtime, NORTH, "List")
    assert [each["item"]["reference"] for each in found["entry"]] == [f"Task/{task['id']}"]
    overdue = await http.get("Task?code=case-review&status=requested&due=lt2027-01-01", headers=CLINICIAN)
    assert [each["resource"]["id"] for each in overdue.json()["entry"]] == [task["id"]]


async def test_a_decision_names_who_took_part_and_changes_no_step(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    task = (await put_up(http)).json()["id"]
    for values in (
        {"participant": [{"valueReference": PERSON}]},
        {"decision": {"valueCode": "perhaps"}},
        {"task": {"valueReference": {"reference": "Task/other"}}},
        {"period": {"valuePeriod": {"start": "2026-11-20"}}},
    ):
        assert (await conclude(http, task, **values)).status_code == 422
    assert (await conclude(http, task, participant=[])).status_code == 422
    answer = await conclude(http, task, words={"valueString": "Tier 4 after the second measure."})
    assert answer.status_code == 201
    assert (await conclude(http, task)).status_code == 422
    (meeting,) = await stored(runtime, NORTH, "Appointment")
    actors = [each["actor"]["reference"] for each in meeting["participant"]]
    assert actors == ["Practitioner/dr-1", "Practitioner/dr-2", "Patient/p1"]
    provenance = (await stored(runtime, NORTH, "Provenance"))[-1]
    assert [each["who"]["reference"] for each in provenance["agent"]][:2] == actors[:2]
    assert provenance["target"][0] == {"reference": f"Appointment/{meeting['id']}/_history/1"}
    assert provenance["entity"][0]["what"] == {"reference": f"ServiceRequest/{proposal['id']}"}
    (done,) = [each for each in await stored(runtime, NORTH, "Task") if each["id"] == task]
    (left,) = await stored(runtime, NORTH, "List")
    assert (done["status"], "entry" in left) == ("completed", False)
    assert await open_request(runtime) == proposal
    for each in (meeting, provenance, done, left):
        validation.check(encode(each), each["resourceType"])
        assert unknown_codings(each) == []
        emitted(each)


async def asked(runtime: Runtime, role: str, path: str) -> tuple[int, str]:
    sent: list[dict[str, Any]] = []

    async def authenticate(header: str | None) -> Any:
        return caller(NORTH, [role], ROLES[role], "")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    _, answer = staff_pages(runtime, authenticate)
    scope = {"method": "GET", "path": f"/routing/reviews/{path}", "headers": [], "query_string": b""}
    await answer(Exchange(scope, receive, send))
    return sent[0]["status"], sent[1]["body"].decode()


async def test_one_page_has_what_reviewers_need_and_open_safety_first(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, scored(11), scored(18, "r2", day=21))
    await http.post(f"ServiceRequest/{(await open_request(runtime))['id']}/$accept", headers=CLINICIAN)
    await hear(runtime, alert(response="r2"))
    task = (await put_up(http, reason={"valueString": "<b>Stalled</b>"})).json()["id"]
    for role in ("patient", "analyst", "community-health-worker", "outside-organisation"):
        assert (await asked(runtime, role, f"team/{task}"))[0] == 403
    assert (await asked(runtime, "clinician", "team/none"))[0] == 404
    for path in ("none", "", "team\0", f"team/{task}/more", "team/\ud800"):
        assert (await asked(runtime, "clinician", path))[0] == 404
    status, listed = await asked(runtime, "clinician", "team")
    assert (status, f"/routing/reviews/team/{task}" in listed) == (200, True)
    status, page = await asked(runtime, "clinician", f"team/{task}")
    assert status == 200
    assert "<b>" not in page
    assert "&lt;b&gt;Stalled" in page
    order = [page.index(f"<h2>{title}") for title in ("Safety: open now", "Steps", "Decisions", "Courses")]
    assert order == sorted(order)
    assert page.index("SAF-1") < order[1]
    assert all(each in page for each in ("phq9", ">11<", ">18<", "entered", "FLOOR-PHQ9-T3", "not known"))
    assert 'role="img"' in page
