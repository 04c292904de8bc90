"""Promises of shared capacity: nobody is in it, few are not counted, what is old is no promise, routing hears it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from stepwell_referral.booking_tables import pace_effect
from stepwell_referral.builders import capacity as builders
from stepwell_referral.use_cases.capacity import learn
from stepwell_referral.use_cases.renewing import work_on_paces
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import extension_url, instant
from stepwell_shared.federation.partners import Partner, save_partner
from stepwell_shared.federation.terms import Terms
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.referral.booking import person, put_in, schedule, slot, waiting_task
from tests.services.referral.partnering import add_practice, caller_of
from tests.shared.federation.pairs import HUB_URL, hub
from tests.support.door import door_for
from tests.support.runtime import NORTH, START, Clock, announced, caller, stored, token

COORDINATOR = token(NORTH, "coordinator")
PLACE_URL = f"{HUB_URL}/HealthcareService/clinic"
MARK = "MARKED"
Resource = dict[str, Any]


@pytest.fixture
async def partner(runtime: Runtime) -> Partner:
    partner = hub()
    await save_partner(runtime.database, partner, START)
    return partner


def told(runtime: Runtime, *, upper: int = 20, **more: Any) -> Resource:
    """What the hub answers: one place of tier 3 with a wait for everybody and two free weeks."""
    days = {"unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
    wait = [
        {"url": "urgency", "valueCode": "routine"},
        {"url": "median", "valueDuration": {"value": 9, **days}},
        {"url": "upper", "valueDuration": {"value": upper, **days}},
    ]
    shared = [{"url": "as-of", "valueInstant": instant(runtime.clock())}, {"url": "wait", "extension": wait}]
    starts = [{"url": "weekly-starts", "valueDecimal": 4}]
    place = {
        "resourceType": "HealthcareService",
        "id": "clinic",
        "meta": {"versionId": "1"},
        "active": True,
        "name": "Hub clinic",
        "category": [{"coding": [{"system": "https://stepwell.health/fhir/CodeSystem/tier", "code": "tier-3"}]}],
        "location": [{"reference": "Location/l1"}],
        "extension": [
            {"url": extension_url("shared-capacity"), "extension": shared},
            {"url": extension_url("service-capacity"), "extension": starts},
        ],
        **more,
    }
    where = {
        "resourceType": "Location",
        "id": "l1",
        "meta": {"versionId": "1"},
        "position": {"latitude": 52.5, "longitude": 13.4},
    }
    found = [(PLACE_URL, place), (f"{HUB_URL}/Location/l1", where)]
    return {"resourceType": "Bundle", "entry": [{"fullUrl": url, "resource": each} for url, each in found]}


async def kept(runtime: Runtime) -> Resource:
    places = await stored(runtime, NORTH, "HealthcareService")
    (place,) = [each for each in places if PLACE_URL in [value["value"] for value in each.get("identifier", [])]]
    return place


async def matched(http: httpx.AsyncClient) -> dict[str, Resource]:
    """What `$match` offers at tier 3, by name of the place."""
    answer = await http.get("HealthcareService/$match", params={"tier": "tier-3"}, headers=COORDINATOR)
    assert answer.status_code == 200, answer.text
    entries = [each for each in answer.json()["entry"] if each["resource"]["resourceType"] == "HealthcareService"]
    return {each["resource"]["name"]: each["search"] for each in entries}


def wait_in(search: Resource) -> int | None:
    offers = [each for each in search["extension"] if each["url"] == extension_url("match-offer")]
    waits = [part["valueDuration"]["value"] for offer in offers for part in offer["extension"] if part["url"] == "wait"]
    return waits[0] if waits else None


async def wait_of(http: httpx.AsyncClient, task_id: str) -> tuple[str, int | None]:
    """The rule and the bound of `$wait`."""
    answer = await http.get(f"Task/{task_id}/$wait", headers=COORDINATOR)
    assert answer.status_code == 200, answer.text
    found = {each["name"]: each for each in answer.json()["parameter"]}
    return found["rule"]["valueCoding"]["code"], found.get("upper", {}).get("valueDuration", {}).get("value")


@pytest.mark.parametrize(
    "entries",
    [
        [{"fullUrl": "https://other.example.org/fhir/HealthcareService/x", "resource": {"id": "x"}}],
        [{"fullUrl": PLACE_URL, "resource": {"resourceType": "Patient", "id": "clinic"}}],
        [{"fullUrl": PLACE_URL, "resource": {"resourceType": "HealthcareService", "active": "perhaps"}}],
        [{}],
    ],
    ids=["foreign", "person", "invalid", "empty"],
)
async def test_what_is_no_place_of_the_partner_is_not_kept(
    runtime: Runtime, partner: Partner, entries: list[Resource]
) -> None:
    before = await stored(runtime, NORTH, "HealthcareService")
    await learn(runtime, partner, {"resourceType": "Bundle", "entry": entries})
    assert await stored(runtime, NORTH, "HealthcareService") == before


async def test_who_reaches_some_places_only_is_not_told_of_capacity(runtime: Runtime) -> None:
    scoped = caller(NORTH, scopes=Scopes.parse("system/HealthcareService.rs?name=x"))
    async with door_for(runtime, scoped) as somebody:
        assert (await somebody.get("HealthcareService/$shared-capacity")).status_code == 403


async def test_nobody_is_in_what_a_partner_is_told_and_few_who_wait_are_not_counted(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    alder = await add_practice(runtime, "alder")
    start = START + timedelta(days=2)
    people = [person(f"p{n}", name=[{"family": MARK}], telecom=[{"value": MARK}]) for n in range(5)]
    tasks = [waiting_task(f"t{n}", f"p{n}", days=n, note=[{"text": MARK}]) for n in range(4)]
    await put_in(runtime, *people, *tasks, schedule(comment=MARK), slot("x", start, places=3, comment=MARK))
    first = await _shared(runtime, alder)
    await put_in(runtime, waiting_task("t4", "p4", days=1))
    second = await _shared(runtime, alder)
    for each in (first, second):
        text = str(each)
        assert [word for word in (MARK, "Patient", "Task", "p1", "Slot/", "Schedule") if word in text] == []
    assert ("waiting" in _figures(first), _figures(second)["waiting"]["valueUnsignedInt"]) == (False, 5)
    weeks = [part for part in _shared_parts(second) if part["url"] == "week"]
    assert [part["extension"][1]["valueUnsignedInt"] for part in weeks] == [3]
    assert {part["extension"][0]["valueCode"] for part in _shared_parts(second) if part["url"] == "wait"} == {
        *("urgent", "routine")
    }
    for entry in second["entry"]:
        validation.check(encode(entry["resource"]), entry["resource"]["resourceType"])
        emitted(entry["resource"])


async def test_a_partner_is_told_of_the_places_that_it_may_refer_to(runtime: Runtime) -> None:
    alder = replace(await add_practice(runtime, "alder"), taken_here=Terms(tiers=frozenset({"tier-4"})))
    await save_partner(runtime.database, alder, START)
    entries = (await _shared(runtime, alder))["entry"]
    assert [each["resource"]["id"] for each in entries] == ["default-tier-4"]


async def _shared(runtime: Runtime, partner: Partner) -> Resource:
    due = pace_effect("default-tier-3", None, runtime.clock())
    await runtime.store.commit(UnitOfWork(NORTH, effects=[due]))
    await work_on_paces(runtime, [NORTH])
    runtime.cache.pop(("service paces", NORTH), None)
    async with door_for(runtime, caller_of(partner)) as practice:
        answer = await practice.get("HealthcareService/$shared-capacity")
    assert answer.status_code == 200, answer.text
    found: Resource = orjson.loads(answer.content)
    return found


def _shared_parts(found: Resource) -> list[Resource]:
    (place,) = [each["resource"] for each in found["entry"] if each["resource"]["id"] == "default-tier-3"]
    (shared,) = [each for each in place["extension"] if each["url"] == builders.SHARED]
    return list(shared["extension"])


def _figures(found: Resource) -> dict[str, Resource]:
    return {part["url"]: part for part in _shared_parts(found)}


async def test_a_partners_place_is_offered_with_its_own_wait_and_without_one_once_that_is_too_old(
    runtime: Runtime, http: httpx.AsyncClient, partner: Partner
) -> None:
    await learn(runtime, partner, told(runtime))
    place = await kept(runtime)
    assert (place["providedBy"], place["location"][0]["reference"].startswith("Location/")) == (
        *({"reference": partner.organization}, True),
    )
    await put_in(
        runtime, person("p1"), waiting_task("t1", "p1", 1, owner={"reference": f"HealthcareService/{place['id']}"})
    )
    await work_on_paces(runtime, [NORTH])
    assert wait_in((await matched(http))["Hub clinic"]) == 20
    assert await wait_of(http, "t1") == ("WAIT-WITHIN-LIMIT", 20)
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += timedelta(hours=25)
    assert wait_in((await matched(http))["Hub clinic"]) is None
    assert await wait_of(http, "t1") == ("WAIT-STALE", None)


async def test_routing_hears_what_a_partner_can_take_and_that_it_was_not_heard_for_long(
    runtime: Runtime, partner: Partner
) -> None:
    await learn(runtime, partner, told(runtime))
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += timedelta(hours=1)
    await learn(runtime, partner, told(runtime))
    assert (await kept(runtime))["meta"]["versionId"] == "1"
    runtime.clock.now += timedelta(hours=25)
    await learn(runtime, partner, None)
    await learn(runtime, partner, told(runtime, upper=60))
    await learn(runtime, partner, {"resourceType": "Bundle"})
    heard = [each for each in await announced(runtime, NORTH) if each.topic.endswith("capacity-changed")]
    starts = [
        [part["valueDecimal"] for each in event.focus["extension"] if each["url"] == builders.STARTS
         for part in each["extension"]] for event in heard
    ]  # fmt: skip
    assert starts == [[4], [], [4], [4]]
    assert [event.focus["active"] for event in heard] == [True, True, True, False]


async def test_a_place_that_the_site_has_entered_keeps_what_the_site_says_and_gets_the_figures(
    runtime: Runtime, http: httpx.AsyncClient, partner: Partner
) -> None:
    entered = {
        "resourceType": "HealthcareService",
        "active": True,
        "name": "As we call it",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": PLACE_URL}],
        "providedBy": {"reference": partner.organization},
        "category": told(runtime)["entry"][0]["resource"]["category"],
    }
    assert (await http.post("HealthcareService", json=entered, headers=COORDINATOR)).status_code == 201
    await learn(runtime, partner, told(runtime))
    await learn(runtime, partner, {"resourceType": "Bundle"})
    place = await kept(runtime)
    assert (place["name"], place["active"]) == ("As we call it", True)
    assert builders.as_of_in(place) is not None
    assert {name: place[name] for name in entered} == entered
