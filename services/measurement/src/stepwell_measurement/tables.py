"""Where everybody stands on each instrument, one row each, and the episodes of care that say when care ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.database.functions import Effect
from stepwell_shared.database.pool import Database

from stepwell_measurement.rules.care import Episode, care_of
from stepwell_measurement.rules.compact import Point, compact, points_of
from stepwell_measurement.rules.trajectory import NEVER_ENDED, Care, Trajectory


class SeriesKey(NamedTuple):
    """Whose scores on what: the person's reference (or `system|value` of an identifier) and the code of the score."""

    person: str
    code: str


class KeptScore(NamedTuple):
    """One Observation of a series as it is stored."""

    resource: dict[str, Any]
    version: int


@dataclass
class Series:
    """One series as stored: its number (0 before the first), what was told last, and when the person's care ended.

    Unless it `is_current`, its points must be read from `observations`, which an earlier release or an import left.
    """

    number: int = 0
    told: str | None = None
    points: dict[str, Point] = field(default_factory=dict)
    is_current: bool = True
    care: Care = NEVER_ENDED
    observations: list[KeptScore] = field(default_factory=list)


_resource = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def kept_score(body: bytes, version: int) -> KeptScore:
    """An Observation as the series takes it; decimals stay as they are written."""
    return KeptScore(_resource.decode(body), version)


def trajectory_effect(
    key: SeriesKey, number: int, points: Mapping[str, Point], path: Trajectory | None, told: str | None, now: datetime
) -> Effect:
    """The row of a series after a change, to be committed with what changed; `number` is one more than as read."""
    series = compact(points.values())
    if path is None:
        left_out = len(points)
        return Effect("trajectory", (*key, number, now, told, series, 0, left_out, *[None] * 18))
    return Effect("trajectory", (*key, number, now, told, series, path.count, path.left_out, *_columns(path)))


def _columns(path: Trajectory) -> tuple[object, ...]:
    """What cohorts are counted from, in the order of the table."""
    return (
        *(path.standing.value, path.baseline.effective, float(path.baseline.value), float(path.best.value)),
        *(path.last.effective, float(path.last.value), path.reliable_change.outcome.value),
        *(path.outcome_class.value if path.outcome_class else None, path.track.value),
        *(path.case_at_baseline, path.case_now, path.response, path.remission, path.recovery),
        *(path.important_change, path.stalled, path.deteriorated, path.relapse),
    )


def episode_effect(person: str, episode: str, version: int, spell: Episode) -> Effect:
    """What is known of one episode of care; an older version changes nothing."""
    return Effect("care_episode", (person, episode, version, spell.started_at, spell.ended_at))


def series_reader(database: Database, systems: Mapping[str, str]) -> Coalescer[Series]:
    """Reads series by `SeriesKey`; the group is (tenant,). Those who ask in one turn of the loop share a call.

    `systems` has the code system of each code.
    """

    async def fetch(group: tuple[str, ...], keys: Sequence[SeriesKey]) -> Mapping[SeriesKey, Series]:
        persons, codes = zip(*keys, strict=True)
        asked = [systems[code] for code in codes]
        found: dict[SeriesKey, Series] = {}
        statement = "SELECT * FROM read_trajectories($1, $2, $3, $4)"
        for row in await database.fetch(statement, group[0], persons, asked, codes):
            key = SeriesKey(row["person"], row["code"])
            if row["body"] is None:
                found[key] = _series(row)
            else:
                found[key].observations.append(kept_score(row["body"], row["version"]))
        return found

    return Coalescer(fetch)


def _series(row: Any) -> Series:
    points = {} if row["series"] is None else points_of(row["series"])
    spells = zip(row["started_at"] or (), row["ended_at"] or (), strict=True)
    care = care_of(Episode(*spell) for spell in spells) if row["started_at"] else NEVER_ENDED
    is_current = row["series"] is not None or row["number"] is None
    return Series(row["number"] or 0, row["told"], points, is_current, care)


async def codes_of(database: Database, tenant: str, person: str) -> list[str]:
    """The codes on which this person has a trajectory."""
    rows = await database.fetch("SELECT * FROM trajectory_codes($1, $2)", tenant, person)
    return [row["code"] for row in rows]


async def episodes_of(database: Database, tenant: str, person: str) -> dict[str, tuple[int, Episode]]:
    """What is known of this person's episodes of care: version and time by id."""
    rows = await database.fetch("SELECT * FROM care_episodes($1, $2)", tenant, person)
    return {row["episode"]: (row["version"], Episode(row["started_at"], row["ended_at"])) for row in rows}


async def observed_codes(database: Database, tenant: str, person: str) -> list[tuple[str, str]]:
    """System and code of every kind of Observation that there is of this person."""
    rows = await database.fetch("SELECT * FROM observed_codes($1, $2)", tenant, person)
    return [(row["system"], row["code"]) for row in rows]
