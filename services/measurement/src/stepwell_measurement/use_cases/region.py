"""What this organisation tells its region: published figures, as reports that go to partners by themselves.

A report is made once its part of the year is over and due, out of what the dashboards publish, and looked at again
when a later one is due. It is stored here and announced; delivery brings it to the partner, who is sent what is
stored then.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta

import orjson
import structlog
from stepwell_shared.background import poll
from stepwell_shared.canonical import organization_of
from stepwell_shared.federation.partners import Partner
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.partnering import partners_of
from stepwell_shared.runtime import Runtime

from stepwell_measurement.builders.measures import About
from stepwell_measurement.builders.region import Resource, kept_id, kept_report
from stepwell_measurement.data.measures import measures
from stepwell_measurement.data.region import default_schedule, schedule_from
from stepwell_measurement.rules.board import Board, Group
from stepwell_measurement.rules.measures.figures import Measure
from stepwell_measurement.rules.region import QUARTER, Part, Schedule, parts_due
from stepwell_measurement.use_cases.dashboards import board_of
from stepwell_measurement.use_cases.reports import announced
from stepwell_measurement.use_cases.site import site_file

LOOK_EVERY = timedelta(seconds=3)  # a look asks two short questions of the database

log = structlog.get_logger("stepwell.region")


def schedule_of(runtime: Runtime, tenant: str) -> Schedule:
    """When figures go to the region; of a site file that says it wrong the log says so, and what ships holds."""
    said = site_file(runtime, tenant).get("regionFigures")
    if said is None:
        return default_schedule()
    try:
        return schedule_from(said)
    except ValueError:
        log.exception("regionFigures in the file of STEPWELL_SITE_FILE cannot be used; what ships holds")
        return default_schedule()


async def make_reports(runtime: Runtime, tenant: str, partner: Partner, board: Board) -> int:
    """Stores and announces the reports for a partner that are due and were not made since, where they say anything
    else than before; how many."""
    schedule = schedule_of(runtime, tenant)
    due = parts_due(schedule, board.start, board.end, runtime.clock().date())
    made = 0
    for part in due:
        for measure, group in _told(schedule, board, part):
            looked_at = f"{schedule.due_on(due[-1])}"
            made += await _kept(runtime, tenant, partner, board.made_at, measure, group, part, looked_at)
    return made


def _told(schedule: Schedule, board: Board, part: Part) -> Iterator[tuple[Measure, Group]]:
    """What is published of a part of the year, by Measure."""
    for name, sheet in board.sheets.items():
        groups = sheet.quarters if schedule.every == QUARTER else sheet.months
        group = next((each for each in groups if each.value == part.name), None)
        if group is not None:
            yield measures()[name], group


async def _kept(
    runtime: Runtime,
    tenant: str,
    partner: Partner,
    made_at: datetime,
    measure: Measure,
    group: Group,
    part: Part,
    looked_at: str,
) -> bool:
    """Whether the report says something new; one that was made since `looked_at` (a day) stays as it is."""
    period = (part.start, part.end)
    id_ = kept_id(runtime.engine.base_url, tenant, partner.name, measure.id, period)
    stored = await runtime.store.read(tenant, "MeasureReport", id_)
    before: Resource = orjson.loads(stored.body) if stored is not None and stored.body else {}
    if str(before.get("date", ""))[:10] >= looked_at:
        return False
    about = About(organization_of(tenant), made_at, part.start, part.end)
    report = kept_report(measure, group, about, id_, f"{partner.name}/{measure.id}/{part.name}")
    if _content(before) == _content(orjson.loads(encode(report))):
        return False
    change = built(runtime.engine, report, runtime.clock(), version=stored.version + 1 if stored is not None else 1)
    unit = UnitOfWork(tenant, [change])
    unit.effects.append(announced(runtime, change.stored, report, runtime.clock()))
    try:
        await runtime.store.commit(unit)
    except WriteConflictError:
        return False  # another process makes the same
    return True


def _content(report: Resource) -> Resource:
    return {name: value for name, value in report.items() if name not in {"meta", "date"}}


class Reporting:
    """Looks whether reports are due. Several processes do no harm: the same report is stored once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._look_again: dict[str, datetime] = {}
        self._told: dict[tuple[str, str], tuple[datetime, str]] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        await poll(self._runtime, self.look, "reports for the region")

    async def look(self, tenants: Sequence[str]) -> None:
        """Makes what is due for the partners of each tenant that are given figures; each time there are new ones."""
        for tenant in tenants:
            now = self._runtime.clock()
            if now < self._look_again.get(tenant, now):
                continue
            self._look_again[tenant] = now + LOOK_EVERY
            given = [each for each in await partners_of(self._runtime).all(tenant) if each.is_given_figures]
            if given and (board := await board_of(self._runtime, tenant)) is not None:
                for partner in given:
                    await self._report(tenant, partner, board, now)

    async def _report(self, tenant: str, partner: Partner, board: Board, now: datetime) -> None:
        told = (board.made_at, f"{now.date()}")
        if self._told.get((tenant, partner.name)) == told:
            return
        made = await make_reports(self._runtime, tenant, partner, board)
        self._told[tenant, partner.name] = told
        if made:
            log.info("reports for the region were made", reports=made, partner=partner.name)


def loops(runtime: Runtime) -> Sequence[Callable[[], Awaitable[None]]]:
    """What runs beside the requests."""
    return [Reporting(runtime).run]
