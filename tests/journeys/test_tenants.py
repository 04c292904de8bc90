"""What one tenant has, another tenant's token never sees: by read, version, history, search or Subscription."""

import asyncio
import time

import pytest

from tests.support.listener import Listener, listening
from tests.support.suite import SOUTH, Clinic, Resource, Suite

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"

PHQ_9_OF_16 = (2, 2, 2, 2, 2, 2, 2, 1, 1)
HELD = [
    ("screening", ("Patient", "QuestionnaireResponse", "Task", "Flag", "RiskAssessment", "Provenance")),
    ("measurement", ("Observation", "Patient")),
    ("routing", ("ServiceRequest", "EpisodeOfCare", "Provenance", "Patient")),
    ("referral", ("ServiceRequest", "Patient")),
]


async def test_another_tenant_sees_nothing_of_the_journey(suite: Suite) -> None:
    async with suite.clinic() as north, suite.clinic(SOUTH) as south:
        patient = await north.patient()
        await north.submit(await north.form("phq-9", PHQ_9_OF_16, patient))
        await north.wait_for("referral", "ServiceRequest", subject=f"Patient/{patient['id']}")
        await north.wait_for("measurement", "Patient", _id=patient["id"])
        seen = 0
        for service, types in HELD:
            for resource_type in types:
                mine = await north.wait_for(service, resource_type)
                theirs = {each["id"] for each in await south.search(service, resource_type, _count="500")}
                assert theirs.isdisjoint({each["id"] for each in mine})
                for each in mine[:3]:
                    address = f"{resource_type}/{each['id']}"
                    for path in (address, f"{address}/_history", f"{address}/_history/1"):
                        assert (await south.call("GET", service, path)).status_code == 404, (service, path)
                    assert await south.search(service, resource_type, _id=each["id"]) == []
                    seen += 1
        assert seen >= sum(len(types) for _, types in HELD)


async def test_a_reference_to_another_tenants_patient_is_unknown(suite: Suite) -> None:
    async with suite.clinic() as north, suite.clinic(SOUTH) as south:
        patient = await north.patient()
        response = await south.submit(await south.form("phq-9", PHQ_9_OF_16, patient))
        assert response.status_code == 422
        assert response.json()["issue"][0]["expression"] == ["QuestionnaireResponse.subject.reference"]


@pytest.mark.parametrize("path", ["metadata", ".well-known/smart-configuration"])
async def test_only_discovery_is_open_without_a_token(suite: Suite, path: str) -> None:
    async with suite.clinic() as clinic:
        for service in suite.deployment.ports:
            base = suite.deployment.url_of(service)
            assert (await clinic.http.get(f"{base}/{path}")).status_code == 200
            refused = await clinic.http.get(f"{base}/Patient")
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
            posted = await clinic.http.post(f"{base.removesuffix('/fhir')}/notifications", content=b"{}")
            assert posted.status_code == 401


async def test_a_subscription_hears_of_its_own_tenant_alone(suite: Suite) -> None:
    async with listening(suite.listener_port) as listener, suite.clinic(SOUTH, "ehr") as ehr:
        created = await ehr.call("POST", "screening", "Subscription", resource=_subscription(listener))
        assert created.status_code == 201
        assert "secret" not in created.text
        await _heard(listener, 1)  # the handshake
        async with suite.clinic() as north, suite.clinic(SOUTH) as south:
            foreign, own = await north.patient(), await south.patient()
            await _answer(north, foreign)
            await _answer(south, own)
            await _heard(listener, 2)
            await asyncio.sleep(0.5)
        assert len(listener.bodies) == 2
        assert own["id"].encode() in listener.bodies[1]
        assert all(foreign["id"].encode() not in body for body in listener.bodies)
        async with suite.clinic(name="ehr") as stranger:
            address = f"Subscription/{created.json()['id']}"
            assert (await stranger.call("GET", "screening", address)).status_code == 404
            assert (await stranger.call("DELETE", "screening", address)).status_code == 204
        assert (await ehr.call("GET", "screening", address)).status_code == 200
        assert (await ehr.call("DELETE", "screening", address)).status_code == 204


def _subscription(listener: Listener) -> Resource:
    content = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "tell the record system of the practice",
        "criteria": "https://stepwell.health/fhir/SubscriptionTopic/score-finalized",
        "channel": {
            "type": "rest-hook",
            "endpoint": listener.url,
            "payload": "application/fhir+json",
            "_payload": {"extension": [content]},
            "header": ["X-Api-Key: secret"],
        },
    }


async def _answer(clinic: Clinic, patient: Resource) -> None:
    assert (await clinic.submit(await clinic.form("gad-7", (1,) * 7, patient))).status_code == 201


async def _heard(listener: Listener, count: int) -> None:
    deadline = time.monotonic() + 15
    while len(listener.bodies) < count:
        assert time.monotonic() < deadline, f"heard {len(listener.bodies)} of {count}"
        await asyncio.sleep(0.05)
