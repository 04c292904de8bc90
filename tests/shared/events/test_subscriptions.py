"""What a Subscription may ask for, what delivery learns of it, what a reader sees; and what then happens."""

from typing import Any

import pytest
from stepwell_shared.database.pool import Database
from stepwell_shared.events.delivery import Delivery
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.notification import BACKPORT
from stepwell_shared.events.subscriptions import (
    CONTENT_URL,
    Peer,
    check_subscription,
    internal_subscription,
    mask_headers,
    state_of,
    subscribe_internally,
)
from stepwell_shared.events.topics import Topics

from tests.shared.events.conftest import TENANTS, Start, SubjectFilters, as_owner_of_rows
from tests.shared.events.subscriber import (
    ALERTS,
    BASE_URL,
    SCORES,
    Subscriber,
    Told,
    announce,
    refusal,
    scored,
    write,
)
from tests.support.waiting import until

A, B = TENANTS
TOPICS = Topics([SCORES, ALERTS])
STATE = "SELECT * FROM subscription_state"


def subscription(**changes: Any) -> dict[str, Any]:
    """An acceptable Subscription; `changes` go into its channel unless they name an element of the resource."""
    resource: dict[str, Any] = {
        "resourceType": "Subscription",
        "id": "s1",
        "status": "requested",
        "reason": "scores for our record",
        "criteria": SCORES.canonical,
        "channel": {
            "type": "rest-hook",
            "endpoint": "https://ehr.example.org/notify",
            "payload": "application/fhir+json",
            "_payload": content("full-resource"),
            "header": ["Authorization: Bearer secret"],
        },
    }
    for name, value in changes.items():
        holder = resource if name in ("status", "criteria", "_criteria", "end") else resource["channel"]
        holder[name] = value
    return resource


def content(level: str) -> dict[str, Any]:
    return {"extension": [{"url": CONTENT_URL, "valueCode": level}]}


def filtered(text: str) -> dict[str, Any]:
    return {"extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": text}]}


def asking(name: str, value: int) -> dict[str, Any]:
    kind = "valuePositiveInt" if name == "max-count" else "valueUnsignedInt"
    return {"url": f"{BACKPORT}/backport-{name}", kind: value}


@pytest.mark.parametrize(
    ("changes", "expression"),
    [
        ({"criteria": "https://stepwell.health/fhir/SubscriptionTopic/unheard-of"}, "Subscription.criteria"),
        ({"criteria": "Observation?code=1"}, "Subscription.criteria"),
        ({"_criteria": filtered("QuestionnaireResponse?status=final")}, "Subscription.criteria.extension[0]"),
        ({"_criteria": filtered("Task?patient=p1")}, "Subscription.criteria.extension[0]"),
        ({"_criteria": filtered("nonsense")}, "Subscription.criteria.extension[0]"),
        ({"type": "websocket"}, "Subscription.channel.type"),
        ({"endpoint": "http://ehr.example.org/notify"}, "Subscription.channel.endpoint"),
        ({"payload": "application/fhir+xml"}, "Subscription.channel.payload"),
        ({"payload": "application/fhir+json; fhirVersion=5.0"}, "Subscription.channel.payload"),
        ({"_payload": content("everything")}, "Subscription.channel.payload.extension"),
        ({"_payload": {}}, "Subscription.channel.payload.extension"),
        ({"header": ["no colon"]}, "Subscription.channel.header[0]"),
        ({"header": ["X-Key: a", None], "_header": [None, content("empty")]}, "Subscription.channel.header[1]"),
        ({"header": ["X-Key: a\r\nX-Other: b"]}, "Subscription.channel.header[0]"),
        ({"header": ["Host: elsewhere"]}, "Subscription.channel.header[0]"),
        ({"header": ["Authorization: ***"]}, "Subscription.channel.header[0]"),
        ({"extension": [asking("heartbeat-period", 0)]}, "Subscription.channel.extension[0]"),
        ({"extension": [asking("heartbeat-period", 86_401)]}, "Subscription.channel.extension[0]"),
        ({"extension": [asking("timeout", 3600)]}, "Subscription.channel.extension[0]"),
        ({"extension": [asking("timeout", 5), asking("timeout", 6)]}, "Subscription.channel.extension[1]"),
        ({"extension": [{"url": f"{BACKPORT}/backport-max-count"}]}, "Subscription.channel.extension[0]"),
        ({"extension": [asking("colour", 1)]}, "Subscription.channel.extension[0]"),
        ({"status": "error"}, "Subscription.status"),
    ],
)
def test_what_would_not_fire_is_refused(changes: dict[str, Any], expression: str) -> None:
    issues = check_subscription(subscription(**changes), TOPICS, EndpointPolicy(), SubjectFilters())
    assert [issue.expression for issue in issues] == [expression]


def test_a_topic_cannot_be_registered_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        Topics([SCORES, SCORES])


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://example.org/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://[::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://user:secret@example.org/",
        "https://postgres.internal/",
        "https://routing/",
        "file:///etc/passwd",
        "https://example.org:99999/",
        "",
    ],
)
def test_an_endpoint_inside_the_deployment_is_refused(endpoint: str) -> None:
    assert not EndpointPolicy(["routing:8002"]).may_post(endpoint)


@pytest.mark.parametrize("endpoint", ["https://ehr.example.org/n", "http://routing:8002/n", "https://127.0.0.1:9/n"])
def test_public_https_and_configured_hosts_are_allowed(endpoint: str) -> None:
    assert EndpointPolicy(["routing:8002", "127.0.0.1"]).may_post(endpoint)


def test_an_acceptable_subscription_becomes_its_row() -> None:
    resource = subscription(
        _criteria=filtered("QuestionnaireResponse?patient=p1"),
        extension=[asking("timeout", 5), asking("max-count", 10), asking("heartbeat-period", 60)],
    )
    assert check_subscription(resource, TOPICS, EndpointPolicy(), SubjectFilters()) == []
    row = state_of(resource)
    assert (row.subscription_id, row.topic, row.content, row.status) == (
        "s1",
        SCORES.canonical,
        "full-resource",
        "requested",
    )
    assert (row.timeout_seconds, row.max_count, row.heartbeat_seconds, row.internal) == (5, 10, 60, False)
    assert row.filters == '["QuestionnaireResponse?patient=p1"]'
    assert state_of(subscription(status="active")).status == "requested"
    assert state_of(subscription(status="off")).status == "off"


def test_header_values_are_masked_on_read_and_nothing_else_changes() -> None:
    stored = subscription()
    seen = mask_headers(stored)
    assert seen["channel"]["header"] == ["Authorization: ***"]
    assert stored["channel"]["header"] == ["Authorization: Bearer secret"]
    assert "secret" not in str(seen)
    bare = subscription()
    del bare["channel"]["header"]
    assert mask_headers(bare) == bare


def test_internal_ids_depend_on_tenant_topic_and_peer_but_not_on_the_address() -> None:
    def made(tenant: str, name: str, url: str) -> str:
        return str(internal_subscription(tenant, BASE_URL, Peer(SCORES, name, url))[0]["id"])

    assert made(A, "routing", "http://one/n") == made(A, "routing", "http://two/n")
    assert len({made(A, "routing", "u"), made(B, "routing", "u"), made(A, "measurement", "u")}) == 3


def test_a_peer_that_wants_some_events_only_has_its_filters_in_both_places() -> None:
    resource, row = internal_subscription(A, BASE_URL, Peer(SCORES, "routing", "u", ("Task?status:not=draft",)))
    assert [each["valueString"] for each in resource["_criteria"]["extension"]] == ["Task?status:not=draft"]
    assert row.filters == '["Task?status:not=draft"]'
    assert "_criteria" not in internal_subscription(A, BASE_URL, Peer(SCORES, "routing", "u"))[0]


async def test_subscribing_again_moves_the_address_and_keeps_the_progress(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    await subscribe_internally(database, A, BASE_URL, [Peer(SCORES, "routing", subscriber.url)])
    await announce(database, A, scored("r1", "p1"))
    delivery: Delivery = await start()
    await subscriber.heard(1)
    async with Subscriber().up() as moved:
        await subscribe_internally(database, A, BASE_URL, [Peer(SCORES, "routing", moved.url)])
        await announce(database, A, scored("r2", "p1"))
        delivery.wake(A)
        assert await moved.heard(1) == [(2, "r2")]
    assert len(await as_owner_of_rows(database, A, STATE)) == 1
    assert await as_owner_of_rows(database, B, STATE) == []


async def requested(database: Database, subscriber: Subscriber, **changes: Any) -> None:
    """Stores a subscription as its unit of work does."""
    row = state_of(subscription(endpoint=subscriber.url, **changes))
    await write(database, A, row.effect())


async def test_no_event_is_sent_before_the_handshake_is_answered(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    async def reluctant(told: Told) -> tuple[int, bytes]:
        return (503, b"") if len(subscriber.told) < 3 else (200, b"")

    subscriber.answering = reluctant
    await requested(database, subscriber)
    await announce(database, A, scored("r1", "p1"))
    await start()
    await subscriber.heard(1)
    assert [told.value("type") for told in subscriber.told] == [*["handshake"] * 3, "event-notification"]
    assert subscriber.told[0].value("status") == "requested"
    assert {told.headers["authorization"] for told in subscriber.told} == {"Bearer secret"}
    assert (await as_owner_of_rows(database, A, STATE))[0]["status"] == "active"


async def test_a_subscriber_that_never_answers_its_handshake_ends_in_error(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    async def never(told: Told) -> tuple[int, bytes]:
        return refusal(told)

    subscriber.answering = never
    await requested(database, subscriber)
    await announce(database, A, scored("r1", "p1"))
    # Eight attempts whose backoff doubles; the test does not wait for all of them.
    async with database.transaction(A) as connection:
        await connection.execute("UPDATE subscription_state SET attempts = 7")
    await start()
    await until(lambda: len(subscriber.told) == 1)
    state: list[Any] = []
    while not state or state[0]["status"] != "error":
        state = await as_owner_of_rows(database, A, STATE)
    assert state[0]["last_error"] == "HTTP 422 business-rule"
    assert subscriber.events == []
    await requested(database, subscriber)
    subscriber.answering = subscriber.accept
    assert await subscriber.heard(1) == [(1, "r1")]


async def test_a_subscription_that_is_off_or_ended_gets_nothing(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    async with Subscriber().up() as ended:
        await requested(database, subscriber, status="off")
        row = state_of({**subscription(endpoint=ended.url, end="2020-01-01T00:00:00Z"), "id": "s2"})
        await write(database, A, row.effect())
        await announce(database, A, scored("r1", "p1"))
        delivery = await start()
        delivery.wake(A)
        async with Subscriber().up() as witness:
            await subscribe_internally(database, A, BASE_URL, [Peer(SCORES, "routing", witness.url)])
            await announce(database, A, scored("r2", "p1"))
            await witness.heard(1)
        assert subscriber.told == ended.told == []


async def test_events_that_a_filter_leaves_out_take_no_number(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    await requested(database, subscriber, _criteria=filtered("QuestionnaireResponse?patient=Patient/p1,p3"))
    await announce(database, A, *(scored(f"r{n}", f"p{n}") for n in range(1, 5)))
    await start()
    assert await subscriber.heard(2) == [(1, "r1"), (2, "r3")]


async def test_content_levels_tell_no_more_than_was_asked_for(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    await requested(database, subscriber, _payload=content("id-only"))
    async with Subscriber().up() as empty:
        row = state_of({**subscription(endpoint=empty.url, _payload=content("empty")), "id": "s2"})
        await write(database, A, row.effect())
        await announce(database, A, scored("r1", "p1"))
        await start()
        await until(lambda: len(subscriber.told) == len(empty.told) == 2)
    id_only, nothing = subscriber.told[1], empty.told[1]
    assert "resource" not in id_only.bundle["entry"][1]
    assert id_only.bundle["entry"][1]["fullUrl"] == f"{BASE_URL}/QuestionnaireResponse/r1"
    assert len(nothing.bundle["entry"]) == 1
    assert "r1" not in nothing.body.decode()
    assert "score-finalized" not in nothing.body.decode()


async def test_who_is_told_under_consents_alone_hears_numbers_where_none_can_be_asked(
    database: Database, subscriber: Subscriber, start: Start
) -> None:
    row = state_of(subscription(endpoint=subscriber.url), actor="Organization/hub")
    await write(database, A, row.effect())
    await announce(database, A, scored("r1", "p1"))
    await start()
    await until(lambda: "event-notification" in [told.value("type") for told in subscriber.told])
    assert subscriber.told[-1].value("events-since-subscription-start") == "1"
    assert "r1" not in subscriber.told[-1].body.decode()


async def test_who_is_told_under_consents_alone_stays_so_whoever_changes_the_subscription(
    database: Database, subscriber: Subscriber
) -> None:
    resource = subscription(endpoint=subscriber.url)
    await write(database, A, state_of(resource, actor="Organization/hub").effect())
    await write(database, A, state_of({**resource, "status": "off"}).effect())
    await write(database, A, state_of(resource).effect())
    rows = await as_owner_of_rows(database, A, "SELECT actor, status FROM subscription_state")
    assert [(row["actor"], row["status"]) for row in rows] == [("Organization/hub", "requested")]
