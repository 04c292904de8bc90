"""Timers of safety Tasks: what is due is brought to the next who is on call, again and again, until a person acts.

Every replica runs the loop. A Task is leased to one of them; should two have it, its version lets one through. One
step is one unit of work: Communication, Task, Provenance, event and the next time.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import orjson
import structlog
from stepwell_shared.background import DATABASE_AWAY, poll
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening import safety_builders as builders
from stepwell_screening.instruments import safety_policy
from stepwell_screening.rules.escalation import Told, next_due, steps_due, told
from stepwell_screening.rules.safety_reviews import OPEN_STATUSES, is_acknowledged
from stepwell_screening.subscriptions import SAFETY_ALERT
from stepwell_screening.timers import Due, Figure, claim_due, safety_figures, timer_effect
from stepwell_screening.use_cases.alerts import entry_of
from stepwell_screening.use_cases.on_call import on_call_now
from stepwell_screening.use_cases.subjects import subject_key

WATCH_POLLS = 15
ATTEMPTS_MAX = 8

Resource = dict[str, Any]

log = structlog.get_logger("stepwell.safety")


class Escalation:
    """The loop of one process, and the figures that it last took."""

    def __init__(self, runtime: Runtime) -> None:
        self.figures: Sequence[Figure] = ()
        self._runtime = runtime

    async def run(self) -> None:
        """Runs until it is cancelled; while the database is away it waits."""
        polls = count()

        async def look(tenants: Sequence[str]) -> None:
            await self.escalate_due(tenants)
            if next(polls) % WATCH_POLLS == 0:
                self.figures = await safety_figures(self._runtime.database, tenants, self._runtime.clock())

        await poll(self._runtime, look, "safety timers")

    async def escalate_due(self, tenants: Sequence[str]) -> int:
        """Brings to somebody what is due now; how many Tasks that were. One that fails holds up no other."""
        escalated = 0
        for due in await claim_due(self._runtime.database, tenants, self._runtime.clock()):
            try:
                escalated += await escalate(self._runtime, due)
            except DATABASE_AWAY:
                raise
            except Exception:
                log.exception(
                    "a safety Task could not escalate; it is tried again", tenant=due.tenant, task=due.task_id
                )
        return escalated


def loops(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The loop that escalates, with its figures: open and overdue safety Tasks by kind, of all tenants together."""
    escalation = Escalation(runtime)

    def gauge(name: str, description: str, figure: Callable[[Figure], int]) -> None:
        def look() -> list[tuple[tuple[str, ...], float]]:
            return [((each.kind,), figure(each)) for each in escalation.figures]

        runtime.metrics.watch(name, description, ("kind",), look)

    gauge("stepwell_safety_tasks_open", "Safety Tasks that nobody has closed", lambda each: each.open)
    gauge("stepwell_safety_tasks_overdue", "Open safety Tasks past their deadline", lambda each: each.overdue)
    return [escalation.run]


async def escalate(runtime: Runtime, due: Due) -> bool:
    """One step of one Task, if it is still due; whether it was taken. Twice counts once."""
    communication_id = derived_id(runtime.engine.base_url, due.tenant, "escalation", due.task_id, str(due.timer.step))
    for _ in range(ATTEMPTS_MAX):
        if await runtime.store.read(due.tenant, "Communication", communication_id) is not None:
            return False
        stored = await runtime.store.read(due.tenant, "Task", due.task_id)
        if stored is None or stored.body is None:
            return False
        task: Resource = orjson.loads(stored.body)
        unit = await _step(runtime, due, stored, task, communication_id)
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue  # somebody else was first: a person, or another replica
        return task["status"] in OPEN_STATUSES
    log.warning("a safety Task is changed by too many at once", tenant=due.tenant, task=due.task_id)
    return False


async def _step(runtime: Runtime, due: Due, stored: Stored, task: Resource, communication_id: str) -> UnitOfWork:
    """What this step writes; for a Task that is closed only that its timer stops."""
    engine, now, policy = runtime.engine, runtime.clock(), safety_policy()
    timer, deadline = due.timer, due.timer.deadline
    if task["status"] not in OPEN_STATUSES:
        return UnitOfWork(due.tenant, effects=[timer_effect(due.task_id, timer, None)])
    on_call = await on_call_now(runtime, due.tenant)
    ladder = {**policy.ladders, **on_call.ladders}[timer.ladder]
    opened = datetime.fromisoformat(task["authoredOn"])
    acknowledged, overdue = is_acknowledged(policy, task), now >= deadline
    whom = told(on_call, timer.step, steps_due(ladder, opened, now), now)
    moved = builders.escalated_task(
        task,
        kind=timer.kind,
        recipient=whom.roles[-1].recipient,
        acknowledged=acknowledged,
        overdue=overdue,
        moment=now,
    )
    communication = builders.escalation(
        communication_id=communication_id,
        task=task,
        recipients=[role.recipient for role in whom.roles],
        text=_words(whom, acknowledged=acknowledged, overdue=overdue),
        moment=now,
    )
    change = built(engine, moved, now, version=stored.version + 1)
    provenance = builders.step_provenance(
        provenance_id=derived_id(engine.base_url, due.tenant, "escalated", due.task_id, str(due.timer.step)),
        targets=[f"Task/{stored.id}/_history/{change.stored.version}", f"Communication/{communication_id}/_history/1"],
        source=f"Task/{stored.id}/_history/{stored.version}",
        activity="escalate",
        recorded=now,
    )
    told_of = built(engine, communication, now)
    unit = UnitOfWork(due.tenant, [change, told_of, built(engine, provenance, now)])
    again = next_due(ladder, opened, deadline, timer.step, now)
    unit.effects.append(timer_effect(due.task_id, timer._replace(step=timer.step + 1), again))
    await _announce(runtime, unit, task, change.stored, told_of.stored, now)
    return unit


async def _announce(
    runtime: Runtime, unit: UnitOfWork, task: Resource, moved: Stored, communication: Stored, now: datetime
) -> None:
    """Topic safety-alert again, with whom it was brought to; a Task that only asks has no RiskAssessment."""
    kind, _, assessment_id = task["focus"]["reference"].rpartition("/")
    if kind != "RiskAssessment":
        return
    assessment = await runtime.store.read(unit.tenant, kind, assessment_id)
    if assessment is None:
        return
    entries = [entry_of(runtime, each) for each in (moved, assessment, communication)]
    key = subject_key(runtime, task["for"], "Task.for")
    unit.effects.append(event(SAFETY_ALERT.canonical, key, f"Task/{moved.id}", entries, now))


def _words(whom: Told, *, acknowledged: bool, overdue: bool) -> str:
    """What is said to whoever is told. It names nobody and no answer: it may travel over any channel."""
    if acknowledged:
        text = "A safety task was taken on and is still open after its deadline."
    elif overdue:
        text = "A safety task is past its deadline, and nobody has taken it on."
    else:
        text = "A safety task waits, and nobody has taken it on."
    return " ".join(part for part in (text, whom.remark, "Please open it in the worklist and acknowledge it.") if part)
