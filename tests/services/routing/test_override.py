"""Promises of overriding: by a named clinician, with a reason, never below what safety asks for, told exactly once."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest
from stepwell_routing.data.override_reasons import SYSTEM, override_reasons
from stepwell_routing.data.plans import early_review_after
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import (
    Resource,
    activities,
    alert,
    everything,
    hear,
    open_request,
    requests,
    rules,
    scored,
    step,
    the,
    tier,
    told,
)
from tests.support.runtime import NORTH, SOUTH, stored, token
from tests.support.terminology import unknown_codings

CLINICIAN = token(NORTH, "clinician", "Practitioner/dr-1")
WORDS = "Has a working alliance with the day clinic."


def coded(code: str = "care-elsewhere", text: str | None = WORDS, system: str = SYSTEM) -> Resource:
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def parameters(tier_code: str = "tier-2", **reason: Any) -> Resource:
    given = reason or {"valueCodeableConcept": coded()}
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "tier", "valueCode": tier_code}, {"name": "reason", **given}],
    }


async def override(
    http: httpx.AsyncClient, request: Resource, body: Resource | None = None, headers: dict[str, str] = CLINICIAN
) -> httpx.Response:
    path = f"ServiceRequest/{request['id']}/$override"
    return await http.post(path, json=parameters() if body is None else body, headers=headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (token(NORTH, "clinician"), 403),
        (token(NORTH, "coordinator", "Practitioner/c1"), 403),
        (token(NORTH, "ehr"), 403),
        (token(SOUTH, "clinician", "Practitioner/dr-1"), 404),
        ({}, 401),
    ],
)
async def test_only_a_named_clinician_of_the_tenant_overrides(
    runtime: Runtime, http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    await hear(runtime, scored(16))
    before = await everything(runtime, NORTH)
    assert (await override(http, await open_request(runtime), headers=headers)).status_code == status
    assert await everything(runtime, NORTH) == before


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Parameters", "parameter": [{"name": "tier", "valueCode": "tier-2"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "because"}]},
        parameters("tier-9"),
        parameters(valueCodeableConcept=coded(text="  ")),
        parameters(valueCodeableConcept=coded(text="x" * 2_001)),
        {**parameters(), "parameter": [*parameters()["parameter"], {"name": "force", "valueBoolean": True}]},
    ],
    ids=["no reason", "no tier", "unknown tier", "blank", "too long", "unknown parameter"],
)
async def test_no_tier_is_overridden_without_a_known_tier_and_a_reason(
    runtime: Runtime, http: httpx.AsyncClient, body: Resource
) -> None:
    await hear(runtime, scored(16))
    before = await everything(runtime, NORTH)
    assert (await override(http, await open_request(runtime), body)).status_code == 400
    assert await everything(runtime, NORTH) == before


@pytest.mark.parametrize(
    "reason",
    [
        {"valueString": WORDS},
        {"valueCodeableConcept": {"text": WORDS}},
        {"valueCodeableConcept": {"coding": [{"system": SYSTEM}], "text": WORDS}},
        {"valueCodeableConcept": coded("patient-choice")},
        {"valueCodeableConcept": coded(system="https://clinic.example/reasons")},
        {"valueCode": "because"},
    ],
    ids=["words alone", "no coding", "no code", "unknown code", "another system", "unknown bare code"],
)
async def test_a_reason_without_a_known_code_is_refused_with_the_list(
    runtime: Runtime, http: httpx.AsyncClient, reason: Resource
) -> None:
    await hear(runtime, scored(16))
    before = await everything(runtime, NORTH)
    refused = await override(http, await open_request(runtime), parameters(**reason))
    assert refused.status_code == 422
    assert all(code in refused.text for code in override_reasons())
    assert await everything(runtime, NORTH) == before


async def test_another_reason_is_said_in_words(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    proposal, other = await open_request(runtime), parameters(valueCode="other")
    assert (await override(http, proposal, other)).status_code == 422
    other["parameter"].append({"name": "text", "valueString": WORDS})
    assert (await override(http, proposal, other)).status_code == 200


async def test_a_choice_of_less_than_proposed_is_looked_at_early(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    plan = (await override(http, proposal, parameters("tier-1", valueCode="person-prefers"))).json()
    period = {name: datetime.fromisoformat(value) for name, value in plan["occurrencePeriod"].items()}
    assert period["end"] - period["start"] <= early_review_after()


async def test_what_is_on_hold_withdrawn_accepted_or_proposed_anyway_is_not_overridden(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, scored(11), scored(16, "r2", day=21))
    withdrawn, proposed = sorted(await requests(runtime), key=tier)
    assert (await override(http, withdrawn, parameters("tier-1"))).status_code == 422
    assert (await override(http, proposed, parameters("tier-3"))).status_code == 422
    await http.post(f"ServiceRequest/{proposed['id']}/$accept", headers=CLINICIAN)
    assert (await override(http, proposed)).status_code == 422
    await hear(runtime, scored(25, "r3", day=22), alert(response="r4"))
    for held in [each for each in await requests(runtime) if each["status"] == "on-hold"]:
        assert (await override(http, held)).status_code == 422
    assert "override" not in await activities(runtime)


async def test_safety_is_not_lowered_by_an_override(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(3), alert(response="r1"), alert("moderate", response="r1"))
    proposal = await open_request(runtime)
    assert "SAF-3" in rules(proposal)
    before = await everything(runtime, NORTH)
    refused = await override(http, proposal, parameters("tier-2"))
    assert (refused.status_code, "tier-3 at least" in refused.text) == (422, True)
    assert await everything(runtime, NORTH) == before
    answer = await override(http, proposal, parameters("tier-4"))
    assert answer.status_code == 200
    assert "SAF-3" in [coding["code"] for each in answer.json()["reasonCode"] for coding in each.get("coding", ())]


async def test_an_override_is_a_plan_that_replaces_the_proposal_and_says_why(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    answer = await override(http, proposal)
    assert answer.status_code == 200
    plan = await open_request(runtime)
    assert answer.json() == plan
    assert (tier(plan), plan["intent"], plan["status"]) == ("tier-2", "plan", "active")
    assert plan["requester"] == {"reference": "Practitioner/dr-1"}
    assert plan["replaces"] == [{"reference": f"ServiceRequest/{proposal['id']}"}]
    display = override_reasons()["care-elsewhere"]["en"]
    reason = {"coding": [{"system": SYSTEM, "code": "care-elsewhere", "display": display}], "text": WORDS}
    assert plan["reasonCode"] == [reason, *proposal["reasonCode"]]
    assert plan["reasonReference"] == proposal["reasonReference"]
    assert await step(runtime) == "tier-2"
    made = (await stored(runtime, NORTH, "Provenance"))[-1]
    assert made["activity"]["coding"][0]["code"] == "override"
    assert made["reason"] == [reason]
    assert made["agent"][0]["who"] == {"reference": "Practitioner/dr-1"}
    withdrawn = next(each for each in await requests(runtime) if each["id"] == proposal["id"])
    assert withdrawn["status"] == "revoked"
    for resource in (plan, withdrawn, made, await the(runtime, "EpisodeOfCare")):
        validation.check(encode(resource), resource["resourceType"])
        assert unknown_codings(resource) == []
        emitted(resource)


async def test_an_override_is_told_once_beside_the_assignment(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    before = len(await told(runtime))
    await override(http, proposal)
    plan = await open_request(runtime)
    events = (await told(runtime))[before:]
    assert [(each.topic, each.focus["id"], each.focus["status"]) for each in events] == [
        ("tier-assigned", plan["id"], "active"),
        ("tier-assigned", proposal["id"], "revoked"),
        ("tier-overridden", plan["id"], "active"),
        ("episode-changed", (await the(runtime, "EpisodeOfCare"))["id"], "active"),
    ]
    assert [each["id"] for each in events[2].entries.values()] == [plan["id"], proposal["id"]]
    assert {each.subject for each in events} == {"Patient/p1"}


async def test_asked_again_or_by_many_at_once_it_is_one_override(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    proposal = await open_request(runtime)
    answers = await asyncio.gather(*(override(http, proposal) for _ in range(5)))
    plan = await open_request(runtime)
    assert all((answer.status_code, answer.json()) == (200, plan) for answer in answers)
    assert (await activities(runtime)).count("override") == 1
    assert [each.topic for each in await told(runtime)].count("tier-overridden") == 1
    assert (await override(http, proposal, parameters("tier-4"))).status_code == 409


async def test_the_next_decision_goes_on_from_the_clinicians_plan(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, scored(16))
    await override(http, await open_request(runtime), parameters("tier-4", valueCode="risk-not-in-scores"))
    plan = await open_request(runtime)
    await hear(runtime, scored(3, "r2", day=21))
    assert await open_request(runtime) == plan
    assert (await activities(runtime))[-1] == "stay"
