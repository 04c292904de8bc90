"""Promises of what goes to partners: in parts, none twice, and only the partner's own answer counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import orjson
import pytest
from stepwell_shared.auth.keys import make_private_key
from stepwell_shared.events.answers import Verdict
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.notification import ReceivedEvent, parse_notification
from stepwell_shared.events.outbox import Entry
from stepwell_shared.events.progress import Numbered, PendingEvent, Subscription
from stepwell_shared.events.topics import Topic
from stepwell_shared.federation.courier import PartnerCourier
from stepwell_shared.federation.exchange import Exchange, NotReadyError, Outgoing
from stepwell_shared.federation.link import BYTES_MIN
from stepwell_shared.federation.pairing import feed_subscription
from stepwell_shared.federation.partners import Feed, Partner, Partners, feed_id
from stepwell_shared.federation.tokens import PartnerTokens

from tests.shared.federation.pairs import OUR_URL, hub

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TOPIC = Topic("referral-changed", ("Task",), ("owner", "requester"), "")


class OnePartner(Partners):
    """The hub alone, without a database."""

    def __init__(self, partner: Partner | None) -> None:
        self._partner = partner

    async def all(self, tenant: str) -> Sequence[Partner]:
        return [] if self._partner is None else [self._partner]

    async def fed_by(self, tenant: str, subscription_id: str) -> tuple[Partner, Feed] | None:
        found = {
            feed_id(OUR_URL, tenant, each.name, feed): (each, feed) for each in await self.all(tenant) for feed in Feed
        }
        return found.get(subscription_id)


@dataclass
class Stage:
    """A courier whose requests `answer` takes; what was posted and what the service was told of."""

    folder: Path
    answer: Callable[[httpx.Request], httpx.Response]
    partner: Partner | None = field(default_factory=hub)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def courier(self) -> PartnerCourier:
        key_file = self.folder / "key.jwk"
        make_private_key(key_file)
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answered))
        tokens = PartnerTokens(http, key_file)

        async def token(tenant: str) -> str:
            return "our-own"

        exchange = Exchange(TOPIC, OnePartner(self.partner), self._concerns, self._outgoing, self._refused, self._take)
        return PartnerCourier(
            *(http, OUR_URL, token, EndpointPolicy(["peer.example.org"])),
            partners=exchange.partners,
            tokens=tokens,
            http=http,
            exchange=exchange,
        )

    def _answered(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "t", "expires_in": 300})
        self.bodies.append(orjson.loads(request.content))
        return self.answer(request)

    async def _concerns(self, partner: Partner, event: PendingEvent) -> bool:
        return True

    async def _outgoing(self, partner: Partner, event: PendingEvent) -> Outgoing:
        if event.focus == "Task/early":
            raise NotReadyError("not here yet")
        entry = {"fullUrl": f"urn:uuid:{event.focus}", "resource": {"text": "x" * BYTES_MIN}}
        shared = {"fullUrl": "urn:uuid:person", "resource": {}}
        return Outgoing([shared, entry], alone=event.focus == "Task/abort")

    async def _refused(self, partner: Partner, event: PendingEvent, reason: str) -> None:
        self.refusals.append(f"{event.focus}: {reason}")

    async def _take(self, partner: Partner, event: ReceivedEvent) -> None:
        raise AssertionError("nothing is received here")


def subscription(feed: Feed = Feed.REFERRALS) -> Subscription:
    _, row = feed_subscription(OUR_URL, hub(), feed, TOPIC, is_on=True)
    return Subscription(
        tenant="north",
        subscription_id=row.subscription_id,
        topic=row.topic,
        endpoint=row.endpoint,
        content=row.content,
        headers=(),
        filters=("Task?owner=x",),
        timeout_seconds=60,
        max_count=32,
        internal=True,
        status="active",
        cursor=(1, 0),
        next_event_number=1,
        attempts=0,
        waiting_due=False,
        held_back=False,
    )


def numbered(*names: str) -> list[Numbered]:
    """Events under numbers from 1, each about the Task of that name."""
    raw = msgspec.Raw(b'{"resourceType":"Task"}')
    return [
        Numbered(n, PendingEvent((1, n), name, f"Task/{name}", [Entry(f"{OUR_URL}/Task/{name}", raw)], None, NOW))
        for n, name in enumerate(names, 1)
    ]


def accepted(request: httpx.Request) -> httpx.Response:
    count = len(orjson.loads(request.content)["entry"])
    return httpx.Response(200, json={"type": "transaction-response", "entry": [{}] * count})


def refusal(status: int = 422) -> httpx.Response:
    issue = {
        "severity": "error",
        "code": "business-rule",
        "diagnostics": "no",
        "expression": ["Bundle.entry[1].resource"],
    }
    return httpx.Response(status, json={"resourceType": "OperationOutcome", "issue": [issue]})


def sent(stage: Stage) -> list[list[str]]:
    """The Tasks of each Bundle that was posted."""
    urls = [[entry["fullUrl"] for entry in body["entry"]] for body in stage.bodies]
    return [[url.rpartition("/")[2] for url in each if "person" not in url] for each in urls]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>accept our terms of use</html>"),
        httpx.Response(200),
        httpx.Response(200, json={"resourceType": "Bundle", "type": "searchset"}),
        httpx.Response(200, json={"type": "transaction-response", "entry": [{}]}),
        httpx.Response(302, headers={"Location": "https://elsewhere.example"}),
        httpx.Response(401),
        httpx.Response(503),
    ],
)
@pytest.mark.parametrize("feed", list(Feed))
async def test_what_the_partner_did_not_answer_is_not_delivered(
    answer: httpx.Response, feed: Feed, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, lambda request: answer)
    told = await stage.courier().send(subscription(feed), "event-notification", numbered("a", "b"), 2)
    assert told.verdict in (Verdict.UNAVAILABLE, Verdict.FAULTY)
    assert stage.refusals == []


async def test_a_partner_that_is_registered_no_more_is_sent_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, accepted, partner=None)
    told = await stage.courier().send(subscription(), "event-notification", numbered("a"), 1)
    assert (told.verdict, stage.bodies) == (Verdict.UNAVAILABLE, [])


async def test_what_is_not_ready_waits_and_says_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path, accepted)
    told = await stage.courier().send(subscription(), "event-notification", numbered("early"), 1)
    assert (told.verdict, told.reason, stage.bodies) == (Verdict.FAULTY, "not here yet", [])


async def test_a_refusal_of_one_is_told_and_a_refusal_of_several_is_looked_at_one_by_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path, lambda request: refusal())
    courier = stage.courier()
    several = await courier.send(subscription(), "event-notification", numbered("a", "b"), 2)
    assert (several.verdict, stage.refusals) == (Verdict.REFUSED, [])
    one = await courier.send(subscription(), "event-notification", numbered("a"), 1)
    assert (one.verdict, len(stage.refusals)) == (Verdict.REFUSED, 1)


async def test_a_person_of_two_referrals_stands_in_a_bundle_once_and_what_must_be_alone_is(tmp_path: Path) -> None:
    stage = Stage(tmp_path, accepted)
    told = await stage.courier().send(subscription(), "event-notification", numbered("a", "b", "abort", "c"), 4)
    assert told.verdict is Verdict.DELIVERED
    assert sent(stage) == [["a", "b"], ["abort"], ["c"]]
    assert [len(body["entry"]) for body in stage.bodies] == [3, 2, 2]


async def test_after_a_broken_line_only_what_did_not_arrive_is_sent_again_in_smaller_parts(tmp_path: Path) -> None:
    names = [f"t{number}" for number in range(30)]
    breaks = iter([False, True, True, True, True, True])

    def answer(request: httpx.Request) -> httpx.Response:
        if next(breaks, False):
            raise httpx.ReadError("the line broke")
        return accepted(request)

    stage = Stage(tmp_path, answer)
    courier = stage.courier()
    verdicts: list[Verdict] = []
    while not verdicts or verdicts[-1] is not Verdict.DELIVERED:
        verdicts.append((await courier.send(subscription(), "event-notification", numbered(*names), 30)).verdict)
    assert verdicts == [Verdict.UNAVAILABLE] * 5 + [Verdict.DELIVERED]
    bundles = sent(stage)
    lost, arrived = bundles[1:6], [bundles[0], *bundles[6:]]
    assert [name for bundle in arrived for name in bundle] == names
    assert [len(bundle) for bundle in lost] == sorted((len(bundle) for bundle in lost), reverse=True)
    assert len(lost[-1]) == 1


async def test_status_goes_as_numbered_notifications_and_needs_the_receivers_word(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"resourceType": "OperationOutcome", "issue": []})

    stage = Stage(tmp_path, answer)
    told = await stage.courier().send(subscription(Feed.STATUS), "event-notification", numbered("a", "b"), 2)
    assert told.verdict is Verdict.DELIVERED
    (body,) = stage.bodies
    received = parse_notification(orjson.dumps(body))
    assert [event.number for event in received.events] == [1, 2]
    assert received.subscription == f"{OUR_URL}/Subscription/{subscription(Feed.STATUS).subscription_id}"


@pytest.mark.parametrize("filters", [(), ("Task?status:not=draft",)])
async def test_subscriptions_of_others_are_served_as_ever(tmp_path: Path, filters: tuple[str, ...]) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200)

    stage = Stage(tmp_path, answer)
    other = replace(subscription(), filters=filters, endpoint="http://peer.example.org/notifications")
    told = await stage.courier().send(other, "event-notification", numbered("a"), 1)
    assert (told.verdict, seen) == (Verdict.DELIVERED, ["Bearer our-own"])
