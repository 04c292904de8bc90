"""People are asked again: what is due is asked for, reminded of, said to be overdue, and closed once it is answered.

Every replica runs the loop. A person's row is leased to one of them; should two have it, the versions of the row and
of the Task let one through. What one look finds is one unit of work: Tasks, Communications, events and the next time.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from stepwell_shared.background import DATABASE_AWAY, poll
from stepwell_shared.canonical import derived_id, instant
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening import solicitation_builders as builders
from stepwell_screening.rules.cadence import (
    ENDED,
    OVERDUE,
    PAUSE,
    Solicitation,
    Step,
    next_solicitation,
    next_step,
)
from stepwell_screening.rules.cadence_policy import Cadence
from stepwell_screening.rules.safety_reviews import OPEN_STATUSES
from stepwell_screening.schedules import (
    Due,
    Progress,
    Record,
    Schedule,
    claim_schedules,
    progress_effect,
    read_record,
    read_schedule,
    waiting_schedules,
)
from stepwell_screening.subscriptions import QUESTIONNAIRE_CHANGED
from stepwell_screening.use_cases import knowledge
from stepwell_screening.use_cases.answering import heard_of
from stepwell_screening.use_cases.knowledge import Answers, moment_of
from stepwell_screening.use_cases.reminding import message_ids, message_of
from stepwell_screening.use_cases.site import SiteFileError, cadence_of

ATTEMPTS_MAX = 8
# So often everybody with a schedule is looked at: a safety item that has opened since is not missed for longer.
LOOK_AGAIN = timedelta(days=1)

Resource = dict[str, Any]

log = structlog.get_logger("stepwell.solicitation")


class Soliciting:
    """The loop of one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._heard = heard_of(runtime)

    async def run(self) -> None:
        """Runs until it is cancelled; while the database is away it waits."""
        await poll(self._runtime, self.look_at_due, "questionnaires")

    async def look_at_due(self, tenants: Sequence[str]) -> None:
        """Looks at who has answered, then at whom something is due for. One that fails holds up no other."""
        for tenant in tenants:
            answered = self._heard.take(tenant)
            if answered is None or answered:
                try:
                    waiting = await waiting_schedules(self._runtime.database, tenant, answered)
                    await self._each(waiting)
                except BaseException:
                    self._heard.sweep(tenant)  # what was taken is not lost: everybody who waits is looked at again
                    raise
        await self._each(await claim_schedules(self._runtime.database, tenants, self._runtime.clock()))

    async def _each(self, people: Sequence[Due]) -> None:
        for person in people:
            try:
                await look(self._runtime, person.tenant, person.subject)
            except DATABASE_AWAY:
                raise
            except SiteFileError as error:
                log.warning("the cadence of a site cannot be read; nobody is asked", reason=str(error))
                return
            except Exception:
                log.exception("somebody could not be asked; it is tried again", tenant=person.tenant)


def loops(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The loop that asks."""
    return [Soliciting(runtime).run]


async def look(runtime: Runtime, tenant: str, subject: str) -> Solicitation | None:
    """Does for one person what is due now, once however often and wherever it runs; what is asked next."""
    for _ in range(ATTEMPTS_MAX):
        asking = await _begun(runtime, tenant, subject)
        if asking is None:
            return None
        await asking.decide()
        try:
            await runtime.store.commit(asking.finished())
        except WriteConflictError:
            continue  # somebody else was first: a person, or another replica
        return asking.next
    log.warning("a schedule is changed by too many at once", tenant=tenant)
    return None


async def solicitation_of(runtime: Runtime, tenant: str, subject: str) -> Solicitation | None:
    """What a person is asked next, as things stand; None for who has no schedule or cannot be asked."""
    asking = await _begun(runtime, tenant, subject)
    return None if asking is None or asking.person is None else asking.solicitation()


async def _begun(runtime: Runtime, tenant: str, subject: str) -> "_Asking | None":
    """A look at everything that is known of a person who has a schedule."""
    schedule = await read_schedule(runtime.database, tenant, subject)
    if not schedule.facts.since:
        return None
    person = await _person(runtime, tenant, subject)
    record = await read_record(runtime.database, tenant, subject)
    answers = await knowledge.answers_of(runtime, tenant, record)
    return _Asking(runtime, tenant, subject, schedule, person, record, answers, runtime.clock())


async def _person(runtime: Runtime, tenant: str, subject: str) -> Resource | None:
    """The Patient: empty for one whom an EHR keeps, None for one of ours who cannot be asked."""
    if not subject.startswith("Patient/"):
        return {}
    stored = await runtime.store.read(tenant, *subject.split("/", 1))
    patient: Resource = orjson.loads(stored.body) if stored is not None and stored.body else {"active": False}
    is_dead = patient.get("deceasedBoolean", False) or "deceasedDateTime" in patient
    return None if is_dead or patient.get("active") is False else patient


@dataclass
class _Asking:
    """One look at one person: what it finds, changes and says, to be committed as one."""

    runtime: Runtime
    tenant: str
    subject: str
    schedule: Schedule
    person: Resource | None
    record: Record
    answers: list[Answers]
    now: datetime
    next: Solicitation | None = None
    next_at: datetime | None = None
    unit: UnitOfWork = field(init=False)
    cadence: Cadence = field(init=False)
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.unit = UnitOfWork(self.tenant)
        self.cadence = cadence_of(self.runtime, self.tenant)
        self.progress = self.schedule.progress

    def finished(self) -> UnitOfWork:
        """Everything that this look changes."""
        effect = progress_effect(self.subject, self.schedule, self.progress, self.next_at)
        self.unit.effects.append(effect)
        return self.unit

    async def decide(self) -> None:
        """What is due: the answer to what waits, the next form in its place, a reminder, or nothing yet."""
        task = await self._open_task()
        if task is not None:
            answer = knowledge.answer_to(self.cadence, self.progress, self.answers)
            if answer is not None:
                await self._answered(task, answer)
                task = None
        if self.person is None:
            await self._withdraw(task)
            self.next_at = self.now + LOOK_AGAIN
            return
        self.next = self.solicitation()
        if self.next.is_due(self.now):
            await self._close(task, "cancelled", builders.SUPERSEDED)
            await self._ask(self.next)
        elif self.next.rule in {ENDED, PAUSE}:
            await self._withdraw(task)
        elif task is not None:
            await self._step(task)
        self.next_at = self._when()

    def solicitation(self) -> Solicitation:
        """What is asked next, by what has been done so far."""
        facts = self.schedule.facts
        history = knowledge.history_of(self.cadence, facts, self.progress, self.record, self.answers)
        course = knowledge.course_of(facts, self.cadence, self.now)
        return next_solicitation(
            history, knowledge.tier_of(facts), course, knowledge.pace_of(facts), self.cadence, self.now
        )

    def _when(self) -> datetime | None:
        """When to look again: at the next form, at the next step of the one that waits, or after a day.

        Who is in no care any more is looked at when something is heard of them.
        """
        if self.next is None or self.next.at is None:
            return None
        times = [self.next.at, self.now + LOOK_AGAIN]
        if self.progress.task and not self.progress.is_overdue:
            times.append(self._next_step().at)
        return min(times)

    async def _open_task(self) -> Stored | None:
        """The Task that waits; None once a person has closed it."""
        stored = await self._read("Task", self.progress.task)
        if stored is None or orjson.loads(stored.body or b"{}").get("status") in OPEN_STATUSES:
            return stored
        self.progress = replace(self.progress, task="")
        return None

    async def _answered(self, task: Stored, answer: Answers) -> None:
        """The Task is completed, and whoever was told that it is overdue need not ask any more."""
        body = orjson.loads(task.body or b"{}")
        done = builders.answered_task(body, response=f"QuestionnaireResponse/{answer.id}", moment=self.now)
        await self._end(task, done)
        follow_up = await self._read("Task", self.progress.follow_up)
        if follow_up is not None:
            told = orjson.loads(follow_up.body or b"{}")
            if told["status"] in OPEN_STATUSES:
                self._change(
                    follow_up,
                    builders.closed_task(told, status="completed", business=builders.ANSWERED, moment=self.now),
                )
        self.progress = replace(self.progress, follow_up="")

    async def _withdraw(self, task: Stored | None) -> None:
        await self._close(task, "cancelled", builders.WITHDRAWN)

    async def _close(self, task: Stored | None, status: str, business: str) -> None:
        if task is not None:
            body = orjson.loads(task.body or b"{}")
            await self._end(task, builders.closed_task(body, status=status, business=business, moment=self.now))

    async def _end(self, task: Stored, closed: Resource) -> None:
        """The Task is over: nothing is sent for it any more."""
        self._announce(self._change(task, closed))
        for id_ in message_ids(self.runtime, self.tenant, task.id):
            stored = await self._read("Communication", id_)
            if stored is not None and (body := orjson.loads(stored.body or b"{}")).get("status") == "preparation":
                self._change(stored, builders.unsent(body))
        self.progress = replace(self.progress, task="")

    async def _ask(self, solicitation: Solicitation) -> None:
        """A new Task, and what the person is sent."""
        progress, now = self.progress, self.now
        ordinal = progress.ordinal + 1
        task_id = derived_id(self.runtime.engine.base_url, self.tenant, "solicitation", self.subject, str(ordinal))
        due = now + timedelta(days=self.cadence.limit("answerDays"))
        ask = builders.Ask(
            self.subject,
            solicitation.questionnaire,
            solicitation.rule,
            solicitation.reason,
            now,
            due,
            is_urgent=self.record.safety_open > 0,
        )
        endpoint = f"{self.runtime.engine.base_url}/QuestionnaireResponse"
        task = self._make(builders.questionnaire_task(task_id=task_id, ask=ask, endpoint=endpoint))
        self.progress = replace(
            progress,
            ordinal=ordinal,
            task=task_id,
            questionnaire=solicitation.questionnaire,
            asked_at=instant(now),
            due_at=instant(due),
            is_reminded=False,
            is_overdue=False,
            asked={**progress.asked, solicitation.questionnaire: instant(now)},
            last_unprompted=progress.last_unprompted if solicitation.is_prompted else instant(now),
            answered_prompt=self.schedule.facts.prompted,
        )
        self._announce(task, *await self._message("ask", due))
        self.next = self.solicitation()

    async def _step(self, task: Stored) -> None:
        """A reminder, once; after the last day for an answer the care team is told, once."""
        step = self._next_step()
        if self.progress.is_overdue or step.at > self.now:
            return
        if step.what == OVERDUE:
            await self._overdue(task)
            return
        self.progress = replace(self.progress, is_reminded=True)
        self._announce(task, *await self._message("remind", moment_of(self.progress.due_at)))

    async def _overdue(self, task: Stored) -> None:
        body = orjson.loads(task.body or b"{}")
        moved = self._change(task, builders.moved_task(body, business=builders.OVERDUE, moment=self.now))
        self.progress = replace(self.progress, is_overdue=True)
        context = []
        told = await self._read("Task", self.progress.follow_up)
        if told is None or orjson.loads(told.body or b"{}").get("status") not in OPEN_STATUSES:
            id_ = derived_id(self.runtime.engine.base_url, self.tenant, "questionnaire overdue", task.id)
            due = self.now + timedelta(days=self.cadence.limit("answerDays"))
            follow_up = builders.follow_up_task(
                task_id=id_, subject=self.subject, overdue=f"Task/{task.id}", moment=self.now, due=due
            )
            context.append(self._make(follow_up))
            self.progress = replace(self.progress, follow_up=id_)
        self._announce(moved, *context)

    def _next_step(self) -> Step:
        progress = self.progress
        asked, due = moment_of(progress.asked_at), moment_of(progress.due_at)
        return next_step(asked, due, is_reminded=progress.is_reminded, cadence=self.cadence)

    async def _message(self, kind: str, due: datetime) -> list[Stored]:
        """What the person is sent: the link in it is nowhere else."""
        sent = await message_of(
            self.runtime,
            self.tenant,
            self.person or {},
            subject=self.subject,
            task_id=self.progress.task,
            questionnaire=self.progress.questionnaire,
            kind=kind,
            due=due,
            now=self.now,
        )
        self.unit.effects += sent.effects
        return [self._make(sent.communication)]

    async def _read(self, resource_type: str, id_: str) -> Stored | None:
        return await self.runtime.store.read(self.tenant, resource_type, id_) if id_ else None

    def _make(self, resource: Resource) -> Stored:
        change = built(self.runtime.engine, resource, self.now)
        self.unit.changes.append(change)
        return change.stored

    def _change(self, before: Stored, resource: Resource) -> Stored:
        change = built(self.runtime.engine, resource, self.now, version=before.version + 1)
        self.unit.changes.append(change)
        return change.stored

    def _announce(self, task: Stored, *context: Stored) -> None:
        base_url = self.runtime.engine.base_url
        entries = [(f"{base_url}/{each.resource_type}/{each.id}", each) for each in (task, *context)]
        effect = event(QUESTIONNAIRE_CHANGED.canonical, self.subject, f"Task/{task.id}", entries, self.now)
        self.unit.effects.append(effect)
