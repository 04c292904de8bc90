"""Matching among five thousand services is quick over HTTP: from request to Bundle, one answer after another."""

import gc
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from stepwell_referral.app import service
from stepwell_referral.directory_tables import revision_effect
from stepwell_shared.canonical import code_system, extension_url
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.support.runtime import NORTH, http_of, token

SERVICES, PER_COMMIT, REQUESTS = 5_000, 500, 150
# The promise is 30 ms for 99 in 100 answers. CPU time, so that a busy machine does not decide.
MILLISECONDS_MAX = 30
TIERS = [f"tier-{number}" for number in (1, 2, 3, 4)]
WAYS = ["in-person", "telehealth", "group", "asynchronous", "home-visit"]
LANGUAGES = ["en", "de", "es", "fr", "tr", "ar", "ru", "uk"]
SUPPORTS = ["transport", "childcare", "flexible-hours", "interpreter", "digital-help", "private-room"]
NEEDS = ["step-free-access", "large-print", "easy-language", "hearing-support"]
Resource = dict[str, Any]


def coded(system: str, codes: list[str]) -> list[Resource]:
    return [{"coding": [{"system": system, "code": code}]} for code in codes]


def some_service(chance: random.Random, number: int) -> Resource:
    """A service that says much about itself, as few of its neighbours do."""
    ways = chance.sample(WAYS, chance.randint(1, 3))
    capacity = [{"url": "weekly-starts", "valueDecimal": chance.randint(1, 20)}]
    ages = [{"url": "age-low", "valueInteger": 18}, {"url": "age-high", "valueInteger": chance.choice([25, 65, 120])}]
    return {
        "resourceType": "HealthcareService",
        "id": f"s{number}",
        "extension": [{"url": extension_url("service-capacity"), "extension": capacity}],
        "active": True,
        "name": f"Service {number}",
        "category": coded(code_system("tier"), [chance.choice(TIERS)]),
        "specialty": coded("https://clinic.example/specialties", [chance.choice(["pain", "sleep", "mood"])]),
        "location": [{"reference": f"Location/l{chance.randrange(SERVICES // 10)}"}],
        "characteristic": [
            *coded(code_system("modality"), ways),
            *coded(code_system("support"), chance.sample(SUPPORTS, chance.randint(0, 3))),
            *coded(code_system("form-answer"), chance.sample(NEEDS, chance.randint(0, 2))),
        ],
        "communication": coded("urn:ietf:bcp:47", chance.sample(LANGUAGES, chance.randint(1, 3))),
        "eligibility": [{"extension": [{"url": extension_url("service-eligibility"), "extension": ages}]}],
        "availableTime": [
            {
                "daysOfWeek": ["mon", "tue", "wed", "thu", "fri"],
                "availableStartTime": f"{chance.randint(7, 10):02}:00:00",
                "availableEndTime": f"{chance.randint(15, 21):02}:00:00",
            }
        ],
    }


def some_location(chance: random.Random, number: int) -> Resource:
    position = {"latitude": 47 + chance.random() * 8, "longitude": 6 + chance.random() * 9}
    return {"resourceType": "Location", "id": f"l{number}", "position": position}


async def fill(runtime: Runtime) -> None:
    """The directory, in a few commits."""
    chance = random.Random(5_000)
    resources = [some_location(chance, number) for number in range(SERVICES // 10)]
    resources += [some_service(chance, number) for number in range(SERVICES)]
    for start in range(0, len(resources), PER_COMMIT):
        changes = [built(runtime.engine, each, runtime.clock()) for each in resources[start : start + PER_COMMIT]]
        await runtime.store.commit(UnitOfWork(NORTH, changes, [revision_effect("filled")]))


def some_need(chance: random.Random) -> dict[str, str]:
    return {
        "tier": chance.choice(TIERS),
        "spoken": ",".join(chance.sample(LANGUAGES, 2)),
        "modality": chance.choice(WAYS),
        "barrier": ",".join(chance.sample(["transport", "caregiving", "work", "income", "language", "support"], 3)),
        "accessibility": chance.choice(NEEDS),
        "near": f"{47 + chance.random() * 8},{6 + chance.random() * 9}",
        "age": str(chance.randint(18, 80)),
        "time": chance.choice(["morning", "evening", "weekend"]),
    }


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    await fill(runtime)
    async with http_of(runtime, service) as client:
        yield client


async def test_among_five_thousand_services_ninety_nine_in_a_hundred_answers_take_less_than_thirty_milliseconds(
    http: httpx.AsyncClient,
) -> None:
    chance, found = random.Random(7), []
    gc.collect()
    gc.freeze()  # as a process of the service does: what the tests have made is not looked through meanwhile
    for number in range(REQUESTS + 1):
        asked = some_need(chance)
        start = time.process_time()
        answer = await http.get("HealthcareService/$match", params=asked, headers=token(NORTH, "coordinator"))
        found.append((time.process_time() - start) * 1000)
        assert (answer.status_code, len(answer.json()["entry"])) == (200, 5), number
    gc.unfreeze()
    first, *others = found
    others.sort()
    p50, p99 = others[REQUESTS // 2], others[REQUESTS * 99 // 100]
    print(f"first answer {first:.0f} ms (the directory is read), p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    assert p99 < MILLISECONDS_MAX
