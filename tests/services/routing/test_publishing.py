"""Promises of a site's own policies: checked whole out of draft, first in shadow, one in force, never changed."""

import asyncio
import copy
from typing import Any

import httpx
import pytest
from stepwell_routing.policies import active_policies, find_policy, shadow_policies
from stepwell_shared.runtime import Runtime

from tests.services.routing.rules.shipped import DOCUMENT, rule_action
from tests.support.runtime import NORTH, SOUTH, token

Resource = dict[str, Any]

URL = "https://clinic.example/PlanDefinition/stepped"
LEAD = token(NORTH, "ehr", "Practitioner/lead-1")
CANONICAL = "https://stepwell.health/fhir"
DRAFT: Resource = {"status": "draft"}
SHADOW: Resource = {"status": "active", "experimental": True}
ACTIVE: Resource = {"status": "active", "experimental": False}
RETIRED: Resource = {"status": "retired", "experimental": False}
VENUE = {"system": "http://terminology.hl7.org/CodeSystem/usage-context-type", "code": "venue"}


def policy(version: str = "1", **members: Any) -> Resource:
    """The shipped policy as a site's own."""
    topic = {"coding": [{"system": f"{CANONICAL}/CodeSystem/pathway", "code": "stepped-care"}]}
    own = {"id": f"own-{version}", "url": URL, "version": version, "topic": [topic], "experimental": False}
    return {**copy.deepcopy(DOCUMENT), **own, **DRAFT, **members}


def setting(value: object = 15, version: str = "1", **members: Any) -> Resource:
    """A site's own value for one threshold of the shipped policy."""
    parts = [
        {"url": "parameter", "valueString": "phq9_tier_3_minimum"},
        {"url": "value", "valueInteger": value},
        {"url": "reason", "valueString": "agreed by the clinical lead"},
    ]
    own = {"id": f"setting-{version}", "resourceType": "PlanDefinition", "url": URL, "version": version}
    derived = {"type": "derived-from", "resource": f"{DOCUMENT['url']}|{DOCUMENT['version']}"}
    extension = {"url": f"{CANONICAL}/StructureDefinition/policy-setting", "extension": parts}
    return {**own, **DRAFT, "relatedArtifact": [derived], "extension": [extension], **members}


async def put(http: httpx.AsyncClient, document: Resource, **members: Any) -> httpx.Response:
    return await http.put(f"PlanDefinition/{document['id']}", json={**document, **members}, headers=LEAD)


async def live(http: httpx.AsyncClient, document: Resource) -> None:
    """Through shadow into force."""
    for state in (SHADOW, ACTIVE):
        answer = await put(http, document, **state)
        assert answer.status_code in {200, 201}, answer.text


def _broken(**changes: Any) -> Resource:
    document = policy(**SHADOW)
    rule_action(document, "SAF-1")["condition"][0]["expression"]["expression"] = "%nobody"
    return {**document, **changes}


class TestWhatIsRefused:
    async def test_a_policy_that_cannot_be_used_leaves_draft_never_and_says_where(
        self, http: httpx.AsyncClient
    ) -> None:
        assert (await put(http, _broken(), **DRAFT)).status_code == 201
        refused = await put(http, _broken())
        place = "PlanDefinition.action[1].action[0].condition[0].expression.expression"
        assert refused.status_code == 422
        assert [issue["expression"] for issue in refused.json()["issue"]] == [[place]]

    async def test_nothing_is_put_in_force_that_did_not_run_in_shadow(self, http: httpx.AsyncClient) -> None:
        assert (await put(http, policy(), **ACTIVE)).status_code == 422
        await put(http, policy(), **DRAFT)
        assert (await put(http, policy(), **ACTIVE)).status_code == 422

    async def test_a_version_that_left_draft_never_changes(self, http: httpx.AsyncClient) -> None:
        assert (await put(http, policy(), **SHADOW)).status_code == 201
        refused = await put(http, policy(), **SHADOW, purpose="another one")
        assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, ["PlanDefinition.purpose"])
        assert (await put(http, policy(), **DRAFT)).status_code == 422

    async def test_what_is_retired_stays_retired(self, http: httpx.AsyncClient) -> None:
        await live(http, policy())
        assert (await put(http, policy(), **RETIRED)).status_code == 200
        assert (await put(http, policy(), **ACTIVE)).status_code == 422

    async def test_the_products_urls_and_policies_are_not_a_sites_to_change(self, http: httpx.AsyncClient) -> None:
        assert (await put(http, policy(), url=DOCUMENT["url"])).status_code == 422

    async def test_a_version_is_published_once(self, http: httpx.AsyncClient) -> None:
        await live(http, policy())
        assert (await put(http, policy(id="other"), **SHADOW)).status_code == 409

    async def test_a_pathway_that_nobody_knows_is_refused(self, http: httpx.AsyncClient) -> None:
        refused = await put(http, policy(topic=[{"text": "mine"}], url="https://clinic.example/mine"), **SHADOW)
        assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, ["PlanDefinition.topic"])

    @pytest.mark.parametrize("value", [14, 17])
    async def test_a_sites_value_outside_the_bounds_is_refused(self, http: httpx.AsyncClient, value: int) -> None:
        refused = await put(http, setting(value), **SHADOW)
        assert refused.status_code == 422
        assert "between 15 and 16" in refused.text

    async def test_whoever_has_no_scope_writes_no_policy(self, http: httpx.AsyncClient) -> None:
        headers = token(NORTH, "clinician", "Practitioner/dr-1")
        answer = await http.put("PlanDefinition/own-1", json=policy(), headers=headers)
        assert answer.status_code == 403


class TestWhichPolicyDecides:
    async def test_what_ships_decides_until_a_site_puts_its_own_in_force(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        await put(http, policy(), **SHADOW)
        assert await find_policy(runtime, NORTH, "stepped-care") is active_policies()["stepped-care"]
        assert [each.canonical for each in await shadow_policies(runtime, NORTH, "stepped-care")] == [f"{URL}|1"]
        await put(http, policy(), **ACTIVE)
        found = await find_policy(runtime, NORTH, "stepped-care")
        assert found is not None
        assert found.canonical == f"{URL}|1"
        assert await shadow_policies(runtime, NORTH, "stepped-care") == []
        assert await find_policy(runtime, SOUTH, "stepped-care") is active_policies()["stepped-care"]

    async def test_the_next_version_in_force_retires_the_one_before(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        await live(http, policy("1"))
        await live(http, policy("2"))
        first = (await http.get("PlanDefinition/own-1", headers=LEAD)).json()
        found = await find_policy(runtime, NORTH, "stepped-care")
        assert found is not None
        assert (first["status"], found.version) == ("retired", "2")

    async def test_a_retired_policy_leaves_the_one_that_ships(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        await live(http, policy())
        await put(http, policy(), **RETIRED)
        assert await find_policy(runtime, NORTH, "stepped-care") is active_policies()["stepped-care"]

    async def test_of_two_put_in_force_at_one_moment_one_stands(
        self, runtime: Runtime, http: httpx.AsyncClient
    ) -> None:
        for version in ("1", "2"):
            await put(http, policy(version), **SHADOW)
        await asyncio.gather(*(put(http, policy(version), **ACTIVE) for version in ("1", "2")))
        states = [(await http.get(f"PlanDefinition/own-{v}", headers=LEAD)).json() for v in ("1", "2")]
        in_force = [each["version"] for each in states if (each["status"], each["experimental"]) == ("active", False)]
        found = await find_policy(runtime, NORTH, "stepped-care")
        assert found is not None
        assert in_force == [found.version]

    async def test_a_site_has_its_own_value_within_the_bounds(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        context = {"code": VENUE, "valueCodeableConcept": {"text": "valley"}}
        await live(http, setting(15, useContext=[context]))
        valley = await find_policy(runtime, NORTH, "stepped-care", "valley")
        assert valley is not None
        assert (valley.canonical, valley.constants["phq9_tier_3_minimum"]) == (f"{URL}|1", 15)
        assert await find_policy(runtime, NORTH, "stepped-care", "town") is active_policies()["stepped-care"]
