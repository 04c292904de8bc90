"""Promises of what follows from a tier assignment: one Task, never too early, never twice, one tenant's own."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from stepwell_referral.app import listens
from stepwell_referral.directory_tables import revision_effect
from stepwell_referral.subscriptions import PATIENT_CHANGED
from stepwell_shared.canonical import code_system, extension_url, topic
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import (
    CLINICIAN,
    PATIENT,
    accepted,
    assigned,
    assignment,
    hear,
    referral_events,
    referrals,
)
from tests.support.runtime import NORTH, SOUTH, URLS, Clock, received, stored

Resource = dict[str, Any]


async def tasks(runtime: Runtime, tenant: str = NORTH) -> list[Resource]:
    return await referrals(runtime, tenant)


async def the_task(runtime: Runtime) -> Resource:
    (task,) = await tasks(runtime)
    return task


def wait_of(task: Resource) -> Resource:
    """The parts of the wait promise by name."""
    (promise,) = [each for each in task["extension"] if each["url"] == extension_url("wait-promise")]
    return {part["url"]: next(value for name, value in part.items() if name != "url") for part in promise["extension"]}


async def change(runtime: Runtime, resource_type: str, id_: str, **changed: Any) -> None:
    """A new version of a stored resource, past the service's hooks but for the count of changes of the directory."""
    (found,) = [each for each in await stored(runtime, NORTH, resource_type) if each["id"] == id_]
    version = int(found["meta"]["versionId"]) + 1
    body = {name: value for name, value in {**found, **changed}.items() if value is not None}
    change = built(runtime.engine, body, runtime.clock(), version=version)
    await runtime.store.commit(UnitOfWork(NORTH, [change], [revision_effect(f"{resource_type}/{id_}")]))


@pytest.mark.parametrize("missing", ["category", "subject", "meta"])
async def test_what_is_no_tier_assignment_is_refused_and_leaves_nothing(runtime: Runtime, missing: str) -> None:
    event = assigned(assignment())
    for resource in event.resources.values():
        del resource[missing]
    with pytest.raises(FhirError) as refused:
        await hear(runtime, event)
    assert refused.value.category is Category.BUSINESS_RULE
    assert await referrals(runtime, NORTH, "ServiceRequest") == await tasks(runtime) == []


async def test_a_proposal_on_hold_is_kept_and_starts_nothing(runtime: Runtime) -> None:
    await hear(runtime, assigned(assignment(status="on-hold")))
    (request,) = await referrals(runtime, NORTH, "ServiceRequest")
    assert request["status"] == "on-hold"
    assert await tasks(runtime) == []
    assert await referral_events(runtime, NORTH) == []


async def test_the_other_tenant_has_its_own_referrals_and_queue_only(runtime: Runtime) -> None:
    await hear(runtime, assigned(accepted(assignment("s1"))))
    await hear(runtime, assigned(assignment("s1")), tenant=SOUTH)
    (north,), (south,) = await tasks(runtime, NORTH), await tasks(runtime, SOUTH)
    assert north["id"] != south["id"]
    assert (north["status"], south["status"]) == ("requested", "draft")
    assert wait_of(south)["median"]["value"] == wait_of(north)["median"]["value"]


async def test_a_proposal_gets_one_draft_with_place_wait_and_support(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    proposal = assignment()
    await hear(runtime, assigned(proposal))
    task = await the_task(runtime)
    url = f"{URLS['routing']}/ServiceRequest/s1"
    assert (task["status"], task["intent"], task["priority"]) == ("draft", "order", "routine")
    assert task["focus"] == {"reference": url}
    assert task["for"] == PATIENT
    assert task["requester"] == proposal["requester"]
    assert task["owner"]["reference"] == "HealthcareService/default-tier-3"
    assert wait_of(task)["keepable"] is True
    support = task["input"][0]["valueCodeableConcept"]["coding"][0]
    assert (support["system"], support["code"]) == (code_system("interim-support"), "brief-intervention")
    validation.check(encode(task), "Task")
    emitted(task)
    (request,) = await referrals(runtime, NORTH, "ServiceRequest")
    assert {**request, "meta": None} == {**proposal, "meta": None}
    assert request["meta"]["source"] == f"{url}/_history/1"


async def test_subscribers_get_the_task_with_what_authorises_it(runtime: Runtime) -> None:
    await hear(runtime, assigned(assignment()))
    (event,) = await referral_events(runtime, NORTH)
    task = await the_task(runtime)
    assert (event.topic, event.subject, event.focus) == ("referral-changed", "Patient/p1", task)
    assert list(event.entries) == [f"{URLS['referral']}/Task/{task['id']}", f"{URLS['routing']}/ServiceRequest/s1"]


async def test_once_accepted_the_same_task_is_requested(runtime: Runtime, emitted: Callable[[Resource], None]) -> None:
    proposal = assignment()
    await hear(runtime, assigned(proposal))
    draft = await the_task(runtime)
    await hear(runtime, assigned(accepted(proposal), 2))
    task = await the_task(runtime)
    assert (task["id"], task["owner"]) == (draft["id"], draft["owner"])
    assert (task["status"], task["meta"]["versionId"], len(task["note"])) == ("requested", "2", 2)
    assert [event.focus["status"] for event in await referral_events(runtime, NORTH)] == ["draft", "requested"]
    validation.check(encode(task), "Task")
    emitted(task)


async def test_a_plan_whose_proposal_never_came_is_requested_at_once(runtime: Runtime) -> None:
    await hear(runtime, assigned(accepted(assignment()), 2))
    task = await the_task(runtime)
    assert (task["status"], task["meta"]["versionId"]) == ("requested", "1")
    assert task["requester"] == {"reference": CLINICIAN}
    await hear(runtime, assigned(assignment(), 1))
    assert await the_task(runtime) == task


async def test_the_same_event_twice_changes_nothing(runtime: Runtime) -> None:
    events = [assigned(assignment()), assigned(accepted(assignment()), 2)]
    await hear(runtime, *events)
    before = await the_task(runtime)
    await hear(runtime, *events, *events)
    assert await the_task(runtime) == before
    assert len(await referral_events(runtime, NORTH)) == 2


async def test_a_hold_leaves_the_draft_and_a_plan_after_it_starts_it(runtime: Runtime) -> None:
    await hear(runtime, assigned(assignment()))
    draft = await the_task(runtime)
    await hear(runtime, assigned(assignment(status="on-hold"), 2))
    assert await the_task(runtime) == draft
    await hear(runtime, assigned(accepted(assignment()), 3))
    assert (await the_task(runtime))["status"] == "requested"


async def test_another_priority_gives_the_draft_another_wait(
    runtime: Runtime, emitted: Callable[[Resource], None]
) -> None:
    await hear(runtime, assigned(assignment()))
    await hear(runtime, assigned(assignment(priority="stat"), 2))
    task = await the_task(runtime)
    assert (task["status"], task["priority"]) == ("draft", "stat")
    assert wait_of(task)["rule"]["code"] == "WAIT-HAND-OVER"
    assert "median" not in wait_of(task)
    validation.check(encode(task), "Task")
    emitted(task)


@pytest.mark.parametrize("status", ["draft", "requested"])
async def test_a_revoked_request_takes_its_waiting_task_back(
    runtime: Runtime, emitted: Callable[[Resource], None], status: str
) -> None:
    request = assignment() if status == "draft" else accepted(assignment())
    await hear(runtime, assigned(request))
    assert (await the_task(runtime))["status"] == status
    await hear(runtime, assigned({**request, "status": "revoked"}, 2))
    task = await the_task(runtime)
    assert (task["status"], task["statusReason"]["text"] != "") == ("cancelled", True)
    validation.check(encode(task), "Task")
    emitted(task)
    assert (await referral_events(runtime, NORTH))[-1].focus["status"] == "cancelled"


async def test_a_revoked_request_does_not_end_care_that_somebody_has_taken_up(runtime: Runtime) -> None:
    await hear(runtime, assigned(accepted(assignment())))
    await change(runtime, "Task", (await the_task(runtime))["id"], status="in-progress")
    await hear(runtime, assigned({**accepted(assignment()), "status": "revoked"}, 2))
    assert (await the_task(runtime))["status"] == "in-progress"


async def test_everybody_who_waits_makes_the_next_wait_longer_and_the_urgent_go_first(runtime: Runtime) -> None:
    for number in range(12):
        await hear(runtime, assigned(accepted(assignment(f"s{number}"))))
    first, *_, last = [wait_of(task)["median"]["value"] for task in await tasks(runtime)]
    assert last > first
    await hear(runtime, assigned(assignment("urgent", priority="urgent")))
    (urgent,) = [task for task in await tasks(runtime) if task["priority"] == "urgent"]
    assert wait_of(urgent)["median"]["value"] == first


async def test_a_draft_waits_in_no_queue(runtime: Runtime) -> None:
    await hear(runtime, *(assigned(assignment(f"s{number}")) for number in range(12)))
    assert len({wait_of(task)["median"]["value"] for task in await tasks(runtime)}) == 1


async def test_without_a_place_the_draft_says_so_and_gets_one_when_it_is_requested(runtime: Runtime) -> None:
    await change(runtime, "HealthcareService", "default-tier-3", active=False)
    await hear(runtime, assigned(assignment()))
    assert "owner" not in await the_task(runtime)
    await change(runtime, "HealthcareService", "default-tier-3", active=True)
    await hear(runtime, assigned(accepted(assignment()), 2))
    task = await the_task(runtime)
    assert task["owner"]["reference"] == "HealthcareService/default-tier-3"
    assert task["owner"]["display"] in task["description"]


async def test_a_place_that_somebody_chose_is_kept(runtime: Runtime) -> None:
    await hear(runtime, assigned(assignment()))
    owner = {"reference": "Practitioner/known-and-trusted"}
    await change(runtime, "Task", (await the_task(runtime))["id"], owner=owner)
    await hear(runtime, assigned(accepted(assignment()), 2))
    task = await the_task(runtime)
    assert (task["status"], task["owner"]) == ("requested", owner)


async def test_a_safety_rule_in_the_reasons_leaves_nobody_alone_with_a_programme(runtime: Runtime) -> None:
    plain = assignment("plain", phq9=3)
    tier = plain["category"][0]["coding"][0]["code"]
    assert tier == "tier-1"
    safety = {"coding": [{"system": code_system("rule"), "code": "SAF-3"}]}
    await hear(runtime, assigned(plain), assigned({**plain, "id": "unsafe", "reasonCode": [safety]}))
    offers = [task["input"][0]["valueCodeableConcept"]["coding"][0]["code"] for task in await tasks(runtime)]
    assert offers == ["self-help-material", "named-contact"]


async def test_the_language_of_the_person_decides_between_places(runtime: Runtime) -> None:
    (service,) = [each for each in await stored(runtime, NORTH, "HealthcareService") if each["id"] == "default-tier-3"]
    turkish = {"coding": [{"system": "urn:ietf:bcp:47", "code": "tr"}]}
    other = {**service, "id": "far", "name": "Turkish and slow", "communication": [turkish], "extension": []}
    del other["meta"]
    await runtime.store.commit(UnitOfWork(NORTH, [built(runtime.engine, other, runtime.clock())]))
    await hear(runtime, assigned(assignment("before")))
    patient = {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {"versionId": "1"},
        "communication": [{"language": turkish, "preferred": True}],
    }
    heard = received(topic("patient-changed"), [(f"{URLS['screening']}/Patient/p1", patient)])
    await listens(runtime)[PATIENT_CHANGED](heard, NORTH)
    await hear(runtime, assigned(assignment("after")))
    owners = [task["owner"]["reference"] for task in await tasks(runtime)]
    assert owners == ["HealthcareService/default-tier-3", "HealthcareService/far"]


async def test_a_person_named_by_an_identifier_is_referred_like_anybody(runtime: Runtime) -> None:
    subject = {"identifier": {"system": "https://ehr.example/patient-numbers", "value": "a b"}}
    await hear(runtime, assigned(assignment(subject=subject)))
    assert (await the_task(runtime))["for"] == subject
    assert [event.subject for event in await referral_events(runtime, NORTH)] == [
        "https://ehr.example/patient-numbers|a b"
    ]


async def test_many_handlers_at_once_leave_one_task_at_the_newest_version(runtime: Runtime) -> None:
    events = [assigned(assignment()), assigned(accepted(assignment()), 2)]
    await asyncio.gather(*(hear(runtime, event) for event in events * 4))
    task = await the_task(runtime)
    assert task["status"] == "requested"
    assert len(await referral_events(runtime, NORTH)) == int(task["meta"]["versionId"])


async def test_many_persons_at_once_are_read_and_matched_together(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fetch = runtime.database.fetch

    async def counting(statement: str, *arguments: Any) -> Any:
        if "read_queues" in statement or "read_person" in statement:
            calls.append(arguments)
        return await fetch(statement, *arguments)

    monkeypatch.setattr(runtime.database, "fetch", counting)
    await asyncio.gather(*(hear(runtime, assigned(assignment(f"s{number}"))) for number in range(20)))
    assert len(await tasks(runtime)) == 20
    assert 2 <= len(calls) < 20, "one by one it would be two for each of them"


async def test_the_promise_is_reckoned_from_now(runtime: Runtime) -> None:
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += timedelta(days=100)
    await hear(runtime, assigned(assignment()))
    assert wait_of(await the_task(runtime))["computed-at"].startswith("2027-03-01")
