"""Function beside symptoms: freedom from symptoms is not the bar, and a gain in everyday life counts by itself."""

from collections.abc import Iterable
from enum import StrEnum

from stepwell_measurement.rules.reliable_change import Change
from stepwell_measurement.rules.trajectory import Trajectory

FUNCTION = frozenset({"function", "quality-of-life"})


class Direction(StrEnum):
    """Which way a group of measures has gone."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    MIXED = "mixed"
    UNKNOWN = "unknown"


def directions(found: Iterable[tuple[str, Trajectory]]) -> tuple[Direction, Direction]:
    """The direction of function and of symptoms, out of (domain, trajectory) of one person.

    A group is better when a measure of it is reliably better and none reliably worse; where no threshold is known, a
    change that people notice is as good.
    """
    function: list[Direction] = []
    symptoms: list[Direction] = []
    for domain, path in found:
        (function if domain in FUNCTION else symptoms).append(_direction(path))
    return _joined(function), _joined(symptoms)


def _direction(path: Trajectory) -> Direction:
    if path.count == 1:
        return Direction.UNKNOWN
    outcome = path.reliable_change.outcome
    if outcome is Change.IMPROVEMENT or (outcome is Change.NOT_AVAILABLE and path.important_change):
        return Direction.BETTER
    if outcome is Change.DETERIORATION:
        return Direction.WORSE
    return Direction.UNKNOWN if outcome is Change.NOT_AVAILABLE else Direction.SAME


def _joined(directions: list[Direction]) -> Direction:
    known = {each for each in directions if each is not Direction.UNKNOWN}
    if not known:
        return Direction.UNKNOWN
    if {Direction.BETTER, Direction.WORSE} <= known:
        return Direction.MIXED
    return next(each for each in (Direction.BETTER, Direction.WORSE, Direction.SAME) if each in known)
