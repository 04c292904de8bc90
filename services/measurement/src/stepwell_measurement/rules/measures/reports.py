"""A report on one Measure: a figure for each group and for all together, with small counts kept back and limits of
chance where it is told by period."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from stepwell_measurement.rules.measures.control_charts import Count, Point, p_chart, xmr_chart
from stepwell_measurement.rules.measures.figures import Figure, Kind, Measure, Tally, added, cells, figure, shown
from stepwell_measurement.rules.measures.suppression import SMALL_BELOW, blanks

PERIODS_MIN = 2
"""So many periods have to be known before limits can be drawn."""


class GroupKey(NamedTuple):
    """Which group: the first day of its part of the period (None when it is not told by period), and its strata."""

    since: date | None
    strata: tuple[str, ...]


EVERYBODY = GroupKey(None, ())
"""The one group of a report that tells nobody apart."""


@dataclass(frozen=True, slots=True)
class Row:
    """One group of a report. `limits` are those of its series over time, None without one."""

    since: date | None
    strata: tuple[str, ...]
    figure: Figure
    limits: Point | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was counted: the groups in order, and `whole`, everybody together."""

    measure: Measure
    rows: tuple[Row, ...]
    whole: Figure

    def without_rows(self) -> "Report":
        """What is said of everybody alone."""
        return replace(self, rows=())


def report(measure: Measure, tallies: Mapping[GroupKey, Tally], *, below: int = SMALL_BELOW) -> Report:
    """The report on these groups. A count of 1 to `below` - 1, and what would give it away, is withheld within the
    report; with `below` 1 nothing is."""
    order = sorted(tallies, key=lambda key: (key.since or date.min, key.strata))
    groups = [tallies[key] for key in order]
    everybody = added(groups)
    if not groups:
        return Report(measure, (), figure(measure, {}))
    figures = _shown(measure, groups, everybody, below)
    told_apart = [(key, each) for key, each in zip(order, figures, strict=False) if key != EVERYBODY]
    rows = [Row(*key, each) for key, each in told_apart]
    return Report(measure, with_limits(measure, rows), figures[-1])


def _shown(measure: Measure, groups: Sequence[Tally], everybody: Tally, below: int) -> list[Figure]:
    """The figures of the groups and of everybody: all parts of one table, so that none gives another away."""
    whole = cells(measure, everybody)
    parts = [cells(measure, each) for each in groups]
    table = [(*row, sum(row)) for row in (*parts, whole)]
    blank = blanks(table, below) if below > 1 else frozenset()
    found = []
    for place, tally in enumerate((*groups, everybody)):
        visible = [(place, column) not in blank for column in range(len(whole) + 1)]
        found.append(shown(measure, tally, tuple(visible[:-1]), visible[-1]))
    return found


def with_limits(measure: Measure, rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with the limits of each series, out of what is shown of it alone."""
    series: dict[tuple[str, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if row.since is not None and _is_known(measure, row.figure):
            series.setdefault(row.strata, []).append(place)
    found = list(rows)
    for places in series.values():
        if len(places) >= PERIODS_MIN:
            points = _chart(measure, [rows[place].figure for place in places])
            for place, point in zip(places, points, strict=True):
                row = rows[place]
                found[place] = Row(row.since, row.strata, row.figure, point)
    return tuple(found)


def _is_known(measure: Measure, found: Figure) -> bool:
    if measure.kind is Kind.SHARE:
        return bool(found.followed) and found.having is not None
    return measure.kind in {Kind.WAITS, Kind.MEAN} and found.score is not None


def _chart(measure: Measure, figures: Sequence[Figure]) -> tuple[Point, ...]:
    if measure.kind is Kind.SHARE:
        return p_chart([Count(each.having or 0, each.followed or 0) for each in figures])
    return xmr_chart([each.score.estimate for each in figures if each.score is not None])
