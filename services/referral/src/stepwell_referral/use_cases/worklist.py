"""The worklist of those who coordinate referrals: what waits, what is at risk, what rests too long, what to solve next.

Every list is one rendering of this, as a page or as data; each is a page by its key and counted up to a bound.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from stepwell_shared.auth.caller import Caller
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.booking_tables import begun_since
from stepwell_referral.builders import booking, coordination, support
from stepwell_referral.data.worklist import load_period, overview_rows, promise_is_near, services_shown
from stepwell_referral.rules.queue import Entry, Placed, ordered, waited_share
from stepwell_referral.rules.transitions import WAITING
from stepwell_referral.use_cases.persons import person_of
from stepwell_referral.use_cases.worklist_lines import Line, decode, line_of, name_of
from stepwell_referral.use_cases.worklist_reach import Chosen, owners_granted, owners_of
from stepwell_referral.use_cases.worklist_sites import Sites, sites_of
from stepwell_referral.worklist_queries import (
    START,
    After,
    Asked,
    Near,
    OpenRow,
    PractitionerRow,
    ServiceRow,
    counts_of,
    open_of,
    overdue,
    practitioners_of,
    promises_at_risk,
    queued_at,
    services_of,
    tasks_of,
    unanswered_appointments,
    unbooked,
)

# The lists of Tasks, in the order in which they are worked on.
LISTS = ("messages", "decisions", "overdue", "promises", "unbooked", "missed", "barriers")
VIEWS = (*LISTS, "unanswered", "queues", "load")
# States of referrals in which they rest too long; what stands beside them has lists of its own.
OVERDUE_STATES = ("draft", "in-progress", "withdrawn", *WAITING)
CODES: Mapping[str, tuple[str, ...]] = {
    "messages": (support.MESSAGE,),
    "decisions": (support.NEXT_STEP, booking.CONTINGENCY),
    "missed": (booking.OUTREACH,),
    "barriers": (coordination.ARRANGE_SUPPORT,),
}
# By what a list is sorted unless somebody chooses: what is promised first, who asked first.
SORTED = {"messages": "due", "promises": "due", "unbooked": "due"}


@dataclass(frozen=True)
class Looked:
    """What somebody looks at: their choice, where they may look, and the directory as it is.

    Names and appointments are shown to whom the token lets read all of them. What stands beside referrals has no owner:
    whoever is narrowed to services by their scopes does not see it.
    """

    runtime: Runtime
    access: Caller
    chosen: Chosen
    sites: Sites
    owners: Sequence[str] | None
    now: datetime
    is_narrowed: bool

    @property
    def tenant(self) -> str:
        return self.access.tenant

    def reaches_all(self, resource_type: str) -> bool:
        """Whether the token lets read every resource of a type."""
        granted = all(self.access.permits(resource_type, each) for each in (Interaction.READ, Interaction.SEARCH_TYPE))
        return granted and not self.access.filters(resource_type, Interaction.SEARCH_TYPE)

    def line(self, row: OpenRow) -> Line:
        """The line of a Task, without a name for whom the token does not let see people."""
        known = row if self.reaches_all("Patient") else row._replace(person=None)
        return line_of(self.runtime, known, self.sites)


@dataclass(frozen=True)
class Listed:
    """One page of a list; `after` is where the next one begins, None when there is none."""

    view: str
    lines: Sequence[Line]
    after: After | None


@dataclass(frozen=True)
class Stood:
    """Somebody in a queue: where they stand and what puts them before the next; `share` of the longest wait is over."""

    line: Line
    placed: Placed
    share: float


@dataclass(frozen=True)
class Queue:
    """A page of the queue of one service, and how many wait there."""

    owner: str
    people: int
    stood: Sequence[Stood]
    after: int | None


@dataclass(frozen=True)
class Unanswered:
    """An Appointment that nobody has confirmed."""

    id: str
    at: datetime
    status: str
    person: str
    place: str
    task_id: str | None


async def looked(runtime: Runtime, access: Caller, chosen: Chosen) -> Looked:
    """Raises FhirError FORBIDDEN for who may not see referrals."""
    granted = owners_granted(access)
    revision = (await person_of(runtime, access.tenant, "")).revision
    sites = await sites_of(runtime, access.tenant, revision)
    owners = await owners_of(runtime, access, sites, chosen)
    return Looked(runtime, access, chosen, sites, owners, runtime.clock(), is_narrowed=granted is not None)


async def counts(look: Looked) -> dict[str, int]:
    """How much is on each list, up to a bound."""
    near = Near(*promise_is_near())
    found = await counts_of(look.runtime.database, look.tenant, look.owners, OVERDUE_STATES, look.now, near)
    return found | dict.fromkeys(CODES, 0) if look.is_narrowed else found


async def overview(look: Looked) -> list[Listed]:
    """The first few of each list on which there is something."""
    counted = await counts(look)
    first = replace(look, chosen=replace(look.chosen, after=START, most=overview_rows(), sort="", state=""))
    return [await listed(first, view) for view in LISTS if counted.get(view)]


async def listed(look: Looked, view: str) -> Listed:
    """A page of a list of Tasks."""
    chosen = look.chosen
    most = chosen.most
    asked = Asked(
        look.tenant, look.owners, chosen.sort or SORTED.get(view, "urgency"), chosen.after, most + 1
    )  # one more says whether there is a next page
    rows = await _rows(look, view, asked)
    lines = [look.line(each) for each in rows[:most]]
    return Listed(view, lines, rows[most - 1].key if len(rows) > most else None)


async def _rows(look: Looked, view: str, asked: Asked) -> list[OpenRow]:
    database = look.runtime.database
    if view == "overdue":
        states = [look.chosen.state] if look.chosen.state in OVERDUE_STATES else OVERDUE_STATES
        return await overdue(database, asked, states, look.now)
    if view == "promises":
        return await promises_at_risk(database, asked, look.now, Near(*promise_is_near()))
    if view == "unbooked":
        return await unbooked(database, asked)
    if view not in CODES:
        raise FhirError(Category.NOT_FOUND, "there is no such list")
    return [] if look.is_narrowed else await open_of(database, asked, CODES[view])


async def services(look: Looked, *, by_load: bool = False) -> list[ServiceRow]:
    """Where somebody waits, the longest wait or the most urgent need first; with `by_load` where most are in care."""
    sort = "load" if by_load else look.chosen.sort
    return await services_of(look.runtime.database, look.tenant, look.owners, sort, services_shown())


async def queue(look: Looked, service_id: str, *, after: int = 0) -> Queue:
    """The queue of a service in its order, from a position on. Raises FhirError NOT_FOUND for one that is not theirs to
    see."""
    owner = f"HealthcareService/{service_id}"
    if owner not in look.sites.services or (look.owners is not None and owner not in look.owners):
        raise FhirError(Category.NOT_FOUND, "there is no such service among those that you see")
    rows = await queued_at(look.runtime.database, look.tenant, owner)
    begun = []
    if rows:
        since = min(each.entered_at for each in rows)
        begun = await begun_since(look.runtime.database, look.tenant, owner, since)
    entries = [
        Entry(
            each.task_id,
            each.priority,
            each.entered_at,
            paused=each.status == "on-hold",
            overtaken=len(begun) - bisect_right(begun, each.entered_at),
        )
        for each in rows
    ]
    parameters = data.queue_parameters()
    placed = ordered(entries, look.now, parameters)[after : after + look.chosen.most]
    found = await tasks_of(look.runtime.database, look.tenant, [each.entry.task_id for each in placed])
    stood = [
        Stood(look.line(found[each.entry.task_id]), each, waited_share(each.entry, look.now, parameters))
        for each in placed
        if each.entry.task_id in found
    ]
    last = after + len(placed)
    return Queue(owner, len(rows), stood, last if last < len(rows) else None)


async def practitioners(look: Looked) -> list[PractitionerRow]:
    """Who has appointments in the weeks to come, those with the most first."""
    if not look.reaches_all("Appointment"):
        return []
    period, most = load_period()
    until = look.now + period
    return await practitioners_of(look.runtime.database, look.tenant, look.owners, look.now, until, most)


async def unanswered(look: Looked) -> tuple[list[Unanswered], After | None]:
    """Appointments to come that nobody has confirmed, and where the next page begins."""
    if not look.reaches_all("Appointment"):
        return [], None
    most = look.chosen.most
    asked = Asked(look.tenant, look.owners, after=look.chosen.after, most=most + 1)
    rows = await unanswered_appointments(look.runtime.database, asked, look.now)
    found = []
    for row in rows[:most]:
        appointment = decode(row.body)
        person = booking.person_in(appointment) or {}
        service = next((each for each in _actors(look, appointment) if each in look.sites.services), "")
        found.append(
            Unanswered(
                row.appointment_id,
                row.at,
                appointment["status"],
                name_of(look.runtime, row.person if look.reaches_all("Patient") else None, person),
                look.sites.name_of(service) if service else "",
                row.task_id,
            )
        )
    last = rows[most - 1] if len(rows) > most else None
    return found, None if last is None else After(0, last.at, last.appointment_id)


def _actors(look: Looked, appointment: Mapping[str, object]) -> list[str]:
    participants = appointment.get("participant", ())
    assert isinstance(participants, list | tuple)
    return [look.runtime.engine.localise(str(each.get("actor", {}).get("reference", ""))) for each in participants]
