"""Which points of a series over time are signals of change, and which are only chance: Shewhart's control charts.

Shewhart 1931, Economic Control of Quality of Manufactured Product; which points count as signals is taken from Provost
and Murray 2011, The Health Care Data Guide, chapter 4: one point outside the limits, or eight in a row on one side.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

SIGMAS = 3.0
"""Shewhart's limits lie three standard deviations from the centre."""

RUN_LENGTH = 8
"""Eight in a row on one side of the centre are a shift: Provost and Murray, rule 2."""

RANGE_OF_TWO = 1.128
"""d2 for two values: their mean range in standard deviations (Shewhart's table; ASTM E2587)."""


class Signal(StrEnum):
    """Why a point is no mere chance."""

    OUTSIDE = "outside-limits"
    SHIFT = "shift"


class Count(NamedTuple):
    """What was counted in one period: how many, among how many people (p) or in how much exposure (u)."""

    events: float
    exposure: float


class Point(NamedTuple):
    """One period: its value, the limits that chance keeps it within, and why it is a signal (empty when it is none)."""

    value: float
    centre: float
    low: float
    high: float
    signals: tuple[Signal, ...]


def p_chart(
    periods: Sequence[Count], baseline: Sequence[Count] | None = None, run_length: int = RUN_LENGTH
) -> tuple[Point, ...]:
    """Shares over time: the limits of each period follow from how many people it had.

    `baseline` are the periods that centre and limits come from (all of them when None). Raises ValueError for a
    period without people or with more events than people.
    """
    if any(not 0 <= each.events <= each.exposure for each in (*periods, *(baseline or ()))):
        raise ValueError("a share needs a count within a group that has somebody in it")
    centre = _centre(periods if baseline is None else baseline)
    return _charted(periods, centre, centre * (1 - centre), 1.0, run_length)


def u_chart(
    periods: Sequence[Count], baseline: Sequence[Count] | None = None, run_length: int = RUN_LENGTH
) -> tuple[Point, ...]:
    """Events by exposure over time, where one person can have several. Otherwise as `p_chart`."""
    centre = _centre(periods if baseline is None else baseline)
    return _charted(periods, centre, centre, float("inf"), run_length)


def xmr_chart(
    values: Sequence[float], baseline: Sequence[float] | None = None, run_length: int = RUN_LENGTH
) -> tuple[Point, ...]:
    """Single values over time (a median wait by month): limits from the mean moving range, 2.66 of it either side.

    Raises ValueError when the baseline has fewer than two values, so that nothing moves.
    """
    basis = values if baseline is None else baseline
    if len(basis) < 2:
        raise ValueError("a moving range needs two values")
    centre = sum(basis) / len(basis)
    moving = sum(abs(later - earlier) for earlier, later in pairwise(basis)) / (len(basis) - 1)
    spread = SIGMAS * moving / RANGE_OF_TWO
    return _signalled([(value, centre, centre - spread, centre + spread) for value in values], run_length)


def _centre(periods: Sequence[Count]) -> float:
    exposure = sum(each.exposure for each in periods)
    if not exposure:
        raise ValueError("a chart needs periods with somebody in them")
    return sum(each.events for each in periods) / exposure


def _charted(
    periods: Sequence[Count], centre: float, variance: float, ceiling: float, run_length: int
) -> tuple[Point, ...]:
    if any(each.exposure <= 0 or each.events < 0 for each in periods):
        raise ValueError("every period has somebody in it, and no count is negative")
    rows = []
    for events, exposure in periods:
        spread = SIGMAS * sqrt(variance / exposure)
        rows.append((events / exposure, centre, max(0.0, centre - spread), min(ceiling, centre + spread)))
    return _signalled(rows, run_length)


def _signalled(rows: Sequence[tuple[float, float, float, float]], run_length: int) -> tuple[Point, ...]:
    shifted = _shifted([value - centre for value, centre, _, _ in rows], run_length)
    points = []
    for place, (value, centre, low, high) in enumerate(rows):
        found = {Signal.OUTSIDE: not low <= value <= high, Signal.SHIFT: place in shifted}
        points.append(Point(value, centre, low, high, tuple(signal for signal, there in found.items() if there)))
    return tuple(points)


def _shifted(distances: Sequence[float], run_length: int) -> set[int]:
    """The places of all points in runs long enough; a point on the centre neither ends a run nor counts in it."""
    shifted: set[int] = set()
    run: list[int] = []
    for place, distance in enumerate(distances):
        if not distance:
            continue
        if run and (distances[run[-1]] > 0) != (distance > 0):
            run = []
        run.append(place)
        if len(run) >= run_length:
            shifted.update(run)
    return shifted
