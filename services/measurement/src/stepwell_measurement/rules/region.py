"""When figures go to the region, and how it stands with each organisation that sends some. Pure: today is handed in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from stepwell_measurement.rules.quarters import first_day, last_day, whole_quarters

MONTH, QUARTER = "month", "quarter"


@dataclass(frozen=True, slots=True)
class Schedule:
    """`every` month or quarter; a report is due `wait_days` after its end, and late after `late_days` more."""

    every: str
    wait_days: int
    late_days: int

    def due_on(self, part: "Part") -> date:
        """When the report about this part of a year is due."""
        return part.end + timedelta(days=self.wait_days)

    def late_on(self, part: "Part") -> date:
        """From when on it is late."""
        return self.due_on(part) + timedelta(days=self.late_days)


class Part(NamedTuple):
    """A month such as 2026-05 or a quarter such as 2026-Q2, with its first and last day."""

    name: str
    start: date
    end: date


class State(StrEnum):
    """How it stands with the report of an organisation."""

    COUNTED = "counted"
    KEPT_BACK = "kept-back"
    AWAITED = "awaited"
    LATE = "late"


class Standing(NamedTuple):
    """How it stands with an organisation: its name, its reference where it is a partner, and its title."""

    name: str
    reference: str
    title: str
    state: State


def parts_due(schedule: Schedule, start: date, end: date, today: date) -> list[Part]:
    """The whole months or quarters between two days whose reports are due, in order of time."""
    return [each for each in _parts(schedule.every, start, end) if schedule.due_on(each) <= today]


def newest_part(schedule: Schedule, today: date) -> Part:
    """The last whole month or quarter before today, due or not."""
    return _parts(schedule.every, today - timedelta(days=200), today - timedelta(days=1))[-1]


def part_named(name: str) -> Part | None:
    """The month or quarter of this name; None for what is none."""
    year, _, rest = name.partition("-")
    if not (len(year) == 4 and year.isascii() and year.isdecimal() and int(year)):
        return None
    if rest in {"Q1", "Q2", "Q3", "Q4"}:
        return Part(name, first_day(name), last_day(name)) if int(year) < 9999 else None
    if len(rest) == 2 and rest.isascii() and rest.isdecimal() and 1 <= int(rest) <= 12 and int(year) < 9999:
        return _month(date(int(year), int(rest), 1))
    return None


def state_of(schedule: Schedule, part: Part, today: date, *, is_there: bool, has_tally: bool) -> State:
    """How it stands with a report about this part."""
    if is_there:
        return State.COUNTED if has_tally else State.KEPT_BACK
    return State.LATE if today > schedule.late_on(part) else State.AWAITED


def tiled(periods: Iterable[tuple[date, date]], start: date, end: date) -> Sequence[tuple[date, date]]:
    """Periods that follow upon each other from the first day to the last, without gap or overlap; none where none do.

    The longest first: what was told as a whole is not put together out of its parts.
    """
    by_start: Mapping[date, list[date]] = _by_start(periods, end)
    whole: dict[date, tuple[tuple[date, date], ...]] = {end + timedelta(days=1): ()}
    for first in sorted(by_start, reverse=True):
        for last in sorted(by_start[first], reverse=True):
            rest = whole.get(last + timedelta(days=1))
            if rest is not None:
                whole[first] = ((first, last), *rest)
                break
    return whole.get(start, ())


def _by_start(periods: Iterable[tuple[date, date]], end: date) -> dict[date, list[date]]:
    found: dict[date, list[date]] = {}
    for first, last in set(periods):
        if first <= last <= end:
            found.setdefault(first, []).append(last)
    return found


def _parts(every: str, start: date, end: date) -> list[Part]:
    if every == QUARTER:
        return [Part(name, first_day(name), last_day(name)) for name in whole_quarters(start, end)]
    found, part = [], _month(start if start.day == 1 else _month(start).end + timedelta(days=1))
    while part.end <= end:
        found.append(part)
        part = _month(part.end + timedelta(days=1))
    return found


def _month(first: date) -> Part:
    first = first.replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    return Part(f"{first:%Y-%m}", first, after - timedelta(days=1))
