"""What `$match` was asked: the parameters of a GET or POST, laid over what is known of the person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stepwell_shared.fhir.interactions.asked import asked, is_true, whole_number
from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError, Issue

from stepwell_referral.data.directory import parameters
from stepwell_referral.rules.matching import OFTEN, Need
from stepwell_referral.use_cases.whereabouts import vector

CODE = ("valueCode", "valueString")
COUNT_DEFAULT, COUNT_MAX, LEFT_OUT_MAX = 5, 20, 50
AGE_MAX = 130
AUDIENCES = ("patient", "coordinator")
PRIORITIES = ("routine", "urgent", "asap", "stat")
SEXES = ("male", "female", "other", "unknown")

# Of every match: what to look for beside what is known, and how to answer.
WISHES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("modality", "spoken", "barrier", "accessibility", "feature", "time", "condition"), CODE),
    **dict.fromkeys(("programme", "specialty", "language", "audience", "near"), CODE),
    "travel-minutes": ("valueInteger", "valuePositiveInt", "valueUnsignedInt"),
    "count": ("valueInteger", "valuePositiveInt", "valueUnsignedInt"),
    "left-out": ("valueBoolean",),
}
# Of a match without a referral: also what a record would say.
ANYBODY: Mapping[str, tuple[str, ...]] = {
    **WISHES,
    **dict.fromkeys(("tier", "helps-with", "postal-code", "city", "country", "sex", "priority"), CODE),
    "age": ("valueInteger", "valuePositiveInt", "valueUnsignedInt"),
}


@dataclass(frozen=True)
class Asked:
    """How to answer: for whom, in which language (\"\": not said), how many places, and whether with those left out."""

    audience: str
    language: str
    count: int
    left_out: bool
    priority: str


def match_asked(request: Request, known: Mapping[str, tuple[str, ...]]) -> tuple[Asked, Callable[[Need], Need]]:
    """How to answer, and what makes of a known need the one that is asked about. Raises FhirError INVALID."""
    given = asked(request, known)
    count = whole_number(given, "count")
    found = Asked(
        audience=_one_of(given, "audience", AUDIENCES) or "coordinator",
        language=str(given.get("language", "")),
        count=min(COUNT_DEFAULT if count is None else count, COUNT_MAX),
        left_out=is_true(given, "left-out"),
        priority=_one_of(given, "priority", PRIORITIES) or "routine",
    )
    changes = _changes(given)
    return found, lambda need: replace(need, **changes)


def _changes(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given of a need, by the need's names; lists are separated by commas, as in a search."""
    changes: dict[str, Any] = {}
    lists = {"modality": "modalities", "spoken": "languages", "accessibility": "accessibility", "feature": "features"}
    for name, element in lists.items():
        if name in given:
            changes[element] = tuple(_listed(given, name))
    for name, element in {"programme": "programme", "specialty": "specialty", "tier": "tier"}.items():
        if name in given:
            changes[element] = str(given[name])
    for name, element in {"condition": "conditions", "helps-with": "helps_with"}.items():
        if name in given:
            changes[element] = frozenset(_listed(given, name))
    if "barrier" in given:
        changes["barriers"] = dict.fromkeys(_listed(given, "barrier"), OFTEN)
    if "time" in given:
        changes["hours"] = _hours(given)
    if "near" in given:
        changes["position"] = _position(str(given["near"]))
    if "age" in given:
        changes["age"] = min(whole_number(given, "age") or 0, AGE_MAX)
    if "sex" in given:
        changes["sex"] = _one_of(given, "sex", SEXES)
    if "travel-minutes" in given:
        changes["travel_minutes_max"] = whole_number(given, "travel-minutes")
    names = {"postal-code": "postalCode", "city": "city", "country": "country"}
    address = {element: str(given[name]).casefold().strip() for name, element in names.items() if name in given}
    return {**changes, "address": address} if address else changes


def _listed(given: Mapping[str, Any], name: str) -> list[str]:
    return [part.strip() for part in str(given[name]).split(",") if part.strip()]


def _hours(given: Mapping[str, Any]) -> int:
    times = parameters().times
    found = 0
    for name in _listed(given, "time"):
        if name not in times:
            raise _refused("time", f"time is some of {', '.join(times)}")
        found |= times[name]
    return found


def _position(text: str) -> tuple[float, float, float]:
    latitude, _, longitude = text.partition(",")
    try:
        found = vector(float(latitude), float(longitude))
    except ValueError:
        found = None
    if found is None:
        raise _refused("near", "near is a position in degrees: latitude,longitude such as 52.52,13.40")
    return found


def _one_of(given: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str | None:
    value = given.get(name)
    if value is not None and value not in allowed:
        raise _refused(name, f"{name} is one of {', '.join(allowed)}")
    return value


def _refused(name: str, text: str) -> FhirError:
    return FhirError(Category.INVALID, [Issue(text, "value", f"Parameters.parameter.where(name = '{name}')")])
