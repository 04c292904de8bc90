"""Pairs a tenant with a partner: the partner's Organization, and our subscriptions that feed it. Twice is once.

Referral exchanges what is asked of a partner, measurement figures: each keeps the partner in its own database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from stepwell_shared.canonical import FIGURES_SYSTEM
from stepwell_shared.database.pool import Database
from stepwell_shared.events.standing import standing
from stepwell_shared.events.subscriptions import CONTENT_URL, FILTER_URL, SUBSCRIPTION_PROFILE, SubscriptionRow
from stepwell_shared.events.topics import Topic
from stepwell_shared.federation.partners import Feed, Partner, feed_id, remove_partner, save_partner
from stepwell_shared.federation.registry import keep_registry
from stepwell_shared.fhir.copies import ship
from stepwell_shared.fhir.interactions import Engine

# Most events that are worked on before the first of them counts as done: a bad link must be able to finish them.
EVENTS_MAX = 32
TIMEOUT_SECONDS = 60


async def pair(
    database: Database, engine: Engine, partner: Partner, topic: Topic, now: datetime, advice: Topic | None = None
) -> None:
    """Keeps the partner and begins to feed it; a feed that is not agreed on any more ends. Progress is kept."""
    await save_partner(database, partner, now)
    await keep_registry(engine, partner)
    for feed, about, is_agreed in _feeds(partner, topic, advice):
        await _feed(database, engine, partner, feed, about, is_agreed=is_agreed)


async def pair_figures(database: Database, engine: Engine, partner: Partner, topic: Topic, now: datetime) -> None:
    """Keeps the partner for measurement and begins to send it figures, or ends that. Progress is kept."""
    await save_partner(database, partner, now)
    await _feed(database, engine, partner, Feed.FIGURES, topic, is_agreed=partner.is_given_figures)


async def _feed(
    database: Database, engine: Engine, partner: Partner, feed: Feed, topic: Topic, *, is_agreed: bool
) -> None:
    subscription, row = feed_subscription(engine.base_url, partner, feed, topic, is_on=is_agreed)
    if not is_agreed and not await standing(database, [partner.tenant], [row.subscription_id]):
        return  # there is nothing to end
    arrays = [[value] for value in row.values()]
    places = ", ".join(f"${n}" for n in range(2, len(arrays) + 2))
    await database.fetch(f"SELECT insert_subscription_state($1, {places})", partner.tenant, *arrays)
    if is_agreed:
        await ship(engine, partner.tenant, subscription)


async def unpair(
    database: Database, engine: Engine, partner: Partner, topic: Topic, now: datetime, advice: Topic | None = None
) -> None:
    """Ends all feeds and forgets the partner; what was exchanged stays, and so does its Organization."""
    await pair(database, engine, replace(partner, refers_here=False, referred_to=False), topic, now, advice)
    await remove_partner(database, partner.tenant, partner.name)


async def unpair_figures(database: Database, engine: Engine, partner: Partner, topic: Topic, now: datetime) -> None:
    """Ends what measurement sends and forgets the partner; what it reported stays."""
    await pair_figures(database, engine, replace(partner, shared=frozenset()), topic, now)
    await remove_partner(database, partner.tenant, partner.name)


def feed_subscription(
    base_url: str, partner: Partner, feed: Feed, topic: Topic, *, is_on: bool
) -> tuple[dict[str, Any], SubscriptionRow]:
    """The Subscription of a feed and its delivery state.

    Like those of our own services it is trusted by configuration, active at once and never given up: a partner may be
    away for weeks.
    """
    focus_type, *_ = topic.focus_types
    endpoint, owner = (partner.base_url, "owner") if feed.is_sent else (partner.notifications_url, "requester")
    criterion = f"{focus_type}?{owner}={partner.organization}"
    if feed is Feed.FIGURES:
        criterion = f"{focus_type}?identifier={FIGURES_SYSTEM}|"
    subscription_id = feed_id(base_url, partner.tenant, partner.name, feed)
    subscription = {
        "resourceType": "Subscription",
        "id": subscription_id,
        "meta": {"profile": [SUBSCRIPTION_PROFILE]},
        "status": "active",
        "reason": f"{feed} for {partner.name}",
        "criteria": topic.canonical,
        "_criteria": {"extension": [{"url": FILTER_URL, "valueString": criterion}]},
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": CONTENT_URL, "valueCode": "full-resource"}]},
        },
    }
    row = SubscriptionRow(
        subscription_id=subscription_id,
        topic=topic.canonical,
        endpoint=endpoint,
        content="full-resource",
        headers="[]",
        filters=orjson.dumps([criterion]).decode(),
        timeout_seconds=TIMEOUT_SECONDS,
        max_count=EVENTS_MAX,
        heartbeat_seconds=None,
        internal=True,
        status="active" if is_on else "off",
        ends_at=None,
    )
    return subscription, row


def _feeds(partner: Partner, topic: Topic, advice: Topic | None) -> Iterator[tuple[Feed, Topic, bool]]:
    yield Feed.REFERRALS, topic, partner.referred_to
    yield Feed.STATUS, topic, partner.refers_here
    if advice is not None:
        yield Feed.QUESTIONS, advice, partner.is_asked_for_advice
        yield Feed.ANSWERS, advice, partner.asks_for_advice
