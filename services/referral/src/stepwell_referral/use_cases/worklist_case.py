"""One line of the worklist with what belongs to it: what can be done next, times that are free, and what was said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.interactions.reach import query_of
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork

from stepwell_referral import data
from stepwell_referral.builders import booking, support
from stepwell_referral.data.worklist import slots_offered
from stepwell_referral.use_cases.finding import Period, free_slots
from stepwell_referral.use_cases.taking import read_resource
from stepwell_referral.use_cases.worklist import Looked
from stepwell_referral.use_cases.worklist_acts import Ask, possible
from stepwell_referral.use_cases.worklist_appointments import appointments_of, possible_with
from stepwell_referral.use_cases.worklist_lines import Line, decode, kind_of, phones_of
from stepwell_referral.use_cases.worklist_sites import CareService
from stepwell_referral.worklist_queries import tasks_of

BESIDE_MAX = 20
PLACES_MAX = 200


@dataclass(frozen=True)
class FreeTime:
    """A slot that can be booked; remote sessions ask for a private place."""

    slot: str
    start: datetime
    end: datetime
    is_remote: bool


@dataclass(frozen=True)
class Meeting:
    """An Appointment of the person, and what may be done with it."""

    id: str
    version: str
    start: datetime | None
    status: str
    acts: Sequence[str]


@dataclass(frozen=True)
class Case:
    """One line, what may be done with it, and what helps to decide: `beside` are other open Tasks of the person,
    `places` where it could go instead, `overtaking` the reasons for passing others, `message` what they have written,
    `wait` what they were told of theirs."""

    line: Line
    acts: Sequence[str]
    phones: Sequence[str]
    beside: Sequence[Line]
    times: Sequence[FreeTime]
    places: Sequence[CareService]
    overtaking: Sequence[str]
    appointments: Sequence[Meeting]
    message: str
    wait: str


async def case_of(look: Looked, ask: Ask, task_id: str, language: str) -> Case:
    """Raises FhirError NOT_FOUND for what is no line of the worklist or not within the caller's reach."""
    found = await interactions.read(look.runtime.engine, ask("Task", task_id))
    if found.status != 200 or not kind_of(decode(found.body)):
        raise FhirError(Category.NOT_FOUND, "there is no such line on the worklist")
    row = (await tasks_of(look.runtime.database, look.tenant, [task_id]))[task_id]
    line = look.line(row)
    acts = possible(line.task, look.access)
    service = look.sites.services.get(line.owner)
    return Case(
        line=line,
        acts=acts,
        phones=phones_of(row.person) if look.reaches_all("Patient") else (),
        beside=await _beside(look, line),
        times=await _times(look, line) if "book" in acts else (),
        places=_places(look, line, service) if "transfer" in acts else (),
        overtaking=[each["code"] for each in data.queue_data()["overtaking"] if not each["by_rule"]],
        appointments=await _appointments(look, line),
        message=await _message(look, ask, line),
        wait=support.said_in(line.task, language) if line.is_open else "",
    )


async def _beside(look: Looked, line: Line) -> list[Line]:
    """Other Tasks of the person that are open."""
    if not line.subject.startswith("Patient/"):
        return []
    engine = look.runtime.engine
    granted = look.access.filters("Task", Interaction.SEARCH_TYPE)
    open_ = "draft,requested,received,accepted,in-progress,on-hold"
    criteria = [("patient", line.subject), ("status", open_)]
    query = query_of(engine, engine.registry.types["Task"], criteria, granted, strict=True)
    query.count = BESIDE_MAX
    ids = [each["id"] for each in await engine.store.search(look.tenant, *query.page_statement())]
    rows = await tasks_of(look.runtime.database, look.tenant, [each for each in ids[:BESIDE_MAX] if each != line.id])
    return [look.line(each) for each in rows.values()]


async def _times(look: Looked, line: Line) -> list[FreeTime]:
    if not line.owner or not look.access.permits("Slot", Interaction.SEARCH_TYPE):
        return []
    ahead, most = slots_offered()
    period = Period(look.now, look.now + ahead)
    slots = await free_slots(look.runtime, look.tenant, [("schedule.actor", line.owner)], period, look.now, most)
    remote: dict[str, bool] = {}
    for slot in slots:
        schedule = slot["schedule"]["reference"]
        if schedule not in remote:
            found = await read_resource(look.runtime, look.tenant, "Schedule", schedule.rpartition("/")[2])
            remote[schedule] = found is not None and booking.telehealth_of(found[0])[0]
    return [
        FreeTime(
            slot["id"],
            datetime.fromisoformat(slot["start"]),
            datetime.fromisoformat(slot["end"]),
            remote[slot["schedule"]["reference"]],
        )
        for slot in slots
    ]


def _places(look: Looked, line: Line, service: CareService | None) -> list[CareService]:
    """Other places of the same tier, by name."""
    if service is None or not service.tiers:
        return []
    others = look.sites.of(tier=service.tiers[0]) - {line.owner}
    return sorted((look.sites.services[each] for each in others), key=lambda each: (each.name, each.id))[:PLACES_MAX]


async def _appointments(look: Looked, line: Line) -> list[Meeting]:
    if not line.subject.startswith("Patient/") or not look.access.permits("Appointment", Interaction.SEARCH_TYPE):
        return []
    found = await appointments_of(look.runtime, look.access, line.subject, look.now)
    return [
        Meeting(
            each["id"],
            each["meta"]["versionId"],
            datetime.fromisoformat(each["start"]) if "start" in each else None,
            each["status"],
            possible_with(each, look.access, look.now),
        )
        for each in found
    ]


async def _message(look: Looked, ask: Ask, line: Line) -> str:
    """What a person has written, where the line is their message and the caller may read it."""
    kind, _, id_ = str(line.task.get("focus", {}).get("reference", "")).partition("/")
    if line.kind != support.MESSAGE or kind != "Communication" or not look.access.permits("Communication", "read"):
        return ""
    request = ask("Communication", id_)
    found = await interactions.read(look.runtime.engine, request)
    await look.runtime.store.commit(UnitOfWork(look.tenant, effects=[request.witness("read", id_, 200)]))
    return "\n".join(str(each.get("contentString", "")) for each in decode(found.body).get("payload", ()))
