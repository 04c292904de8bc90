"""Promises of plans: a person's own words, readable anywhere, told to nobody without a Consent that names them."""

from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from stepwell_routing.app import service
from stepwell_routing.builders.plans import CARE_PLAN
from stepwell_routing.data.plans import plan_kinds, plan_settings
from stepwell_routing.rules.care_plans import check_plan, may_come_back
from stepwell_routing.use_cases.care_plans import ask_to_come_back, print_plan
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

from tests.services.routing.caring import CLINICIAN, PERSON, add, add_person, as_patient, parameters, read
from tests.support.runtime import NORTH, START, Clock, Resource, announced, http_of, stored, token
from tests.support.terminology import unknown_codings

KINDS = {code: list(kind.sections) for code, kind in plan_kinds().items()}
EMPLOYER: Resource = {"reference": "https://partner.example/fhir/Organization/works"}
ROLE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await add_person(runtime)
    async with http_of(runtime, service) as client:
        yield client


def part(section: str, words: str = "my own words") -> Resource:
    code = {"coding": [{"system": CARE_PLAN, "code": section}]}
    return {"detail": {"code": code, "status": "not-started", "description": words}}


def plan(kind: str = "safety-plan", *parts: Resource, **members: Any) -> Resource:
    return {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "category": [{"coding": [{"system": CARE_PLAN, "code": kind}]}],
        "subject": PERSON,
        "author": {"reference": "Practitioner/dr-1"},
        **({"activity": list(parts)} if parts else {}),
        **members,
    }


async def written(http: httpx.AsyncClient, body: Resource) -> Resource:
    answer = await http.post("CarePlan", json=body, headers=CLINICIAN)
    assert answer.status_code == 201, answer.text
    found: Resource = answer.json()
    return found


def consent(*, names: Resource = EMPLOYER, status: str = "active") -> Resource:
    return {
        "resourceType": "Consent",
        "id": "c1",
        "status": status,
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"text": "employer"}],
        "patient": PERSON,
        "provision": {"type": "permit", "actor": [{"role": ROLE, "reference": names}]},
    }


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (plan("holiday-plan"), "CarePlan.category"),
        (plan(intent="proposal"), "CarePlan.intent"),
        ({name: value for name, value in plan().items() if name != "author"}, "CarePlan.author"),
        (plan("safety-plan", part("hours")), "CarePlan.activity[0].detail.code"),
        (plan("safety-plan", part("coping"), part("people", " ")), "CarePlan.activity[1].detail.description"),
        (plan("safety-plan", {"reference": {"reference": "Task/t"}}), "CarePlan.activity[0]"),
    ],
)
def test_a_plan_that_is_none_is_refused_with_its_place(body: Resource, place: str) -> None:
    assert [each.expression for each in check_plan(body, None, KINDS, CARE_PLAN)] == [place]


def test_a_plan_keeps_its_kind_and_a_closed_one_is_not_opened_again() -> None:
    closed = plan(status="completed")
    found = check_plan(plan("return-to-work"), closed, KINDS, CARE_PLAN)
    assert [each.expression for each in found] == ["CarePlan.category", "CarePlan.status"]


async def test_a_plan_stays_with_a_person_who_is_known(runtime: Runtime, http: httpx.AsyncClient) -> None:
    unknown = await http.post("CarePlan", json=plan(subject={"reference": "Patient/x"}), headers=CLINICIAN)
    assert unknown.status_code == 422
    await add_person(runtime, "p2")
    made = await written(http, plan())
    moved = {**made, "subject": {"reference": "Patient/p2"}}
    assert (await http.put(f"CarePlan/{made['id']}", json=moved, headers=CLINICIAN)).status_code == 422
    coordinator = token(NORTH, "coordinator", "Practitioner/c1")
    assert (await http.post("CarePlan", json=plan(), headers=coordinator)).status_code == 403


@pytest.mark.parametrize("member", ["status", "intent"])
async def test_a_plan_that_says_only_why_a_code_is_absent_is_no_fault_of_ours(
    http: httpx.AsyncClient, member: str
) -> None:
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    given = {name: value for name, value in plan().items() if name != member}
    answer = await http.post("CarePlan", json={**given, f"_{member}": {"extension": [absent]}}, headers=CLINICIAN)
    assert answer.status_code in {201, 422}, answer.text


async def test_somebody_elses_plan_is_not_there_for_a_patient(runtime: Runtime, http: httpx.AsyncClient) -> None:
    made = await written(http, plan("relapse-prevention", period={"start": "2026-11-01"}))
    for operation in (print_plan, ask_to_come_back):
        with pytest.raises(FhirError, match="no CarePlan"):
            await operation(runtime, as_patient(runtime, "CarePlan", made["id"], patient="p2"))
    assert await stored(runtime, NORTH, "Task") == []


async def test_a_safety_plan_is_told_of_with_every_change_and_no_other_plan_is(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await written(http, plan("relapse-prevention"))
    made = await written(http, plan())
    closed = {**made, "status": "revoked"}
    assert (await http.put(f"CarePlan/{made['id']}", json=closed, headers=CLINICIAN)).status_code == 200
    told = [(each.topic, each.subject, each.focus["status"]) for each in await announced(runtime, NORTH)]
    assert told == [("safety-plan-changed", "Patient/p1", status) for status in (made["status"], "revoked")]


async def test_a_plan_reads_offline_and_nothing_in_it_becomes_markup(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    words = "<script>alert(1)</script> & my garden"
    made = await written(http, plan("safety-plan", part("coping", words)))
    emitted(made)
    answer = await http.get(f"CarePlan/{made['id']}/$print?language=de", headers=CLINICIAN)
    page = b64decode(answer.json()["content"][0]["attachment"]["data"]).decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; my garden" in page
    assert "<script" not in page
    assert [each for each in ("href=", "src=", "url(", "http://", "https://") if each in page] == []
    places = [page.index(each["de"]) for each in plan_kinds()["safety-plan"].sections.values()]
    assert places == sorted(places)
    assert page.count(plan_settings()["empty"]["de"]) == 4
    assert "default-src &#x27;none&#x27;" in page
    emitted(answer.json())
    own = read(await print_plan(runtime, as_patient(runtime, "CarePlan", made["id"])))
    assert "My safety plan" in b64decode(own["content"][0]["attachment"]["data"]).decode()


@pytest.mark.parametrize(
    "given",
    [None, consent(status="inactive"), consent(names={"reference": "https://partner.example/fhir/Organization/other"})],
    ids=["none", "withdrawn", "another employer"],
)
async def test_an_employer_is_told_nothing_without_a_consent_that_names_them(
    runtime: Runtime, http: httpx.AsyncClient, given: Resource | None
) -> None:
    made = await written(http, plan("return-to-work", part("hours", "four hours a day")))
    if given is not None:
        await add(runtime, given)
    body = parameters(employer={"valueReference": EMPLOYER})
    refused = await http.post(f"CarePlan/{made['id']}/$employer-letter", json=body, headers=CLINICIAN)
    assert (refused.status_code, "Consent that names the employer" in refused.text) == (422, True)
    assert [each for each in await stored(runtime, NORTH, "DocumentReference") if "subject" in each] == []


async def test_no_letter_comes_from_another_plan_or_from_nothing(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await add(runtime, consent())
    body = parameters(employer={"valueReference": EMPLOYER})
    for each in (plan("safety-plan", part("coping")), plan("return-to-work", part("own-goals"))):
        made = await written(http, each)
        refused = await http.post(f"CarePlan/{made['id']}/$employer-letter", json=body, headers=CLINICIAN)
        assert refused.status_code == 422


async def test_a_letter_says_hours_and_accommodations_and_no_more_once(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await add(runtime, consent())
    parts = [part("hours", "four hours a day"), part("accommodations", "a quiet room"), part("own-goals", "secret")]
    made = await written(http, plan("return-to-work", *parts))
    body = parameters(employer={"valueReference": EMPLOYER})
    address = f"CarePlan/{made['id']}/$employer-letter"
    first, again = [await http.post(address, json=body, headers=CLINICIAN) for _ in range(2)]
    (letter,) = [each for each in await stored(runtime, NORTH, "DocumentReference") if "subject" in each]
    assert (first.status_code, again.status_code, first.json()) == (201, 200, letter)
    text = b64decode(letter["content"][0]["attachment"]["data"]).decode()
    assert "four hours a day" in text
    assert "a quiet room" in text
    assert "secret" not in text
    assert {"reference": "Consent/c1"} in letter["context"]["related"]
    validation.check(encode(letter), "DocumentReference")
    emitted(letter)


async def test_the_way_back_is_open_to_the_person_and_asked_for_once(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    made = await written(http, plan("relapse-prevention", part("coming-back"), period={"start": "2026-11-01"}))
    for _ in range(2):
        await ask_to_come_back(runtime, as_patient(runtime, "CarePlan", made["id"]))
    (task,) = await stored(runtime, NORTH, "Task")
    assert (task["for"], task["requester"], task["basedOn"]) == (
        PERSON,
        PERSON,
        [{"reference": f"CarePlan/{made['id']}"}],
    )
    assert unknown_codings(task) == []
    emitted(task)


async def test_after_its_time_the_way_back_says_that_the_first_step_stays_open(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    made = await written(http, plan("relapse-prevention", period={"start": "2026-11-01"}))
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now = START + timedelta(days=366)
    with pytest.raises(FhirError, match="first step stays open"):
        await ask_to_come_back(runtime, as_patient(runtime, "CarePlan", made["id"]))


@pytest.mark.parametrize(
    ("today", "open_"),
    [(date(2027, 2, 28), True), (date(2027, 2, 27), True), (date(2027, 3, 1), False), (date(2027, 8, 1), False)],
)
def test_twelve_months_are_twelve_months(*, today: date, open_: bool) -> None:
    assert may_come_back(date(2026, 2, 28), today, 12) is open_


def test_every_section_is_defined_and_said_in_every_language() -> None:
    for kind in plan_kinds().values():
        for code, words in {kind.code: kind.title, **kind.sections}.items():
            assert set(words) == {"en", "de", "es", "fr"}
            codings = [{"system": code_system("care-plan"), "code": code, "display": text} for text in words.values()]
            assert unknown_codings(codings) == []
