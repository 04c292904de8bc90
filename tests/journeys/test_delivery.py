"""Subscriptions as an EHR meets them: what is refused, how they stand, what comes back after an outage, and to whom."""

import asyncio
from typing import Any

import asyncpg
import orjson
import pytest

from tests.support import postgres
from tests.support.listener import Listener, listening
from tests.support.suite import NORTH, SOUTH, Clinic, Resource, Suite
from tests.support.waiting import until

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
CANONICAL = "https://stepwell.health/fhir"


def subscription(suite: Suite, topic: str = "patient-changed", *filters: str, path: str = "n") -> Resource:
    """A Subscription of full resources that a listener of the test hears."""
    content = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": "full-resource"}
    resource: Resource = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "tell the record system of the practice",
        "criteria": f"{CANONICAL}/SubscriptionTopic/{topic}",
        "channel": {
            "type": "rest-hook",
            "endpoint": f"http://127.0.0.1:{suite.listener_port}/{path}",
            "payload": "application/fhir+json",
            "_payload": {"extension": [content]},
            "header": ["X-Api-Key: secret"],
        },
    }
    return {**resource, "_criteria": asking(*filters)} if filters else resource


def asking(*filters: str) -> Resource:
    """The extensions that carry filters."""
    return {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": text} for text in filters]}


def events(body: bytes) -> list[tuple[int, str]]:
    """Number and focus of each event of a notification, in order."""
    found = []
    for parameter in orjson.loads(body)["entry"][0]["resource"]["parameter"]:
        if parameter["name"] == "notification-event":
            parts = {part["name"]: part for part in parameter["part"]}
            focus = parts["focus"]["valueReference"]["reference"]
            found.append((int(parts["event-number"]["valueString"]), "/".join(focus.rsplit("/", 2)[-2:])))
    return found


def heard(listener: Listener, path: str = "/n") -> list[tuple[int, str]]:
    """All events that came to this path, in order of their arrival."""
    bodies = zip(listener.paths, listener.bodies, strict=True)
    return [event for where, body in bodies if where == path for event in events(body)]


async def status_of(ehr: Clinic, id_: str) -> dict[str, list[Any]]:
    """What `$status` says of one Subscription: values by parameter name."""
    answer = await ehr.call("GET", "screening", f"Subscription/{id_}/$status")
    assert answer.status_code == 200, answer.text
    (entry,) = answer.json()["entry"]
    found: dict[str, list[Any]] = {}
    for parameter in entry["resource"]["parameter"]:
        value = next(value for name, value in parameter.items() if name.startswith("value"))
        found.setdefault(parameter["name"], []).append(value)
    return found


async def counted(ehr: Clinic, id_: str, events_total: int) -> None:
    """Returns when `$status` counts so many events: the receiver has each a moment before that is written down."""

    async def is_counted() -> bool:
        return (await status_of(ehr, id_))["events-since-subscription-start"] == [str(events_total)]

    await until(is_counted, 20)


async def shown(ehr: Clinic, id_: str, status: str) -> Resource:
    """The Subscription, once it says that it has this status."""
    (found,) = await ehr.wait_for("screening", "Subscription", _id=id_, status=status)
    return found


async def test_a_subscriber_that_was_down_gets_everything_in_order_and_sees_why_nothing_came(suite: Suite) -> None:
    async with suite.clinic() as clinic, suite.clinic(name="ehr") as ehr:
        async with listening(suite.listener_port):
            id_ = (await ehr.create("screening", subscription(suite)))["id"]
            active = await shown(ehr, id_, "active")
            assert active["channel"]["header"] == ["X-Api-Key: ***"]
        people = [await clinic.patient() for _ in range(6)]
        failed = await shown(ehr, id_, "error")
        assert failed["error"]
        state = await status_of(ehr, id_)
        assert (state["status"], state["type"], state["error"][0]["text"]) == (
            *(["error"], ["query-status"]),
            failed["error"],
        )
        async with listening(suite.listener_port) as listener:
            again = {**subscription(suite), "id": id_, "status": "active"}
            assert (await ehr.call("PUT", "screening", f"Subscription/{id_}", resource=again)).status_code == 200
            await until(lambda: len(heard(listener)) >= 6)
            assert heard(listener) == [(n, f"Patient/{person['id']}") for n, person in enumerate(people, 1)]
            await counted(ehr, id_, 6)
            active = await shown(ehr, id_, "active")
            assert "error" not in active
            assert "error" not in await status_of(ehr, id_)
            assert (await ehr.call("DELETE", "screening", f"Subscription/{id_}")).status_code == 204


async def test_a_subscriber_that_was_down_for_a_day_gets_every_hours_event_in_order_without_asking(
    suite: Suite,
) -> None:
    name = suite.deployment.databases["screening"].runtime.partition("?")[0].rpartition("/")[2]
    database = await asyncpg.connect(postgres.server().url(name))
    async with suite.clinic() as clinic, suite.clinic(name="ehr") as ehr:
        async with listening(suite.listener_port):
            id_ = (await ehr.create("screening", subscription(suite, path="day")))["id"]
            await shown(ehr, id_, "active")
        people = []
        for _ in range(24):
            people.append(f"Patient/{(await clinic.patient())['id']}")
            await backed_off(database, id_)
            await hours_pass(database, id_, people, 1)
        assert (await status_of(ehr, id_))["status"] == ["error"]
        async with listening(suite.listener_port) as listener:
            await hours_pass(database, id_, people, 24)  # the longest pause between two attempts
            await until(lambda: len(heard(listener, "/day")) >= 24)
            assert heard(listener, "/day") == list(enumerate(people, 1))
            await shown(ehr, id_, "active")
            await ehr.call("DELETE", "screening", f"Subscription/{id_}")
    await database.close()


async def backed_off(database: asyncpg.Connection, id_: str) -> None:
    """Returns when the subscription's last attempt has failed and the next one is ahead."""
    waits = (
        "SELECT attempts > 0 AND next_attempt_at > clock_timestamp() FROM subscription_state WHERE subscription_id = $1"
    )
    await until(lambda: database.fetchval(waits, id_), 20)


async def hours_pass(database: asyncpg.Connection, id_: str, people: list[str], hours: int) -> None:
    """Everything that delivery knows of the subscription and of these people's events is so much older."""
    await database.execute(
        "UPDATE subscription_state SET next_attempt_at = next_attempt_at - make_interval(hours => $2),"
        " last_sent_at = last_sent_at - make_interval(hours => $2) WHERE subscription_id = $1",
        id_,
        hours,
    )
    await database.execute(
        "UPDATE outbox SET recorded = recorded - make_interval(hours => $2) WHERE focus = ANY ($1)", people, hours
    )


async def test_past_events_can_be_had_by_number_by_whoever_may_read_them_alone(suite: Suite) -> None:
    async with (
        listening(suite.listener_port) as listener,
        suite.clinic() as clinic,
        suite.clinic(name="ehr") as ehr,
        suite.clinic(SOUTH, "ehr") as stranger,
    ):
        id_ = (await ehr.create("screening", subscription(suite)))["id"]
        await shown(ehr, id_, "active")
        people = [await clinic.patient() for _ in range(3)]
        await until(lambda: len(heard(listener)) == 3)
        await counted(ehr, id_, 3)
        address = f"Subscription/{id_}/$events"
        wanted = {"eventsSinceNumber": "2", "eventsUntilNumber": "3", "content": "id-only"}
        answer = await ehr.call("GET", "screening", address, parameters=wanted)
        assert answer.json()["type"] == "history"
        assert events(answer.content) == [(n, f"Patient/{people[n - 1]['id']}") for n in (2, 3)]
        assert "resource" not in answer.json()["entry"][1]
        asked = {
            "resourceType": "Parameters",
            "parameter": [{"name": "eventsSinceNumber", "valueString": "3"}],
        }
        answer = await ehr.call("POST", "screening", address, resource=asked)
        assert events(answer.content) == [(3, f"Patient/{people[2]['id']}")]
        assert answer.json()["entry"][1]["resource"]["id"] == people[2]["id"]
        for parameters in ({"eventsSinceNumber": "x"}, {"content": "all"}, {"since": "1"}):
            assert (await ehr.call("GET", "screening", address, parameters=parameters)).status_code == 400
        assert (await clinic.call("GET", "screening", address)).status_code == 403
        assert (await stranger.call("GET", "screening", address)).status_code == 404
        assert (await stranger.call("GET", "screening", f"Subscription/{id_}/$status")).status_code == 404
        ours = await ehr.call("GET", "screening", "Subscription/$status", parameters={"status": "active", "id": id_})
        assert ours.json()["total"] == 1
        theirs = await stranger.call("GET", "screening", "Subscription/$status", parameters={"id": id_})
        assert (theirs.json()["total"], "entry" in theirs.json()) == (0, False)
        await ehr.call("DELETE", "screening", f"Subscription/{id_}")


async def test_an_event_that_fails_holds_back_nobody_but_its_own_person(suite: Suite) -> None:
    async with (
        listening(suite.listener_port) as listener,
        suite.clinic() as clinic,
        suite.clinic(name="ehr") as ehr,
    ):
        id_ = (await ehr.create("screening", subscription(suite)))["id"]
        await shown(ehr, id_, "active")
        poison = await clinic.patient()
        await until(lambda: len(heard(listener)) == 1)
        listener.answer = lambda body: 500 if poison["id"].encode() in body else 200
        changed = {**poison, "gender": "unknown"}
        assert (await clinic.call("PUT", "screening", f"Patient/{poison['id']}", resource=changed)).status_code == 200
        await until(lambda: (2, f"Patient/{poison['id']}") in heard(listener))
        others = [await clinic.patient() for _ in range(5)]
        wanted = [f"Patient/{person['id']}" for person in others]
        await until(lambda: [f for _, f in heard(listener) if f in wanted][-1:] == wanted[-1:])
        listener.answer = lambda body: 200
        refused = heard(listener).count((2, f"Patient/{poison['id']}"))
        await until(lambda: heard(listener).count((2, f"Patient/{poison['id']}")) > refused)
        await counted(ehr, id_, 7)
        await ehr.call("DELETE", "screening", f"Subscription/{id_}")


async def test_two_tenants_with_the_same_topic_and_filters_hear_of_their_own_events_alone(suite: Suite) -> None:
    phq_9 = f"QuestionnaireResponse?questionnaire={CANONICAL}/Questionnaire/phq-9"
    async with listening(suite.listener_port) as listener, suite.clinic() as north, suite.clinic(SOUTH) as south:
        made = []
        for tenant in (NORTH, SOUTH):
            async with suite.clinic(tenant, "ehr") as ehr:
                asked = subscription(suite, "score-finalized", phq_9, path=tenant)
                id_ = (await ehr.create("screening", asked))["id"]
                await shown(ehr, id_, "active")
                made.append((tenant, id_))
        expected = {}
        for tenant, clinic in ((NORTH, north), (SOUTH, south)):
            person = await clinic.patient()
            other = await clinic.submit(await clinic.form("gad-7", (1,) * 7, person))
            assert other.status_code == 201
            answered = await clinic.submit(await clinic.form("phq-9", (1,) * 8 + (0,), person))
            expected[tenant] = [(1, f"QuestionnaireResponse/{answered.json()['id']}")]
        await until(lambda: all(heard(listener, f"/{tenant}") for tenant in expected))
        await asyncio.sleep(0.5)
        assert {tenant: heard(listener, f"/{tenant}") for tenant in expected} == expected
        for tenant, id_ in made:
            async with suite.clinic(tenant, "ehr") as ehr:
                await ehr.call("DELETE", "screening", f"Subscription/{id_}")


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        ({"criteria": f"{CANONICAL}/SubscriptionTopic/unheard-of"}, "Subscription.criteria"),
        (
            {
                "_criteria": {
                    "extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": "Patient?name=x"}]
                }
            },
            "Subscription.criteria.extension[0]",
        ),
        ({"status": "error"}, "Subscription.status"),
    ],
)
async def test_what_would_never_fire_is_refused(suite: Suite, change: Resource, expression: str) -> None:
    async with suite.clinic(name="ehr") as ehr:
        refused = await ehr.call("POST", "screening", "Subscription", resource={**subscription(suite), **change})
        assert refused.status_code == 422
        assert [issue["expression"] for issue in refused.json()["issue"]] == [[expression]]


@pytest.mark.parametrize(
    "filter_", ["Task?status:contains=x", "Task?patient:missing=maybe", "Task?code=%00", "Task?status="]
)
async def test_a_filter_that_a_search_would_refuse_is_refused(suite: Suite, filter_: str) -> None:
    async with suite.clinic(name="ehr") as ehr:
        asked = subscription(suite, "safety-alert", filter_)
        refused = await ehr.call("POST", "screening", "Subscription", resource=asked)
        assert refused.status_code == 422, refused.text


async def test_the_capability_statement_tells_the_topics_and_the_operations(suite: Suite) -> None:
    async with suite.clinic() as clinic:
        (rest,) = (await clinic.call("GET", "screening", "metadata")).json()["rest"]
        (served,) = (each for each in rest["resource"] if each["type"] == "Subscription")
        assert served["supportedProfile"] == [f"{BACKPORT}/backport-subscription"]
        assert {operation["name"] for operation in served["operation"]} >= {"status", "events"}
        for topic in ("score-finalized", "safety-alert", "patient-changed"):
            assert f"{CANONICAL}/SubscriptionTopic/{topic}" in served["documentation"]
