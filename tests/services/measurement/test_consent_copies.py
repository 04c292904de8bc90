"""Promises of the copies of Consents: a service shares by what it has heard, in any order, with every peer down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from stepwell_measurement.app import listens, service
from stepwell_shared.canonical import topic
from stepwell_shared.consent.serving import CONSENT_CHANGED
from stepwell_shared.fhir.copies import ship
from stepwell_shared.runtime import Runtime

from tests.support.consents import coded, provision, sharing
from tests.support.runtime import NORTH, SOUTH, URLS, http_of, received, stored, token

MOTHER = token(NORTH, "related-person", "RelatedPerson/mother")
CONSENT = sharing("p1", provision("permit", "RelatedPerson/mother"))

Resource = dict[str, Any]


async def hear(runtime: Runtime, consent: Resource, version: int, tenant: str = NORTH) -> None:
    told = {**consent, "meta": {"versionId": str(version)}}
    heard = received(topic("consent-changed"), [(f"{URLS['screening']}/Consent/{consent['id']}", told)], number=version)
    await listens(runtime)[CONSENT_CHANGED](heard, tenant)


@asynccontextmanager
async def scores(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A score of p1 and one of p2."""
    for person, code in (("p1", "44261-6"), ("p2", "44261-6")):
        score = {
            "resourceType": "Observation",
            "id": f"score-{person}",
            "status": "final",
            "code": coded(code),
            "subject": {"reference": f"{URLS['screening']}/Patient/{person}"},
        }
        await ship(runtime.engine, NORTH, score)
    async with http_of(runtime, service) as http:
        yield http


async def seen(http: httpx.AsyncClient) -> list[str]:
    answer = await http.get("Observation", headers=MOTHER)
    return [each["resource"]["id"] for each in answer.json().get("entry", [])]


async def test_before_a_copy_is_there_the_default_holds(runtime: Runtime) -> None:
    async with scores(runtime) as http:
        assert await seen(http) == []
        await hear(runtime, CONSENT, 1)
        assert await seen(http) == ["score-p1"]


async def test_what_comes_late_or_twice_brings_no_withdrawn_consent_back(runtime: Runtime) -> None:
    async with scores(runtime) as http:
        await hear(runtime, {**CONSENT, "status": "inactive"}, 2)
        for version in (1, 2, 1):
            status = {1: "active", 2: "inactive"}[version]
            await hear(runtime, {**CONSENT, "status": status}, version)
        assert await seen(http) == []
    (kept,) = await stored(runtime, NORTH, "Consent")
    assert kept["meta"]["source"] == f"{URLS['screening']}/Consent/sharing-p1/_history/2"


async def test_a_consent_that_another_tenant_heard_of_opens_nothing(runtime: Runtime) -> None:
    async with scores(runtime) as http:
        await hear(runtime, CONSENT, 1, SOUTH)
        assert await seen(http) == []


async def test_a_denied_code_stays_hidden(runtime: Runtime) -> None:
    exception = provision("deny", code=[coded("44261-6")])
    async with scores(runtime) as http:
        other = {
            "resourceType": "Observation",
            "id": "sleep",
            "status": "final",
            "code": coded("90562-0"),
            "subject": {"reference": f"{URLS['screening']}/Patient/p1"},
        }
        await ship(runtime.engine, NORTH, other)
        await hear(runtime, sharing("p1", provision("permit", "RelatedPerson/mother", provision=[exception])), 1)
        assert await seen(http) == ["sleep"]


async def test_nobody_writes_a_copy(runtime: Runtime) -> None:
    async with scores(runtime) as http:
        answer = await http.put(f"Consent/{CONSENT['id']}", json=CONSENT, headers=token(NORTH, "ehr"))
        assert answer.status_code == 405
