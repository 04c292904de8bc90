"""A series of scores as one short text, so that what follows from a new score is known without reading the others.

One score is `[id, version, effective, value, prorated]`; the series is a JSON list of them in order of time. The same
scores give the same text, however they arrived.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from stepwell_measurement.rules.reliable_change import Score

PREFIX = "Observation/"


class Point(NamedTuple):
    """One score of a series, and the version of the Observation that it was read from."""

    score: Score
    version: int

    @property
    def id(self) -> str:
        return self.score.reference.removeprefix(PREFIX)


def compact(points: Iterable[Point]) -> str:
    """The text of a series, earliest first."""
    ordered = sorted(points, key=lambda point: (point.score.effective, point.id))
    return json.dumps([_written(point) for point in ordered], separators=(",", ":"))


def points_of(text: str) -> dict[str, Point]:
    """The scores of a series by the id of their Observation."""
    return {entry[0]: _read(entry) for entry in json.loads(text)}


def with_changes(points: Mapping[str, Point], changed: Mapping[str, Point | None]) -> dict[str, Point]:
    """The series after some of its scores changed: None is one that no longer belongs to it or does not stand."""
    merged = {**points, **changed}
    return {id_: point for id_, point in merged.items() if point is not None}


def _written(point: Point) -> list[object]:
    effective = point.score.effective.astimezone(UTC).replace(tzinfo=None).isoformat()
    return [point.id, point.version, effective, str(point.score.value), int(point.score.prorated)]


def _read(entry: list[object]) -> Point:
    id_, version, effective, value, prorated = entry
    moment = datetime.fromisoformat(str(effective)).replace(tzinfo=UTC)
    return Point(Score(Decimal(str(value)), moment, bool(prorated), f"{PREFIX}{id_}"), int(str(version)))
