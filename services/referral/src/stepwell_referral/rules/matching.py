"""Which place gives a person the care of their tier, best first and with the reasons.

The tier is the one hard condition: a barrier, a language or a long wait changes the order of the places and the
support that comes with one, never the tier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One HealthcareService as matching sees it; codes only. `weekly_starts` is how many people begin in a week."""

    place_id: str
    name: str
    tiers: frozenset[str]
    modalities: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    active: bool = True
    weekly_starts: float = 0.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What the person wants or must get round; empty means nothing is known, which rules out nothing."""

    languages: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    barriers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for a place, or that it needs help with."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class RankedPlace:
    place: Place
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The places that fit, best first. Outcome is `matched` or `no-place`."""

    outcome: str
    reason: str
    rule: str
    places: tuple[RankedPlace, ...] = ()


@dataclass(frozen=True, slots=True)
class Fit:
    """How one place answers the needs; smaller ranks are better."""

    rank: tuple[int, ...]
    reasons: tuple[Reason, ...]


def match(
    services: Sequence[Place],
    tier: str,
    needs: Needs,
    *,
    remedies: Mapping[str, Sequence[str]],
    upper_days: Mapping[str, int | None],
) -> Match:
    """The active places of exactly this tier, best first.

    Order: a language of the person, the way of meeting they prefer, a way of meeting that gets round a barrier, the
    shorter wait, then the id so that equal places always come in the same order. `remedies` names for each
    barrier the modalities that get round it; `upper_days` the wait bound by place id (None or absent: not known, last).
    """
    fits = [
        (_fit(place, needs, remedies, upper_days.get(place.place_id)), place)
        for place in services
        if place.active and tier in place.tiers
    ]
    if not fits:
        return Match("no-place", f"No active place gives {tier} care.", "MATCH-NONE")
    fits.sort(key=lambda pair: (pair[0].rank, pair[1].place_id))
    fits_tier = Reason("MATCH-TIER", f"gives {tier} care")
    ranked = tuple(RankedPlace(place, (fits_tier, *fit.reasons)) for fit, place in fits)
    return Match("matched", f"{len(ranked)} of {len(services)} places give {tier} care.", "MATCH-TIER", ranked)


def _fit(place: Place, needs: Needs, remedies: Mapping[str, Sequence[str]], upper_days: int | None) -> Fit:
    language = _position(needs.languages, place.languages)
    modality = _position(needs.modalities, place.modalities)
    unsolved = [barrier for barrier in needs.barriers if not place.modalities & set(remedies.get(barrier, ()))]
    reasons = (
        *_language_reasons(language, needs),
        *_modality_reasons(modality, needs),
        *_barrier_reasons(needs, unsolved),
        _wait_reason(upper_days),
    )
    wait = (1, 0) if upper_days is None else (0, upper_days)
    return Fit((language, modality, len(unsolved), *wait), reasons)


def _position(wanted: tuple[str, ...], offered: frozenset[str]) -> int:
    """Index of the first wish that is offered; behind all wishes when none is."""
    return next((index for index, wish in enumerate(wanted) if wish in offered), len(wanted))


def _language_reasons(position: int, needs: Needs) -> list[Reason]:
    if not needs.languages:
        return []
    if position < len(needs.languages):
        return [Reason("MATCH-LANGUAGE", f"speaks {needs.languages[position]}")]
    return [Reason("MATCH-INTERPRETER", f"does not speak {needs.languages[0]}: an interpreter is needed")]


def _modality_reasons(position: int, needs: Needs) -> list[Reason]:
    if position < len(needs.modalities):
        return [Reason("MATCH-MODALITY", f"offers {needs.modalities[position]}")]
    return []


def _barrier_reasons(needs: Needs, unsolved: Sequence[str]) -> list[Reason]:
    solved = [Reason("MATCH-BARRIER", f"gets round {barrier}") for barrier in needs.barriers if barrier not in unsolved]
    return solved + [Reason("MATCH-SUPPORT", f"{barrier} needs support") for barrier in unsolved]


def _wait_reason(upper_days: int | None) -> Reason:
    if upper_days is None:
        return Reason("MATCH-WAIT", "the wait is not known")
    return Reason("MATCH-WAIT", f"nine in ten begin within {upper_days} days")
