"""A positive safety item: a person is asked to act at once, and routine referral waits for a clinician's word."""

import asyncio

import pytest

from tests.support.suite import Clinic, Resource, Suite

PHQ_9_OF_16_WITH_ITEM_9 = (2, 2, 2, 2, 2, 2, 2, 1, 1)


async def on_hold(clinic: Clinic) -> tuple[Resource, Resource, Resource]:
    """A patient with a positive item 9: patient, safety Task, and the proposal that waits."""
    patient = await clinic.patient()
    assert (await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16_WITH_ITEM_9, patient))).status_code == 201
    subject = f"Patient/{patient['id']}"
    (task,) = await clinic.search("screening", "Task", subject=subject)
    (request,) = await clinic.requests_for(patient)
    return patient, task, request


async def test_a_positive_item_9_opens_a_safety_task_and_holds_the_proposal(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient, task, request = await on_hold(clinic)
        subject = f"Patient/{patient['id']}"
        assert task["status"] == "requested"
        assert task["restriction"]["period"]["end"] > task["authoredOn"]
        assert len(await clinic.search("screening", "Flag", subject=subject)) == 1
        (assessment,) = await clinic.search("screening", "RiskAssessment", subject=subject)
        assert assessment["status"] == "preliminary"
        assert request["status"] == "on-hold"
        assert request["reasonCode"][0]["coding"][0]["code"] == "SAF-1"


async def test_no_routine_referral_starts_before_a_risk_level_is_recorded(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient, _, request = await on_hold(clinic)
        refused = await clinic.call("POST", "routing", f"ServiceRequest/{request['id']}/$accept")
        assert refused.status_code == 422
        # referral has heard of it: the copy is there, and no Task
        await clinic.wait_for("referral", "ServiceRequest", subject=f"Patient/{patient['id']}")
        await asyncio.sleep(0.5)
        assert await clinic.search("referral", "Task", subject=f"Patient/{patient['id']}") == []


@pytest.mark.parametrize(("level", "least"), [("low", 3), ("moderate", 3), ("high", 4)])
async def test_referral_follows_the_recorded_level_and_never_below_its_floor(
    suite: Suite, level: str, least: int
) -> None:
    async with suite.clinic() as clinic:
        patient, task, _ = await on_hold(clinic)
        parameters = {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": level}]}
        recorded = await clinic.call("POST", "screening", f"Task/{task['id']}/$record-risk-level", resource=parameters)
        assert recorded.status_code == 200
        assert recorded.json()["status"] == "completed"
        subject = f"Patient/{patient['id']}"
        found = await clinic.wait_for(
            "routing", "ServiceRequest", lambda each: each["status"] == "active", subject=subject
        )
        assert int(found[0]["category"][0]["coding"][0]["code"].removeprefix("tier-")) >= least
        await clinic.wait_for("referral", "Task", lambda each: each["status"] == "draft", subject=subject)


async def test_a_risk_level_cannot_be_recorded_twice_or_without_a_known_level(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        _, task, _ = await on_hold(clinic)
        address = f"Task/{task['id']}/$record-risk-level"
        unknown = {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": "unknown"}]}
        assert (await clinic.call("POST", "screening", address, resource=unknown)).status_code == 400
        low = {"resourceType": "Parameters", "parameter": [{"name": "level", "valueCode": "low"}]}
        assert (await clinic.call("POST", "screening", address, resource=low)).status_code == 200
        assert (await clinic.call("POST", "screening", address, resource=low)).status_code == 409
        untold = {**task, "status": "completed"}
        assert (await clinic.call("PUT", "screening", f"Task/{task['id']}", resource=untold)).status_code == 409


async def test_an_unanswered_item_9_is_an_open_question_not_a_no(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        blank = (1, 1, 1, 1, 1, 1, 1, 1, None)
        assert (await clinic.submit(await clinic.form("phq-9", blank, patient))).status_code == 201
        (request,) = await clinic.requests_for(patient)
        assert request["status"] == "on-hold"
        assert request["reasonCode"][0]["coding"][0]["code"] == "SAF-5"
