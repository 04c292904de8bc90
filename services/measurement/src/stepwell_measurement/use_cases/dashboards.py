"""The figures of the dashboards: counted for whole months beside the requests, kept as they may be published.

Pages read what is kept, so that no view counts anything, and all of them say the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec
import structlog
from stepwell_shared.background import poll
from stepwell_shared.runtime import Runtime

from stepwell_measurement.board_tables import KeptSheet, claim, keep, kept, stamps
from stepwell_measurement.data.measures import measures
from stepwell_measurement.rules.board import Board, Sheet
from stepwell_measurement.rules.measures.figures import Measure, Tally, added, cells
from stepwell_measurement.rules.nesting import population_of
from stepwell_measurement.rules.partings import PRACTICE, TIER, Counts, quarter_of
from stepwell_measurement.use_cases.deciding import NotDecidedError, decide
from stepwell_measurement.use_cases.evaluating import Question, tallies, tallies_of_each
from stepwell_measurement.use_cases.site import site_file

# Product defaults: a year of figures, a year before it for the charts; figures are made anew this often.
MONTHS, MONTHS_BEFORE = 12, 12
MADE_EVERY = timedelta(hours=1)
TRIES = 3
# A process has other work when it starts; figures that somebody waits for are made at once.
FIRST_AFTER = timedelta(minutes=1)
ASKED = "dashboards asked for"
MIXED = "time-in-tier"
"""The measure whose people are told apart by month and tier: who is cared for at which tier."""

log = structlog.get_logger("stepwell.dashboards")


class _Read(NamedTuple):
    """Figures that were read: of when, about which period, and what they say."""

    made_at: datetime
    start: date
    end: date
    sheet: Sheet


async def board_of(runtime: Runtime, tenant: str) -> Board | None:
    """The figures of a tenant as they were made last; None when none have been made yet.

    A view asks when they were made; what has not been made since the last one is read already.
    """
    made = await stamps(runtime.database, tenant)
    if not made:
        runtime.cache[ASKED, tenant] = True
        return None
    known = runtime.cache.get(("board", tenant))
    read: dict[str, _Read] = known if isinstance(known, dict) else {}
    anew = [name for name, moment in made.items() if name not in read or read[name].made_at != moment]
    if anew:
        rows = await kept(runtime.database, tenant, anew)
        read = {**read, **await asyncio.to_thread(_read, rows)}
        runtime.cache["board", tenant] = read
    newest = max(read.values(), key=lambda each: each.made_at)
    sheets = {name: read[name].sheet for name in measures() if name in read and read[name].end == newest.end}
    return Board(newest.start, newest.end, newest.made_at, sheets)


def _read(rows: Sequence[KeptSheet]) -> dict[str, _Read]:
    return {
        row.measure: _Read(row.made_at, row.start, row.end, msgspec.json.decode(row.body, type=Sheet)) for row in rows
    }


def public_region(runtime: Runtime, tenant: str) -> str | None:
    """What a tenant's page for everybody calls its region; None for one that publishes nothing.

    The file of the setting `site_file` says it: `{"north": {"publicDashboard": {"region": "North Valley"}}}`.
    """
    said = site_file(runtime, tenant).get("publicDashboard")
    return str(said.get("region", "")) if isinstance(said, dict) else None


async def make_board(runtime: Runtime, tenant: str) -> None:
    """Counts every measure for the last whole months, and keeps what may be published.

    Measures about the same people are counted together, again where something became known in between; what cannot be
    counted at rest stays as it was.
    """
    start, end = period_of(runtime.clock().date())
    for together in _populations():
        for _ in range(TRIES):
            counted = [(each, await _counts(runtime, tenant, each, start, end)) for each in together]
            try:
                bodies = await decide(counted)
            except ValueError:
                log.info("something became known while it was counted", measure=together[0].id)
                continue
            except NotDecidedError as error:  # the figures of others are made all the same
                log.warning("figures stay as they were", measure=together[0].id, reason=str(error))
                break
            made = runtime.clock()
            kept_sheets = [KeptSheet(name, made, start, end, body) for name, body in bodies.items()]
            await keep(runtime.database, tenant, *kept_sheets)
            break


def _populations() -> list[list[Measure]]:
    """The measures, those about the same people together."""
    together: dict[str, list[Measure]] = {}
    for measure in measures().values():
        together.setdefault(population_of(measure), []).append(measure)
    return list(together.values())


def period_of(today: date) -> tuple[date, date]:
    """The first and the last day of the last whole months before today."""
    first_of_month = today.replace(day=1)
    return months_before(first_of_month, MONTHS), first_of_month - timedelta(days=1)


def months_before(first_of_month: date, months: int) -> date:
    """The first day of the month so many months before."""
    place = first_of_month.year * 12 + first_of_month.month - 1 - months
    return date(place // 12, place % 12 + 1, 1)


async def _counts(runtime: Runtime, tenant: str, measure: Measure, start: date, end: date) -> Counts:
    """What is counted of a measure, small counts and all: for `sheets_of` alone."""
    count = partial(_counted, runtime, tenant)
    by = await tallies_of_each(runtime, tenant, Question(measure.id, start, end, strata=measure.dimensions))
    if not measure.criteria.on:  # what is true now, and of no month
        return Counts(added((await count(Question(measure.id, start, end))).values()), by=by)
    months = await count(Question(measure.id, months_before(start, MONTHS_BEFORE), end, by="month"))
    within = {month: tally for month, tally in months.items() if month >= _month(start)}
    before = {month: tally for month, tally in months.items() if month not in within}
    mix = await _mix(runtime, tenant, measure, start, end) if measure.id == MIXED else {}
    practices = await _practices(runtime, tenant, measure, start, end)
    return Counts(added(within.values()), within, before, by, mix, practices)


async def _counted(runtime: Runtime, tenant: str, question: Question) -> dict[str, Tally]:
    """What is counted by the one thing that the question tells groups apart by."""
    found = await tallies(runtime, tenant, question)
    return {_month(key.since) if key.since else "".join(key.strata): tally for key, tally in found.items()}


async def _mix(
    runtime: Runtime, tenant: str, measure: Measure, start: date, end: date
) -> Mapping[tuple[str, str], int]:
    found = await tallies(runtime, tenant, Question(measure.id, start, end, strata=(TIER,), by="month"))
    return {
        (_month(key.since), key.strata[0]): sum(cells(measure, tally))
        for key, tally in found.items()
        if key.since is not None
    }


async def _practices(
    runtime: Runtime, tenant: str, measure: Measure, start: date, end: date
) -> Mapping[str, Mapping[str, Tally]]:
    """What is counted of each quarter by practice, where practices are told apart."""
    if PRACTICE not in measure.dimensions:
        return {}
    quarters: dict[str, dict[str, Tally]] = {}
    found = await tallies(runtime, tenant, Question(measure.id, start, end, strata=(PRACTICE,), by="quarter"))
    for key, tally in found.items():
        if key.since is not None:
            quarters.setdefault(quarter_of(_month(key.since)), {})[key.strata[0]] = tally
    return quarters


def _month(day: date) -> str:
    return f"{day:%Y-%m}"


class Making:
    """Looks whether the figures of a tenant are due. Several processes do no harm: one of them makes each."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._look_again: dict[str, datetime] = {}
        self._began_at = runtime.clock()

    async def run(self) -> None:
        """Until it is cancelled."""
        await poll(self._runtime, self.look, "dashboards")

    async def look(self, tenants: Sequence[str]) -> None:
        """Makes what is due of each tenant."""
        for tenant in tenants:
            now = self._runtime.clock()
            is_asked = self._runtime.cache.pop((ASKED, tenant), False)
            if not is_asked and now < self._look_again.get(tenant, self._began_at + FIRST_AFTER):
                continue
            self._look_again[tenant] = now + MADE_EVERY / 10
            if await claim(self._runtime.database, tenant, now, now - MADE_EVERY):
                await make_board(self._runtime, tenant)
                log.info("the dashboards have new figures", seconds=(self._runtime.clock() - now).total_seconds())


def loops(runtime: Runtime) -> Sequence[Callable[[], Awaitable[None]]]:
    """What runs beside the requests."""
    return [Making(runtime).run]
