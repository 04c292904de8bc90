"""Promises of a decision on a response: once for each version, nothing lost, nobody moved without a reason."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import (
    BY_IDENTIFIER,
    KEPT,
    PATIENT,
    Resource,
    activities,
    assessment,
    everything,
    hear,
    open_request,
    requests,
    rules,
    score_url,
    scored,
    step,
    the,
    tier,
    told,
)
from tests.support.runtime import NORTH, SOUTH, URLS, stored


@pytest.mark.parametrize(
    ("of", "member", "category"),
    [
        ("QuestionnaireResponse", None, Category.INVALID),
        ("QuestionnaireResponse", "subject", Category.BUSINESS_RULE),
        ("QuestionnaireResponse", "meta", Category.BUSINESS_RULE),
        ("QuestionnaireResponse", "status", Category.BUSINESS_RULE),
        ("Observation", "code", Category.BUSINESS_RULE),
        ("Observation", "meta", Category.BUSINESS_RULE),
        ("Observation", "effectiveDateTime", Category.BUSINESS_RULE),
        ("RiskAssessment", "prediction", Category.BUSINESS_RULE),
    ],
)
async def test_an_event_that_lacks_what_a_decision_needs_is_refused_and_leaves_nothing(
    runtime: Runtime, of: str, member: str | None, category: Category
) -> None:
    event = scored(16, risk=assessment())
    (url,) = [url for url, resource in event.resources.items() if resource["resourceType"] == of]
    if member is None:
        del event.resources[url]
    else:
        del event.resources[url][member]
    before = await everything(runtime, NORTH)
    with pytest.raises(FhirError) as refused:
        await hear(runtime, event)
    assert refused.value.category is category
    assert await everything(runtime, NORTH) == before


async def test_scores_from_elsewhere_than_measurement_are_no_evidence(runtime: Runtime) -> None:
    event = scored(27)
    event.resources["https://evil.example/fhir/Observation/o1"] = event.resources.pop(score_url())
    await hear(runtime, event)
    assert await requests(runtime) == []
    await hear(runtime, scored(3, "r2"))
    assert tier(await the(runtime, "ServiceRequest")) == "tier-1"


async def test_a_response_becomes_a_proposal_with_episode_and_provenance(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, scored(16))
    request, episode, provenance = [await the(runtime, name) for name in KEPT]
    assert (tier(request), request["status"], request["intent"]) == ("tier-3", "active", "proposal")
    assert rules(request) == ["FLOOR-PHQ9-T3"]
    assert request["reasonReference"] == [{"reference": score_url()}]
    assert request["subject"] == episode["patient"] == PATIENT
    assert (episode["status"], episode["referralRequest"]) == (
        "active",
        [{"reference": f"ServiceRequest/{request['id']}"}],
    )
    assert await step(runtime) is None
    assert [each["reference"] for each in provenance["target"]] == [
        f"ServiceRequest/{request['id']}/_history/1",
        f"EpisodeOfCare/{episode['id']}/_history/1",
    ]
    (event,) = await told(runtime)
    assert (event.topic, event.subject, event.focus) == ("tier-assigned", "Patient/p1", request)
    for resource in (request, episode, provenance):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)


async def test_each_tenant_has_its_own_decision_on_the_same_event(runtime: Runtime) -> None:
    await hear(runtime, scored(16))
    (north,), (south,) = await requests(runtime), await requests(runtime, SOUTH)
    assert north["id"] != south["id"]
    assert (tier(north), tier(south)) == ("tier-3", "tier-1")


async def test_the_same_event_twice_is_one_decision(runtime: Runtime) -> None:
    await hear(runtime, scored(16))
    before = await everything(runtime, NORTH)
    await hear(runtime, scored(16))
    assert await everything(runtime, NORTH) == before


async def test_the_same_event_at_once_in_two_replicas_is_one_decision(runtime: Runtime, replica: Runtime) -> None:
    await asyncio.gather(*(hear(each, scored(16)) for each in [runtime, replica] * 3))
    await the(runtime, "ServiceRequest")
    assert await activities(runtime) == ["assign"]
    assert len(await told(runtime)) == 1


async def test_many_responses_of_one_person_at_once_are_decided_one_after_another(
    runtime: Runtime, replica: Runtime
) -> None:
    events = [
        scored(11, "r1"),
        scored(12, "r2", instrument="gad-7"),
        scored(3, "r3", instrument="phq-15"),
        scored(4, "r4", instrument="gad-7", day=1),
    ]
    await asyncio.gather(*(hear(each, event) for event in events for each in (runtime, replica)))
    assert len(await activities(runtime)) == 4
    request = await open_request(runtime)
    # both floors of tier 2 together: neither score was missed, and the older GAD-7 does not count
    assert (tier(request), rules(request)) == ("tier-3", ["MOD-TWO-DOMAINS"])
    assert (await the(runtime, "EpisodeOfCare"))["meta"]["versionId"] == "4"
    versions = {event.focus["id"]: event.focus["meta"]["versionId"] for event in await told(runtime)}
    assert versions == {each["id"]: each["meta"]["versionId"] for each in await requests(runtime)}


async def test_the_same_step_again_is_recorded_and_starts_nothing(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, scored(16))
    before = await the(runtime, "ServiceRequest")
    await hear(runtime, scored(17, "r2", day=21))
    assert await the(runtime, "ServiceRequest") == before
    assert await activities(runtime) == ["assign", "stay"]
    stay = (await stored(runtime, NORTH, "Provenance"))[1]
    assert stay["target"][0] == {"reference": f"ServiceRequest/{before['id']}/_history/1"}
    assert stay["entity"][0]["what"]["reference"] == f"{URLS['screening']}/QuestionnaireResponse/r2/_history/1"
    assert len(await told(runtime)) == 1
    emitted(stay)


async def test_another_tier_takes_the_place_of_a_proposal_that_nobody_accepted(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, scored(11), scored(16, "r2", day=21))
    old, new = sorted(await requests(runtime), key=tier)
    assert [(tier(each), each["status"]) for each in (old, new)] == [("tier-2", "revoked"), ("tier-3", "active")]
    assert new["replaces"] == [{"reference": f"ServiceRequest/{old['id']}"}]
    assert (await the(runtime, "EpisodeOfCare"))["referralRequest"] == [{"reference": f"ServiceRequest/{new['id']}"}]
    assert [(each.focus["id"], each.focus["status"]) for each in await told(runtime)] == [
        (old["id"], "active"),
        (new["id"], "active"),
        (old["id"], "revoked"),
    ]
    for resource in (old, new):
        validation.check(encode(resource), "ServiceRequest")
        emitted(resource)


async def test_a_better_score_lowers_what_nobody_has_accepted(runtime: Runtime) -> None:
    await hear(runtime, scored(16), scored(3, "r2", day=21))
    assert tier(await open_request(runtime)) == "tier-1"


async def test_an_amended_response_counts_instead_of_its_first_version(runtime: Runtime) -> None:
    await hear(runtime, scored(16), scored(11, version=2, status="amended"))
    assert tier(await open_request(runtime)) == "tier-2"
    await hear(runtime, scored(16))  # the first version comes again, late
    assert tier(await open_request(runtime)) == "tier-2"


async def test_an_older_version_that_comes_late_changes_nothing(runtime: Runtime) -> None:
    await hear(runtime, scored(11, version=2, status="amended"), scored(16, version=1))
    assert tier(await open_request(runtime)) == "tier-2"
    assert await activities(runtime) == ["assign", "stay"]


async def test_an_amendment_that_leaves_too_few_answers_takes_the_score_back(runtime: Runtime) -> None:
    await hear(runtime, scored(16), scored(None, version=2, status="amended"))
    assert rules(await open_request(runtime)) == ["NO-SCORE"]


async def test_a_withdrawn_score_moves_nobody_and_no_longer_counts(runtime: Runtime) -> None:
    await hear(runtime, scored(16))
    before = await the(runtime, "ServiceRequest")
    withdrawn = scored(16, version=2, status="entered-in-error")
    await hear(runtime, withdrawn, withdrawn)
    assert await the(runtime, "ServiceRequest") == before
    assert len((await everything(runtime, NORTH))["evidence"]) == 2
    await hear(runtime, scored(3, "r2", instrument="gad-7", day=21))
    assert tier(await open_request(runtime)) == "tier-1"


@pytest.mark.parametrize("subject", [BY_IDENTIFIER, {"reference": "https://ehr.example/fhir/Patient/7"}])
async def test_a_person_whom_only_the_ehr_keeps_is_decided_on_like_anybody(
    runtime: Runtime, emitted: Callable[[Resource], None], subject: dict[str, Any]
) -> None:
    await hear(runtime, scored(11, subject=subject), scored(16, "r2", subject=subject, day=21))
    request, episode = await open_request(runtime), await the(runtime, "EpisodeOfCare")
    assert request["subject"] == episode["patient"] == subject
    assert (tier(request), len(await activities(runtime))) == ("tier-3", 2)
    for resource in (request, episode, *await stored(runtime, NORTH, "Provenance")):
        validation.check(encode(resource), resource["resourceType"])
        emitted(resource)
    keys = {event.subject for event in await told(runtime)}
    assert keys == {subject.get("reference", "https://ehr.example/mrn|7")}
