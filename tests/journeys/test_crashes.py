"""Every process may die between any two lines: what was answered 2xx arrives, and what happens twice counts once."""

import asyncio
from datetime import UTC, datetime

import msgspec
from stepwell_shared.canonical import topic
from stepwell_shared.cli.access import fetch_token
from stepwell_shared.events.notification import Addressee, NumberedEvent, notification
from stepwell_shared.events.outbox import Entry

from tests.support.suite import Clinic, Resource, Suite

PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 2, 0)


async def submit_many(clinic: Clinic, count: int) -> list[Resource]:
    """So many patients with one response each, all acknowledged."""
    patients = await asyncio.gather(*(clinic.patient() for _ in range(count)))
    forms = [await clinic.form("phq-9", PHQ_9_OF_16, patient) for patient in patients]
    answers = await asyncio.gather(*(clinic.submit(form) for form in forms))
    assert [answer.status_code for answer in answers] == [201] * count
    return list(patients)


async def test_50_responses_posted_while_routing_is_dead_are_50_requests_when_it_lives(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        suite.processes.kill("routing")
        try:
            subjects = {f"Patient/{patient['id']}" for patient in await submit_many(clinic, 50)}
            await clinic.wait_for(
                "measurement",
                "Observation",
                lambda score: local(score["subject"]) in subjects,
                count=50,
                code="http://loinc.org|44261-6",
                _count="500",
                _sort="-_lastUpdated",
            )
        finally:
            suite.processes.start_one("routing")
        suite.processes.wait_until_ready("routing")
        for service, type_, element in (("routing", "ServiceRequest", "subject"), ("referral", "Task", "for")):

            def is_theirs(resource: Resource, element: str = element) -> bool:
                return local(resource[element]) in subjects

            found = await clinic.wait_for(
                service, type_, is_theirs, count=50, seconds=60, _count="500", _sort="-_lastUpdated"
            )
            assert sorted(local(each[element]) for each in found) == sorted(subjects)


def local(reference: Resource) -> str:
    """`Type/id` of a reference, whichever service it names."""
    return "/".join(reference["reference"].rsplit("/", 2)[-2:])


async def test_a_notification_delivered_again_changes_nothing_under_any_number(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        patient = await clinic.patient()
        response = (await clinic.submit(await clinic.form("phq-9", PHQ_9_OF_16, patient))).json()
        subject = f"Patient/{patient['id']}"
        (score,) = await clinic.wait_for("measurement", "Observation", subject=subject)
        await clinic.wait_for("referral", "Task", subject=subject)
        score["meta"] = {"source": score["meta"]["source"]}
        deployment = suite.deployment
        entries = [
            _entry(f"{deployment.url_of('screening')}/QuestionnaireResponse/{response['id']}", response),
            _entry(f"{deployment.url_of('measurement')}/Observation/{score['id']}", score),
        ]
        key_file = deployment.home / "keys" / "service-screening.jwk"
        token = await fetch_token(deployment.access(), "north.service-screening", key_file=key_file)
        for service in ("routing", "measurement"):
            for number in (900_001, 900_001, 900_002):
                body = _notification(f"{deployment.url_of('screening')}/Subscription/repeated", number, entries)
                url = f"{deployment.url_of(service).removesuffix('/fhir')}/notifications"
                answer = await clinic.http.post(url, content=body, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 200, answer.text
        for service, resource_type in (
            ("routing", "ServiceRequest"),
            ("measurement", "Observation"),
            ("referral", "Task"),
        ):
            (only,) = await clinic.search(service, resource_type, subject=subject)
            assert only["meta"]["versionId"] == "1"


def _entry(url: str, resource: Resource) -> Entry:
    return Entry(url, msgspec.Raw(msgspec.json.encode(resource)))


def _notification(subscription: str, number: int, entries: list[Entry]) -> bytes:
    addressee = Addressee(subscription, topic("score-finalized"), "active", "full-resource")
    now = datetime.now(UTC)
    event = NumberedEvent(number, now, entries)
    return notification(addressee, "event-notification", [event], events_total=number, sent=now)
