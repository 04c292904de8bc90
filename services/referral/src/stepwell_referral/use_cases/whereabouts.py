"""Where places and people are: positions, areas and times of closing, as Location, service and Patient say them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stepwell_shared.fhir.values import period

from stepwell_referral.rules.matching import Area, Span, unit_vector

GEOLOCATION = "http://hl7.org/fhir/StructureDefinition/geolocation"
ADDRESS_PARTS = ("postalCode", "city", "district", "state", "country")

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class LocationFacts:
    """A Location as a point on the map, and as an area."""

    position: Vector | None
    area: Area


def location_facts(location: Mapping[str, Any]) -> LocationFacts:
    """What matching needs of a Location; nothing of one that is not in use."""
    if location.get("status") == "inactive":
        return LocationFacts(None, Area(()))
    stated = location.get("position", {})
    parts = address_parts(location.get("address", {}))
    return LocationFacts(vector(stated.get("latitude"), stated.get("longitude")), Area(tuple(sorted(parts.items()))))


def address_parts(address: Mapping[str, Any]) -> dict[str, str]:
    """The parts of an address by which areas are told apart, so that they compare."""
    return {name: str(address[name]).casefold().strip() for name in ADDRESS_PARTS if address.get(name)}


def home_of(patient: Mapping[str, Any]) -> Mapping[str, Any]:
    """The address where somebody lives: the first that is neither old nor for bills alone."""
    current = [each for each in patient.get("address", ()) if each.get("use") not in ("old", "billing")]
    return next((each for each in current if each.get("use") == "home"), current[0] if current else {})


def position_of(address: Mapping[str, Any]) -> Vector | None:
    """The position that an address carries (extension geolocation of HL7)."""
    for extension in address.get("extension", ()):
        if extension.get("url") == GEOLOCATION:
            parts = {part.get("url"): part.get("valueDecimal") for part in extension.get("extension", ())}
            return vector(parts.get("latitude"), parts.get("longitude"))
    return None


def vector(latitude: Any, longitude: Any) -> Vector | None:
    """A position in degrees as matching takes it; None for what is none."""
    if latitude is None or longitude is None:
        return None
    try:
        return unit_vector(float(latitude), float(longitude))
    except ValueError:
        return None


def closed_spans(service: Mapping[str, Any]) -> tuple[Span, ...]:
    """When a service is closed for some time."""
    return tuple(span_of(each["during"]) for each in service.get("notAvailable", ()) if "during" in each)


def span_of(stated: Mapping[str, Any]) -> Span:
    """A Period in seconds since 1970, open where it says nothing. Days end with their midnight in UTC."""
    found = period(stated)
    if found is None:
        return float("-inf"), float("inf")
    start, end = found
    return (
        start.timestamp() if "start" in stated else float("-inf"),
        end.timestamp() if "end" in stated else float("inf"),
    )
