"""Promises of whom we believe: a partner, about its own subscription and resources, once, and with no gap."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from stepwell_shared.auth.caller import Caller
from stepwell_shared.auth.keys import make_private_key
from stepwell_shared.database.pool import Database
from stepwell_shared.events.catch_up import CatchUpPolicy
from stepwell_shared.events.notification import Addressee, NumberedEvent, ReceivedEvent, notification
from stepwell_shared.events.outbox import decode_payload, event
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.events.topics import Topic
from stepwell_shared.federation.exchange import Exchange, Outgoing
from stepwell_shared.federation.partners import Partner, Partners, partner_scopes, remove_partner, save_partner
from stepwell_shared.federation.receiving import PartnerCatchUp, PartnerReceiver
from stepwell_shared.federation.tokens import PartnerTokens
from stepwell_shared.fhir.outcome import Category, FhirError

from tests.conftest import DatabaseOf
from tests.shared.federation.pairs import HUB_URL, OUR_URL, hub

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TOPIC = Topic("referral-changed", ("Task",), (), "")
OTHER = hub(
    name="other",
    base_url="https://other.example.org/referral/fhir",
    subscription_there="https://other.example.org/referral/fhir/Subscription/s1",
)


@dataclass
class Heard:
    """What the service was given: (partner, Task id)."""

    events: list[tuple[str, str]] = field(default_factory=list)

    async def concerns(self, partner: Partner, event: PendingEvent) -> bool:
        return False

    async def outgoing(self, partner: Partner, event: PendingEvent) -> Outgoing:
        return Outgoing()

    async def refused(self, partner: Partner, event: PendingEvent, reason: str) -> None:
        raise AssertionError("nothing is sent here")

    async def take(self, partner: Partner, event: ReceivedEvent) -> None:
        self.events.append((partner.name, (event.focus or "").rpartition("/")[2]))


@dataclass
class Side:
    """Our receiving side, with the hub and another as partners."""

    database: Database
    receiver: PartnerReceiver
    exchange: Exchange
    heard: Heard


@pytest.fixture
async def side(database_of: DatabaseOf) -> AsyncIterator[Side]:
    heard = Heard()
    async with Database.open((await database_of("referral")).runtime, connections_max=2) as database:
        for partner in (hub(), OTHER):
            await save_partner(database, partner, NOW)
        partners = Partners(database, OUR_URL)
        exchange = Exchange(TOPIC, partners, heard.concerns, heard.outgoing, heard.refused, heard.take)
        yield Side(database, PartnerReceiver(exchange, database), exchange, heard)


def caller_of(partner: Partner, tenant: str = "north") -> Caller:
    scopes = partner_scopes(replace(partner, tenant=tenant), OUR_URL)
    return Caller(tenant, f"{tenant}.partner-{partner.name}", scopes, "token-1", roles=("partner",))


def told(*numbers: int, by: str = HUB_URL, about: str = HUB_URL, kind: str = "event-notification") -> bytes:
    """A notification of Tasks t1, t2, ... under their numbers."""
    addressee = Addressee(f"{by}/Subscription/s1", TOPIC.canonical, "active", "full-resource")
    events = [NumberedEvent(n, NOW, decode_payload(_payload(about, n))) for n in numbers]
    return notification(addressee, kind, events, events_total=max(numbers, default=0), sent=NOW)


def _payload(base_url: str, number: int) -> bytes:
    task = {"resourceType": "Task", "id": f"t{number}", "for": {"reference": "Patient/p1"}}
    payload = event(TOPIC.canonical, "x", f"Task/t{number}", [(f"{base_url}/Task/t{number}", task)], NOW).values[3]
    assert isinstance(payload, bytes)
    return payload


@pytest.mark.parametrize(
    ("caller", "body"),
    [
        (replace(caller_of(hub()), client_id="north.service-routing"), told(1)),
        (caller_of(OTHER), told(1)),
        (caller_of(hub()), told(1, by=OTHER.base_url)),
        (caller_of(hub()), told(1, about=OTHER.base_url)),
        (caller_of(hub()), told(1, about=OUR_URL)),
        (caller_of(hub(), "south"), told(1)),
        (replace(caller_of(hub()), scopes=partner_scopes(hub(refers_here=True, referred_to=False), OUR_URL)), told(1)),
    ],
    ids=["own-service", "other-partner", "other-subscription", "others-resource", "our-resource", "tenant", "scopes"],
)
async def test_nobody_is_believed_about_what_is_not_its_own(side: Side, caller: Caller, body: bytes) -> None:
    with pytest.raises(FhirError) as refused:
        await side.receiver.take(caller, body)
    assert refused.value.category is Category.FORBIDDEN
    assert side.heard.events == []


async def test_a_partner_that_was_removed_is_not_believed_any_more(side: Side) -> None:
    await side.receiver.take(caller_of(hub()), told(1))
    await remove_partner(side.database, "north", "hub")
    side.exchange.partners._kept.clear()
    with pytest.raises(FhirError):
        await side.receiver.take(caller_of(hub()), told(2))


async def test_each_event_is_handled_once_and_answered_in_our_words(side: Side) -> None:
    for _ in range(2):
        answer = orjson.loads(await side.receiver.take(caller_of(hub()), told(1, 2)))
        assert answer["resourceType"] == "OperationOutcome"
    await side.receiver.take(caller_of(OTHER), told(1, by=OTHER.base_url, about=OTHER.base_url))
    assert side.heard.events == [("hub", "t1"), ("hub", "t2"), ("other", "t1")]


async def test_what_never_came_is_asked_for_with_our_token_and_handled(side: Side, tmp_path: Path) -> None:
    asked: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "there", "expires_in": 300})
        asked.append((str(request.url).partition("?")[0], request.headers.get("authorization")))
        return httpx.Response(200, content=told(2, 3, kind="query-event"))

    async def tenants() -> Sequence[str]:
        return ["north", "south"]

    make_private_key(tmp_path / "key.jwk")
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    catch_up = PartnerCatchUp(
        *(side.database, http, side.receiver, side.exchange.partners, PartnerTokens(http, tmp_path / "key.jwk")),
        tenants=tenants,
        policy=CatchUpPolicy(grace_seconds=0.0),
    )
    await side.receiver.take(caller_of(hub()), told(1))
    await side.receiver.take(caller_of(hub()), told(4))
    for _ in range(2):
        await catch_up.ask()
    assert asked == [(f"{HUB_URL}/Subscription/s1/$events", "Bearer there")]
    assert side.heard.events == [("hub", f"t{n}") for n in (1, 4, 2, 3)]


async def test_a_handshake_of_a_partner_is_answered(side: Side) -> None:
    body: dict[str, Any] = orjson.loads(await side.receiver.take(caller_of(hub()), told(kind="handshake")))
    assert (body["resourceType"], side.heard.events) == ("OperationOutcome", [])
