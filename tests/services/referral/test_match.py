"""Promises of `$match` and of the directory: who is offered which place and why, on every replica, and until when."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_referral.app import listens, service
from stepwell_referral.subscriptions import PATIENT_CHANGED, PREFERENCE_CHANGED
from stepwell_referral.use_cases.match_places import match_task
from stepwell_shared.auth.scopes import Scopes
from stepwell_shared.canonical import CANONICAL, code_system, extension_url, topic
from stepwell_shared.cli.bootstrap import DatabaseUrls
from stepwell_shared.database.functions import Effect
from stepwell_shared.fhir.messages import Request
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referrals
from tests.support.runtime import NORTH, SOUTH, URLS, caller, http_of, received, running, token
from tests.support.terminology import unknown_codings

COORDINATOR, EHR = (token(NORTH, role) for role in ("coordinator", "ehr"))
Resource = dict[str, Any]
UCUM = "http://unitsofmeasure.org"
NEEDS_COMPETENCE = {"url": extension_url("required-competence"), "valueCodeableConcept": {"text": "Trauma therapy"}}
FORTNIGHT = {"value": 2, "unit": "weeks", "system": UCUM, "code": "wk"}
BERLIN, POTSDAM, MUNICH = (52.52, 13.405), (52.40, 13.07), (48.137, 11.575)


def concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": code_system(system), "code": code}]}


def place(id_: str, *ways: str, tier: str = "tier-3", **more: Any) -> Resource:
    starts = {"url": extension_url("service-capacity"), "extension": [{"url": "weekly-starts", "valueDecimal": 8}]}
    more.setdefault("communication", [{"coding": [{"system": "urn:ietf:bcp:47", "code": "de"}]}])
    extensions = [starts, *more.pop("extension", [])]
    return {
        "resourceType": "HealthcareService",
        "id": id_,
        "extension": extensions,
        "active": True,
        "category": [concept("tier", tier)],
        "name": id_.title(),
        "characteristic": [*(concept("modality", way) for way in ways), *more.pop("characteristic", [])],
        **more,
    }


def where(id_: str, position: tuple[float, float], **more: Any) -> Resource:
    latitude, longitude = position
    return {"resourceType": "Location", "id": id_, "position": {"latitude": latitude, "longitude": longitude}, **more}


async def put(http: httpx.AsyncClient, *resources: Resource) -> None:
    for each in resources:
        answer = await http.put(f"{each['resourceType']}/{each['id']}", json=each, headers=EHR)
        assert answer.status_code in {200, 201}, answer.text


async def match(
    http: httpx.AsyncClient, path: str, asked: dict[str, str], headers: dict[str, str] = COORDINATOR
) -> list[Resource]:
    answer = await http.get(f"{path}/$match", params=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    assert unknown_codings(answer.json()) == []
    entries: list[Resource] = answer.json().get("entry", [])
    return entries


def ids(entries: list[Resource]) -> list[str]:
    return [entry["resource"]["id"] for entry in entries if entry["search"]["mode"] == "match"]


def told(entry: Resource) -> dict[str, str]:
    reasons = [each for each in entry["search"]["extension"] if each["url"] == extension_url("match-reason")]
    parts = [{part["url"]: part for part in each["extension"]} for each in reasons]
    return {each["rule"]["valueCoding"]["code"]: each["text"]["valueString"] for each in parts}


def offered(entry: Resource, name: str) -> list[Any]:
    (offer,) = [each for each in entry["search"]["extension"] if each["url"] == extension_url("match-offer")]
    return [next(v for k, v in part.items() if k != "url") for part in offer["extension"] if part["url"] == name]


async def known(runtime: Runtime, form: dict[str, str] | None = None, *, version: int = 1, **patient: Any) -> None:
    """The person as screening tells of them: their record, and answers to the form about wishes and barriers."""
    record = {"resourceType": "Patient", "id": "p1", "meta": {"versionId": str(version)}, **patient}
    await listens(runtime)[PATIENT_CHANGED](
        received(topic("patient-changed"), [(f"{URLS['screening']}/Patient/p1", record)]), NORTH
    )
    if form is None:
        return
    items = [
        {"linkId": f"/{name}", "answer": [{"valueCoding": {"system": code_system(system), "code": code}}]}
        for name, code in form.items()
        for system in ["modality" if name == "modality" else "form-answer"]
    ]
    answers = {
        "resourceType": "QuestionnaireResponse",
        "id": f"form-{version}",
        "meta": {"versionId": "1"},
        "questionnaire": f"{CANONICAL}/Questionnaire/preference-and-barriers|1.0.0",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": f"2026-11-{version:02}T09:00:00Z",
        "item": items,
    }
    url = f"{URLS['screening']}/QuestionnaireResponse/{answers['id']}"
    await listens(runtime)[PREFERENCE_CHANGED](received(topic("preference-changed"), [(url, answers)]), NORTH)


HOME = {"use": "home", "postalCode": "10115", "extension": [{
    "url": "http://hl7.org/fhir/StructureDefinition/geolocation",
    "extension": [{"url": "latitude", "valueDecimal": 52.53}, {"url": "longitude", "valueDecimal": 13.38}],
}]}  # fmt: skip
GERMAN = [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "de"}]}, "preferred": True}]


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("HealthcareService", {}, 400),
        ("HealthcareService", {"tier": "tier-3", "helps-with": "income"}, 400),
        ("HealthcareService", {"tier": "tier-3", "colour": "red"}, 400),
        ("HealthcareService", {"tier": "tier-3", "near": "here"}, 400),
        ("HealthcareService", {"tier": "tier-3", "near": "91,0"}, 400),
        ("HealthcareService", {"tier": "tier-3", "near": "nan,nan"}, 400),
        ("HealthcareService", {"tier": "tier-3", "age": "old"}, 400),
        ("HealthcareService", {"tier": "tier-3", "sex": "f"}, 400),
        ("HealthcareService", {"tier": "tier-3", "time": "never"}, 400),
        ("HealthcareService", {"tier": "tier-3", "audience": "all"}, 400),
        ("Task/nothing", {}, 404),
    ],
)
async def test_what_cannot_be_matched_is_refused(
    http: httpx.AsyncClient, path: str, asked: dict[str, str], status: int
) -> None:
    assert (await http.get(f"{path}/$match", params=asked, headers=COORDINATOR)).status_code == status


async def test_a_referral_is_matched_for_nobody_of_another_tenant_and_no_form_about_a_patient_is_taken(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, assigned(assignment()))
    (task,) = await referrals(runtime)
    assert (await http.get(f"Task/{task['id']}/$match", headers=token(SOUTH, "coordinator"))).status_code == 404
    form = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    subjects = {"Patient/p1": 405, "Practitioner/nobody": 422}
    for subject, status in subjects.items():
        sent = await http.post("QuestionnaireResponse", json={**form, "subject": {"reference": subject}}, headers=EHR)
        assert sent.status_code == status
    assert (await http.post("QuestionnaireResponse", json=form, headers=EHR)).status_code == 405
    await known(runtime, {"transport": "often"})
    await put(http, {"resourceType": "Practitioner", "id": "dr"})
    taken = {**form, "id": "form-1", "subject": {"reference": "Practitioner/dr"}}
    assert (await http.put("QuestionnaireResponse/form-1", json=taken, headers=EHR)).status_code == 405


async def test_wishes_barriers_and_the_record_choose_place_and_support_and_never_another_tier(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    there: dict[str, Any] = {"location": [{"reference": "Location/munich"}]}
    await put(
        http,
        where("munich", MUNICH),
        where("berlin", BERLIN),
        place("far-away", "in-person", **there),
        place("by-video", "in-person", "telehealth", **there),
        place("nearby", "in-person", location=[{"reference": "Location/berlin"}]),
        place("lower", "telehealth", "home-visit", tier="tier-2"),
        {**(await http.get("HealthcareService/default-tier-3", headers=EHR)).json(), "active": False},
    )
    await known(runtime, {"transport": "often", "caregiving": "often"}, address=[HOME], communication=GERMAN)
    await hear(runtime, assigned(accepted(assignment())))
    (task,) = await referrals(runtime)
    assert task["owner"]["reference"] == "HealthcareService/by-video"
    entries = await match(http, f"Task/{task['id']}", {"audience": "patient"})
    assert ids(entries) == ["by-video", "nearby"]
    assert told(entries[0])["MATCH-BARRIER"].startswith("Das macht es leichter bei")
    assert offered(entries[0], "modality")[0]["code"] == "telehealth"
    assert {each["code"] for each in offered(entries[1], "support")} == {"transport", "childcare"}
    assert 0 < entries[1]["search"]["score"] < entries[0]["search"]["score"] <= 1
    told_all = await http.get(f"Task/{task['id']}/$match?left-out=true", headers=COORDINATOR)
    emitted(told_all.json())
    (*_, outcome) = told_all.json()["entry"]
    why = {each["diagnostics"]: each["details"]["coding"][0]["code"] for each in outcome["resource"]["issue"]}
    assert why == {
        "HealthcareService/far-away": "MATCH-OUT-FAR",
        "HealthcareService/default-tier-3": "MATCH-OUT-CLOSED",
    }
    body = {"resourceType": "Parameters", "parameter": [{"name": "modality", "valueCode": "in-person"},
            {"name": "travel-minutes", "valueInteger": 1000}, {"name": "barrier", "valueCode": "work"}]}  # fmt: skip
    posted = await http.post(f"Task/{task['id']}/$match", json=body, headers=COORDINATOR)
    assert ids(posted.json()["entry"])[0] == "nearby"
    emitted(posted.json())
    await known(runtime, {"digital-access": "often"}, version=2, address=[HOME], communication=GERMAN)
    assert ids(await match(http, f"Task/{task['id']}", {}))[0] == "nearby"


async def test_reasons_say_nothing_of_answers_that_the_caller_may_not_read(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await known(runtime, {"housing": "often"}, communication=GERMAN)
    await hear(runtime, assigned(accepted(assignment())))
    (task,) = await referrals(runtime)
    narrow = caller(NORTH, scopes=Scopes.parse("system/Task.rs system/HealthcareService.rs"))
    request = Request(narrow, lambda *what: Effect("audit", what), "Task", task["id"])
    (entry,) = json.loads((await match_task(runtime, request)).body)["entry"]
    assert "MATCH-SUPPORT" in told((await match(http, f"Task/{task['id']}", {}))[0])
    assert set(told(entry)) == {"MATCH-TIER", "MATCH-MEETING", "MATCH-WAIT"}


async def test_a_change_of_the_directory_counts_at_once_on_every_replica(
    database_of: Callable[[str], Awaitable[DatabaseUrls]], tmp_path: Path
) -> None:
    urls = await database_of("referral")
    (tmp_path / "other").mkdir()
    async with (
        running(service, urls, tmp_path) as one,
        running(service, urls, tmp_path / "other") as other,
        http_of(one, service) as here,
        http_of(other, service) as there,
    ):
        asked = {"tier": "tier-3", "near": "52.5,13.4"}
        assert ids(await match(there, "HealthcareService", asked)) == ["default-tier-3"]
        await put(here, where("x", POTSDAM), place("new", "in-person", location=[{"reference": "Location/x"}]))
        entries = await match(there, "HealthcareService", {**asked, "spoken": "de", "modality": "in-person"})
        assert ids(entries) == ["default-tier-3", "new"]
        (way,) = offered(entries[1], "kilometres")
        await put(here, where("x", BERLIN))
        entries = await match(there, "HealthcareService", {**asked, "spoken": "de", "modality": "in-person"})
        assert offered(entries[1], "kilometres")[0] < way
        await put(here, place("new", "in-person", active=False))
        assert ids(await match(there, "HealthcareService", asked)) == ["default-tier-3"]
        assert await match(there, "HealthcareService", asked, token(SOUTH, "ehr")) != []


def role(**competence: Any) -> Resource:
    parts = [{"url": "code", "valueCodeableConcept": {"text": "Trauma therapy"}}]
    values = {"period": "valuePeriod", "supervised_within": "valueDuration", "fidelity_within": "valueDuration"}
    parts += [{"url": name.replace("_", "-"), values[name]: value} for name, value in competence.items()]
    return {
        "resourceType": "PractitionerRole",
        "id": "r1",
        "extension": [{"url": extension_url("competence"), "extension": parts}],
        "active": True,
        "practitioner": {"reference": "Practitioner/dr"},
        "healthcareService": [{"reference": "HealthcareService/trauma"}],
    }


@pytest.fixture
async def trauma(http: httpx.AsyncClient) -> None:
    """A place that needs a competence, and somebody who works there."""
    await put(
        http, place("trauma", "in-person", extension=[NEEDS_COMPETENCE]), {"resourceType": "Practitioner", "id": "dr"}
    )


async def is_offered(runtime: Runtime, http: httpx.AsyncClient, at: datetime) -> bool:
    runtime.clock.now = at  # type: ignore[attr-defined]  # the test's clock
    return "trauma" in ids(await match(http, "HealthcareService", {"tier": "tier-3"}))


@pytest.mark.usefixtures("trauma")
async def test_a_competence_counts_until_the_end_of_its_last_day_and_again_once_it_is_renewed(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    day = datetime(2026, 11, 30, tzinfo=UTC)
    ages = [{"url": "age-low", "valueInteger": 18}, {"url": "sex", "valueCode": "female"}]
    asks = {"extension": [{"url": extension_url("service-eligibility"), "extension": ages}]}
    emitted(place("for-some", "in-person", "group", extension=[NEEDS_COMPETENCE], eligibility=[asks]))
    emitted(role(period={"end": "2026-11-30"}, supervised_within=FORTNIGHT, fidelity_within=FORTNIGHT))
    assert not await is_offered(runtime, http, day)
    await put(http, role(period={"end": "2026-11-30"}))
    moments = [
        day - timedelta(days=1),
        day,
        day + timedelta(hours=23),
        day + timedelta(days=1),
        day + timedelta(days=9),
    ]
    assert [await is_offered(runtime, http, at) for at in moments] == [True, True, True, False, False]
    await put(http, role(period={"end": "2027-11-30"}))
    assert await is_offered(runtime, http, moments[-1])
    lapsed = [{"code": {"text": "Trauma therapy"}, "period": {"end": "2026-12-01"}}]
    await put(http, {"resourceType": "Practitioner", "id": "dr", "qualification": lapsed})
    assert not await is_offered(runtime, http, moments[-1])
    await put(http, {"resourceType": "Practitioner", "id": "dr", "active": False})
    assert not await is_offered(runtime, http, day)


@pytest.mark.usefixtures("trauma")
async def test_what_asks_for_a_look_at_fidelity_is_offered_so_long_after_it(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await put(http, role(fidelity_within={"value": 30, "unit": "days", "system": UCUM, "code": "d"}))
    looked = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert not await is_offered(runtime, http, looked)
    form = {"resourceType": "QuestionnaireResponse", "status": "completed", "authored": "2026-11-01T12:00:00Z",
            "subject": {"reference": "PractitionerRole/r1"}}  # fmt: skip
    assert (await http.post("QuestionnaireResponse", json=form, headers=EHR)).status_code == 201
    moments = [looked, looked + timedelta(days=29), looked + timedelta(days=30), looked + timedelta(days=31)]
    assert [await is_offered(runtime, http, at) for at in moments] == [True, True, False, False]


@pytest.mark.usefixtures("trauma")
async def test_what_asks_for_supervision_is_offered_so_long_after_one_that_took_place_in_a_room_or_from_afar(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await put(http, role(supervised_within=FORTNIGHT))
    met = datetime(2026, 12, 1, 9, tzinfo=UTC)
    meeting = {
        "resourceType": "Appointment",
        "status": "booked",
        "appointmentType": concept("appointment-kind", "supervision"),
        "serviceType": [concept("modality", "telehealth")],
        "start": "2026-12-01T09:00:00Z",
        "end": "2026-12-01T10:00:00Z",
        "participant": [{"actor": {"reference": "Practitioner/dr"}, "status": "accepted"}],
    }
    booked = await http.post("Appointment", json=meeting, headers=EHR)
    assert booked.status_code == 201, booked.text
    assert not await is_offered(runtime, http, met + timedelta(days=1))
    held = {**booked.json(), "status": "fulfilled"}
    assert (await http.put(f"Appointment/{held['id']}", json=held, headers=EHR)).status_code == 200
    moments = [met, met + timedelta(days=13, hours=23), met + timedelta(days=14), met + timedelta(days=15)]
    assert [await is_offered(runtime, http, at) for at in moments] == [True, True, False, False]


async def test_the_community_is_searched_by_need_and_place(http: httpx.AsyncClient) -> None:
    food, rides = (
        {"resourceType": "HealthcareService", "id": name, "active": True, "name": name,
         "category": [concept("service-kind", "community")], "type": [concept("barrier", barrier)],
         "location": [{"reference": f"Location/{name}"}], "coverageArea": [{"reference": "Location/city"}]}
        for name, barrier in [("food-bank", "income"), ("ride-service", "transport")]
    )  # fmt: skip
    city = {"resourceType": "Location", "id": "city", "address": {"city": "Berlin"}}
    await put(http, city, where("food-bank", BERLIN), where("ride-service", POTSDAM), food, rides)
    near = {"near": "52.5,13.4", "city": "Berlin"}
    entries = await match(http, "HealthcareService", {**near, "helps-with": "income"})
    assert ids(entries) == ["food-bank"]
    assert "MATCH-COMMUNITY" in told(entries[0])
    (outcome,) = await match(http, "HealthcareService", {"helps-with": "income", "city": "Bremen"})
    assert outcome["search"]["mode"] == "outcome"
    assert "food-bank" not in ids(await match(http, "HealthcareService", {"tier": "tier-3"}))


async def test_what_a_service_leaves_out_or_says_oddly_keeps_nobody_from_matching(http: httpx.AsyncClient) -> None:
    absent = {"extension": [{"url": "https://x.example", "valueCode": "a"}]}
    odd: list[Resource] = [
        {"availableTime": [{"_availableStartTime": absent}]},
        {"availableTime": [{"daysOfWeek": ["mon"], "availableStartTime": "22:00:00", "availableEndTime": "06:00:00"}]},
        {"eligibility": [{"comment": "adults"}]},
        {"characteristic": [{"coding": [{"_code": absent}]}]},
        {"notAvailable": [{"description": "Christmas"}, {"description": "May", "during": {"start": "2026-05"}}]},
        {"location": [{"display": "somewhere"}, {"reference": "Location/nowhere"}]},
        {"coverageArea": [{"identifier": {"value": "x"}}]},
    ]
    others = [where("bare", BERLIN, status="inactive"), {"resourceType": "Location", "id": "l"}]
    await put(http, *(place(f"odd-{number}", "group", **each) for number, each in enumerate(odd)), *others)
    found = ids(await match(http, "HealthcareService", {"tier": "tier-3", "near": "0,0", "count": "20"}))
    assert set(found) == {"default-tier-3", *(f"odd-{number}" for number in range(len(odd)))}


async def test_resources_of_the_community_are_told_apart_by_all_that_matters_to_come(http: httpx.AsyncClient) -> None:
    helps: dict[str, Any] = {
        "category": [concept("service-kind", "community")],
        "type": [concept("barrier", "support")],
    }
    turkish = [{"coding": [{"system": "urn:ietf:bcp:47", "code": "tr"}]}]
    evening = [{"daysOfWeek": ["mon"], "availableStartTime": "17:00:00", "availableEndTime": "20:00:00"}]
    drop_in = concept("service-feature", "drop-in")
    morning = [{"daysOfWeek": ["mon"], "availableStartTime": "09:00:00", "availableEndTime": "11:00:00"}]
    features = [drop_in, concept("service-feature", "peer-support")]
    circle = place("circle", characteristic=features, availableTime=morning, **helps)
    cafe = place("cafe", characteristic=[drop_in], communication=turkish, **helps)
    meeting = place("meeting", "group", availableTime=evening, **helps)
    await put(http, circle, cafe, meeting)
    asked = {"helps-with": "support"}
    assert set(ids(await match(http, "HealthcareService", asked))) == {"circle", "cafe", "meeting"}
    for wish, first in (
        ({"feature": "peer-support,drop-in"}, "circle"),
        ({"spoken": "tr", "feature": "drop-in"}, "cafe"),
        ({"time": "evening", "spoken": "de"}, "meeting"),
    ):
        found = await match(http, "HealthcareService", {**asked, **wish})
        assert ids(found)[0] == first, (wish, [(each["resource"]["id"], each["search"]["score"]) for each in found])
