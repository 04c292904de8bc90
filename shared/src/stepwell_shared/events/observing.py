"""Delivery in figures that can be watched and alerted on: how old, how much, what is parked; by tenant, topic, number.

They name subscriptions, never persons: no subject, focus or reason leaves here.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from time import monotonic

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from stepwell_shared.events.standing import Standing
from stepwell_shared.events.upkeep import Upkeep

Observe = Callable[[Upkeep], Iterable[Observation]]


def observe(meter: Meter, upkeep: Upkeep) -> None:
    """Publishes what the upkeep saw when it last looked, and how long ago that was."""
    for name, unit, description, figure in _GAUGES:
        meter.create_observable_gauge(name, [_callback(upkeep, figure)], unit, description)


def _callback(upkeep: Upkeep, figure: Observe) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _options: figure(upkeep)


def _outbox_age(upkeep: Upkeep) -> Iterable[Observation]:
    yield Observation(upkeep.figures.outbox_age_seconds)


def _looked(upkeep: Upkeep) -> Iterable[Observation]:
    yield Observation(monotonic() - upkeep.looked_at)


def _statuses(upkeep: Upkeep) -> Iterable[Observation]:
    for status, count in Counter(each.status for each in upkeep.standings).items():
        yield Observation(count, {"status": status})


def _ages(upkeep: Upkeep) -> Iterable[Observation]:
    for each in upkeep.standings:
        owed_for = 0.0 if each.oldest is None else max(0.0, (upkeep.looked - each.oldest).total_seconds())
        yield Observation(owed_for, _labels(each))


def _owed(upkeep: Upkeep) -> Iterable[Observation]:
    for each in upkeep.standings:
        ahead = upkeep.backlogs.get((each.tenant, each.subscription_id), 0)
        yield Observation(ahead + each.waiting, _labels(each))


def _parked(upkeep: Upkeep) -> Iterable[Observation]:
    for each in upkeep.standings:
        yield Observation(each.parked, _labels(each))


def _labels(standing: Standing) -> dict[str, str]:
    topic = standing.topic.rpartition("/")[2]
    return {"tenant": standing.tenant, "topic": topic, "subscription": standing.subscription_id}


_GAUGES: tuple[tuple[str, str, str, Observe], ...] = (
    ("stepwell_outbox_age_seconds", "s", "Age of the oldest event that somebody is still owed", _outbox_age),
    ("stepwell_outbox_watched_seconds", "s", "How long ago the figures about events were taken", _looked),
    ("stepwell_delivery_age_seconds", "s", "Age of the oldest event that a subscription is still owed", _ages),
    ("stepwell_delivery_owed", "1", "Events ahead of a subscription or waiting for another attempt", _owed),
    ("stepwell_delivery_parked", "1", "Events of a subscription that its receiver refuses", _parked),
    ("stepwell_subscriptions", "1", "Subscriptions by status", _statuses),
)
