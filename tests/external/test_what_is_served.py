"""What the running services send to a reader after a journey through them: resources, histories, Bundles, outcomes.

Runs when the checks of other validators collect what the services emit.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from stepwell_shared.settings import SERVICES

from tests.clients.journeys import register_tester
from tests.clients.plan import subscription
from tests.support.corpus import Emitted
from tests.support.listener import listening
from tests.support.suite import Clinic, Suite, running_suite

GAD_7_OF_12 = (2, 2, 2, 2, 2, 2, 0)
PHQ_9_WITH_ITEM_NINE = (2, 2, 2, 2, 2, 2, 2, 2, 1)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running_suite(tmp_path_factory.mktemp("served")) as running:
        yield running


async def play(clinic: Clinic) -> str:
    """Answers twice, once with a positive safety item; accepts what is proposed. The id of the person."""
    patient = await clinic.patient()
    for instrument, weights in (("gad-7", GAD_7_OF_12), ("gad-7", GAD_7_OF_12), ("phq-9", PHQ_9_WITH_ITEM_NINE)):
        answered = await clinic.submit(await clinic.form(instrument, weights, patient))
        assert answered.status_code == 201, answered.text
    identity = str(patient["id"])
    await clinic.wait_for("measurement", "Observation", count=3, patient=identity)
    await clinic.wait_for("routing", "ServiceRequest", patient=identity)
    await clinic.wait_for("referral", "Task", patient=identity)
    return identity


async def types_of(clinic: Clinic, service: str) -> dict[str, set[str]]:
    """The types that a service declares, each with its interactions."""
    statement = (await clinic.call("GET", service, "metadata")).json()
    return {
        each["type"]: {interaction["code"] for interaction in each["interaction"]}
        for each in statement["rest"][0]["resource"]
    }


@pytest.mark.timeout(300)
async def test_everything_that_is_served_is_kept_for_other_validators(suite: Suite, emitted: Emitted) -> None:
    await register_tester(suite)
    seen: set[tuple[str, str]] = set()
    async with suite.clinic(name="tester") as clinic, listening(suite.listener_port) as listener:
        for service in SERVICES:
            wanted = subscription(service, "served", listener.url, 1) | {"status": "requested"}
            wanted["channel"]["_payload"]["extension"][0]["valueCode"] = "full-resource"
            await clinic.create(service, wanted)
        await play(clinic)
        for service in SERVICES:
            emitted((await clinic.call("GET", service, "metadata")).content)
            for type_, interactions in (await types_of(clinic, service)).items():
                addresses = {"search-type": type_, "history-type": f"{type_}/_history"}
                # Of accesses, which are all alike, some are enough.
                count = "10" if type_ == "AuditEvent" else "200"
                for path in [address for code, address in addresses.items() if code in interactions]:
                    answer = await clinic.call("GET", service, path, parameters={"_count": count})
                    assert answer.status_code == 200, answer.text
                    seen |= {(service, each) for each in kept(answer.content, emitted)}
            refused = await clinic.call("POST", service, "Subscription", resource={"resourceType": "Subscription"})
            assert refused.status_code == 400
            emitted(refused.content)
        assert listener.bodies
        for body in listener.bodies:
            kept(body, emitted)
    assert {
        ("screening", "QuestionnaireResponse"),
        ("screening", "RiskAssessment"),
        ("routing", "ServiceRequest"),
        ("referral", "Task"),
        ("measurement", "Observation"),
    } <= seen


def kept(body: bytes, emitted: Emitted) -> set[str]:
    """Keeps a Bundle and each resource in it; their types."""
    emitted(body)
    found = set()
    for entry in json.loads(body).get("entry", ()):
        resource: dict[str, Any] | None = entry.get("resource")
        if resource is not None:
            emitted(resource)
            found.add(resource["resourceType"])
    return found
