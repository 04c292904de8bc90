"""Recurring measurement across the services: a tier sets the pace, and an answer settles what was asked."""

from tests.support.suite import Clinic, Resource, Suite
from tests.support.waiting import until

PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)


async def rule_of(clinic: Clinic, subject: str) -> str:
    """By which rule the person is asked next; nothing while there is no schedule."""
    shown = await clinic.call("GET", "screening", f"{subject}/$questionnaire-schedule")
    named = {each["name"]: each for each in shown.json()["parameter"]}
    return str(named["rule"]["valueCodeableConcept"]["coding"][0]["code"]) if "rule" in named else ""


async def test_a_tier_from_routing_sets_the_pace_and_a_response_completes_the_task(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        subject = f"Patient/{patient['id']}"
        assert (await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))).status_code == 201

        async def has_a_pace() -> bool:
            return await rule_of(clinic, subject) in {"CADENCE-T3", "CADENCE-REVIEW"}

        await until(has_a_pace)
        occasion: Resource = {"name": "occasion", "valueCode": "session"}
        asked = {"resourceType": "Parameters", "parameter": [occasion]}
        answer = await clinic.call("POST", "screening", f"{subject}/$ask-questionnaires", resource=asked)
        assert answer.status_code == 200
        (task,) = await clinic.search("screening", "Task", subject=subject, code="complete-questionnaire")
        assert task["input"][0]["valueCanonical"].startswith("https://stepwell.health/fhir/Questionnaire/phq-9|")
        assert task["status"] == "requested"
        assert (await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))).status_code == 201

        async def is_answered() -> bool:
            (found,) = await clinic.search("screening", "Task", subject=subject, code="complete-questionnaire")
            return bool(found["status"] == "completed" and found["output"])

        await until(is_answered)
