"""Which places give a person the care of their tier, best first and with the reasons, and why others were left out.

The tier is the one condition that nothing moves. Barriers, wishes, language, way and wait take points from a place;
what a place asks of a person, its area and lapsed competence leave it out, with a code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import nsmallest
from typing import NamedTuple

from stepwell_referral.rules.matching.eligibility import refusal, unanswered
from stepwell_referral.rules.matching.fitting import fit
from stepwell_referral.rules.matching.needs import OFTEN, SOMETIMES, Need, Parameters
from stepwell_referral.rules.matching.places import Catalogue, Place
from stepwell_referral.rules.matching.reasons import Reason, reasons_of, wait_reason
from stepwell_referral.rules.matching.scoring import Scorer, Ways
from stepwell_referral.rules.matching.travel import minutes, nearest_kilometres

TOO_FAR = "MATCH-OUT-FAR"
TRANSPORT = ("transport", "transport")


@dataclass(frozen=True, slots=True)
class Option:
    """A place that can be offered. `score` is from 0 to 1; `supports` are what somebody arranges so that it works, as
    (barrier, support); the way is None where nobody travels or it is not known."""

    place: Place
    points: float
    modality: str
    reasons: tuple[Reason, ...]
    supports: tuple[tuple[str, str], ...] = ()
    kilometres: float | None = None
    minutes: int | None = None
    upper_days: int | None = None

    @property
    def score(self) -> float:
        return round(max(0.0, 1 - self.points / 100), 3)


class LeftOut(NamedTuple):
    """A place of the tier that is not offered, and why."""

    place: Place
    rule: str


@dataclass(frozen=True, slots=True)
class Match:
    """Outcome `matched` or `no-place`, the places that fit best first, and those of the tier that were left out."""

    outcome: str
    reason: str
    rule: str
    options: tuple[Option, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def match(need: Need, services: Catalogue | Sequence[Place], now: datetime, parameters: Parameters) -> Match:
    """The active places of exactly the need's tier (or of the community), best first but for the wait.

    Places that are too far are offered only when there is no other, and say so. Equal places come in the order of
    their ids. What is found is the shortlist that `with_waits` orders anew.
    """
    catalogue = services if isinstance(services, Catalogue) else Catalogue.of(list(services))
    places = catalogue.by_tier.get(need.tier, ()) if need.tier else catalogue.community
    near, far, left_out = _sorted_out(need, places, now.timestamp(), parameters)
    chosen = near or far
    wanted = f"{need.tier} care" if need.tier else "help in the community"
    if not chosen:
        return Match("no-place", f"No active place gives {wanted}.", "MATCH-NONE", (), tuple(left_out))
    if near:
        left_out += [LeftOut(each.place, TOO_FAR) for each in far]
    best = nsmallest(parameters.shortlist, chosen)
    options = tuple(_option(need, each, now.timestamp(), parameters, too_far=not near) for each in best)
    text = f"{len(chosen)} of {len(places)} places give {wanted} to this person."
    return Match("matched", text, options[0].reasons[0].rule, options, tuple(left_out))


def with_waits(found: Match, upper_days: Mapping[str, int | None], parameters: Parameters) -> Match:
    """The same options in their order with the waits: `upper_days` is the bound by place id (None or absent: not known,
    which costs as much as the longest)."""
    cost, reference = parameters.points["wait"], parameters.wait_reference_days

    def waiting(option: Option) -> Option:
        days = upper_days.get(option.place.place_id)
        points = option.points + cost * (1.0 if days is None else min(1.0, days / reference))
        return replace(option, points=points, upper_days=days, reasons=(*option.reasons, wait_reason(days)))

    return replace(found, options=tuple(sorted(map(waiting, found.options), key=_rank)))


def _rank(option: Option) -> tuple[float, bool, int, str]:
    """Points first; between equal ones a known wait, the shorter one, then the id."""
    return round(option.points, 6), option.upper_days is None, option.upper_days or 0, option.place.place_id


class _Candidate(NamedTuple):
    """A place that fits, in the order of places: points, then the id, which no two have in common."""

    points: float
    place_id: str
    place: Place
    modality: str
    kilometres: float | None
    way_minutes: float | None


def _sorted_out(
    need: Need, places: Sequence[Place], moment: float, parameters: Parameters
) -> tuple[list[_Candidate], list[_Candidate], list[LeftOut]]:
    """Places that fit, those that fit but are too far, and those that are left out."""
    near: list[_Candidate] = []
    far: list[_Candidate] = []
    left_out: list[LeftOut] = []
    scorer = Scorer(need, parameters)
    minutes_max = _minutes_max(need, parameters)
    for place in places:
        code = refusal(need, place, moment)
        if code:
            left_out.append(LeftOut(place, code))
            continue
        points, ways = scorer.points(place.profile)
        if place.closed and is_closed(place, moment):
            points += parameters.points["closed"]
        if need.position is None or not place.positions or ways.modality in parameters.remote:
            near.append(_Candidate(points + ways.points, place.place_id, place, ways.modality, None, None))
            continue
        found = _on_the_way(need, place, points, ways, minutes_max, parameters)
        (near if found.way_minutes is None or found.way_minutes <= minutes_max else far).append(found)
    return near, far, left_out


def _on_the_way(
    need: Need, place: Place, points: float, ways: Ways, minutes_max: int, parameters: Parameters
) -> _Candidate:
    """The better of going there and meeting from afar; where the way is too long, meeting from afar if it can be."""
    distance = nearest_kilometres(need.position, place.positions) or 0.0
    way = minutes(distance, parameters.travel)
    going = ways.points + parameters.points["travel"] * min(1.0, way / parameters.travel.reference_minutes)
    if ways.remote_points is not None and (way > minutes_max or ways.remote_points < going):
        return _Candidate(points + ways.remote_points, place.place_id, place, ways.remote_modality, None, None)
    return _Candidate(points + going, place.place_id, place, ways.modality, distance, way)


def is_closed(place: Place, moment: float) -> bool:
    """Whether the place is closed for some time at this moment."""
    return any(start <= moment < end for start, end in place.closed)


def _minutes_max(need: Need, parameters: Parameters) -> int:
    if need.travel_minutes_max is not None:
        return need.travel_minutes_max
    frequency = need.barriers.get("transport", "")
    return parameters.travel.minutes_max[frequency if frequency in (SOMETIMES, OFTEN) else "never"]


def _option(need: Need, found: _Candidate, moment: float, parameters: Parameters, *, too_far: bool) -> Option:
    place, fitting = found.place, fit(need, found.place.profile, found.modality, parameters)
    supports = fitting.arranged if not too_far or TRANSPORT in fitting.arranged else (*fitting.arranged, TRANSPORT)
    way = None if found.way_minutes is None else round(found.way_minutes)
    reasons = [*reasons_of(need, place, fitting, way, too_far=too_far)]
    if is_closed(place, moment):
        reasons.append(Reason("MATCH-CLOSED-NOW"))
    reasons += [Reason("MATCH-CHECK", (("what", what),)) for what in unanswered(need, place)]
    return Option(place, found.points, found.modality, tuple(reasons), supports, found.kilometres, way)
