"""Case reviews: people are put up on a List, the team decides together, and who took part is on record.

What the team decides changes nobody's step by itself: a clinician accepts or overrides, with reason `team-decision`.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction, Write
from stepwell_shared.fhir.unit import Change, Stored, UnitOfWork
from stepwell_shared.fhir.values import date_range
from stepwell_shared.runtime import Runtime

from stepwell_routing.builders import case_reviews as builders
from stepwell_routing.builders.content import OPEN_STATUSES
from stepwell_routing.data.plans import case_review_within
from stepwell_routing.use_cases.people import (
    acting_person,
    content,
    one,
    optional,
    parameters,
    person_of,
    require_whole,
    unprocessable,
)
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.standing import standing_of

PARTICIPANTS_MAX, OPEN_MAX = 50, 500
_COLLEAGUE = re.compile(
    r"(Practitioner|PractitionerRole)/[A-Za-z0-9\-.]{1,64}|https?://\S{1,400}/Practitioner(Role)?/\S+"
)

Resource = dict[str, Any]


async def change_list(runtime: Runtime, write: Write) -> None:
    """A List is written: who is on one for case reviews is said by its operations. Raises FhirError BUSINESS_RULE."""
    found, before = write.resource or {}, content(write.previous)
    if before is not None and builders.is_review_list(before) != builders.is_review_list(found):
        raise unprocessable("a list of people to be reviewed stays one", "List.code")
    if not builders.is_review_list(found):
        return
    if found.get("mode") != "working" or "subject" in found:
        raise unprocessable("people to be reviewed are on a working list that is about nobody alone", "List.mode")
    if found.get("entry", []) != (before or {}).get("entry", []):
        raise unprocessable("$put-up adds to this list, and $conclude takes off it", "List.entry")


async def put_up(runtime: Runtime, request: Request) -> Response:
    """`List/[id]/$put-up` with `subject`, `reason` (words) and perhaps `due` (a day): the Task of the review.

    Who is on the list already stays as they are. Raises FhirError: INVALID for other parameters or a day that is past,
    FORBIDDEN without a person, BUSINESS_RULE for a person who is not known and for a list that is full or not in use.
    """
    requester = acting_person(request)
    require_whole(request, "Task", Interaction.CREATE)
    given = parameters(request, ("subject", "reason", "due"))
    reason, reference = one(given, "reason", "valueString"), one(given, "subject", "valueReference")
    tenant, now = request.access.tenant, runtime.clock()
    due = _due(optional(given, "due", "valueDate"), now)

    async def attempt() -> Response:
        stored, found = await _list(runtime, request)
        person = await person_of(runtime, lambda kind, id_: runtime.store.read(tenant, kind, id_), reference, "subject")
        for kept, task in await _open(runtime, tenant, found):
            if task["for"] == person.reference:
                return _answered(runtime, request, kept, created=False)
        if len(found.get("entry", ())) >= OPEN_MAX:
            raise unprocessable(f"at most {OPEN_MAX} people are on a list", "List.entry")
        standing = await standing_of(runtime, tenant, person.key)
        leading = standing.proposal or standing.plan
        task = builders.review_task(
            resource_id=derived_id(runtime.engine.base_url, tenant, "case-review", request.id, str(stored.version)),
            subject=person.reference,
            about=None if leading is None else leading.reference,
            reason=reason,
            requester=requester,
            asked=now,
            due=due,
        )
        change = built(runtime.engine, task, now)
        longer = built(runtime.engine, builders.with_entry(found, task), now, version=stored.version + 1)
        answer = _answered(runtime, request, change.stored, created=True)
        await runtime.store.commit(UnitOfWork(tenant, [change, longer], request.records("$put-up", answer)))
        return answer

    return await until_committed(attempt, _contended())


async def conclude(runtime: Runtime, request: Request) -> Response:
    """`List/[id]/$conclude` with `task`, `decision`, `participant` (many), perhaps `words`, `period`: an Appointment.

    Raises FhirError: INVALID for other parameters, FORBIDDEN without a person, BUSINESS_RULE for a Task that is not
    open on this list, and for participants who are no colleagues.
    """
    recorded_by = acting_person(request)
    require_whole(request, "Appointment", Interaction.CREATE)
    given = parameters(request, ("task", "decision", "participant", "words", "period"), repeated=("participant",))
    decision, words = one(given, "decision", "valueCode"), optional(given, "words", "valueString")
    if decision not in builders.DECISIONS:
        text = f"a decision is one of {', '.join(builders.DECISIONS)}"
        raise unprocessable(text, "Parameters.parameter.where(name = 'decision')")
    participants = _participants(runtime, given.get("participant", []))
    tenant, now = request.access.tenant, runtime.clock()
    wanted = runtime.engine.localise(str(one(given, "task", "valueReference").get("reference")))
    period = _period(optional(given, "period", "valuePeriod"), now)

    async def attempt() -> Response:
        stored, found = await _list(runtime, request)
        opened = {f"Task/{kept.id}": (kept, task) for kept, task in await _open(runtime, tenant, found)}
        if wanted not in opened:
            raise unprocessable("this is no open review on this list", "Parameters.parameter.where(name = 'task')")
        kept, task = opened[wanted]
        meeting = builders.review_appointment(
            task,
            resource_id=derived_id(runtime.engine.base_url, tenant, "case-review", kept.id),
            participants=participants,
            decision=decision,
            words=words,
            period=period,
            recorded=now,
        )
        reference = f"Appointment/{meeting['id']}"
        changes = [
            built(runtime.engine, meeting, now),
            _next(runtime, kept, builders.reviewed_task(task, appointment=reference, decision=decision, moment=now)),
            _next(runtime, stored, builders.without_entry(found, wanted)),
        ]
        provenance = builders.review_provenance(
            resource_id=derived_id(runtime.engine.base_url, tenant, "case-review-decision", kept.id),
            targets=[
                f"{each.stored.resource_type}/{each.stored.id}/_history/{each.stored.version}" for each in changes
            ],
            sources=[each["reference"] for each in (task.get("focus"),) if each] or [wanted],
            participants=participants,
            recorded_by=recorded_by,
            decision=decision,
            reason=task["reasonCode"],
            moment=now,
        )
        answer = _answered(runtime, request, changes[0].stored, created=True)
        unit = UnitOfWork(
            tenant, [*changes, built(runtime.engine, provenance, now)], request.records("$conclude", answer)
        )
        await runtime.store.commit(unit)
        return answer

    return await until_committed(attempt, _contended())


async def review_list(runtime: Runtime, tenant: str, id_: str) -> tuple[Stored, Resource]:
    """A List of people to be reviewed. Raises NOT_FOUND for anything else."""
    stored = await runtime.store.read(tenant, "List", id_)
    found = content(stored)
    if stored is None or found is None or not builders.is_review_list(found):
        raise FhirError(Category.NOT_FOUND, "there is no list of people to be reviewed with this id")
    return stored, found


async def open_reviews(runtime: Runtime, tenant: str, found: Resource) -> list[Resource]:
    """The Tasks of who is on a List, the one that is due first on top."""
    tasks = [task for _, task in await _open(runtime, tenant, found)]
    return sorted(tasks, key=lambda task: str(task["restriction"]["period"]["end"]))


async def _list(runtime: Runtime, request: Request) -> tuple[Stored, Resource]:
    require_whole(request, "List", Interaction.UPDATE)
    stored, found = await review_list(runtime, request.access.tenant, request.id)
    if found.get("status") != "current":
        raise unprocessable("this list is not in use", "List.status")
    return stored, found


async def _open(runtime: Runtime, tenant: str, found: Resource) -> list[tuple[Stored, Resource]]:
    ids = [each["item"]["reference"].rpartition("/")[2] for each in found.get("entry", ())]
    opened = []
    for id_ in ids:
        stored = await runtime.store.read(tenant, "Task", id_)
        task = content(stored)
        if stored is not None and task is not None and task["status"] in OPEN_STATUSES:
            opened.append((stored, task))
    return opened


def _due(day: str | None, now: datetime) -> datetime:
    """The end of a day, or the latest that the product allows for."""
    if day is None:
        return now + case_review_within()
    interval = date_range(day)
    due = None if interval is None else interval[1]
    if due is None or due <= now:
        raise unprocessable("due is a day to come", "Parameters.parameter.where(name = 'due')")
    return due


def _participants(runtime: Runtime, rows: Sequence[Resource]) -> list[str]:
    references = [runtime.engine.localise(str(row.get("valueReference", {}).get("reference"))) for row in rows]
    found = list(dict.fromkeys(references))
    if not 0 < len(found) <= PARTICIPANTS_MAX or not all(_COLLEAGUE.fullmatch(each) for each in found):
        text = "say who took part: Practitioners or PractitionerRoles, one or more"
        raise unprocessable(text, "Parameters.parameter.where(name = 'participant')")
    return found


def _period(given: Any, now: datetime) -> tuple[datetime, datetime]:
    if given is None:
        return now, now
    start, end = (date_range(str(given.get(name))) for name in ("start", "end"))
    if start is None or end is None or not start[0] <= end[0] <= now:
        raise unprocessable("a period that is over, with start and end", "Parameters.parameter.where(name = 'period')")
    return start[0], end[0]


def _next(runtime: Runtime, stored: Stored, body: Resource) -> Change:
    return built(runtime.engine, body, runtime.clock(), version=stored.version + 1)


def _answered(runtime: Runtime, request: Request, stored: Stored, *, created: bool) -> Response:
    served_type = runtime.engine.registry.types[stored.resource_type]
    return written(runtime.engine.base_url, request, served_type, stored, created=created, witnessed=created)


def _contended() -> FhirError:
    return FhirError(Category.CONFLICT, "this list is being changed by too many at once; try again")
