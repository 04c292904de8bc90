"""A HealthcareService as the rules of matching see it: codes, numbers and hours, nothing else.

What stands in other resources (where it is, who works there) is added by those who have read them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from stepwell_shared.canonical import code_system, extension_url

from stepwell_referral.rules.matching import AT_COST, CARE, COMMUNITY, DISCOUNTED, FREE, Eligibility, Place, Profile
from stepwell_referral.rules.matching.hours import DAYS, hours_between

Json = Mapping[str, Any]

LANGUAGES = "urn:ietf:bcp:47"
PRICES = {"free": FREE, "disc": DISCOUNTED, "cost": AT_COST}
DROP_IN = "drop-in"
# Beyond so many different ones, equal objects are not one: slower, and no more.
OBJECTS_MAX = 16_384


def place_of(service: Json) -> Place:
    """The place with all that the HealthcareService itself says. Without numbers it has no starts to promise from."""
    return Place(
        place_id=service["id"],
        name=service.get("name", service["id"]),
        tiers=_codes(service.get("category", ()), code_system("tier")),
        active=service.get("active", True),
        weekly_starts=_weekly_starts(service),
        profile=_profile(service),
        kind=COMMUNITY if COMMUNITY in _codes(service.get("category", ()), code_system("service-kind")) else CARE,
        helps_with=_codes(service.get("type", ()), code_system("barrier")),
        programmes=tokens(service.get("program", ())),
        specialties=tokens(service.get("specialty", ())),
        eligibility=tuple(_eligibility(service)),
        competences_required=_required(service),
    )


def tokens(concepts: Iterable[Json]) -> frozenset[str]:
    """The codes of concepts, each as `system|code` and, for those who ask without a system, as `code`."""
    codings = [coding for concept in concepts for coding in concept.get("coding", ()) if "code" in coding]
    return frozenset(text for each in codings for text in (f"{each.get('system', '')}|{each['code']}", each["code"]))


def competence(concept: Json) -> str:
    """A competence as one text: its first coding, or its words."""
    coding = next((each for each in concept.get("coding", ()) if "code" in each), None)
    return f"{coding.get('system', '')}|{coding['code']}" if coding else str(concept.get("text", "")).casefold()


@lru_cache(maxsize=OBJECTS_MAX)
def _one(codes: frozenset[str]) -> frozenset[str]:
    """One object for equal codes: to find what is the same object costs less than to compare."""
    return codes


@lru_cache(maxsize=OBJECTS_MAX)
def _interned(profile: Profile) -> Profile:
    """One object for equal profiles: what follows from a profile is reckoned once for all places that have it."""
    return profile


def _profile(service: Json) -> Profile:
    characteristics = service.get("characteristic", ())
    features = _codes(characteristics, code_system("service-feature"))
    if service.get("appointmentRequired") is False:
        features |= {DROP_IN}
    prices = _codes(service.get("serviceProvisionCode", ()), None)
    return _interned(
        Profile(
            modalities=_codes(characteristics, code_system("modality")),
            languages=_with_bases(_codes(service.get("communication", ()), LANGUAGES)),
            supports=_codes(characteristics, code_system("support")) | features,
            accessibility=_codes(characteristics, code_system("form-answer")),
            features=features,
            price=next((price for code, price in PRICES.items() if code in prices), ""),
            hours=_hours(service.get("availableTime", ())),
        )
    )


def _with_bases(languages: frozenset[str]) -> frozenset[str]:
    """Who speaks de-AT is understood by those who speak de."""
    return languages | {language.partition("-")[0] for language in languages}


def _hours(times: Sequence[Json]) -> int:
    found = 0
    for each in times:
        start, end = (_hour(each.get(name)) for name in ("availableStartTime", "availableEndTime"))
        whole_day = each.get("allDay", False) or (start is None and end is None)
        span = (0.0, 24.0) if whole_day else (start or 0.0, 24.0 if end is None else end)
        found |= hours_between([day for day in each.get("daysOfWeek", ()) if day in DAYS], *span)
    return found


def _hour(time: str | None) -> float | None:
    if time is None:
        return None
    hour, minute, *_ = time.split(":")
    return int(hour) + int(minute) / 60


def _eligibility(service: Json) -> Iterator[Eligibility]:
    for each in service.get("eligibility", ()):
        parts = [
            part
            for extension in each.get("extension", ())
            if extension.get("url") == extension_url("service-eligibility")
            for part in extension.get("extension", ())
        ]
        said = {part["url"]: part for part in parts}
        found = Eligibility(
            age_low=said.get("age-low", {}).get("valueInteger"),
            age_high=said.get("age-high", {}).get("valueInteger"),
            sexes=frozenset(part["valueCode"] for part in parts if part["url"] == "sex" and "valueCode" in part),
            conditions=tokens([each["code"]]) if "code" in each else frozenset(),
        )
        if found != Eligibility():
            yield found


def _required(service: Json) -> frozenset[str]:
    return frozenset(
        competence(extension["valueCodeableConcept"])
        for extension in service.get("extension", ())
        if extension.get("url") == extension_url("required-competence") and "valueCodeableConcept" in extension
    )


def _weekly_starts(service: Json) -> float:
    capacities = (item for item in service.get("extension", ()) if item.get("url") == extension_url("service-capacity"))
    parts = (part for capacity in capacities for part in capacity.get("extension", ()))
    return float(next((part.get("valueDecimal", 0) for part in parts if part.get("url") == "weekly-starts"), 0))


def _codes(concepts: Iterable[Json], system: str | None) -> frozenset[str]:
    codings = (coding for concept in concepts for coding in concept.get("coding", ()))
    return _one(frozenset(each["code"] for each in codings if "code" in each and system in (None, each.get("system"))))
