"""Promises of goals and readings: outside of the plan the team is asked once a week and the person told; at every move
the goals are looked at; the end of care makes a relapse visible."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_measurement.app import listens, service
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import code_system, extension_url, topic
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

from tests.services.measurement.scoring import finalized, hear
from tests.services.measurement.test_pages import report
from tests.services.measurement.test_trajectories import facts, results, rows
from tests.support.runtime import NORTH, SOUTH, URLS, announced, received, stored, token
from tests.support.terminology import unknown_codings

Resource = dict[str, Any]

EHR = token(NORTH, "ehr")
STEPS: Resource = {"coding": [{"system": "https://clinic.example/measures", "code": "steps"}]}
EPISODE_CHANGED = ("routing", "episode-changed")


async def set_goal(http: httpx.AsyncClient, **more: Any) -> Resource:
    body = {
        "resourceType": "Goal",
        "lifecycleStatus": "active",
        "description": {"text": "Walk to the market with my daughter again"},
        "subject": {"reference": "Patient/p1"},
        "target": [{"measure": STEPS, "detailRange": {"low": {"value": 3000}, "high": {"value": 6000}}}],
        **more,
    }
    answer = await http.post("Goal", json=body, headers=EHR)
    assert answer.status_code == 201, answer.text
    found: Resource = answer.json()
    return found


def reading(value: int, day: str, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": STEPS,
        "subject": {"reference": "Patient/p1"},
        "performer": [{"reference": "Patient/p1"}],
        "effectiveDateTime": day,
        "valueQuantity": {"value": value},
        **more,
    }


async def post(http: httpx.AsyncClient, body: Resource) -> Resource:
    answer = await http.post("Observation", json=body, headers=EHR)
    assert answer.status_code == 201, answer.text
    found: Resource = answer.json()
    return found


async def tasks(runtime: Runtime) -> list[Resource]:
    return await stored(runtime, NORTH, "Task")


def episode(version: int, status: str, start: str, end: str = "", **more: Any) -> ReceivedEvent:
    id_ = more.pop("id", "e1")
    body = {
        "resourceType": "EpisodeOfCare",
        "id": id_,
        "meta": {"versionId": str(version)},
        "status": status,
        "patient": {"reference": f"{URLS['screening']}/Patient/p1"},
        "period": {"start": start, **({"end": end} if end else {})},
        "extension": [{"url": extension_url("current-step"), "extension": [{"url": "since", "valueDateTime": start}]}],
        **more,
    }
    return received(topic("episode-changed"), [(f"{URLS['routing']}/EpisodeOfCare/{id_}", body)])


async def tell(runtime: Runtime, *events: ReceivedEvent) -> None:
    for each in events:
        await listens(runtime)[EPISODE_CHANGED](each, NORTH)


@pytest.mark.parametrize(
    "more",
    [
        {"valueQuantity": {"value": 4000}},
        {"performer": [{"reference": "Practitioner/dr-1"}]},
        {"performer": [{"display": "somebody"}]},
        {"code": {"text": "steps"}},
        {"status": "preliminary"},
        {"subject": {"reference": "Patient/p2"}},
        {"subject": {"reference": "Group/g1"}},
        {"subject": {"identifier": {"system": "https://clinic.example", "value": "Patient/p1"}}},
        {"valueQuantity": {"value": 1e300}, "code": {"coding": [{"code": "other"}]}},
    ],
)
async def test_what_lies_within_the_plan_or_is_not_remote_asks_nobody(
    runtime: Runtime, http: httpx.AsyncClient, more: Resource
) -> None:
    await set_goal(http)
    await post(http, {**reading(100, "2026-11-16"), **more})
    assert await tasks(runtime) == []
    assert await announced(runtime, NORTH) == []


async def test_without_an_active_goal_there_is_no_plan(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await set_goal(http, lifecycleStatus="completed")
    await post(http, reading(100, "2026-11-16"))
    assert await tasks(runtime) == []


async def test_outside_of_the_plan_the_team_is_asked_once_a_week_and_the_person_told_kindly(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    handler = service.listens(runtime)["screening", "patient-changed"]
    patient: Resource = {"resourceType": "Patient", "id": "p1", "meta": {"versionId": "1"}}
    patient["communication"] = [{"language": {"coding": [{"code": "de-AT"}]}, "preferred": True}]
    await handler(received(topic("patient-changed"), [(f"{URLS['screening']}/Patient/p1", patient)]), NORTH)
    goal = await set_goal(http)
    device = {"device": {"display": "step counter"}, "performer": [{"display": "step counter"}]}
    made = [
        await post(http, reading(value, day, **device)) for value, day in ((900, "2026-11-16"), (9000, "2026-11-18"))
    ]
    (task,) = await tasks(runtime)
    assert (task["status"], task["focus"]["reference"]) == ("requested", f"Goal/{goal['id']}")
    assert [each["valueReference"]["reference"] for each in task["input"]] == [f"Observation/{m['id']}" for m in made]
    (message,) = await stored(runtime, NORTH, "Communication")
    assert (message["language"], message["status"]) == ("de", "preparation")
    (payload,) = message["payload"]
    assert "außerhalb" in payload["contentString"]
    assert not {"900", "9000", "steps"} & set(payload["contentString"].split())
    for resource in (task, message):
        validation.check(encode(resource), resource["resourceType"])
        assert unknown_codings(resource) == []
        emitted(resource)
    first, _ = await announced(runtime, NORTH)
    assert (first.topic, first.subject) == ("review-asked", "Patient/p1")
    assert [each["resourceType"] for each in first.entries.values()] == ["Task", "Observation", "Communication"]
    await post(http, reading(900, "2026-11-24"))
    assert len(await tasks(runtime)) == 2
    assert await stored(runtime, SOUTH, "Task") == []


async def test_a_reading_that_is_corrected_leaves_the_task_and_the_last_takes_it_along(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await set_goal(http)
    wrong, other = await post(http, reading(900, "2026-11-16")), await post(http, reading(800, "2026-11-17"))
    for body in ({**wrong, "status": "entered-in-error"}, {**other, "valueQuantity": {"value": 3000}}):
        assert (await http.put(f"Observation/{body['id']}", json=body, headers=EHR)).status_code == 200
    (task,) = await tasks(runtime)
    assert (task["status"], task.get("input", [])) == ("cancelled", [])
    assert (await http.put(f"Observation/{other['id']}", json=other, headers=EHR)).status_code == 200
    assert [each["status"] for each in await tasks(runtime)] == ["requested"]


async def test_clients_say_how_a_task_stands_and_nothing_else(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await set_goal(http)
    await post(http, reading(900, "2026-11-16"))
    (task,) = await tasks(runtime)
    other = {**task, "for": {"reference": "Patient/p2"}}
    assert (await http.put(f"Task/{task['id']}", json=other, headers=EHR)).status_code == 422
    assert (await http.post("Task", json=task, headers=EHR)).status_code == 405
    done = {**task, "status": "completed"}
    assert (await http.put(f"Task/{task['id']}", json=done, headers=EHR)).status_code == 200
    found = await http.get("Task?patient=p1&status=completed&code=reading-review", headers=token(NORTH, "coordinator"))
    assert len(found.json()["entry"]) == 1


async def test_how_far_a_goal_has_come_is_said_from_zero_to_ten(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, finalized("r1", 20))
    goal = await set_goal(http)
    attained = {"coding": [{"system": code_system("instrument-item"), "code": "goal-attainment"}]}
    about = {"focus": [{"reference": f"Goal/{goal['id']}"}]}
    for value, status in ((0, 201), (10, 201), (11, 422), (-1, 422)):
        body = {**reading(0, "2026-11-16", code=attained, **about), "valueQuantity": {"value": value}}
        assert (await http.post("Observation", json=body, headers=EHR)).status_code == status
    wrong = reading(5, "2026-11-16", code=attained, focus=[{"reference": "Patient/p1"}])
    assert (await http.post("Observation", json=wrong, headers=EHR)).status_code == 422
    view = await report(runtime)
    assert [(each["words"], [said["value"] for said in each["attainment"]]) for each in view["goals"]] == [
        ("Walk to the market with my daughter again", [0, 10])
    ]
    assert (await report(runtime, Caller(NORTH, "north.x", Scopes.parse("system/Observation.rs"), "t8")))["goals"] == []
    found = await http.get(f"Observation?patient=p1&focus=Goal/{goal['id']}&code=goal-attainment", headers=EHR)
    assert len(found.json()["entry"]) == 2


async def test_at_every_move_the_goals_are_looked_at_once(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await tell(runtime, episode(1, "active", "2026-09-01T08:00:00Z"))
    assert await tasks(runtime) == []
    goal = await set_goal(http)
    moved = episode(2, "active", "2026-10-01T08:00:00Z")
    await tell(runtime, moved, moved, episode(3, "onhold", "2026-10-01T08:00:00Z"))
    (task,) = await tasks(runtime)
    assert task["code"]["coding"][0]["code"] == "goal-review"
    assert [each["valueReference"]["reference"] for each in task["input"]] == [f"Goal/{goal['id']}"]
    validation.check(encode(task), "Task")
    emitted(task)
    assert [each.topic for each in await announced(runtime, NORTH)] == ["review-asked"]


async def test_an_episode_that_says_nothing_is_refused(runtime: Runtime) -> None:
    refused: list[Resource] = [{"period": {}}, {"period": {"start": "soon"}}, {"patient": None}]
    for more in refused:
        with pytest.raises(FhirError):
            await tell(runtime, episode(1, "active", "2026-09-01", **more))


@pytest.mark.parametrize("late", [False, True], ids=["told early", "told late"])
async def test_after_the_end_of_care_a_relapse_is_said_whenever_the_end_is_told(runtime: Runtime, late: bool) -> None:
    began, ended = "2026-08-25T08:00:00Z", "2026-10-20T08:00:00Z"
    end = episode(2, "finished", began, ended)
    before = [finalized("r1", 20), finalized("r2", 8, week=6)]
    after = [finalized("r3", 15, week=12)]
    await hear(runtime, *before)
    await tell(runtime, *([] if late else [end]))
    await hear(runtime, *after)
    await tell(runtime, *([end] if late else []), episode(1, "active", began))
    row = (await rows(runtime))["Patient/p1", "44261-6"]
    assert (row["standing"], row["relapse"], row["baseline"]) == ("relapse", True, 20)
    last = (await announced(runtime, NORTH))[-1]
    assert facts(last.focus)["relapse"] is True
    await tell(runtime, episode(1, "active", "2026-11-25T08:00:00Z", id="e2"))
    row = (await rows(runtime))["Patient/p1", "44261-6"]
    assert (row["standing"], row["baseline"], row["measures"]) == ("first-score", 15, 1)
    assert len(await results(runtime)) == 1
