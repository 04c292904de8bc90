"""Promises of what was agreed: neither side sends or takes anything else, and who may sees how it stands."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_referral.use_cases.partners import outgoing
from stepwell_shared.federation.pairing import pair
from stepwell_shared.federation.partners import save_partner
from stepwell_shared.federation.registry import endpoints_of, organization_of
from stepwell_shared.federation.terms import Terms
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.partnering import note_heard
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referrals
from tests.services.referral.partnering import add_practice, caller_of, referral
from tests.services.referral.test_partners import pending, refer
from tests.shared.federation.pairs import hub
from tests.support.door import door_for
from tests.support.runtime import NORTH, SOUTH, START, http_of, stored, token

Resource = dict[str, Any]
TIER_4 = Terms(tiers=frozenset({"tier-4"}))


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (TIER_4, "takes no tier-3 from here: only tier-4"),
        (Terms(kinds=frozenset({"advice"})), "takes no referral from here"),
        (Terms(programmes=frozenset({"early-help"})), "these programmes only"),
    ],
)
async def test_a_hub_refuses_what_it_has_not_agreed_to_take_and_says_what_it_takes(
    runtime: Runtime, terms: Terms, words: str
) -> None:
    alder = replace(await add_practice(runtime, "alder"), taken_here=terms)
    await save_partner(runtime.database, alder, START)
    async with door_for(runtime, caller_of(alder)) as practice:
        answer = await practice.post("", json=referral("alder"))
    assert (answer.status_code, words in answer.text) == (422, True)
    assert await referrals(runtime, NORTH, "Patient") == []


async def test_a_practice_does_not_send_what_the_hub_does_not_take_and_its_people_read_why(runtime: Runtime) -> None:
    partner = replace(hub(), taken_there=TIER_4)
    await save_partner(runtime.database, partner, START)
    (place,) = [each for each in await stored(runtime, NORTH, "HealthcareService") if each["id"] == "default-tier-3"]
    async with http_of(runtime, service) as http:
        provided = {**place, "providedBy": {"reference": partner.organization}}
        coordinator = token(NORTH, "coordinator")
        assert (await http.put("HealthcareService/default-tier-3", json=provided, headers=coordinator)).is_success
    await refer(runtime)
    assert (await outgoing(runtime, partner, await pending(runtime))).entries == []
    (task,) = await referrals(runtime, NORTH)
    assert task["businessStatus"]["coding"][0]["code"] == "not-delivered"
    assert task["statusReason"]["text"].endswith("it takes no tier-3 from here: only tier-4.")


async def test_how_a_line_stands_is_told_to_who_sees_every_referral_and_to_nobody_else(runtime: Runtime) -> None:
    partner = hub()
    exchange = service.exchange
    assert exchange is not None
    await pair(runtime.database, runtime.engine, partner, exchange(runtime).topic, START)
    async with http_of(runtime, service) as http:
        for refused, headers, status in (
            ("partner-hub", token(NORTH, "patient"), 403),
            ("partner-hub", token(SOUTH, "coordinator"), 404),
            ("default-organization", token(NORTH, "coordinator"), 422),
        ):
            assert (await http.get(f"Organization/{refused}/$link", headers=headers)).status_code == status
        first = await _line(http)
        await note_heard(runtime, partner)
        await hear(runtime, assigned(accepted(assignment("s1"))))
        second = await _line(http)
    assert "heard" not in first
    assert second["heard"]["valueInstant"]
    assert {part["name"] for part in second["owed"]["part"]} >= {"of", "waiting", "parked", "status"}


async def _line(http: httpx.AsyncClient) -> dict[str, Resource]:
    answer = await http.get("Organization/partner-hub/$link", headers=token(NORTH, "coordinator"))
    assert answer.status_code == 200, answer.text
    return {each["name"]: each for each in answer.json()["parameter"]}


async def test_the_registry_says_where_a_partner_is_what_was_agreed_and_with_which_keys(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    exchange = service.exchange
    assert exchange is not None
    partner = replace(hub(), keys=("thumbprint",), taken_there=TIER_4)
    for _ in range(2):
        await pair(runtime.database, runtime.engine, partner, exchange(runtime).topic, START)
    (found,) = [each for each in await stored(runtime, NORTH, "Organization") if each["id"] == "partner-hub"]
    assert found["meta"]["versionId"] == "1"
    (terms,) = found["extension"]
    said = [(part["url"], part.get("valueCode")) for part in terms["extension"]]
    assert said == [
        *(("direction", "we-refer"), ("kind", "referral"), ("tier", "tier-4")),
        *(("shares", "contact"), ("shares", "reasons")),
    ]
    changed = replace(partner, shared=frozenset(), base_url="https://moved.example.org/fhir")
    await pair(runtime.database, runtime.engine, changed, exchange(runtime).topic, START)
    endpoints = {each["id"]: each for each in await stored(runtime, NORTH, "Endpoint")}
    assert endpoints["partner-hub"]["address"] == "https://moved.example.org/fhir"
    assert endpoints["partner-hub"]["extension"][0]["valueString"] == "thumbprint"
    assert {id_: each["status"] for id_, each in endpoints.items()} == {
        "partner-hub": "active",
        "partner-hub-news": "off",
    }
    for each in (organization_of(replace(partner, refers_here=True)), *endpoints_of(partner)):
        validation.check(encode(each), each["resourceType"])
        emitted(each)
