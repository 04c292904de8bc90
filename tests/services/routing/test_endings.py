"""Promises of how a referral ends: its owner revokes what was taken back, and looks at what is complete."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from stepwell_routing.app import service
from stepwell_routing.builders import step_code
from stepwell_shared.canonical import code_system, instant, topic
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import PATIENT, Resource
from tests.services.routing.test_lives import Life
from tests.support.runtime import NORTH, URLS, Clock, announced, http_of, received


@pytest.fixture
async def life(runtime: Runtime) -> AsyncIterator[Life]:
    """Care that was accepted, two weeks ago."""
    async with http_of(runtime, service) as client:
        begun = Life(runtime, client)
        await begun.begins(12)
        assert isinstance(runtime.clock, Clock)
        runtime.clock.now += timedelta(weeks=2)
        yield begun


async def ends(life: Life, status: str, version: int = 7, **changed: Any) -> Resource:
    """Referral tells how the Task of the plan ended; the request as it was."""
    request = (await life.plans())[-1]
    task = {
        "resourceType": "Task",
        "id": "task-1",
        "meta": {"versionId": str(version)},
        "status": status,
        "focus": {"reference": f"{URLS['routing']}/ServiceRequest/{request['id']}"},
        "for": PATIENT,
        "authoredOn": request["authoredOn"],
        "lastModified": instant(life.now),
        **changed,
    }
    told = received(topic("referral-changed"), [(f"{URLS['referral']}/Task/task-1", task)])
    await life.handlers["referral", "referral-changed"](told, NORTH)
    return request


@pytest.mark.parametrize(
    "changed",
    [
        {"partOf": [{"reference": "Task/whole"}]},
        {"statusReason": {"coding": [{"system": code_system("decline-reason"), "code": "transferred"}]}},
        {"focus": {"reference": f"{URLS['routing']}/ServiceRequest/another"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_what_is_not_the_end_of_the_whole_referral_revokes_nothing(life: Life, changed: Resource) -> None:
    request = await ends(life, "cancelled", **changed)
    assert [each["status"] for each in await life.requests() if each["id"] == request["id"]] == ["active"]


async def test_a_referral_that_was_taken_back_revokes_its_request_once(life: Life) -> None:
    request = await ends(life, "cancelled")
    assert [each["status"] for each in await life.requests() if each["id"] == request["id"]] == ["revoked"]
    assert await life.plans() == []
    said = [each.focus["status"] for each in await announced(life.runtime, NORTH) if each.topic == "tier-assigned"]
    assert said.count("revoked") == 1
    (episode,) = await life.episodes()
    assert episode["status"] != "finished"


async def test_a_referral_that_is_complete_is_looked_at_at_once(life: Life) -> None:
    await ends(life, "completed")
    async with life.runtime.database.transaction(NORTH) as connection:
        due = await connection.fetchval("SELECT min(due_at) FROM course_timer WHERE kind = 'review'")
    assert due <= life.now


async def statuses(life: Life) -> dict[str, str]:
    """Of each request of a step by its id."""
    return {each["id"]: each["status"] for each in await life.requests()}


async def test_a_referral_that_is_complete_completes_its_request_once_and_the_step_goes_on(
    life: Life, emitted: Callable[[Resource], None]
) -> None:
    request = await ends(life, "completed")
    await ends_again(life, request)
    (found,) = await life.requests()
    assert (found["status"], found["meta"]["versionId"]) == ("completed", str(int(request["meta"]["versionId"]) + 1))
    assert found["extension"][-1]["valueCodeableConcept"]["coding"][0]["code"] == "given"
    emitted(found)
    validation.check(encode(found), "ServiceRequest")
    said = [each.focus["status"] for each in await announced(life.runtime, NORTH) if each.topic == "tier-assigned"]
    assert said.count("completed") == 1
    assert [each["status"] for each in await life.episodes()] == ["active"]
    await life.passes(days=1)
    await life.answers(12)
    assert await life.proposal() is None, "the step is kept, not proposed anew"
    day = {"valueDate": (life.now + timedelta(weeks=3)).date().isoformat()}
    held = await life.steers("hold", reason={"valueCode": "not-ready"}, resume_check=day)
    assert (held.status_code, "has been given" in held.text) == (422, True)
    await life.answers(18)
    assert await life.proposal() is not None, "more is proposed from the step, given or not"
    await life.accepts()
    assert (await statuses(life))[request["id"]] == "completed"
    assert [step_code(each) for each in await life.plans()] == ["tier-3"]
    assert (await life.steers("finish")).status_code == 200
    assert set((await statuses(life)).values()) <= {"completed", "revoked"}


async def test_care_that_has_been_given_ends_as_any_other_and_that_is_told(life: Life) -> None:
    await ends(life, "completed")
    before = len(await announced(life.runtime, NORTH))
    assert (await life.steers("finish")).status_code == 200
    told = [(each.topic, each.focus["status"]) for each in (await announced(life.runtime, NORTH))[before:]]
    assert ("tier-assigned", "completed") in told
    assert ("episode-changed", "finished") in told
    assert [each["meta"]["versionId"] for each in await life.requests()] == ["3"], "nothing new to say of the request"


async def test_a_step_that_rests_is_given_as_well_and_rests_no_longer(life: Life) -> None:
    day = {"valueDate": (life.now + timedelta(weeks=3)).date().isoformat()}
    assert (await life.steers("hold", reason={"valueCode": "flare"}, resume_check=day)).status_code == 200
    await ends(life, "completed")
    assert [each["status"] for each in await life.requests()] == ["completed"]
    assert [each["status"] for each in await life.episodes()] == ["active"]
    assert [each["status"] for each in await life.tasks("resume-check")] == ["completed"]


async def test_the_request_of_the_step_before_ends_with_its_referral_while_the_next_one_waits(life: Life) -> None:
    (before,) = await life.plans()
    await life.answers(18)
    await life.accepts()
    focus = {"reference": f"{URLS['routing']}/ServiceRequest/{before['id']}"}
    await ends(life, "completed", focus=focus)
    assert (await statuses(life))[before["id"]] == "completed"
    assert [step_code(each) for each in await life.plans()] == ["tier-3"]


async def ends_again(life: Life, request: Resource) -> None:
    """The same event once more, and a newer one that says the same."""
    focus = {"reference": f"{URLS['routing']}/ServiceRequest/{request['id']}"}
    for version in (7, 8):
        task = {
            "resourceType": "Task",
            "id": "task-1",
            "meta": {"versionId": str(version)},
            "status": "completed",
            "focus": focus,
            "for": PATIENT,
            "lastModified": instant(life.now),
        }
        told = received(topic("referral-changed"), [(f"{URLS['referral']}/Task/task-1", task)])
        await life.handlers["referral", "referral-changed"](told, NORTH)
