"""A person says who may know, and says so no more: what another organisation and a mother see of it, event by event."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from stepwell_shared.cli.client import register

from tests.journeys.test_delivery import asking, subscription
from tests.support.consents import provision, sharing
from tests.support.listener import Listener, listening
from tests.support.suite import NORTH, Clinic, Resource, Suite
from tests.support.waiting import until

PHQ_9_OF_10 = (2, 2, 2, 2, 2, 0, 0, 0, 0)


@asynccontextmanager
async def acting_for(suite: Suite, role: str, person: str) -> AsyncIterator[Clinic]:
    """A client in this role that acts for this RelatedPerson or Organization."""
    name = f"{role}-{uuid.uuid4().hex[:8]}"
    await register(suite.deployment, f"{NORTH}.{name}", role, person)
    async with suite.clinic(name=name) as client:
        yield client


async def put(ehr: Clinic, resource: Resource) -> None:
    path = f"{resource['resourceType']}/{resource['id']}"
    answer = await ehr.call("PUT", "screening", path, resource=resource)
    assert answer.status_code in {200, 201}, answer.text


def told(bodies: list[bytes]) -> dict[int, tuple[bool, list[str]]]:
    """By number whether the event names its focus, and the types of resources that came in the same notification."""
    found: dict[int, tuple[bool, list[str]]] = {}
    for body in bodies:
        entries = orjson.loads(body)["entry"]
        types = [each["resource"]["resourceType"] for each in entries[1:] if "resource" in each]
        for parameter in entries[0]["resource"]["parameter"]:
            if parameter["name"] == "notification-event":
                parts = {part["name"]: part for part in parameter["part"]}
                found[int(parts["event-number"]["valueString"])] = ("focus" in parts, types)
    return found


async def answered(ehr: Clinic, person: Resource) -> str:
    """The id of another response of this person."""
    answer = await ehr.submit(await ehr.form("phq-9", PHQ_9_OF_10, person))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def sees(client: Clinic, service: str, path: str) -> bool:
    status = (await client.call("GET", service, path)).status_code
    assert status in {200, 404}
    return status == 200


async def subscribed(partner: Clinic, suite: Suite, person: str) -> str:
    wanted = subscription(suite) | {"criteria": "https://stepwell.health/fhir/SubscriptionTopic/score-finalized"}
    wanted["_criteria"] = asking(f"QuestionnaireResponse?patient=Patient/{person}")
    answer = await partner.call("POST", "screening", "Subscription", resource=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_what_a_person_permits_is_seen_and_told_and_after_the_withdrawal_no_more(suite: Suite) -> None:
    mother, hub = f"RelatedPerson/{uuid.uuid4()}", f"Organization/{uuid.uuid4()}"
    async with (
        suite.clinic() as ehr,
        acting_for(suite, "related-person", mother) as family,
        acting_for(suite, "outside-organisation", hub) as partner,
        listening(suite.listener_port) as listener,
    ):
        person = await ehr.patient()
        related = {"resourceType": "RelatedPerson", "id": mother.partition("/")[2]}
        consent = sharing(person["id"], provision("permit", mother, hub), id_=str(uuid.uuid4()))
        id_ = await subscribed(partner, suite, person["id"])
        await nothing_before(ehr, listener, family, person)

        await put(ehr, {**related, "patient": {"reference": f"Patient/{person['id']}"}})
        await put(ehr, consent)
        second = await answered(ehr, person)
        await until(lambda: has_heard(listener, 2))
        assert told(listener.bodies)[2][0]
        assert await sees(family, "screening", f"QuestionnaireResponse/{second}")
        await until(lambda: sees(family, "measurement", f"Patient/{person['id']}"))
        await until(lambda: has_scores(family, 2))

        listener.answer = lambda body: 503
        await answered(ehr, person)
        await put(ehr, {**consent, "status": "inactive"})
        assert not await sees(family, "screening", f"QuestionnaireResponse/{second}")
        await until(lambda: has_none(family))
        count = len(listener.bodies)
        listener.answer = lambda body: 200
        await until(lambda: has_heard(listener, 3, count))
        assert told(listener.bodies[count:])[3] == (False, [])
        await nothing_again(partner, id_)


async def nothing_before(ehr: Clinic, listener: Listener, family: Clinic, person: Resource) -> None:
    """Before there is a Consent the mother sees nobody, and the partner hears that there is something, not what."""
    first = await answered(ehr, person)
    await until(lambda: has_heard(listener, 1))
    assert told(listener.bodies)[1] == (False, [])
    assert first not in str(listener.bodies)
    assert not await sees(family, "screening", f"QuestionnaireResponse/{first}")
    assert not await sees(family, "screening", f"Patient/{person['id']}")


async def nothing_again(partner: Clinic, id_: str) -> None:
    """What was told under the Consent cannot be had again without it; the numbers have no gap."""
    answer = await partner.call("GET", "screening", f"Subscription/{id_}/$events")
    assert answer.status_code == 200, answer.text
    assert told([answer.content]) == {1: (False, []), 2: (False, []), 3: (False, [])}


async def has_heard(listener: Listener, number: int, since: int = 0) -> bool:
    return number in told(listener.bodies[since:])


async def has_scores(family: Clinic, count: int) -> bool:
    return len(await family.search("measurement", "Observation")) >= count


async def has_none(family: Clinic) -> bool:
    found: list[Any] = await family.search("measurement", "Observation")
    return found == []
