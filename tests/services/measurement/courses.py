"""Courses of care that do not exist, as rows that figures are counted from: every kind that scores can make, or drawn
ones. The criteria of Measures are evaluated over them as they ship, by SQLite, which knows what unknown is as well."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import product
from random import Random

from stepwell_measurement.care_tables import COUNTED
from stepwell_measurement.data import trajectory_parameters
from stepwell_measurement.rules.care_record import ANXIETY, MOOD, NOBODY_KNOWN, Fact, Kind, counted_rows
from stepwell_measurement.rules.measures.figures import Measure
from stepwell_measurement.rules.partings import half_names
from stepwell_measurement.rules.reliable_change import Score
from stepwell_measurement.rules.trajectory import TrajectoryParameters

START, DAYS = datetime(2026, 1, 5, 9, tzinfo=UTC), 80
FROM_SCORES = (
    "case_at_start", "recovery", "reliable_improvement", "reliable_deterioration", "reliable_recovery",
    "mood_case", "mood_response", "mood_remission", "anxiety_case", "anxiety_response", "anxiety_remission",
)  # fmt: skip
BESIDE = ("ended_on", "contacts", "function_better", "satisfaction", "cost")
COLUMNS = (*FROM_SCORES, *BESIDE)

Scores = tuple[int, ...]
"""None, the first alone, or the first and the last of one instrument."""

Course = tuple[str | float | None, ...]
"""A value for each of `COLUMNS`."""


def outcomes(
    mood: Scores, anxiety: Scores, parameters: Mapping[str, TrajectoryParameters] | None = None
) -> Course:  # fmt: skip
    """What the scores of a course say of it, by the rules."""
    episode = Fact(Kind.EPISODE, "e1", "finished", START, ended_at=START + timedelta(days=2 * DAYS))
    series = {
        code: [Score(Decimal(value), START + timedelta(days=DAYS * place)) for place, value in enumerate(values)]
        for code, values in ((MOOD, mood), (ANXIETY, anxiety))
        if values
    }
    known = parameters or trajectory_parameters()
    (row,) = counted_rows([episode], series, NOBODY_KNOWN, known, (0,)).care_course
    names = COUNTED["care_course"][1:]
    values = (row[names.index(name)] for name in FROM_SCORES)
    return tuple(None if value is None else bool(value) for value in values)


def every_kind() -> list[Course]:
    """All kinds of courses that scores about the cut-offs, and any reliable change that a site may choose, can make."""
    found: dict[Course, None] = {}
    for points in product((1, 6, 40), (1, 4, 40)):
        parameters = dict(trajectory_parameters())
        for code, threshold in zip((MOOD, ANXIETY), points, strict=True):
            change = replace(parameters[code].change, threshold=Decimal(threshold))
            parameters[code] = replace(parameters[code], change=change)
        scores = product(_scores((0, 4, 5, 9, 10, 16, 27)), _scores((0, 3, 4, 7, 8, 12, 21)))
        found |= dict.fromkeys(outcomes(mood, anxiety, parameters) for mood, anxiety in scores)
    beside = product((None, "2026-04-01"), (1, 2), (None, True, False), (None, 8.0), (None, 120.0))
    return [(*of_scores, *other) for of_scores, other in product(found, list(beside))]


def _scores(values: Sequence[int]) -> list[Scores]:
    return [(), *((value,) for value in values), *product(values, repeat=2)]


def drawn(random: Random, better: float) -> Course:
    """A course that ended, where so many get better."""
    mood, anxiety = (random.gauss(middle, spread) for middle, spread in ((14, 5), (11, 4.5)))
    fall = random.uniform(0.3, 0.9) if random.random() < better else random.uniform(-0.35, 0.2)
    is_known = random.random() < 0.84
    again = [is_known or random.random() < 0.4, is_known or random.random() < 0.3]
    pairs = [(mood, 27), (anxiety, 21)]
    scores = [
        tuple(round(min(most, max(0, each))) for each in (first, first * (1 - fall) + random.gauss(0, 1.5)))
        for first, most in pairs
    ]
    of_scores = _known(*(pair if also else pair[:1] for pair, also in zip(scores, again, strict=True)))
    function = random.random() < 0.55 if random.random() < 0.84 else None
    satisfaction = float(random.randint(4, 12)) if random.random() < 0.84 else None
    cost = float(random.randint(400, 1200)) if random.random() < 0.9 else None
    return (*of_scores, "2026-04-01", 2 if random.random() < 0.8 else 1, function, satisfaction, cost)


_known = cache(outcomes)


def cells_of(
    measure: Measure, rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS
) -> dict[str, set[int]]:
    """Which rows, by their place, are in each cell of a measure; `eligible` are all that it is about."""
    criteria, (known, unknown) = measure.criteria, half_names(measure)
    followed, having = (f"({condition or 'true'})" for condition in (criteria.followed, criteria.having))
    conditions = {"eligible": "true", known: f"{followed} AND {having}"}
    if known == "followed":
        conditions["followed"] = followed
        if criteria.having:
            conditions |= {"having": f"{followed} AND {having}", "not": f"{followed} AND NOT {having}"}
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"CREATE TABLE counted ({', '.join(columns)})")
        database.executemany(f"INSERT INTO counted VALUES ({', '.join('?' * len(columns))})", rows)

        def places(condition: str) -> set[int]:
            found = database.execute(f"SELECT rowid FROM counted WHERE ({criteria.eligible}) AND {condition}")
            return {place - 1 for (place,) in found}

        found = {name: places(condition) for name, condition in conditions.items()}
    return {**found, unknown: found["eligible"] - found[known]}
