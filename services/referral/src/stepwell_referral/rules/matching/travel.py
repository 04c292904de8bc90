"""How far a place is, as the crow flies, and how long the way takes."""

import math
from collections.abc import Iterable

from stepwell_referral.rules.matching.needs import Travel

# Mean radius of the Earth (IUGG 1980, R1).
EARTH_RADIUS_KILOMETRES = 6371.0088

Vector = tuple[float, float, float]


def unit_vector(latitude: float, longitude: float) -> Vector:
    """A position in degrees as a vector of length one. Raises ValueError for what is no position."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise ValueError("a position has a latitude from -90 to 90 and a longitude from -180 to 180")
    phi, theta = math.radians(latitude), math.radians(longitude)
    return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)


def kilometres(one: Vector, other: Vector) -> float:
    """The great circle between two positions, from the chord, which keeps its digits for short ways."""
    x, y, z = one[0] - other[0], one[1] - other[1], one[2] - other[2]
    return 2 * EARTH_RADIUS_KILOMETRES * math.asin(min(1.0, math.sqrt(x * x + y * y + z * z) / 2))


def nearest_kilometres(person: Vector | None, positions: Iterable[Vector]) -> float | None:
    """The way to the nearest of a place's positions; None when one of the two is not known."""
    if person is None:
        return None
    return min((kilometres(person, each) for each in positions), default=None)


def minutes(distance_kilometres: float, travel: Travel) -> float:
    """How long the way takes, one way."""
    return distance_kilometres * travel.detour / travel.speed_kilometres_per_hour * 60
