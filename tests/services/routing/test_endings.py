"""Promises of how a referral ends: its owner revokes what was taken back, and looks at what is complete."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from stepwell_routing.app import service
from stepwell_shared.canonical import code_system, instant, topic
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
    (request,) = await life.plans()
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
    assert len(await life.plans()) == 1
