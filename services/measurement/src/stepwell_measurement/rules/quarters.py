"""Quarters of a board: which of them are over and counted, and how a figure of one stands beside that of the other."""

from datetime import date, timedelta

from stepwell_shared.proportions import Group, Interval, newcombe

from stepwell_measurement.rules.measures.figures import Figure, Kind, Measure


def first_day(quarter: str) -> date:
    """The first day of a quarter such as 2026-Q2."""
    year, number = _parts(quarter)
    return date(year, 3 * number - 2, 1)


def last_day(quarter: str) -> date:
    """The last day of a quarter."""
    return first_day(quarter_after(quarter)) - timedelta(days=1)


def quarter_after(quarter: str) -> str:
    """The quarter that follows."""
    year, number = _parts(quarter)
    return f"{year}-Q{number + 1}" if number < 4 else f"{year + 1}-Q1"


def quarter_before(quarter: str) -> str:
    """The quarter before."""
    year, number = _parts(quarter)
    return f"{year}-Q{number - 1}" if number > 1 else f"{year - 1}-Q4"


def whole_quarters(start: date, end: date) -> tuple[str, ...]:
    """The quarters that lie wholly between two days, in order of time."""
    quarter = f"{start.year}-Q{(start.month + 2) // 3}"
    found = []
    while last_day(quarter) <= end:
        if first_day(quarter) >= start:
            found.append(quarter)
        quarter = quarter_after(quarter)
    return tuple(found)


def difference(measure: Measure, now: Figure, before: Figure) -> Interval | None:
    """How much larger a share is than before, with its interval; None where one of both is not published.

    Method 10 of Newcombe 1998, Stat Med 17:873, for two groups of different people.
    """
    one, other = _group(now), _group(before)
    if measure.kind is not Kind.SHARE or one is None or other is None:
        return None
    return newcombe(one, other)


def _group(found: Figure) -> Group | None:
    if found.score is None or found.having is None or not found.followed:
        return None
    return Group(found.having, found.followed)


def _parts(quarter: str) -> tuple[int, int]:
    year, _, number = quarter.partition("-Q")
    return int(year), int(number)
