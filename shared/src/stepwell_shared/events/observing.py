"""Delivery in figures that can be watched and alerted on: how old, how much, what is parked; by tenant, topic, number.

They name subscriptions, never persons: no subject, focus or reason leaves here.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic

from stepwell_shared.events.standing import Standing
from stepwell_shared.events.upkeep import Upkeep
from stepwell_shared.telemetry.metrics import Labels, Metrics

Observe = Callable[[Upkeep], Iterable[tuple[Labels, float]]]


def observe(metrics: Metrics, upkeep: Upkeep) -> None:
    """Publishes what the upkeep saw when it last looked, and how long ago that was."""
    for name, labels, description, figure in _GAUGES:
        metrics.watch(name, description, labels, partial(figure, upkeep))


def _outbox_age(upkeep: Upkeep) -> Iterable[tuple[Labels, float]]:
    yield (), upkeep.figures.outbox_age_seconds


def _looked(upkeep: Upkeep) -> Iterable[tuple[Labels, float]]:
    yield (), monotonic() - upkeep.looked_at


def _statuses(upkeep: Upkeep) -> Iterable[tuple[Labels, float]]:
    for status, count in Counter(each.status for each in upkeep.standings).items():
        yield (status,), count


def _ages(upkeep: Upkeep) -> Iterable[tuple[Labels, float]]:
    for each in upkeep.standings:
        owed_for = 0.0 if each.oldest is None else max(0.0, (upkeep.looked - each.oldest).total_seconds())
        yield _named(each), owed_for


def _owed(upkeep: Upkeep) -> Iterable[tuple[Labels, float]]:
    for each in upkeep.standings:
        ahead = upkeep.backlogs.get((each.tenant, each.subscription_id), 0)
        yield _named(each), ahead + each.waiting


def _parked(upkeep: Upkeep) -> Iterable[tuple[Labels, float]]:
    for each in upkeep.standings:
        yield _named(each), each.parked


def _named(standing: Standing) -> Labels:
    return standing.tenant, standing.topic.rpartition("/")[2], standing.subscription_id


_DESTINATION = ("tenant", "topic", "subscription")
_GAUGES: tuple[tuple[str, Labels, str, Observe], ...] = (
    ("stepwell_outbox_age_seconds", (), "Age of the oldest event that somebody is still owed", _outbox_age),
    ("stepwell_outbox_watched_seconds", (), "How long ago the figures about events were taken", _looked),
    ("stepwell_delivery_age_seconds", _DESTINATION, "Age of the oldest event that a subscription is still owed", _ages),
    ("stepwell_delivery_owed", _DESTINATION, "Events ahead of a subscription or waiting for another attempt", _owed),
    ("stepwell_delivery_parked", _DESTINATION, "Events of a subscription that its receiver refuses", _parked),
    ("stepwell_subscriptions", ("status",), "Subscriptions by status", _statuses),
)
