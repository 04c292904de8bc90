"""Promises of care coordination: barriers are answered by people, and a team is who takes part, family by consent."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from stepwell_referral.app import listens
from stepwell_referral.use_cases.coordination import care_coordination
from stepwell_referral.use_cases.due import tell_of_due
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import code_system, topic
from stepwell_shared.consent.serving import CONSENT_CHANGED
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.messages import Request
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import CLINICIAN as REFERRER
from tests.services.referral.assigning import accepted, assigned, assignment, hear, referrals
from tests.services.referral.test_loop import beside, no, put, said, told
from tests.services.referral.test_match import known
from tests.services.referral.test_orders import bundle, order
from tests.support.consents import provision, sharing
from tests.support.runtime import NORTH, SOUTH, URLS, Clock, caller, received, token
from tests.support.terminology import unknown_codings

Resource = dict[str, Any]
COORDINATOR = token(NORTH, "coordinator", "Practitioner/co-1")
WORKER = token(NORTH, "community-health-worker", "PractitionerRole/chw-1")
SISTER = f"{URLS['screening']}/RelatedPerson/sister"


async def referred(runtime: Runtime, **form: str) -> Resource:
    """A referral of somebody who said this of wishes and barriers."""
    await known(runtime, form, name=[{"family": "Ito"}])
    await hear(runtime, assigned(accepted(assignment())))
    (task,) = await referrals(runtime)
    return task


async def view(http: httpx.AsyncClient, headers: dict[str, str] = COORDINATOR) -> dict[str, list[dict[str, Any]]]:
    """The view by name; parts by name, of codings the code, of references the address."""
    answer = await http.get("Patient/p1/$care-coordination", headers=headers)
    assert answer.status_code == 200, answer.text
    assert unknown_codings(answer.json()) == []
    found: dict[str, list[dict[str, Any]]] = {}
    for each in answer.json()["parameter"]:
        parts: dict[str, Any] = {}
        for part in each.get("part", [each]):
            value = next(value for key, value in part.items() if key.startswith("value"))
            plain = value.get("code", value.get("reference")) if isinstance(value, dict) else value
            parts[part["name"]] = plain
        found.setdefault(each["name"], []).append(parts)
    return found


async def team(http: httpx.AsyncClient) -> Resource:
    answer = await http.get("CareTeam", params={"patient": "p1"}, headers=COORDINATOR)
    (entry,) = answer.json()["entry"]
    found: Resource = entry["resource"]
    return found


def members(found: Resource, *, past: bool = False) -> dict[str, str]:
    taking_part = [each for each in found["participant"] if ("end" in each["period"]) == past]
    return {each["member"]["reference"]: each["role"][0]["coding"][0]["code"] for each in taking_part}


def participant(reference: str, role: str) -> Resource:
    coding = {"system": code_system("care-team-role"), "code": role}
    return {"role": [{"coding": [coding]}], "member": {"reference": reference}}


def arranged(*codes: str, by: str = "") -> Resource:
    kind = {"coding": [{"system": code_system("task"), "code": "arranged"}]}
    output: list[Resource] = [
        {"type": kind, "valueCodeableConcept": {"coding": [{"system": code_system("support"), "code": each}]}}
        for each in codes
    ]
    giver = [{"type": kind, "valueReference": {"reference": by, "display": "The advice centre"}}] if by else []
    return {"status": "completed", "output": [*output, *giver]}


async def consented(runtime: Runtime, *, status: str = "active", version: int = 1) -> None:
    """The person's Consent that their sister sees all of it, as screening tells of it."""
    found = {**sharing("p1", provision("permit", SISTER), status=status), "meta": {"versionId": str(version)}}
    url = f"{URLS['screening']}/Consent/{found['id']}"
    await listens(runtime)[CONSENT_CHANGED](received(topic("consent-changed"), [(url, found)]), NORTH)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"status": "completed"}, "Task.output"),
        (arranged("a-lower-tier"), "Task.output"),
        ({"status": "rejected"}, "Task.statusReason.text"),
        ({"status": "failed"}, "Task.status"),
        ({"reasonCode": {"text": "no barrier"}}, "Task.reasonCode"),
    ],
)
async def test_support_does_not_end_without_saying_what_was_arranged_or_why_not(
    runtime: Runtime, http: httpx.AsyncClient, changed: Resource, place: str
) -> None:
    await referred(runtime, work="often")
    (support,) = await beside(runtime, "arrange-support")
    refused = await put(http, support, COORDINATOR, **changed)
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, [place])


async def test_a_barrier_that_the_place_leaves_open_is_a_task_of_people_and_never_another_tier(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    referral = await referred(runtime, work="often", income="sometimes", housing="never", caregiving="often")
    opened = await beside(runtime, "arrange-support")
    assert {each["reasonCode"]["coding"][0]["code"] for each in opened} == {"work", "income"}
    assert {each["partOf"][0]["reference"] for each in opened} == {f"Task/{referral['id']}"}
    assert referral["owner"]["reference"] == "HealthcareService/default-tier-3"
    (message,) = [each for each in await told(runtime) if "Hours of work or school" in said(each)]
    assert "Money" in said(message)
    assert "Your care stays the same" in said(message)
    seen = await view(http)
    assert [(each["code"], each["frequency"], each["state"]) for each in seen["barrier"]] == [
        ("work", "often", "looked-for"),
        ("income", "sometimes", "looked-for"),
        ("caregiving", "often", "answered-by-place"),
    ]
    assert len(seen["support"]) == 2
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += timedelta(seconds=10)
    assert await tell_of_due(runtime, [NORTH]) >= 2
    alerted = {each["about"][0]["reference"] for each in await told(runtime, "alert")}
    assert {f"Task/{each['id']}" for each in opened} <= alerted
    for each in (*opened, message):
        emitted(each)


async def test_what_was_arranged_and_by_whom_is_seen_and_told_in_the_persons_language(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    german = {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "de"}]}, "preferred": True}
    await known(runtime, {"housing": "often"}, communication=[german])
    await hear(runtime, assigned(accepted(assignment())))
    opened = await beside(runtime, "arrange-support")
    for each in opened:
        moved = await put(http, each, WORKER, owner={"reference": "PractitionerRole/chw-1"}, status="accepted")
        assert moved.status_code == 200, moved.text
        moved = await put(http, moved.json(), WORKER, **arranged("social-advice", by="HealthcareService/advice"))
        assert moved.status_code == 200, moved.text
        emitted(moved.json())
    seen = await view(http)
    assert [each["state"] for each in seen["barrier"]] == ["arranged"]
    assert {(each["owner"], each["given-by"], each["arranged"], each["open"]) for each in seen["support"]} == {
        ("PractitionerRole/chw-1", "HealthcareService/advice", "social-advice", False)
    }
    assert "The advice centre" in said((await told(runtime))[-1])
    assert members(await team(http))["PractitionerRole/chw-1"] == "community-health-worker"


async def test_a_barrier_that_is_named_later_is_answered_once_and_one_that_is_gone_is_not_looked_for(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await referred(runtime, income="often")
    await known(runtime, {"income": "often", "housing": "often"}, version=2)
    await known(runtime, {"income": "often", "housing": "often"}, version=2)
    statuses = {
        each["reasonCode"]["coding"][0]["code"]: each["status"] for each in await beside(runtime, "arrange-support")
    }
    assert statuses == {"income": "requested", "housing": "requested"}
    await known(runtime, {"income": "often", "housing": "never"}, version=3)
    statuses = {
        each["reasonCode"]["coding"][0]["code"]: each["status"] for each in await beside(runtime, "arrange-support")
    }
    assert statuses == {"income": "requested", "housing": "cancelled"}
    assert [each["code"] for each in (await view(http))["barrier"]] == ["income"]


async def test_nobody_sees_of_the_view_what_their_token_does_not_reach(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await referred(runtime, income="often")
    assert (await http.get("Patient/p1/$care-coordination", headers=token(SOUTH, "coordinator"))).status_code == 404
    assert (await http.get("Patient/p2/$care-coordination", headers=COORDINATOR)).status_code == 404
    assert (await http.get("Patient/p1/$care-coordination", headers=token(NORTH, "analyst"))).status_code == 403
    narrow = caller(NORTH, ["coordinator"], Scopes.parse("user/Patient.r user/QuestionnaireResponse.r?status=amended"))
    asked = Request(access=narrow, witness=lambda *_: Effect("", ()), resource_type="Patient", id="p1")
    answer = await care_coordination(runtime, asked)
    assert [each["name"] for each in orjson.loads(answer.body)["parameter"]] == ["person"]


async def test_who_refers_says_yes_begins_and_sees_somebody_is_in_their_team_until_nothing_is_open(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    task = await referred(runtime, modality="group")
    assert members(await team(http)) == {REFERRER: "clinician"}
    task = (await put(http, task, COORDINATOR, status="accepted")).json()
    task = (await put(http, task, WORKER, status="in-progress")).json()
    seen = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": "2026-11-21T09:00:00Z",
        "end": "2026-11-21T09:50:00Z",
        "participant": [
            {"actor": {"reference": "Patient/p1"}, "status": "accepted"},
            {"actor": {"reference": "Practitioner/th-1"}, "status": "accepted"},
        ],
    }
    made = (await http.post("Appointment", json=seen, headers=COORDINATOR)).json()
    assert "Practitioner/th-1" not in members(await team(http))
    answer = await http.put(f"Appointment/{made['id']}", json={**made, "status": "arrived"}, headers=COORDINATOR)
    assert answer.status_code == 200, answer.text
    found = await team(http)
    assert members(found) == {
        REFERRER: "clinician",
        "Practitioner/co-1": "coordinator",
        "PractitionerRole/chw-1": "community-health-worker",
        "Practitioner/th-1": "therapist",
    }
    emitted(found)
    assert {each["role"] for each in (await view(http))["member"]} == set(members(found).values())
    await put(http, task, COORDINATOR, status="completed")
    rested = await team(http)
    assert (rested["status"], members(rested), len(members(rested, past=True))) == ("inactive", {}, 4)
    await hear(runtime, assigned(accepted(assignment("s2"))))
    again = await team(http)
    assert (again["status"], members(again), "end" in again["period"]) == ("active", {REFERRER: "clinician"}, False)
    emitted(again)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"subject": {"reference": "Patient/p2"}}, "CareTeam.subject"),
        ({"participant": [{"member": {"reference": "Practitioner/x"}}]}, "CareTeam.participant[0].role"),
        ({"participant": [participant("Practitioner/x", "surgeon")]}, "CareTeam.participant[0].role"),
        ({"participant": [participant("CareTeam/x", "clinician")]}, "CareTeam.participant[0].member"),
        ({"participant": [participant("Practitioner/x", "family-supporter")]}, "CareTeam.participant[0].role"),
        ({"participant": [participant(SISTER, "clinician")]}, "CareTeam.participant[0].role"),
        ({"participant": [participant(SISTER, "family-supporter")]}, "CareTeam.participant[0].member"),
    ],
)
async def test_a_team_takes_nobody_without_a_role_nor_family_without_consent(
    runtime: Runtime, http: httpx.AsyncClient, changed: Resource, place: str
) -> None:
    await referred(runtime, modality="group")
    found = await team(http)
    refused = await http.put(f"CareTeam/{found['id']}", json={**found, **changed}, headers=COORDINATOR)
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, [place])
    assert (await http.post("CareTeam", json=found, headers=COORDINATOR)).status_code == 405
    assert (await http.put("CareTeam/new", json={**found, "id": "new"}, headers=COORDINATOR)).status_code == 405


async def test_family_takes_part_with_the_persons_consent_and_no_longer_once_it_is_taken_back(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await referred(runtime, modality="group")
    await consented(runtime)
    found = await team(http)
    joined = {**found, "participant": [*found["participant"], participant(SISTER, "family-supporter")]}
    for each in joined["participant"]:
        each.setdefault("period", {"start": "2026-11-21"})
    answer = await http.put(f"CareTeam/{found['id']}", json=joined, headers=COORDINATOR)
    assert answer.status_code == 200, answer.text
    emitted(answer.json())
    assert SISTER in members(await team(http))
    await consented(runtime, status="inactive", version=2)
    assert SISTER not in members(await team(http))
    assert members(await team(http), past=True) == {SISTER: "family-supporter"}


async def test_a_place_that_says_no_leaves_the_team_and_the_supports_as_they_are(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    task = await referred(runtime, income="often")
    await put(http, task, COORDINATOR, **no())
    assert (await team(http))["status"] == "active"
    assert [each["status"] for each in await beside(runtime, "arrange-support")] == ["requested"]


async def test_a_place_that_the_sender_chose_takes_supports_and_team_along(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await known(runtime, {"income": "often"}, name=[{"family": "Ito"}])
    assert (await http.post("", json=bundle(order()), headers=token(NORTH, "ehr"))).status_code == 200
    (task,) = await referrals(runtime)
    (support,) = await beside(runtime, "arrange-support")
    assert support["partOf"] == [{"reference": f"Task/{task['id']}"}]
    assert members(await team(http)) == {"Practitioner/dr-1": "clinician"}
