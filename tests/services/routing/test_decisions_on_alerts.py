"""Promises of safety: what stands is held while a question is open, and goes on at the floor of the recorded level."""

import asyncio
from collections.abc import Callable

import pytest
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import Category, FhirError
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
    rules,
    scored,
    the,
    tier,
    told,
)
from tests.support.runtime import NORTH, URLS, stored


@pytest.mark.parametrize("missing", ["RiskAssessment", "Task"])
async def test_an_alert_without_its_resources_is_refused_and_leaves_nothing(runtime: Runtime, missing: str) -> None:
    event = alert("low")
    (url,) = [url for url, resource in event.resources.items() if resource["resourceType"] == missing]
    del event.resources[url]
    before = await everything(runtime, NORTH)
    with pytest.raises(FhirError) as refused:
        await hear(runtime, event)
    assert refused.value.category in {Category.BUSINESS_RULE, Category.INVALID}
    assert await everything(runtime, NORTH) == before


@pytest.mark.parametrize(("item_nine", "rule"), [(1, "SAF-1"), (None, "SAF-5")])
async def test_a_response_with_an_open_safety_item_gives_a_proposal_on_hold(
    runtime: Runtime, emitted: Callable[[Resource], None], item_nine: int | None, rule: str
) -> None:
    await hear(runtime, scored(16, risk=assessment(item_nine=item_nine)))
    request = await the(runtime, "ServiceRequest")
    assert (tier(request), request["status"], request["priority"]) == ("tier-3", "on-hold", "urgent")
    assert rules(request) == [rule, "FLOOR-PHQ9-T3"]
    validation.check(encode(request), "ServiceRequest")
    emitted(request)


@pytest.mark.parametrize("first", ["alert", "score"])
async def test_alert_and_response_give_one_proposal_on_hold_whichever_comes_first(runtime: Runtime, first: str) -> None:
    events = [alert(), scored(16, risk=assessment())]
    await hear(runtime, *(events if first == "alert" else reversed(events)))
    assert (await the(runtime, "ServiceRequest"))["status"] == "on-hold"
    assert await activities(runtime) == ["assign"]
    assert len(await told(runtime)) == 1


async def test_an_alert_from_an_unfinished_form_is_remembered_until_a_score_comes(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, alert(), alert())
    assert await requests(runtime) == []
    episode = await the(runtime, "EpisodeOfCare")
    assert (episode["status"], episode["meta"]["versionId"]) == ("planned", "1")
    validation.check(encode(episode), "EpisodeOfCare")
    emitted(episode)
    await hear(runtime, scored(12, "r2", instrument="gad-7"))
    assert (await the(runtime, "ServiceRequest"))["status"] == "on-hold"
    assert rules(await the(runtime, "ServiceRequest"))[0] == "SAF-1"
    assert (await the(runtime, "EpisodeOfCare"))["status"] == "active"


async def test_an_alert_holds_a_proposal_that_stands_already(runtime: Runtime) -> None:
    await hear(runtime, scored(16))
    await hear(runtime, alert(response="r2"), alert(response="r2"))
    request = await the(runtime, "ServiceRequest")
    assert (request["status"], request["meta"]["versionId"]) == ("on-hold", "2")
    assert await activities(runtime) == ["assign", "modify"]
    assert [event.focus["status"] for event in await told(runtime)] == ["active", "on-hold"]


async def test_an_alert_at_the_same_moment_as_a_decision_is_never_missed(runtime: Runtime, replica: Runtime) -> None:
    await asyncio.gather(
        hear(runtime, scored(16, "r2")), hear(replica, alert()), hear(runtime, alert(id_="a2", response="r3"))
    )
    assert (await open_request(runtime))["status"] == "on-hold"
    async with runtime.database.transaction(NORTH) as connection:
        assert await connection.fetchval("SELECT count(DISTINCT reference) FROM evidence WHERE name = 'risk'") == 2


@pytest.mark.parametrize(
    ("level", "floor", "priority", "rule"),
    [
        ("low", "tier-2", "routine", "SAF-4"),
        ("moderate", "tier-3", "urgent", "SAF-3"),
        ("high", "tier-4", "stat", "SAF-2"),
    ],
)
async def test_a_recorded_level_lets_the_proposal_go_on_at_its_floor(
    runtime: Runtime, emitted: Callable[[Resource], None], level: str, floor: str, priority: str, rule: str
) -> None:
    await hear(runtime, scored(11, risk=assessment()), alert(level))
    request = await open_request(runtime)
    assert (tier(request), request["status"], request["priority"]) == (floor, "active", priority)
    assert rule in rules(request)
    assert {"reference": f"{URLS['screening']}/RiskAssessment/a1"} in request["supportingInfo"]
    assert request["supportingInfo"][0] == {"reference": f"{URLS['screening']}/QuestionnaireResponse/r1"}
    for resource in (*await requests(runtime), *await stored(runtime, NORTH, "Provenance")):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


async def test_the_same_level_twice_is_one_decision(runtime: Runtime) -> None:
    await hear(runtime, scored(16, risk=assessment()), alert("low"))
    before = await everything(runtime, NORTH)
    await hear(runtime, alert("low"), alert())
    assert await everything(runtime, NORTH) == before


async def test_a_level_that_comes_before_the_response_is_not_forgotten(runtime: Runtime) -> None:
    await hear(runtime, alert("moderate"), scored(3, risk=assessment()))
    request = await open_request(runtime)
    assert (tier(request), request["status"]) == ("tier-3", "active")


async def test_one_settled_alert_does_not_release_what_waits_for_another(runtime: Runtime) -> None:
    await hear(runtime, scored(16, risk=assessment()), alert(id_="a2", response="r2"))
    await hear(runtime, alert("low"))
    assert (await open_request(runtime))["status"] == "on-hold"
    await hear(runtime, alert("low", id_="a2", response="r2"))
    assert (await open_request(runtime))["status"] == "active"


async def test_a_held_proposal_that_goes_on_still_says_what_it_replaces(runtime: Runtime) -> None:
    await hear(runtime, scored(11), scored(16, "r2", risk=assessment(response="r2"), day=21))
    held = await open_request(runtime)
    await hear(runtime, alert("low", response="r2"))
    released = await open_request(runtime)
    assert (released["id"], released["status"]) == (held["id"], "active")
    assert released["replaces"] == held["replaces"]


async def test_a_person_known_by_an_identifier_is_held_and_released_like_anybody(runtime: Runtime) -> None:
    await hear(runtime, scored(16, subject=BY_IDENTIFIER, risk=assessment()))
    await hear(runtime, alert("low", subject=BY_IDENTIFIER))
    request = await the(runtime, "ServiceRequest")
    assert (request["status"], request["subject"], request["meta"]["versionId"]) == ("active", BY_IDENTIFIER, "2")
