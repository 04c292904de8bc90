"""What organisations tell each other of their places: services with waits and free places, and nobody in it. Pure.

No universal form exists (SDOH Clinical Care has a draft of a status and words): extension shared-capacity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from stepwell_shared.canonical import extension_url, instant

from stepwell_referral.rules.forecast import SharedWaits

Json = dict[str, Any]

SHARED, STARTS = extension_url("shared-capacity"), extension_url("service-capacity")
UCUM = "http://unitsofmeasure.org"
URI_IDENTIFIERS = "urn:ietf:rfc:3986"
_SERVICE_TOLD = (
    *("id", "language", "active", "category", "type", "specialty", "program", "name", "telecom", "communication"),
    *("serviceProvisionCode", "eligibility", "characteristic", "referralMethod", "appointmentRequired"),
    *("availableTime", "notAvailable", "availabilityExceptions"),
)
_LOCATION_TOLD = ("id", "language", "status", "name", "mode", "type", "telecom", "address", "position")


@dataclass(frozen=True, slots=True)
class Shown:
    """What is told of one service: (median, bound) in days by urgency class, free places by the week's first day, and
    how many wait, None where these are few."""

    as_of: datetime
    waits: Mapping[str, tuple[int, int]]
    weeks: Sequence[tuple[date, int]]
    waiting: int | None
    weekly_starts: float


def told_service(service: Mapping[str, Any], shown: Shown) -> Json:
    """The service as partners get it: who it is for and how it works, its waits and free places."""
    starts = [{"url": "weekly-starts", "valueDecimal": Decimal(str(round(shown.weekly_starts, 2)))}]
    return {
        "resourceType": "HealthcareService",
        "meta": {"versionId": str(service["meta"]["versionId"])},
        **_members(service, _SERVICE_TOLD),
        "extension": [_shared(shown), {"url": STARTS, "extension": starts}],
        **{name: service[name] for name in ("location", "coverageArea") if name in service},
    }


def told_location(location: Mapping[str, Any]) -> Json:
    """Where a place is, so that the way there can be reckoned."""
    version = {"versionId": str(location["meta"]["versionId"])}
    return {"resourceType": "Location", "meta": version, **_members(location, _LOCATION_TOLD)}


def kept_service(told: Mapping[str, Any], *, id_: str, url: str, organization: str, copies: Mapping[str, str]) -> Json:
    """Our copy of a partner's service: asked like our own, and told apart by who provides it.

    `copies` are our copies of the partner's Locations by its references; the rest is left out.
    """
    kept: Json = {"resourceType": "HealthcareService", "id": id_, **_members(told, _SERVICE_TOLD[1:])}
    kept["identifier"] = [{"system": URI_IDENTIFIERS, "value": url}]
    kept["providedBy"] = {"reference": organization}
    kept["extension"] = extensions_of(told)
    for name in ("location", "coverageArea"):
        found = [copies[each["reference"]] for each in told.get(name, ()) if each.get("reference") in copies]
        kept |= {name: [{"reference": each} for each in found]} if found else {}
    return kept


def kept_location(told: Mapping[str, Any], *, id_: str, url: str, organization: str) -> Json:
    """Our copy of where a partner's place is."""
    kept: Json = {"resourceType": "Location", "id": id_, **_members(told, _LOCATION_TOLD[1:])}
    kept["identifier"] = [{"system": URI_IDENTIFIERS, "value": url}]
    return {**kept, "managingOrganization": {"reference": organization}}


def with_figures(service: Mapping[str, Any], told: Mapping[str, Any]) -> Json:
    """A service that a site has entered for a partner's place, with the partner's figures; the rest stays as it is."""
    others = [each for each in service.get("extension", ()) if each.get("url") not in {SHARED, STARTS}]
    kept = {name: value for name, value in service.items() if name != "meta"}
    return {**kept, "extension": [*others, *extensions_of(told)]}


def without_starts(service: Mapping[str, Any]) -> Json:
    """A partner's service of which nothing was heard for so long that nobody can be said to begin there."""
    kept = {name: value for name, value in service.items() if name != "meta"}
    return {**kept, "extension": [each for each in service.get("extension", ()) if each.get("url") != STARTS]}


def extensions_of(told: Mapping[str, Any]) -> list[Json]:
    """The figures that a partner tells of a service."""
    return [each for each in told.get("extension", ()) if each.get("url") in {SHARED, STARTS}]


def shared_waits(service: Mapping[str, Any], good_for: timedelta) -> SharedWaits | None:
    """What another organisation has told of the waits of this service; None for one of our own."""
    parts = _parts(service)
    as_of = as_of_in(service)
    if as_of is None:
        return None
    days = {}
    for wait in (part for part in parts if part.get("url") == "wait"):
        said = {part.get("url"): part for part in wait.get("extension", ())}
        median, upper = (said.get(name, {}).get("valueDuration", {}).get("value") for name in ("median", "upper"))
        if median is not None and upper is not None:
            days[str(said.get("urgency", {}).get("valueCode", ""))] = (int(median), int(upper))
    return SharedWaits(as_of, as_of + good_for, days)


def as_of_in(service: Mapping[str, Any]) -> datetime | None:
    """When what is shared of a service was reckoned."""
    found = next((part for part in _parts(service) if part.get("url") == "as-of"), {})
    text = found.get("valueInstant")
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def says_the_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two versions differ in nothing but when that was reckoned."""
    return _timeless(before) == _timeless(after)


def _timeless(service: Mapping[str, Any]) -> Json:
    kept = {name: value for name, value in service.items() if name not in {"meta", "extension"}}
    figures = [part for part in _parts(service) if part.get("url") != "as-of"]
    others = [each for each in service.get("extension", ()) if each.get("url") != SHARED]
    return {**kept, "extension": [others, figures]}


def _shared(shown: Shown) -> Json:
    parts: list[Json] = [{"url": "as-of", "valueInstant": instant(shown.as_of)}]
    for urgency, (median, upper) in shown.waits.items():
        said = [
            {"url": "urgency", "valueCode": urgency},
            {"url": "median", "valueDuration": _days(median)},
            {"url": "upper", "valueDuration": _days(upper)},
        ]
        parts.append({"url": "wait", "extension": said})
    if shown.waiting is not None:
        parts.append({"url": "waiting", "valueUnsignedInt": shown.waiting})
    for start, free in shown.weeks:
        week = [{"url": "start", "valueDate": start.isoformat()}, {"url": "free", "valueUnsignedInt": free}]
        parts.append({"url": "week", "extension": week})
    return {"url": SHARED, "extension": parts}


def _parts(service: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return next((each.get("extension", ()) for each in service.get("extension", ()) if each.get("url") == SHARED), ())


def _days(count: int) -> Json:
    return {"value": count, "unit": "days", "system": UCUM, "code": "d"}


def _members(resource: Mapping[str, Any], names: Sequence[str]) -> Json:
    return {name: value for name, value in resource.items() if name.removeprefix("_") in names}
