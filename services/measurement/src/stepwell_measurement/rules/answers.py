"""What may be asked of published figures: reports that say what the dashboards' pages say, and nothing beside it.

Everything that is published was kept safe together (`publishing`), so what only repeats it gives nothing more away:
whoever asks for all reports that there are has the pages. shared/decisions says why nothing else is answered.
"""

from datetime import date
from typing import NamedTuple

from stepwell_measurement.rules.board import Sheet
from stepwell_measurement.rules.measures.figures import Figure, Measure, figure
from stepwell_measurement.rules.measures.reports import Report, Row, with_limits

KEPT_BACK = Figure(None, None, None, None, is_withheld=True)


class Asked(NamedTuple):
    """What is asked of a Measure: the first and the last day, by what groups are told apart, by which part of the
    period, and of whom alone."""

    start: date
    end: date
    strata: tuple[str, ...] = ()
    by: str = ""
    where: tuple[tuple[str, str], ...] = ()


def answer(measure: Measure, sheet: Sheet, published: tuple[date, date], asked: Asked) -> Report | None:
    """The report out of what is published of the period (first and last day); None for what is not published."""
    is_whole = (asked.start, asked.end) == published
    is_series = asked.by == "month" and asked.end == published[1] and asked.start.day == 1
    if not is_whole and not is_series:
        return None
    if asked.where:
        return _of_one_group(measure, sheet, asked)
    rows = _rows(sheet, asked)
    if rows is None:
        return None
    return Report(measure, with_limits(measure, rows), sheet.all.figure if is_whole else KEPT_BACK)


def _rows(sheet: Sheet, asked: Asked) -> list[Row] | None:
    match asked.strata, asked.by:
        case (), "":
            return []
        case (name,), "":
            return [Row(None, (each.value,), each.figure) for each in sheet.by.get(name, ())]
        case (), "month":
            first = f"{asked.start:%Y-%m}"
            return [Row(_begin(each.value), (), each.figure) for each in sheet.months if each.value >= first]
        case (), "quarter":
            return [Row(_begin(each.value), (), each.figure) for each in sheet.quarters]
        case ("practice",), "quarter":
            quarters = sorted(sheet.practices.items())
            return [Row(_begin(part), (each.value,), each.figure) for part, groups in quarters for each in groups]
    return None


def _of_one_group(measure: Measure, sheet: Sheet, asked: Asked) -> Report | None:
    if asked.strata or asked.by or len(asked.where) > 1:
        return None
    ((name, value),) = asked.where
    found = next((each.figure for each in sheet.by.get(name, ()) if each.value == value), figure(measure, {}))
    return Report(measure, (), found)


def askable(published: tuple[date, date], months_before: date) -> str:
    """What is published, in words: the period, and from which month on there is a series."""
    start, end = published
    return (
        f"published are figures from {start} to {end}, of everybody, by one stratifier, of one group (only), by quarter"
        f" and by quarter and practice; and of everybody by month from {months_before} to {end}"
    )


def _begin(part: str) -> date:
    """The first day of a month such as 2026-05, or of a quarter such as 2026-Q2."""
    year, _, number = part.partition("-")
    return date(int(year), int(number[1:]) * 3 - 2 if number[0] == "Q" else int(number), 1)
