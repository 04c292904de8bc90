"""Promises of referrals from outside: whoever may ask for what, complete, once, with a place; and parts of a whole."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_referral.data.intake import refer_nobody, sources, wanted
from stepwell_referral.rules.intake import missing, scope_problems, source_of
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.canonical import code_system
from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referrals
from tests.services.referral.test_loop import COORDINATOR, beside, move, no, put, said, timers, told
from tests.support.door import door_for
from tests.support.runtime import NORTH, SOUTH, announced, http_of, stored, token

EHR, CLINICIAN = token(NORTH, "ehr"), token(NORTH, "clinician", "Practitioner/dr-1")
WORKER = token(NORTH, "community-health-worker", "Practitioner/worker-1")
NUMBERS = "https://ehr.example/orders"
Resource = dict[str, Any]


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await ship(runtime.engine, NORTH, {"resourceType": "Patient", "id": "p1", "active": True})
    async with http_of(runtime, service) as client:
        yield client


@pytest.fixture
async def person(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """The door as the person comes to it."""
    access = Caller(NORTH, "app", ROLES["patient"], "t", roles=("patient",), fhir_user="Patient/p1", patient="p1")
    await ship(runtime.engine, NORTH, {"resourceType": "Patient", "id": "p1", "active": True})
    async with door_for(runtime, access) as client:
        yield client


def order(number: str = "1", *, tier: str = "tier-2", requester: str = "Practitioner/dr-1", **changed: Any) -> Resource:
    body = {
        "resourceType": "ServiceRequest",
        "identifier": [{"system": NUMBERS, "value": number}],
        "status": "active",
        "intent": "order",
        "priority": "routine",
        "category": [{"coding": [{"system": code_system("tier"), "code": tier}]}],
        "code": {"text": "stepped care"},
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2026-11-21T09:00:00Z",
        "requester": {"reference": requester},
        "reasonCode": [{"text": "symptoms go on"}],
        "supportingInfo": [{"display": "a letter"}],
        **changed,
    }
    return {name: value for name, value in body.items() if value is not None}


def bundle(request: Resource, **changed: Any) -> Resource:
    """The order with a Task at a place that the sender chose."""
    task = {
        "resourceType": "Task",
        "identifier": [{"system": NUMBERS, "value": "t1"}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": "urn:uuid:5b0e8a0a-6d1a-4d1c-9d37-0c1a4f7b0d11"},
        "for": {"reference": "Patient/p1"},
        "authoredOn": "2026-11-21T09:00:00Z",
        "lastModified": "2026-11-21T09:00:00Z",
        "requester": {"reference": "Practitioner/dr-1"},
        "owner": {"reference": "HealthcareService/default-tier-2"},
        **changed,
    }
    entries = [
        ("ServiceRequest", request, task["focus"]["reference"]),
        ("Task", task, "urn:uuid:00000000-0000-4000-8000-000000000000"),
    ]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": url,
                "resource": resource,
                "request": {
                    "method": "POST",
                    "url": name,
                    "ifNoneExist": f"identifier={NUMBERS}|{resource['identifier'][0]['value']}",
                },
            }
            for name, resource, url in entries
        ],
    }


@pytest.mark.parametrize("role", ["coordinator", "service", "analyst", "partner"])
def test_roles_that_refer_nobody_have_no_scope(role: str) -> None:
    assert source_of([role], sources(), refer_nobody()) is None


@pytest.mark.parametrize(
    ("role", "tier", "intent", "where"),
    [
        ("patient", "tier-2", "order", ["intent"]),
        ("community-health-worker", "tier-3", "plan", ["intent"]),
        ("clinician", "tier-9", "order", ["category"]),
        ("clinician", "tier-2", "option", ["intent"]),
        ("patient", "tier-1", "order", []),
        ("patient", "tier-4", "proposal", []),
        ("community-health-worker", "tier-1", "order", []),
        ("clinician", "tier-4", "order", []),
    ],
)
def test_each_role_orders_within_its_scope_and_proposes_beyond(
    role: str, tier: str, intent: str, where: list[str]
) -> None:
    source = source_of([role], sources(), refer_nobody())
    assert source is not None
    assert [each.element for each in scope_problems(source, tier, "active", intent)] == where


def test_what_is_wanted_is_named_and_one_of_several_elements_is_enough() -> None:
    assert [each.element for each in missing([], wanted())] == ["reasonCode", "supportingInfo", "priority"]
    assert missing(["reasonReference", "supportingInfo", "priority"], wanted()) == []


async def test_all_that_is_missing_is_named_at_once_and_nothing_is_kept(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    known = order(subject={"reference": "Patient/none"})
    empty = {name: known[name] for name in ("resourceType", "status", "intent", "subject")}
    refused = await http.post("ServiceRequest", json=empty, headers=EHR)
    assert refused.status_code == 422, refused.text
    places = {issue["expression"][0].partition(".")[2] for issue in refused.json()["issue"]}
    assert places == {"category", "requester", "authoredOn", "identifier", "subject"}
    checked = await http.post("ServiceRequest/$validate?mode=create", json=empty, headers=EHR)
    named = [each["expression"][0] for each in checked.json()["issue"] if "expression" in each]
    assert {each.partition(".")[2] for each in named} >= places
    assert await stored(runtime, NORTH, "Task") == await stored(runtime, NORTH, "ServiceRequest") == []


async def test_a_lay_worker_and_a_person_ask_in_no_other_name(
    http: httpx.AsyncClient, person: httpx.AsyncClient
) -> None:
    assert (await http.post("ServiceRequest", json=order(tier="tier-1"), headers=WORKER)).status_code == 422
    mine = order(tier="tier-1", requester="Patient/p1")
    assert (await person.post("ServiceRequest", json={**mine, "subject": {"reference": "Patient/p2"}})).status_code in {
        403,
        422,
    }
    beyond = await person.post("ServiceRequest", json={**mine, **order(tier="tier-3", requester="Patient/p1")})
    assert (beyond.status_code, "a clinician decides" in beyond.text) == (422, True)


async def test_an_order_gets_its_place_wait_and_support_once_however_often_it_comes(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    answers = await asyncio.gather(*(http.post("ServiceRequest", json=order(), headers=EHR) for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [201, 409, 409]
    (task,) = await referrals(runtime)
    assert (task["status"], task["owner"]["reference"]) == ("requested", "HealthcareService/default-tier-2")
    assert "statusReason" not in task
    assert len(await beside(runtime, "interim-support")) == len(await told(runtime)) == 1
    assert await stored(runtime, SOUTH, "Task") == []
    emitted(task)


async def test_what_a_place_would_like_to_know_is_named_on_the_task(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    bare = order(reasonCode=None, supportingInfo=None)
    assert (await http.post("ServiceRequest", json=bare, headers=EHR)).status_code == 201
    (task,) = await referrals(runtime)
    assert task["statusReason"]["text"].startswith("Not said yet: why it is asked for; what is known already")
    emitted(task)


async def test_a_chosen_place_comes_in_one_transaction_and_takes_the_place_of_the_best(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    for _ in range(2):
        answer = await http.post("", json=bundle(order()), headers=EHR)
        assert answer.status_code == 200, answer.text
    (task,) = await referrals(runtime)
    assert task["identifier"][0]["value"] == "t1"
    (support,) = await beside(runtime, "interim-support")
    assert support["partOf"] == [{"reference": f"Task/{task['id']}"}]
    assert set(await timers(runtime)) == {task["id"], support["id"]}
    assert [each.focus["id"] for each in await announced(runtime, NORTH) if each.topic == "referral-changed"] == [
        task["id"]
    ]
    assert len(await told(runtime)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "accepted"},
        {"for": {"reference": "Patient/p2"}},
        {"owner": {"reference": "HealthcareService/none"}},
        {"focus": {"reference": "ServiceRequest/none"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_a_task_that_does_not_fit_its_order_refuses_both(
    runtime: Runtime, http: httpx.AsyncClient, changed: Resource
) -> None:
    wrong = bundle(order())
    wrong["entry"][1]["resource"] |= changed
    assert (await http.post("", json=wrong, headers=EHR)).status_code == 422
    assert await stored(runtime, NORTH, "ServiceRequest") == await stored(runtime, NORTH, "Task") == []


async def test_what_a_person_asks_for_beyond_the_first_step_waits_for_a_clinician_who_orders(
    runtime: Runtime, http: httpx.AsyncClient, person: httpx.AsyncClient
) -> None:
    wish = order("wish", tier="tier-3", requester="Patient/p1", intent="proposal")
    answer = await person.post("ServiceRequest", json=wish)
    assert answer.status_code == 201, answer.text
    (draft,) = await referrals(runtime)
    assert (draft["status"], await told(runtime)) == ("draft", [])
    assert (await put(http, draft, CLINICIAN, status="requested")).status_code == 422
    ordered = order("ordered", tier="tier-3", basedOn=[{"reference": f"ServiceRequest/{answer.json()['id']}"}])
    assert (await http.post("ServiceRequest", json=ordered, headers=CLINICIAN)).status_code == 201
    assert sorted(each["status"] for each in await referrals(runtime)) == ["cancelled", "requested"]
    requests = {each["intent"]: each["status"] for each in await referrals(runtime, NORTH, "ServiceRequest")}
    assert requests == {"proposal": "completed", "order": "active"}


async def test_while_a_question_of_safety_is_open_nobody_is_sent_to_unguided_help(
    runtime: Runtime, person: httpx.AsyncClient
) -> None:
    safety = {"coding": [{"system": code_system("rule"), "code": "SAF-1"}]}
    await hear(runtime, assigned(assignment("held", status="on-hold", reasonCode=[safety])))
    mine = order(tier="tier-1", requester="Patient/p1")
    assert (await person.post("ServiceRequest", json=mine)).status_code == 201
    (draft,) = await referrals(runtime)
    assert draft["status"] == "draft"
    assert draft["input"][0]["valueCodeableConcept"]["coding"][0]["code"] == "named-contact"
    (decide,) = await beside(runtime, "next-step")
    assert "safety" in decide["reasonCode"]["text"]


async def test_a_request_that_was_sent_here_is_closed_here_with_its_task(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    for number, statuses in (("1", ["accepted", "in-progress", "completed"]), ("2", ["accepted", "cancelled"])):
        await http.post("ServiceRequest", json=order(number), headers=EHR)
        (task,) = [each for each in await referrals(runtime) if each["status"] == "requested"]
        await move(http, task, *statuses)
    requests = await referrals(runtime, NORTH, "ServiceRequest")
    assert {each["identifier"][0]["value"]: each["status"] for each in requests} == {"1": "completed", "2": "revoked"}


async def test_a_request_that_was_sent_here_does_not_stay_open_once_people_have_decided_not_to_ask_again(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await http.post("ServiceRequest", json=order(), headers=EHR)
    (task,) = await referrals(runtime)
    assert (await put(http, task, **no("declined-by-person"))).status_code == 200
    (decide,) = await beside(runtime, "next-step")
    assert [each["status"] for each in await stored(runtime, NORTH, "ServiceRequest")] == ["active", "active"]
    assert (await put(http, decide, status="completed")).status_code == 200
    assert {each["status"] for each in await stored(runtime, NORTH, "ServiceRequest")} == {"revoked"}
    assert [each["status"] for each in await beside(runtime, "interim-support")] == ["cancelled"]
    assert [id_ for id_, due in (await timers(runtime)).items() if due is not None] == []


async def test_a_request_that_was_sent_here_ends_with_the_last_of_its_parts(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await http.post("ServiceRequest", json=order(), headers=EHR)
    (task,) = await referrals(runtime)
    task = await move(http, task, "accepted", "in-progress")
    made = await http.post("Task", json=part(task), headers=COORDINATOR)
    only = {"coding": [{"system": code_system("task"), "code": "only-parts"}]}
    assert (await put(http, task, businessStatus=only)).status_code == 200
    await move(http, made.json(), "accepted", "in-progress", "completed")
    assert [each["status"] for each in await referrals(runtime)] == ["completed", "completed"]
    assert [each["status"] for each in await referrals(runtime, NORTH, "ServiceRequest")] == ["completed"]
    assert any("is complete" in said(each) for each in await told(runtime))
    assert [each["status"] for each in await stored(runtime, NORTH, "CareTeam")] == ["inactive"]


def part(whole: Resource, code: str = "physiotherapy", number: str = "p1", **changed: Any) -> Resource:
    codings = [
        {"system": code_system("task"), "code": "partial-referral"},
        {"system": code_system("partial-referral"), "code": code},
    ]
    return {
        "resourceType": "Task",
        "identifier": [{"system": NUMBERS, "value": number}],
        "partOf": [{"reference": f"Task/{whole['id']}"}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": codings},
        "focus": whole["focus"],
        "for": whole["for"],
        "authoredOn": "2026-11-21T09:00:00Z",
        "lastModified": "2026-11-21T09:00:00Z",
        "requester": {"reference": "Practitioner/dr-1"},
        "owner": {"reference": "Organization/default-organization"},
        **changed,
    }


@pytest.fixture
async def whole(runtime: Runtime, http: httpx.AsyncClient) -> Resource:
    """Care that a place has begun."""
    await hear(runtime, assigned(accepted(assignment())))
    (task,) = await referrals(runtime)
    return await move(http, task, "accepted", "in-progress")


@pytest.mark.parametrize(
    "changed",
    [
        {"partOf": [{"reference": "Task/none"}]},
        {"for": {"reference": "Patient/p2"}},
        {"focus": {"reference": "ServiceRequest/none"}},
        {"owner": {"reference": "HealthcareService/none"}},
        {"status": "accepted"},
        {"identifier": [{"value": "x"}]},
    ],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
async def test_a_part_that_does_not_fit_its_whole_is_refused(
    http: httpx.AsyncClient, whole: Resource, changed: Resource
) -> None:
    refused = await http.post("Task", json=part(whole, **changed), headers=COORDINATOR)
    assert (refused.status_code, refused.json()["issue"][0]["expression"][0]) == (422, f"Task.{next(iter(changed))}")


async def test_a_whole_ends_with_its_parts_and_no_part_outlives_it(
    runtime: Runtime, http: httpx.AsyncClient, whole: Resource, emitted: Callable[[Resource], None]
) -> None:
    made = [
        await http.post("Task", json=part(whole, code, code), headers=COORDINATOR)
        for code in ("physiotherapy", "social-services")
    ]
    assert [each.status_code for each in made] == [201, 201]
    first, second = (each.json() for each in made)
    refused = await put(http, whole, status="completed")
    assert (refused.status_code, first["id"] in refused.text) == (422, True)
    only = {"coding": [{"system": code_system("task"), "code": "only-parts"}]}
    assert (await put(http, whole, businessStatus=only)).status_code == 200
    await move(http, first, "accepted", "in-progress", "completed")
    assert (await put(http, second, **no("not-offered"))).status_code == 200
    tasks = {each["id"]: each for each in await referrals(runtime)}
    assert tasks[whole["id"]]["status"] == "completed"
    assert tasks[whole["id"]]["businessStatus"]["coding"][0]["code"] == "7.0"
    assert (await timers(runtime))[whole["id"]] is None
    assert len(await beside(runtime, "next-step")) == 1
    assert any("physiotherapy" in said(each) for each in await told(runtime))
    for each in tasks.values():
        emitted(each)


async def test_parts_are_taken_back_with_a_whole_that_could_not_go_on(
    runtime: Runtime, http: httpx.AsyncClient, whole: Resource
) -> None:
    made = (await http.post("Task", json=part(whole), headers=COORDINATOR)).json()
    assert (await put(http, whole, **no("not-reached", "failed"))).status_code == 200
    states = {each["id"]: each["status"] for each in await referrals(runtime)}
    assert (states[whole["id"]], states[made["id"]]) == ("failed", "cancelled")
