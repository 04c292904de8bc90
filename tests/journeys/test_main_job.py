"""The main job: answers in, and out come scores, a proposed tier that explains itself, and a referral that is ready."""

from typing import Any

import pytest

from tests.support.suite import Suite

PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)
LOINC = "http://loinc.org"
TIER = "https://stepwell.health/fhir/CodeSystem/tier"


def tier_of(request: dict[str, Any]) -> str:
    return str(request["category"][0]["coding"][0]["code"])


def rules_of(request: dict[str, Any]) -> list[str]:
    return [concept["coding"][0]["code"] for concept in request["reasonCode"]]


async def test_a_phq_9_of_16_becomes_a_score_a_tier_3_proposal_and_a_draft_referral(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        subject = f"Patient/{patient['id']}"
        response = await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))
        assert response.status_code == 201

        (score,) = await clinic.wait_for("measurement", "Observation", code=f"{LOINC}|44261-6", subject=subject)
        assert score["valueQuantity"]["value"] == 16
        assert score["valueQuantity"]["unit"] == "{score}"
        assert score["interpretation"][0]["coding"][0]["code"] == "phq-9-moderately-severe"

        (request,) = await clinic.requests_for(patient)
        assert (request["intent"], request["status"], tier_of(request)) == ("proposal", "active", "tier-3")
        assert "FLOOR-PHQ9-T3" in rules_of(request)
        assert request["reasonCode"][0]["text"]
        reached = await clinic.call("GET", "measurement", request["reasonReference"][0]["reference"])
        assert reached.status_code == 200
        assert reached.json()["id"] == score["id"]

        (task,) = await clinic.wait_for("referral", "Task", subject=subject)
        assert task["status"] == "draft"
        assert task["owner"]["reference"].startswith("HealthcareService/")
        assert task["restriction"]["period"]["end"]
        assert any(each["type"]["coding"][0]["code"] == "interim-support" for each in task["input"])


async def test_the_referral_is_requested_once_when_the_proposal_is_accepted(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        subject = f"Patient/{patient['id']}"
        await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))
        (request,) = await clinic.requests_for(patient)
        (draft,) = await clinic.wait_for("referral", "Task", subject=subject, status="draft")
        for _ in range(2):  # accepting twice is accepting once
            accepted = await clinic.call("POST", "routing", f"ServiceRequest/{request['id']}/$accept")
            assert accepted.status_code == 200
            assert accepted.json()["intent"] == "plan"
            assert accepted.json()["requester"]["reference"] == "Practitioner/north-clinician"
        (task,) = await clinic.wait_for("referral", "Task", subject=subject, status="requested", code="tier-referral")
        assert task["id"] == draft["id"]
        assert len(await clinic.search("referral", "Task", subject=subject, code="tier-referral")) == 1


@pytest.mark.parametrize(
    ("instrument", "weights", "code", "total", "tier"),
    [
        ("gad-7", (2, 2, 2, 2, 2, 2, 0), "70274-6", 12, "tier-2"),
        ("phq-15", (1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1), "70273-8", 12, "tier-2"),
    ],
)
async def test_the_other_instruments_go_the_same_way(
    suite: Suite, instrument: str, weights: tuple[int, ...], code: str, total: int, tier: str
) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        assert (await clinic.submit(await clinic.form(instrument, weights, patient))).status_code == 201
        subject = f"Patient/{patient['id']}"
        (score,) = await clinic.wait_for("measurement", "Observation", code=f"{LOINC}|{code}", subject=subject)
        assert score["valueQuantity"]["value"] == total
        (request,) = await clinic.requests_for(patient)
        assert tier_of(request) == tier


async def test_reliable_change_is_there_from_the_second_phq_9_on(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        change_code = "https://stepwell.health/fhir/CodeSystem/reliable-change|phq-9-reliable-change"
        subject = f"Patient/{patient['id']}"
        await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient, authored="2026-10-01T09:00:00Z"))
        await clinic.wait_for("measurement", "Observation", code=f"{LOINC}|44261-6", subject=subject)
        assert await clinic.search("measurement", "Observation", subject=subject, code=change_code) == []
        second = await clinic.form("phq-9", (1, 1, 1, 1, 1, 1, 1, 1, 0), patient, authored="2026-11-01T09:00:00Z")
        await clinic.submit(second)
        (change,) = await clinic.wait_for("measurement", "Observation", subject=subject, code=change_code)
        assert change["valueCodeableConcept"]["coding"][0]["code"] == "improvement"


async def test_the_same_submission_twice_leaves_one_of_each(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        form = await clinic.form("phq-9", PHQ_9_OF_16, patient)
        first, second = await clinic.submit(form), await clinic.submit(form)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["id"] == second.json()["id"]
        subject = f"Patient/{patient['id']}"
        await clinic.wait_for("referral", "Task", subject=subject)
        assert len(await clinic.search("screening", "QuestionnaireResponse", subject=subject)) == 1
        assert len(await clinic.search("measurement", "Observation", subject=subject)) == 1
        assert len(await clinic.search("routing", "ServiceRequest", subject=subject)) == 1
        assert len(await clinic.search("referral", "Task", subject=subject, code="tier-referral")) == 1
