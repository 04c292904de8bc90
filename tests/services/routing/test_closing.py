"""Promises of how what runs beside a step ends: by a person, by its referral, with care itself, and never unasked."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.data.besides import beside_outcomes
from stepwell_routing.tables import BESIDE, Known
from stepwell_routing.use_cases.besides import CLOSED, OPEN, PAST, beside_of, open_besides
from stepwell_shared.canonical import instant, topic
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import PATIENT, Resource, alert, everything, hear, scored, told
from tests.services.routing.test_besides import both, tasks
from tests.services.routing.test_live_pathways import CLINICIAN, derived, publish
from tests.support.runtime import NORTH, START, URLS, received, stored, token

DONE = {"name": "outcome", "valueCode": "done"}


async def close(http: httpx.AsyncClient, task: Resource, *given: Resource, headers: Any = CLINICIAN) -> httpx.Response:
    body = {"resourceType": "Parameters", "parameter": [*given]}
    return await http.post(f"Task/{task['id']}/$close", json=body, headers=headers)


async def advised(runtime: Runtime, http: httpx.AsyncClient) -> Resource:
    """The Task of advice on a pain pathway where mood is low."""
    await publish(http, derived("chronic-pain-rehabilitation"))
    await hear(runtime, scored(16))
    (advice,) = await tasks(runtime, "co-treatment")
    return advice


def row(value: str | None, version: int = 1) -> Known:
    return Known(f"{BESIDE}input/pharmacy", value, START, "Task/t1", version)


@pytest.mark.parametrize(
    ("value", "is_open"), [("r1", True), (OPEN, True), (f"{CLOSED}r1", False), (f"{PAST}r1", False), (None, False)]
)
def test_what_people_have_ended_is_open_no_more(value: str | None, is_open: bool) -> None:
    assert bool(open_besides([row("r0"), row(value, 2)])) is is_open


@pytest.mark.parametrize("value", ["r1", f"{CLOSED}r1", f"{PAST}r1"])
def test_contacts_of_what_runs_beside_are_known_as_such_after_its_end_too(value: str) -> None:
    assert beside_of([row(value)], "r1") == row(value)
    assert beside_of([row(value)], "r2") is None


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([], 400),
        ([{"name": "outcome", "valueString": "done"}], 400),
        ([DONE, {"name": "why", "valueString": "x"}], 400),
        ([{"name": "outcome", "valueCode": "whatever"}], 422),
    ],
)
async def test_who_says_nothing_that_is_known_ends_nothing(
    runtime: Runtime, http: httpx.AsyncClient, given: list[Resource], status: int
) -> None:
    advice = await advised(runtime, http)
    before = await everything(runtime, NORTH)
    assert (await close(http, advice, *given)).status_code == status
    assert (await close(http, {"id": "nobody"}, DONE)).status_code == 404
    assert (await close(http, advice, DONE, headers=token(NORTH, "ehr"))).status_code == 403
    (review,) = await tasks(runtime, "course-review")
    assert (await close(http, review, DONE)).status_code == 422
    assert await everything(runtime, NORTH) == before


async def test_advice_that_was_given_is_not_asked_for_again_while_its_reason_stands(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    advice = await advised(runtime, http)
    answer = await close(http, advice, DONE, {"name": "words", "valueString": "Talked with the psychologist."})
    assert (answer.status_code, answer.json()["status"]) == (200, "completed"), answer.text
    assert answer.json()["statusReason"]["text"] == "Talked with the psychologist."
    assert answer.json()["output"][0]["valueReference"]["reference"].startswith("Practitioner/")
    _, request = await both(runtime)
    assert request["status"] == "completed"
    assert (await close(http, advice, DONE)).json()["meta"]["versionId"] == answer.json()["meta"]["versionId"]
    closings = [each for each in await stored(runtime, NORTH, "Provenance") if "'close'" in str(each["activity"])]
    assert len(closings) == 1
    assert {each["reference"].partition("/")[0] for each in closings[0]["target"]} == {"Task", "ServiceRequest"}
    for resource in (answer.json(), request, closings[0]):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)
    await hear(runtime, scored(17, "r2", day=21))
    assert [each["status"] for each in await tasks(runtime, "co-treatment")] == ["completed"], "not again"
    await hear(runtime, scored(3, "r3", day=22))
    await hear(runtime, scored(18, "r4", day=23))
    (again,) = await tasks(runtime, "co-treatment")
    assert again["status"] == "requested", "its reason had gone, and has come back"
    beside = [each["status"] for each in await stored(runtime, NORTH, "ServiceRequest") if "basedOn" in each]
    assert sorted(beside) == ["active", "completed"]
    assert (await close(http, again, {"name": "outcome", "valueCode": "not-wanted"})).json()["status"] == "cancelled"
    beside = [each["status"] for each in await stored(runtime, NORTH, "ServiceRequest") if "basedOn" in each]
    assert sorted(beside) == ["completed", "revoked"]


async def test_a_track_ends_with_its_referral_and_not_while_safety_is_open(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await publish(http, derived("somatic-symptom-primary-care"))
    await hear(runtime, scored(3))
    await hear(runtime, alert("moderate"))
    (track,) = await tasks(runtime, "parallel-track")
    step, request = await both(runtime)
    await hear(runtime, alert(id_="a9", response="r9"))
    refused = await close(http, track, DONE)
    assert (refused.status_code, "safety question" in refused.text) == (422, True)
    await hear(runtime, alert("low", id_="a9", response="r9"))
    ended = {
        "resourceType": "Task",
        "id": "t1",
        "meta": {"versionId": "4"},
        "status": "completed",
        "focus": {"reference": f"{URLS['routing']}/ServiceRequest/{request['id']}"},
        "for": PATIENT,
        "lastModified": instant(runtime.clock()),
    }
    for _ in range(2):
        event = received(topic("referral-changed"), [(f"{URLS['referral']}/Task/t1", ended)])
        await service.listens(runtime)["referral", "referral-changed"](event, NORTH)
    requests = {each["id"]: each["status"] for each in await stored(runtime, NORTH, "ServiceRequest")}
    assert requests[request["id"]] == "completed"
    assert requests[step["id"]] in {"active", "on-hold"}, "the step is none of the track's"
    assert [each["status"] for each in await tasks(runtime, "parallel-track")] == ["completed"]
    said = [each.focus["status"] for each in await told(runtime) if each.focus["id"] == request["id"]]
    assert said == ["active", "completed"]


def test_every_outcome_leaves_task_and_request_closed() -> None:
    assert {code: (each.task, each.request) for code, each in beside_outcomes().items()} == {
        "done": ("completed", "completed"),
        "not-wanted": ("cancelled", "revoked"),
        "not-needed": ("cancelled", "revoked"),
    }
