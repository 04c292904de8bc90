"""How fast a service goes: reckoned from its calendar and what became of its referrals, kept, and read by promises."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import orjson
from stepwell_shared.canonical import extension_url, instant
from stepwell_shared.database.functions import Effect
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.booking_tables import figures_of, pace_effect
from stepwell_referral.builders import booking as builders
from stepwell_referral.builders.capacity import shared_waits
from stepwell_referral.pace_queries import Promised, arrivals_of, attendance_of, calendar_of, promises_of
from stepwell_referral.rules.forecast import Pace, SharedWaits, attended_share, working_probability
from stepwell_referral.rules.waits import queue_by_urgency, urgency_of
from stepwell_referral.use_cases.queues import Waiting, waiting_at

# So long figures are taken from memory before they are looked at again: the loop reckons them within a second or two.
SECONDS_REMEMBERED = 5
LEAVING_MOST = 0.5
PROMISES_SHOWN_MAX = 20_000

Resource = dict[str, Any]

_resource = msgspec.json.Decoder(Resource, float_hook=Decimal)


@dataclass(frozen=True)
class Outcome:
    """One promise whose last day is over: of which urgency class, made when, and whether it was kept."""

    urgency: str
    made: datetime
    kept: bool


@dataclass
class _Remembered:
    until: datetime
    paces: dict[str, Pace]
    known: frozenset[str]


async def paces_of(runtime: Runtime, tenant: str, now: datetime) -> Mapping[str, Pace]:
    """The pace of every service of a tenant that has a calendar, by its id; a few seconds old at most."""
    return (await _figures(runtime, tenant, now)).paces


async def first_look(runtime: Runtime, tenant: str, owner: str, now: datetime) -> list[Effect]:
    """What makes a service be reckoned of which nobody has changed anything yet: somebody waits there now."""
    kind, _, service_id = owner.partition("/")
    if kind != "HealthcareService" or service_id in (await _figures(runtime, tenant, now)).known:
        return []
    return [pace_effect(service_id, None, now)]


async def _figures(runtime: Runtime, tenant: str, now: datetime) -> _Remembered:
    key = ("service paces", tenant)
    remembered = runtime.cache.get(key)
    if not isinstance(remembered, _Remembered) or not now < remembered.until <= now + _remembered():
        figures = await figures_of(runtime.database, tenant)
        paces = {id_: pace for id_, text in figures.items() if is_reckoned(pace := pace_from(text))}
        remembered = runtime.cache[key] = _Remembered(now + _remembered(), paces, frozenset(figures))
    return remembered


def is_reckoned(pace: Pace) -> bool:
    """Whether it rests on more than what a service says of itself: a calendar, or another organisation's reckoning."""
    return bool(pace.calendar) or pace.shared is not None


async def pace_of_service(runtime: Runtime, tenant: str, service_id: str, now: datetime) -> Pace:
    """The pace that is kept of a service, or of one without a calendar what it says itself. One of which nothing is
    kept, because nobody has changed anything there since it came, is reckoned at once."""
    figures = await _figures(runtime, tenant, now)
    kept = figures.paces.get(service_id)
    if kept is not None:
        return kept
    stored = await runtime.store.read(tenant, "HealthcareService", service_id)
    service = _resource.decode(stored.body) if stored is not None and stored.body else {}
    if service and service_id not in figures.known:
        return await reckoned(runtime, tenant, service, await waiting_at(runtime, tenant, service_id), now)
    return Pace((), now, weekly_starts(service), shared=shared_waits(service, data.shared_good_for()))


async def reckoned(runtime: Runtime, tenant: str, service: Resource, waiting: list[Waiting], now: datetime) -> Pace:
    """The pace of a service as things stand; of another organisation's it is what that one shares."""
    if (shared := shared_waits(service, data.shared_good_for())) is not None:
        return Pace((), now, weekly_starts(service), shared=shared)
    reference, database, windows = f"HealthcareService/{service['id']}", runtime.database, data.pace_data()
    until = now + timedelta(days=windows["calendar"]["horizon_days"])
    slots = [
        (_resource.decode(body), taken) for body, taken in await calendar_of(database, tenant, reference, now, until)
    ]
    since = now - timedelta(days=windows["no_show"]["window_days"])
    attended, missed = await attendance_of(database, tenant, reference, since)
    window = timedelta(days=windows["arrivals"]["window_days"])
    arrivals = await arrivals_of(database, tenant, reference, now - window)
    firsts = [each.first for each in arrivals.values() if each.first is not None]
    weeks = max(min(now - min(firsts, default=now), window) / timedelta(weeks=1), 1.0)
    gone = sum(each.gone for each in arrivals.values())
    limits, parameters = data.urgency_classes(), data.pace_parameters()
    booked: dict[str, int] = {}
    for each in waiting:
        if each.is_booked:
            booked[each.entry.priority] = booked.get(each.entry.priority, 0) + 1
    came = queue_by_urgency({priority: each.people for priority, each in arrivals.items()}, limits)
    return Pace(
        calendar=tuple(sorted(_by_day(slots, now).items())),
        calendar_until=max((_start(slot) for slot, _ in slots), default=now),
        weekly_starts=weekly_starts(service),
        attended_share=round(attended_share(attended, missed, parameters), 4),
        arrivals_weekly={code: round(people / weeks, 4) for code, people in came.items()},
        leaving_weekly=round(min(gone / weeks / max(len(waiting), 1), LEAVING_MOST), 4),
        booked=queue_by_urgency(booked, limits),
        upper_probability=_probabilities(await outcomes_of(runtime, tenant, reference, data.promises_looked_at(), now)),
        weekly_places=_weekly_places(slots, weekly_starts(service)),
        attended_of=attended + missed + parameters.no_show_prior_weight,
        arrivals_weeks=round(weeks, 2),
    )


async def outcomes_of(runtime: Runtime, tenant: str, reference: str, most: int, now: datetime) -> list[Outcome]:
    """The promises of a service whose last day is over, the oldest first: kept or not, as told when it was asked.

    Who ended their referral before that day is in neither.
    """
    found = [_outcome(each, now) for each in await promises_of(runtime.database, tenant, reference, most)]
    return sorted((each for each in found if each is not None), key=lambda each: each.made)


def pace_text(pace: Pace, reckoned_at: datetime) -> str:
    """A pace as it is kept."""
    kept = {
        "reckoned_at": instant(reckoned_at),
        "calendar": [[instant(moment), places] for moment, places in pace.calendar],
        "calendar_until": instant(pace.calendar_until),
        "weekly_starts": pace.weekly_starts,
        "attended_share": pace.attended_share,
        "arrivals_weekly": pace.arrivals_weekly,
        "leaving_weekly": pace.leaving_weekly,
        "booked": pace.booked,
        "upper_probability": pace.upper_probability,
        "weekly_places": pace.weekly_places,
        "attended_of": pace.attended_of,
        "arrivals_weeks": pace.arrivals_weeks,
    }
    if pace.shared is not None:
        kept["shared"] = pace.shared
    return orjson.dumps(kept).decode()


def pace_from(text: str) -> Pace:
    """A pace that was kept."""
    kept = orjson.loads(text)
    del kept["reckoned_at"]
    calendar = tuple((datetime.fromisoformat(moment), places) for moment, places in kept.pop("calendar"))
    until = datetime.fromisoformat(kept.pop("calendar_until"))
    shared = msgspec.convert(kept.pop("shared"), SharedWaits) if "shared" in kept else None
    return Pace(calendar=calendar, calendar_until=until, shared=shared, **kept)


def _outcome(promised: Promised, now: datetime) -> Outcome | None:
    task = _resource.decode(promised.told)
    url = extension_url("wait-promise")
    told: Resource = next((each for each in task.get("extension", ()) if each.get("url") == url), {})
    parts = {part["url"]: part for part in told.get("extension", ())}
    days = parts.get("upper", {}).get("valueDuration", {}).get("value")
    if days is None or "computed-at" not in parts:
        return None
    made = datetime.fromisoformat(parts["computed-at"]["valueDateTime"])
    bound = made + timedelta(days=float(days))
    left_early = promised.begun_at is None and promised.ended_at is not None and promised.ended_at <= bound
    if bound >= now or left_early:
        return None
    kept = promised.begun_at is not None and promised.begun_at <= bound
    return Outcome(urgency_of(promised.priority, data.urgency_classes()).code, made, kept)


def _probabilities(outcomes: list[Outcome]) -> dict[str, float]:
    """By urgency class the probability at which the bound has held."""
    parameters = data.pace_parameters()
    kept: dict[str, list[bool]] = {}
    for each in outcomes:
        kept.setdefault(each.urgency, []).append(each.kept)
    return {code: round(working_probability(each, parameters), 4) for code, each in kept.items()}


def free_starts(slots: list[tuple[bytes, int]], since: datetime, until: datetime) -> int:
    """How many places for beginners are free in a period."""
    decoded = [(_resource.decode(body), taken) for body, taken in slots]
    inside = [(slot, taken) for slot, taken in decoded if since <= _start(slot) < until]
    return sum(max(builders.places_of(slot) - taken, 0) for slot, taken in inside if not builders.is_follow_up(slot))


def _by_day(slots: list[tuple[Resource, int]], now: datetime) -> dict[datetime, int]:
    """The free places for beginners of each day, under the last time of the day at which there is one."""
    days: dict[str, tuple[datetime, int]] = {}
    for slot, taken in slots:
        free = builders.places_of(slot) - taken
        if builders.is_follow_up(slot) or free <= 0:
            continue
        start = _start(slot)
        day = start.astimezone(now.tzinfo).date().isoformat()
        last, places = days.get(day, (start, 0))
        days[day] = (max(last, start), places + free)
    return dict(days.values())


def _weekly_places(slots: list[tuple[Resource, int]], otherwise: float) -> float:
    """How many people the calendar is for in a week, taken or free; without a calendar what the service says."""
    starts = [_start(slot) for slot, _ in slots if not builders.is_follow_up(slot)]
    if not starts:
        return otherwise
    weeks = max((max(starts) - min(starts)) / timedelta(weeks=1), 1.0)
    places = sum(builders.places_of(slot) for slot, _ in slots if not builders.is_follow_up(slot))
    return round(places / weeks, 2)


def _start(slot: Resource) -> datetime:
    return datetime.fromisoformat(slot["start"])


def weekly_starts(service: Resource) -> float:
    """How many people begin in a week at a service, as it says itself; none where it does not say."""
    url = extension_url("service-capacity")
    capacities = (each for each in service.get("extension", ()) if each.get("url") == url)
    parts = (part for capacity in capacities for part in capacity.get("extension", ()))
    return float(next((part["valueDecimal"] for part in parts if part.get("url") == "weekly-starts"), 0))


def _remembered() -> timedelta:
    return timedelta(seconds=SECONDS_REMEMBERED)
