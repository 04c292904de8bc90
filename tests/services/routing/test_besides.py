"""Promises of what runs beside a step: an activity rests while the step goes on, advice and tracks open once."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.builders import current_step, step_code, tier_code
from stepwell_routing.policies import active_policies
from stepwell_routing.use_cases.outcomes import step_pause
from stepwell_shared.canonical import instant, topic
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import (
    PATIENT,
    Resource,
    alert,
    everything,
    hear,
    requests,
    scored,
    the,
    told,
)
from tests.services.routing.rules.shipped import decided
from tests.services.routing.test_live_pathways import CLINICIAN, derived, publish
from tests.services.routing.test_lives import flagged
from tests.support.runtime import NORTH, URLS, received, stored

PAIN = active_policies()["chronic-pain-rehabilitation"]
REASON = {"name": "reason", "valueCode": "clinical-judgement"}


async def tasks(runtime: Runtime, code: str) -> list[Resource]:
    found = await stored(runtime, NORTH, "Task")
    return [each for each in found if each["code"]["coding"][0]["code"] == code]


async def both(runtime: Runtime) -> tuple[Resource, Resource]:
    """The request of the step, and the one beside it."""
    (beside,) = [each for each in await requests(runtime) if "basedOn" in each]
    (step,) = [each for each in await requests(runtime) if "basedOn" not in each and each["status"] != "revoked"]
    return step, beside


def about(task: Resource) -> str:
    return str(task["input"][0]["valueCodeableConcept"]["coding"][0]["code"])


@pytest.mark.parametrize(
    ("said", "rests"),
    [
        ({"contraindication": "pause"}, False),
        ({"red_flag": True}, False),
        ({"wishes_pause": True}, True),
    ],
)
def test_the_step_rests_only_when_a_rule_says_so_of_the_whole_step(said: dict[str, Any], rests: bool) -> None:
    found = decided(policy=PAIN, step=2, step_code="pain-p2a", assessment_done=True, **said)
    assert found.outcome == "pause"
    assert (step_pause(found) is not None) == rests


async def test_what_a_decision_asks_beside_the_step_opens_once_and_rests_no_longer_than_its_reason(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await publish(http, derived("chronic-pain-rehabilitation"))
    await hear(runtime, scored(16))
    await hear(runtime, scored(17, "r2", day=21))
    (advice,) = await tasks(runtime, "co-treatment")
    step, asked = await both(runtime)
    assert asked["basedOn"] == [{"reference": f"ServiceRequest/{step['id']}"}]
    assert asked["category"][0]["coding"][0]["code"] == "mental-health"
    assert (advice["basedOn"], advice["performerType"]) == (
        [{"reference": f"ServiceRequest/{asked['id']}"}],
        [{"text": "mental-health"}],
    )
    assert [each.topic for each in await told(runtime)].count("tier-assigned") == 1, "no place is looked for"
    answer = await http.post(f"ServiceRequest/{asked['id']}/$accept", headers=CLINICIAN)
    assert (answer.status_code, answer.json()["intent"]) == (200, "plan"), answer.text
    assert current_step(await the(runtime, "EpisodeOfCare")) is None, "nobody enters a step by that"
    assert [each.topic for each in await told(runtime)].count("tier-assigned") == 1
    handler = service.listens(runtime)["screening", "safety-alert"]
    await handler(flagged("SAF-6", runtime.clock()), NORTH)
    resting = await tasks(runtime, "activity-change")
    assert [each["status"] for each in resting] == ["requested"] * 3
    assert {about(each) for each in resting} == {"guided-movement", "graded-exposure", "home-plan"}
    await handler(flagged("SAF-6", runtime.clock(), completed=True), NORTH)
    assert [each["status"] for each in await tasks(runtime, "activity-change")] == ["completed"] * 3
    for kind in ("ServiceRequest", "Task"):
        for resource in await stored(runtime, NORTH, kind):
            validation.check(encode(resource), kind)
            emitted(resource)


async def test_a_track_opens_beside_the_step_and_its_contacts_are_none_of_the_steps(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await publish(http, derived("somatic-symptom-primary-care"))
    await hear(runtime, scored(3))
    await hear(runtime, alert("moderate"))
    step, track = await both(runtime)
    assert (tier_code(track), track["category"][1]["coding"][0]["code"]) == ("tier-3", "specialist")
    assert (step_code(step), step["status"]) == ("somatic-p1", "active")
    assert track["id"] in {each.focus["id"] for each in await told(runtime)}, "a place is looked for"
    body = {"resourceType": "Parameters", "parameter": [{"name": "tier", "valueCode": "somatic-p2"}, REASON]}
    assert (await http.post(f"ServiceRequest/{track['id']}/$override", json=body, headers=CLINICIAN)).status_code == 422
    before = await everything(runtime, NORTH)
    url = f"{URLS['referral']}/Task/t1"
    task = {
        "resourceType": "Task",
        "id": "t1",
        "meta": {"versionId": "1"},
        "status": "in-progress",
        "focus": {"reference": f"{URLS['routing']}/ServiceRequest/{track['id']}"},
        "for": PATIENT,
        "lastModified": instant(runtime.clock()),
    }
    contact = received(topic("referral-changed"), [(url, task)])
    await service.listens(runtime)["referral", "referral-changed"](contact, NORTH)
    assert await everything(runtime, NORTH) == before
    for kind in ("ServiceRequest", "Task"):
        for resource in await stored(runtime, NORTH, kind):
            validation.check(encode(resource), kind)
            emitted(resource)
