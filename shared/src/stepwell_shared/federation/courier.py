"""Brings events to partners: referrals as transaction Bundles, status as notifications, in parts that a link can carry.

It stands where the courier of other subscriptions stands, so that numbers, order, backoff and parking are the same.
What a partner has answered for is not sent again while this process lives; after that the identifiers in what is sent
make a second time harmless.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import orjson

from stepwell_shared.canonical import FIGURES_SYSTEM
from stepwell_shared.events.answers import Answer, Verdict, read_answer
from stepwell_shared.events.courier import Courier, TokenProvider
from stepwell_shared.events.endpoints import EndpointPolicy
from stepwell_shared.events.notification import Addressee, NumberedEvent, notification
from stepwell_shared.events.outbox import Entry
from stepwell_shared.events.progress import Numbered, Subscription
from stepwell_shared.events.withholding import Withhold, withhold_all
from stepwell_shared.federation.exchange import Exchange, NotReadyError
from stepwell_shared.federation.link import Link, Mark, timeout_seconds
from stepwell_shared.federation.partners import Feed, Partner, Partners
from stepwell_shared.federation.tokens import PartnerTokens
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.http_client import AddressError, HttpClient, HttpError

log = logging.getLogger(__name__)

PARTNER_ANSWER_BYTES_MAX = 1024 * 1024
FHIR_JSON = "application/fhir+json"
# How the filter of each subscription that feeds a partner begins (`pairing.feed_subscription`).
FED_BY = ("owner=", "requester=", f"identifier={FIGURES_SYSTEM}")


@dataclass(frozen=True, slots=True)
class _Part:
    """One event ready to go: Bundle entries by fullUrl, or what a notification tells of it."""

    numbered: Numbered
    entries: dict[str, bytes]
    size_bytes: int
    alone: bool = False
    news: Sequence[Entry] = ()

    @property
    def mark(self) -> Mark:
        return self.numbered.number, self.numbered.event.cursor


class PartnerCourier(Courier):
    """A courier that knows which subscriptions feed partners; `http` is the guarded client that calls these."""

    def __init__(
        self,
        client: HttpClient,
        base_url: str,
        token: TokenProvider,
        endpoints: EndpointPolicy,
        *,
        partners: Partners,
        tokens: PartnerTokens,
        http: HttpClient,
        exchange: Exchange,
        withhold: Withhold = withhold_all,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(client, base_url, token, endpoints, withhold)
        self._partners = partners
        self._tokens = tokens
        self._http = http
        self._exchange = exchange
        self._our_url = base_url.rstrip("/")
        self._clock = clock
        self._links: dict[tuple[str, str], Link] = {}

    async def send(
        self, subscription: Subscription, kind: str, numbered: Sequence[Numbered], events_total: int
    ) -> Answer:
        """See `Courier`. What could not be sent whole is gone on with at the first part that did not arrive."""
        if not may_feed_partner(subscription):
            return await super().send(subscription, kind, numbered, events_total)
        fed = await self._partners.fed_by(subscription.tenant, subscription.subscription_id)
        if fed is None:
            return Answer(Verdict.UNAVAILABLE, "the partner is not registered any more")
        partner, feed = fed
        link = self._links.setdefault((subscription.tenant, subscription.subscription_id), Link())
        try:
            parts = await self._prepared(partner, feed, numbered)
        except NotReadyError as error:
            return Answer(Verdict.FAULTY, str(error))
        except FhirError as error:
            return Answer(Verdict.UNAVAILABLE, error.category.value)
        link.forget_below(min(n.number for n in numbered))
        for group in link.parts([part for part in parts if part.mark not in link.arrived]):
            body, names_count = self._body(subscription, feed, group, events_total)
            answer = await self._post_part(partner, feed, link, body, names_count)
            if answer.verdict is not Verdict.DELIVERED:
                await self._tell(partner, group, answer)
                return answer
            link.arrived.update(part.mark for part in group)
        return Answer(Verdict.DELIVERED)

    async def _prepared(self, partner: Partner, feed: Feed, numbered: Sequence[Numbered]) -> list[_Part]:
        if not feed.is_sent:
            return [await self._news(partner, n) for n in numbered]
        parts = [await self._referral(partner, n) for n in numbered]
        return [part for part in parts if part.entries]

    async def _news(self, partner: Partner, n: Numbered) -> _Part:
        news = await self._exchange.news(partner, n.event)
        return _Part(n, {}, sum(len(memoryview(entry.resource)) for entry in news), news=news)

    async def _referral(self, partner: Partner, n: Numbered) -> _Part:
        outgoing = await self._exchange.outgoing(partner, n.event)
        entries = {str(entry["fullUrl"]): encode(entry) for entry in outgoing.entries}
        return _Part(n, entries, sum(map(len, entries.values())), outgoing.alone)

    def _body(
        self, subscription: Subscription, feed: Feed, group: Sequence[_Part], events_total: int
    ) -> tuple[bytes, int]:
        """What is posted, and how many entries the answer must have (0 for a notification)."""
        if feed.is_sent:
            entries = {url: text for part in group for url, text in part.entries.items()}
            head = b'{"resourceType":"Bundle","type":"transaction","entry":['
            return head + b",".join(entries.values()) + b"]}", len(entries)
        url = f"{self._our_url}/Subscription/{subscription.subscription_id}"
        addressee = Addressee(url, subscription.topic, "active", "full-resource")
        events = [NumberedEvent(p.numbered.number, p.numbered.event.recorded, p.news) for p in group]
        kind, sent = "event-notification", datetime.now(UTC)
        return notification(addressee, kind, events, events_total=events_total, sent=sent), 0

    async def _post_part(self, partner: Partner, feed: Feed, link: Link, body: bytes, entries_count: int) -> Answer:
        """One request. Whatever is no answer of the partner's own says nothing about what was sent."""
        started = self._clock()
        url = partner.base_url if feed.is_sent else partner.notifications_url
        try:
            token = await self._tokens.token_for(partner)
            started = self._clock()
            async with asyncio.timeout(timeout_seconds(len(body))):
                status, text = await self._exchanged(url, token, body)
        except FhirError as error:
            return Answer(Verdict.UNAVAILABLE, f"no token: {error.issues[0].diagnostics}"[:300])
        except AddressError:
            return Answer(Verdict.UNAVAILABLE, "the partner's address is not on the public internet")
        except (HttpError, OSError, TimeoutError) as error:
            link.failed()
            return Answer(Verdict.UNAVAILABLE, type(error).__name__)
        if status == 401:
            self._tokens.forget(partner)
        answer = read_answer(status, text, internal=True)
        if answer.verdict is Verdict.DELIVERED and not _is_from_partner(text, entries_count):
            link.failed()
            return Answer(Verdict.UNAVAILABLE, "something on the way answered in the partner's place")
        link.succeeded(len(body), self._clock() - started)
        await self._exchange.heard(partner)
        return answer

    async def _exchanged(self, url: str, token: str, body: bytes) -> tuple[int, bytes]:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": FHIR_JSON,
            "Accept": FHIR_JSON,
            "Prefer": "return=minimal",
        }
        answer = bytearray()
        async with self._http.stream("POST", url, content=body, headers=headers) as response:
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > PARTNER_ANSWER_BYTES_MAX:
                    break
            return response.status_code, bytes(answer)

    async def _tell(self, partner: Partner, group: Sequence[_Part], answer: Answer) -> None:
        """A refusal of one event is shown where people look for it; the event itself is tried again or parked."""
        if answer.verdict is not Verdict.REFUSED or len(group) != 1:
            return
        try:
            await self._exchange.refused(partner, group[0].numbered.event, answer.reason)
        except FhirError as error:
            log.warning("a refusal by %s is not shown yet: %s", partner.name, error.category.value)


def may_feed_partner(subscription: Subscription) -> bool:
    """False for certain: subscriptions of clients, and of our own services, which ask for nobody's referrals alone."""
    return subscription.internal and any(text.partition("?")[2].startswith(FED_BY) for text in subscription.filters)


def _is_from_partner(text: bytes, entries_count: int) -> bool:
    """Whether an answer of success is what the partner's service answers, and not a page on the way to it."""
    try:
        answer: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(answer, dict):
        return False
    if entries_count == 0:
        return answer.get("resourceType") == "OperationOutcome"
    return answer.get("type") == "transaction-response" and len(answer.get("entry", [])) == entries_count
