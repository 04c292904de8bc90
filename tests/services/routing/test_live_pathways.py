"""Promises of the policy in force: each pathway decides live by its own, as its site has published it, on one handler.

Which pathway somebody is on is said by their episode; a site says where people begin, a clinician where one goes on.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.builders import current_step, step_code, tier_code
from stepwell_routing.policies import active_policies, policy_document
from stepwell_shared.canonical import topic
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.runtime import Runtime

from tests.services.routing.hearing import PATIENT, Resource, hear, open_request, requests, rules, scored, the
from tests.services.routing.test_publishing import ACTIVE, RETIRED, SHADOW, VENUE
from tests.support.runtime import NORTH, URLS, received, stored, token

CLINICIAN = token(NORTH, "clinician", "Practitioner/dr-1")
LEAD = token(NORTH, "ehr", "Practitioner/lead-1")
EXTENSION = "https://stepwell.health/fhir/StructureDefinition"
VALLEY = f"{URLS['screening']}/Organization/valley"


def derived(pathway: str, version: str = "1", *, site: str | None = None, **settings: int) -> Resource:
    """A site's values for the policy of a pathway that ships; without any it makes the pathway its default."""
    base = policy_document(pathway)
    parts = [
        [{"url": "parameter", "valueString": name}, {"url": "value", "valueInteger": value}]
        for name, value in settings.items()
    ]
    reason = {"url": "reason", "valueString": "agreed by the clinical lead"}
    extensions = [{"url": f"{EXTENSION}/policy-setting", "extension": [*each, reason]} for each in parts]
    name = f"{pathway}-{(site or 'all').rpartition('/')[2]}"
    default = {"url": f"{EXTENSION}/default-pathway", "valueBoolean": True}
    return {
        "resourceType": "PlanDefinition",
        "id": f"{name}-{version}",
        "url": f"https://clinic.example/PlanDefinition/{name}",
        "version": version,
        "extension": extensions or [default],
        "relatedArtifact": [{"type": "derived-from", "resource": f"{base['url']}|{base['version']}"}],
        **({"useContext": [{"code": VENUE, "valueReference": {"reference": site}}]} if site else {}),
    }


async def publish(http: httpx.AsyncClient, document: Resource, *states: Resource) -> None:
    for state in states or (SHADOW, ACTIVE):
        answer = await http.put(f"PlanDefinition/{document['id']}", json={**document, **state}, headers=LEAD)
        assert answer.status_code in {200, 201}, answer.text


async def start(http: httpx.AsyncClient, pathway: str, subject: Resource = PATIENT, **more: Any) -> httpx.Response:
    given = [{"name": "subject", "valueReference": subject}, {"name": "pathway", "valueCode": pathway}]
    body = {"resourceType": "Parameters", "parameter": [*given, *({"name": name, **one} for name, one in more.items())]}
    return await http.post("EpisodeOfCare/$start-pathway", json=body, headers=CLINICIAN)


async def know_patient(runtime: Runtime, **members: Any) -> None:
    """Screening tells of the Patient, as one of a practice perhaps."""
    patient = {"resourceType": "Patient", "id": "p1", "meta": {"versionId": "1"}, **members}
    event = received("patient-changed", [(f"{URLS['screening']}/Patient/p1", patient)])
    await service.listens(runtime)["screening", "patient-changed"](event, NORTH)


def at_the_valley(event: ReceivedEvent) -> ReceivedEvent:
    """The same event with the Patient, as screening sends it along."""
    patient = {"resourceType": "Patient", "id": "p1", "managingOrganization": {"reference": "Organization/valley"}}
    return received(topic("score-finalized"), [*event.resources.items(), (f"{URLS['screening']}/Patient/p1", patient)])


async def proposed(runtime: Runtime) -> Resource:
    """What waits for an answer."""
    (found,) = [each for each in await requests(runtime) if (each["intent"], each["status"]) == ("proposal", "active")]
    return found


def policies(found: list[Resource]) -> list[str]:
    return [each["instantiatesCanonical"][0] for each in found]


class TestEachPathwayDecidesLive:
    @pytest.mark.parametrize(
        ("pathway", "step", "tier", "rule"),
        [
            ("stepped-care", "tier-3", "tier-3", "FLOOR-PHQ9-T3"),
            ("primary-to-specialty", "primary-to-specialty-s3", "tier-3", "FLOOR-PHQ9-S3"),
            ("rural", "rural-l3", "tier-3", "FLOOR-PHQ9-L3"),
            ("somatic-symptom-primary-care", "somatic-p1", "tier-1", "SOM-ENTRY-UNKNOWN"),
            ("chronic-pain-rehabilitation", "pain-p1", "tier-2", "PAIN-ENTRY-NOT-ASSESSED"),
        ],
    )
    async def test_by_its_own_policy_step_and_words_at_places_of_its_tier(
        self,
        runtime: Runtime,
        http: httpx.AsyncClient,
        emitted: Callable[[Resource], None],
        pathway: str,
        step: str,
        tier: str,
        rule: str,
    ) -> None:
        await publish(http, derived(pathway))
        await hear(runtime, scored(17))
        proposal, episode = await open_request(runtime), await the(runtime, "EpisodeOfCare")
        policy = active_policies()[pathway]
        offering = policy.steps[[each.code for each in policy.steps].index(step)].offering
        assert policies([proposal]) == [f"https://clinic.example/PlanDefinition/{pathway}-all|1"]
        assert (step_code(proposal), tier_code(proposal), rule in rules(proposal)) == (step, tier, True)
        assert proposal["code"]["coding"][0]["code"] == offering.service_code
        assert episode["type"][0]["coding"][0]["code"] == pathway
        answer = await http.post(f"ServiceRequest/{proposal['id']}/$accept", headers=CLINICIAN)
        if proposal["status"] == "on-hold":
            assert answer.status_code == 422
            assert "safety" not in answer.text, "what waits for something else is not called unsafe"
        else:
            assert answer.status_code == 200, answer.text
            assert current_step(await the(runtime, "EpisodeOfCare")) == step
            await hear(runtime, scored(18, "r2", day=21))
            assert [each["id"] for each in await requests(runtime)] == [proposal["id"]], "the step goes on"
        for kind in ("ServiceRequest", "EpisodeOfCare", "Provenance", "Task"):
            for resource in await stored(runtime, NORTH, kind):
                validation.check(encode(resource), kind)
                emitted(resource)

    async def test_a_clinician_decides_for_another_step_of_the_same_ladder_and_of_no_other(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        await publish(http, derived("rural"))
        await hear(runtime, scored(17))
        address = f"ServiceRequest/{(await open_request(runtime))['id']}/$override"
        reason = {"name": "reason", "valueCodeableConcept": {"coding": [_reason()], "text": "wishes less"}}
        for code, status in (("tier-2", 400), ("rural-l2", 200)):
            given = [{"name": "tier", "valueCode": code}, reason]
            body = {"resourceType": "Parameters", "parameter": given}
            answer = await http.post(address, json=body, headers=CLINICIAN)
            assert answer.status_code == status, answer.text
        plan = answer.json()
        assert (step_code(plan), tier_code(plan)) == ("rural-l2", "tier-2")
        assert current_step(await the(runtime, "EpisodeOfCare")) == "rural-l2"


class TestWhichPolicyIsInForce:
    async def test_a_sites_own_wins_over_the_tenants_and_a_retired_one_is_not_used(
        self, runtime: Runtime, replica: Runtime, http: httpx.AsyncClient
    ) -> None:
        everywhere = derived("stepped-care", phq9_tier_3_minimum=15)
        valley = derived("stepped-care", site="Organization/valley", phq9_tier_3_minimum=16)
        await publish(http, everywhere)
        await publish(http, valley)
        await hear(replica, at_the_valley(scored(15)))
        at_site, episode = await open_request(runtime), await the(runtime, "EpisodeOfCare")
        assert (policies([at_site]), step_code(at_site)) == ([f"{valley['url']}|1"], "tier-2")
        assert episode["managingOrganization"] == {"reference": VALLEY}
        await publish(http, valley, RETIRED)
        await hear(replica, scored(15, "r2", day=21))
        now = await open_request(runtime)
        assert (policies([now]), step_code(now)) == ([f"{everywhere['url']}|1"], "tier-3")

    async def test_a_sites_values_outlive_the_release_that_they_were_made_for(
        self, runtime: Runtime, replica: Runtime, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = derived("stepped-care", phq9_tier_3_minimum=15)
        await publish(http, own)
        monkeypatch.setattr("stepwell_routing.policies.published.shipped_names", tuple)
        await hear(replica, scored(15))
        assert policies([await open_request(runtime)]) == [f"{own['url']}|1"]

    async def test_decisions_at_the_moment_of_publishing_are_each_made_whole_by_one_version(
        self, runtime: Runtime, replica: Runtime, http: httpx.AsyncClient
    ) -> None:
        before, after = (derived("stepped-care", str(n), phq9_tier_3_minimum=m) for n, m in ((1, 15), (2, 16)))
        await publish(http, before)
        await publish(http, after, SHADOW)
        people = [{"identifier": {"system": "https://ehr.example/mrn", "value": str(n)}} for n in range(8)]
        hears = (
            hear(process, scored(15, f"r{number}", subject=person))
            for number, person in enumerate(people)
            for process in (runtime, replica)
        )
        await asyncio.gather(publish(http, after, ACTIVE), *hears)
        found = await requests(runtime)
        assert len(found) == len(people), "one cause, one decision, whichever version made it"
        allowed = {(f"{before['url']}|1", "tier-3"), (f"{after['url']}|2", "tier-2")}
        assert {(each["instantiatesCanonical"][0], step_code(each)) for each in found} <= allowed
        await hear(replica, scored(15, "late"))
        (late,) = [each for each in await requests(runtime) if each["subject"] == PATIENT]
        assert late["instantiatesCanonical"] == [f"{after['url']}|2"]


class TestWhichPathway:
    async def test_only_pathways_that_are_known_are_started_and_only_by_people(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        await know_patient(runtime)
        assert (await start(http, "astrology")).status_code == 400
        assert (await start(http, "rural", {"reference": "Patient/nobody"})).status_code == 422
        body = {"resourceType": "Parameters"}
        machine = token(NORTH, "ehr")
        assert (await http.post("EpisodeOfCare/$start-pathway", json=body, headers=machine)).status_code in {400, 403}
        assert await stored(runtime, NORTH, "EpisodeOfCare") == []

    async def test_a_site_says_where_people_begin_and_a_clinician_where_one_goes_on(
        self, runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
    ) -> None:
        await know_patient(runtime, managingOrganization={"reference": "Organization/valley"})
        await publish(http, derived("rural", site="Organization/valley"))
        await hear(runtime, scored(12))
        proposal = await open_request(runtime)
        assert step_code(proposal) == "rural-l2"
        assert (await http.post(f"ServiceRequest/{proposal['id']}/$accept", headers=CLINICIAN)).status_code == 200
        answer = await start(http, "primary-to-specialty", reason={"valueString": "the specialist is near"})
        assert (answer.status_code, answer.json()["status"]) == (201, "active"), answer.text
        before, after = await stored(runtime, NORTH, "EpisodeOfCare")
        assert [each["status"] for each in (before, after)] == ["finished", "active"]
        assert after["type"][0]["coding"][0]["code"] == "primary-to-specialty"
        plan, moved = sorted(await requests(runtime), key=lambda each: str(each["intent"]))
        assert [(plan["intent"], plan["status"]), (moved["intent"], step_code(moved))] == [
            ("plan", "active"),
            ("proposal", "primary-to-specialty-s2"),
        ], "the step that has begun goes on until the first contact in the next"
        assert moved["replaces"] == [{"reference": f"ServiceRequest/{plan['id']}"}]
        again = await start(http, "primary-to-specialty")
        assert (again.status_code, again.json()["id"]) == (200, after["id"])
        assert len(await requests(runtime)) == 2
        await hear(runtime, scored(17, "r2", day=21))
        assert step_code(await proposed(runtime)) == "primary-to-specialty-s3"
        for kind in ("ServiceRequest", "EpisodeOfCare", "Provenance"):
            for resource in await stored(runtime, NORTH, kind):
                validation.check(encode(resource), kind)
                emitted(resource)


def _reason() -> Resource:
    return {"system": "https://stepwell.health/fhir/CodeSystem/override-reason", "code": "person-prefers"}
