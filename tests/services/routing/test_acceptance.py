"""Promises of acceptance: by a named clinician, once; the plan then goes on until another tier is accepted."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from stepwell_routing.use_cases.shipping import ship_policies
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import (
    BY_IDENTIFIER,
    Resource,
    activities,
    alert,
    assessment,
    everything,
    hear,
    open_request,
    requests,
    scored,
    step,
    the,
    tier,
    told,
)
from tests.support.runtime import NORTH, SOUTH, stored, token

CLINICIAN = token(NORTH, "clinician", "Practitioner/dr-1")


async def accept(http: httpx.AsyncClient, request: Resource, headers: dict[str, str] = CLINICIAN) -> httpx.Response:
    return await http.post(f"ServiceRequest/{request['id']}/$accept", headers=headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (token(NORTH, "coordinator", "Practitioner/c1"), 403),
        (token(NORTH, "community-health-worker", "Practitioner/w1"), 403),
        (token(NORTH, "ehr"), 403),
        (token(SOUTH, "clinician", "Practitioner/dr-1"), 404),
        ({}, 401),
    ],
)
async def test_only_a_named_clinician_of_the_tenant_accepts(
    runtime: Runtime, http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    await hear(runtime, scored(16))
    before = await everything(runtime, NORTH)
    assert (await accept(http, await open_request(runtime), headers)).status_code == status
    assert await everything(runtime, NORTH) == before


async def test_what_is_on_hold_or_withdrawn_or_not_there_is_not_accepted(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, scored(11), scored(16, "r2", risk=assessment(response="r2"), day=21))
    before = await everything(runtime, NORTH)
    answers = [await accept(http, request) for request in await requests(runtime)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert {answer.json()["issue"][0]["expression"][0] for answer in answers} == {"ServiceRequest.status"}
    assert (await accept(http, {"id": "nothing"})).status_code == 404
    assert await everything(runtime, NORTH) == before


async def test_an_accepted_proposal_is_the_clinicians_plan_and_begins_the_step(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, scored(16))
    answer = await accept(http, await open_request(runtime))
    plan = await the(runtime, "ServiceRequest")
    assert (answer.status_code, answer.json()) == (200, plan)
    assert (plan["intent"], plan["status"], plan["requester"]) == ("plan", "active", {"reference": "Practitioner/dr-1"})
    assert await step(runtime) == "tier-3"
    assert await activities(runtime) == ["assign", "accept"]
    events = await told(runtime)
    assert {event.subject for event in events} == {"Patient/p1"}
    assert [event.focus.get("intent", event.focus["status"]) for event in events] == ["proposal", "plan", "active"]
    assert [event.topic for event in events][1:] == ["tier-assigned", "episode-changed"]
    for resource in (plan, await the(runtime, "EpisodeOfCare"), *await stored(runtime, NORTH, "Provenance")):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


async def test_accepting_again_changes_nothing(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    await accept(http, await open_request(runtime))
    before = await everything(runtime, NORTH)
    assert (await accept(http, await open_request(runtime))).status_code == 200
    assert await everything(runtime, NORTH) == before


async def test_accepted_by_many_at_once_it_is_one_plan(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    answers = await asyncio.gather(
        *(accept(http, proposal, token(NORTH, "clinician", f"Practitioner/dr-{number}")) for number in range(5))
    )
    plan = await the(runtime, "ServiceRequest")
    assert all((answer.status_code, answer.json()) == (200, plan) for answer in answers)
    assert plan["meta"]["versionId"] == "2"
    assert len(await told(runtime)) == 3


async def test_accepted_while_another_tier_is_decided_one_of_the_two_knows_of_the_other(
    runtime: Runtime, replica: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, scored(11))
    proposal = await open_request(runtime)
    answer, _ = await asyncio.gather(accept(http, proposal), hear(replica, scored(16, "r2", day=21)))
    old, new = sorted(await requests(runtime), key=tier)
    assert (tier(new), new["status"], new["intent"]) == ("tier-3", "active", "proposal")
    expected = ("active", "plan") if answer.status_code == 200 else ("revoked", "proposal")
    assert (old["status"], old["intent"]) == expected
    assert await step(runtime) == ("tier-2" if answer.status_code == 200 else None)


async def test_a_person_known_by_an_identifier_has_one_order_of_events(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, scored(16, subject=BY_IDENTIFIER))
    assert (await accept(http, await open_request(runtime))).status_code == 200
    assert {event.subject for event in await told(runtime)} == {"https://ehr.example/mrn|7"}
    assert (await the(runtime, "EpisodeOfCare"))["meta"]["versionId"] == "2"


async def test_an_accepted_plan_goes_on_when_scores_fall(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    await accept(http, await open_request(runtime))
    plan = await open_request(runtime)
    await hear(runtime, scored(3, "r2", day=21))
    assert await the(runtime, "ServiceRequest") == plan
    stay = (await stored(runtime, NORTH, "Provenance"))[-1]
    assert "KEEP-STEP" in [reason["coding"][0]["code"] for reason in stay["reason"]]
    assert {"reference": f"ServiceRequest/{plan['id']}"} in [entity["what"] for entity in stay["entity"]]
    assert await activities(runtime) == ["assign", "accept", "stay"]


async def test_an_open_alert_does_not_take_care_away_that_has_begun(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    await accept(http, await open_request(runtime))
    plan = await open_request(runtime)
    await hear(runtime, alert(response="r2"))
    assert await the(runtime, "ServiceRequest") == plan
    assert (await activities(runtime))[-1] == "stay"


async def test_a_higher_tier_is_proposed_beside_the_plan_and_the_step_is_kept(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, scored(11))
    await accept(http, await open_request(runtime))
    plan = await open_request(runtime)
    await hear(runtime, scored(16, "r2", day=21))
    proposal = next(each for each in await requests(runtime) if each["id"] != plan["id"])
    assert (tier(proposal), proposal["status"]) == ("tier-3", "active")
    assert proposal["replaces"] == [{"reference": f"ServiceRequest/{plan['id']}"}]
    episode = await the(runtime, "EpisodeOfCare")
    assert [each["reference"].partition("/")[2] for each in episode["referralRequest"]] == [proposal["id"], plan["id"]]
    assert await step(runtime) == "tier-2"
    emitted(episode)
    # the scores fall below both: the step in which care has begun holds, and what was not accepted is withdrawn
    await hear(runtime, scored(3, "r3", day=22))
    by_id = {each["id"]: each for each in await requests(runtime)}
    assert by_id[plan["id"]] == plan
    assert by_id[proposal["id"]]["status"] == "revoked"
    assert len(by_id) == 2
    assert (await activities(runtime))[-1] == "stay"


async def test_the_next_plan_takes_over_as_the_step_that_is_kept(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(11))
    await accept(http, await open_request(runtime))
    await hear(runtime, scored(16, "r2", day=21))
    higher = next(each for each in await requests(runtime) if each["intent"] == "proposal")
    assert (await accept(http, higher)).status_code == 200
    assert await step(runtime) == "tier-3"
    await hear(runtime, scored(11, "r3", day=22))
    assert {each["status"] for each in await requests(runtime)} == {"active"}
    assert (await activities(runtime))[-1] == "stay"


async def test_a_high_risk_is_answered_at_once_beside_any_plan(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    await accept(http, await open_request(runtime))
    await hear(runtime, alert(response="r2"), alert("high", response="r2"))
    proposal = next(each for each in await requests(runtime) if each["intent"] == "proposal")
    assert (tier(proposal), proposal["status"], proposal["priority"]) == ("tier-4", "active", "stat")


@pytest.mark.parametrize("tenant", [NORTH, SOUTH])
async def test_shipped_policies_are_there_once_however_often_they_are_shipped(
    runtime: Runtime, emitted: Callable[[Resource], None], tenant: str
) -> None:
    before = await stored(runtime, tenant, "PlanDefinition")
    await asyncio.gather(*(ship_policies(runtime, tenant) for _ in range(3)))
    assert await stored(runtime, tenant, "PlanDefinition") == before
    assert "stepped-care" in {policy["url"].rpartition("/")[2] for policy in before}
    for policy in before:
        validation.check(encode(policy), "PlanDefinition")
        emitted(policy)
