"""What matching knows of a place: one HealthcareService with its locations, areas and people, codes only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CARE, COMMUNITY = "care", "community"
FREE, DISCOUNTED, AT_COST = "free", "discounted", "at-cost"

# (from, until) in seconds since 1970, until excluded
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Profile:
    """How a place works. Many places work alike, so what follows from it is reckoned once for each profile.

    `hours` has a bit for each hour of the week from Monday 00:00 in which the place is open; 0 when it does not say.
    `supports` are what the place gives beside care, such as childcare; `features` such as drop-in.
    """

    modalities: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    supports: frozenset[str] = frozenset()
    accessibility: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    price: str = ""
    hours: int = 0


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What a place asks of a person; each that is said must be met. Ages are whole years, both included."""

    age_low: int | None = None
    age_high: int | None = None
    sexes: frozenset[str] = frozenset()
    conditions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Area:
    """A catchment area by parts of the address, in lower case; a postal code is a prefix. No part: not known."""

    parts: tuple[tuple[str, str], ...]

    def has(self, address: Mapping[str, str]) -> bool | None:
        """Whether the address lies in it; None when address or area do not say."""
        if not self.parts:
            return None
        for name, wanted in self.parts:
            value = address.get(name)
            if value is None:
                return None
            if not (value.startswith(wanted) if name == "postalCode" else value == wanted):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Place:
    """One HealthcareService. `weekly_starts` is how many people begin in a week; `positions` are unit vectors of where
    it is; `competences` says when somebody there has a competence, for those in `competences_required`."""

    place_id: str
    name: str
    tiers: frozenset[str]
    active: bool = True
    weekly_starts: float = 0.0
    profile: Profile = Profile()
    kind: str = CARE
    helps_with: frozenset[str] = frozenset()
    programmes: frozenset[str] = frozenset()
    specialties: frozenset[str] = frozenset()
    eligibility: tuple[Eligibility, ...] = ()
    areas: tuple[Area, ...] = ()
    positions: tuple[tuple[float, float, float], ...] = ()
    closed: tuple[Span, ...] = ()
    competences_required: frozenset[str] = frozenset()
    competences: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All places of a tenant, found by tier and by kind without looking at the others."""

    by_tier: Mapping[str, tuple[Place, ...]]
    community: tuple[Place, ...]
    count: int

    @classmethod
    def of(cls, places: "tuple[Place, ...] | list[Place]") -> "Catalogue":
        """Places by id, so that what is equal comes in the same order everywhere."""
        ordered = sorted(places, key=lambda place: place.place_id)
        by_tier: dict[str, list[Place]] = {}
        for place in ordered:
            for tier in place.tiers:
                if place.kind == CARE:
                    by_tier.setdefault(tier, []).append(place)
        return cls(
            {tier: tuple(found) for tier, found in by_tier.items()},
            tuple(place for place in ordered if place.kind == COMMUNITY),
            len(ordered),
        )
