"""Promises of safety plans in the chart: found from their own Flag and from every open alert, while they are in use."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from stepwell_screening.app import service
from stepwell_screening.subscriptions import SAFETY_PLAN_CHANGED, TIER_ASSIGNED
from stepwell_shared.canonical import code_system, topic
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import Resource, accept, form
from tests.support.runtime import NORTH, URLS, received, stored
from tests.support.terminology import unknown_codings

PERSON: Resource = {"reference": f"{URLS['screening']}/Patient/p1"}


async def hear(runtime: Runtime, resource: Resource, kind: tuple[str, str] = SAFETY_PLAN_CHANGED) -> None:
    url = f"{URLS['routing']}/{resource['resourceType']}/{resource['id']}"
    await service.listens(runtime)[kind](received(topic(kind[1]), [(url, resource)]), NORTH)


def plan(version: int = 1, status: str = "active", id_: str = "plan") -> Resource:
    return {
        "resourceType": "CarePlan",
        "id": id_,
        "meta": {"versionId": str(version)},
        "status": status,
        "intent": "plan",
        "subject": PERSON,
    }


async def links(runtime: Runtime) -> list[tuple[str, list[str]]]:
    """The status of each Flag, with the plans that it leads to."""
    flags = await stored(runtime, NORTH, "Flag")
    details = [
        [each["valueReference"]["reference"] for each in flag["extension"] if "valueReference" in each]
        for flag in flags
    ]
    return [
        (flag["status"], [each.rpartition("/")[2] for each in found if "CarePlan" in each])
        for flag, found in zip(flags, details, strict=True)
    ]


async def test_a_plan_without_a_person_or_about_nobody_here_leaves_no_flag(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, {**plan(), "subject": {"identifier": {"value": "7"}}})
    await hear(runtime, plan(status="draft"))
    with pytest.raises(FhirError):
        await hear(runtime, {**plan(), "subject": {"reference": "Patient/nobody"}})
    assert await stored(runtime, NORTH, "Flag") == []


async def test_a_plan_in_use_is_found_from_every_open_flag_and_from_those_that_open_later(
    runtime: Runtime, http: httpx.AsyncClient, emitted: Callable[[Resource], None]
) -> None:
    await accept(http, form(1, id="before"))
    await hear(runtime, plan())
    assert sorted(await links(runtime)) == [("active", ["plan"])] * 2
    await accept(http, form(2, id="after"))
    assert sorted(await links(runtime)) == [("active", ["plan"])] * 3
    for flag in await stored(runtime, NORTH, "Flag"):
        validation.check(encode(flag), "Flag")
        assert unknown_codings(flag) == []
        emitted(flag)
    await hear(runtime, plan(2, "revoked"))
    assert sorted(await links(runtime)) == [("active", []), ("active", []), ("inactive", ["plan"])]


async def test_an_older_version_that_comes_late_changes_nothing(runtime: Runtime, http: httpx.AsyncClient) -> None:
    await hear(runtime, plan(3))
    before = await stored(runtime, NORTH, "Flag")
    for late in (plan(3), plan(2, "revoked"), plan(1, "revoked", "another")):
        await hear(runtime, late)
    assert await stored(runtime, NORTH, "Flag") == before


def proposal(*rules: str, id_: str = "s1", **members: Any) -> Resource:
    codes = [{"coding": [{"system": code_system("rule"), "code": rule}]} for rule in rules]
    head = {"resourceType": "ServiceRequest", "id": id_, "meta": {"versionId": "1"}, "status": "active"}
    return {**head, "intent": "proposal", "subject": PERSON, "reasonCode": codes, **members}


async def test_a_policy_that_knows_of_no_safety_question_has_it_asked_once(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    await hear(runtime, proposal("SOM-P1"), TIER_ASSIGNED)
    await hear(runtime, proposal("SAF-ASK", status="revoked"), TIER_ASSIGNED)
    await hear(runtime, proposal("SAF-ASK", intent="plan"), TIER_ASSIGNED)
    assert await stored(runtime, NORTH, "Task") == []
    for _ in range(2):
        await hear(runtime, proposal("SAF-ASK", "SOM-P1"), TIER_ASSIGNED)
    (task,) = await stored(runtime, NORTH, "Task")
    assert (task["code"]["coding"][0]["code"], task["status"]) == ("ask-safety-question", "requested")
    assert task["focus"] == {"reference": f"{URLS['routing']}/ServiceRequest/s1"}
    validation.check(encode(task), "Task")
