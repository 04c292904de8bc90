"""Open referrals, interim offers and messages that have waited long enough: somebody is told, again until it moves.

Every replica runs the loop; a timer is leased to one of them, and the id of what it writes lets one through.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import structlog
from stepwell_shared.background import DATABASE_AWAY, poll
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_referral import data
from stepwell_referral.builders import support as builders
from stepwell_referral.builders.promises import promised_of
from stepwell_referral.data.loop import time_outs
from stepwell_referral.rules.loop import next_due, told
from stepwell_referral.rules.transitions import TERMINAL, WAITING
from stepwell_referral.rules.waits import urgency_of
from stepwell_referral.timers import Due, Waits, claim_due, count_waits, timer_effect
from stepwell_referral.use_cases.messages import tell_team
from stepwell_referral.use_cases.progress import content, subject_key

# How many looks at what is due there are for one at who waits.
WATCH_POLLS = 15
CHECK_IN = "Somebody who waits for a place is asked how they are."

Resource = dict[str, Any]

log = structlog.get_logger("stepwell.referral")


def loops(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The loop of one process, with its figures: who waits for care, of all tenants together."""
    polls, waits = count(), Waits(0, 0, 0)

    async def look(tenants: Sequence[str]) -> None:
        nonlocal waits
        await tell_of_due(runtime, tenants)
        if next(polls) % WATCH_POLLS == 0:
            waits = await count_waits(runtime.database, tenants, runtime.clock())

    watch = runtime.metrics.watch
    watch("stepwell_queue_waiting", "People who wait for the care of a tier", (), lambda: [((), waits.waiting)])
    watch(
        "stepwell_promises_at_risk",
        "People who wait and whose promise is past, or whose class should not wait so long",
        ("why",),
        lambda: [(("overdue",), waits.overdue), (("over-limit",), waits.unkeepable)],
    )
    return [lambda: poll(runtime, look, "referrals")]


async def tell_of_due(runtime: Runtime, tenants: Sequence[str]) -> int:
    """Brings to somebody what is due now; how many Tasks that were. One that fails holds up no other."""
    brought = 0
    for due in await claim_due(runtime.database, tenants, runtime.clock()):
        try:
            brought += await _bring(runtime, due)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception(
                "an open referral could not be brought; it is tried again", tenant=due.tenant, task=due.task_id
            )
    return brought


async def _bring(runtime: Runtime, due: Due) -> bool:
    """Tells the next of one Task, if it is still open; whether somebody was told. Twice counts once."""
    stored = await runtime.store.read(due.tenant, "Task", due.task_id)
    task = content(stored)
    if stored is None or not task or task["status"] in TERMINAL:
        await runtime.store.commit(UnitOfWork(due.tenant, effects=[timer_effect(due.task_id, due.state, None)]))
        return False
    now = runtime.clock()
    unit = UnitOfWork(due.tenant)
    if due.state == builders.INTERIM:
        _ask_how_they_are(runtime, unit, due, stored, task, now)
    else:
        _tell(runtime, unit, due, stored, task, now)
    try:
        await runtime.store.commit(unit)
    except WriteConflictError:
        return False  # it has moved, or another replica was first: the timer that goes with that says what is due
    return True


def _tell(runtime: Runtime, unit: UnitOfWork, due: Due, stored: Stored, task: Resource, now: datetime) -> None:
    urgency = urgency_of(task.get("priority", "routine"), data.urgency_classes()).code
    tell_team(
        runtime,
        unit,
        task,
        (due.task_id, due.state, str(stored.version), str(due.step)),
        told(due.state, due.step, time_outs()),
        subject_key=subject_key(runtime, task["for"]),
        text=time_outs()[due.state].why,
        now=now,
    )
    again = next_due(due.state, urgency, now, time_outs())
    promised = promised_of(task) if due.state in WAITING else None
    unit.effects.append(timer_effect(due.task_id, due.state, again, step=due.step + 1, told=promised))


def _ask_how_they_are(
    runtime: Runtime, unit: UnitOfWork, due: Due, stored: Stored, task: Resource, now: datetime
) -> None:
    """Whoever gives the support is asked to look after the person, and the next time is set."""
    renewed, again = builders.renewed_period(task, now)
    unit.changes.append(built(runtime.engine, renewed, now, version=stored.version + 1))
    tell_team(
        runtime,
        unit,
        task,
        (due.task_id, due.state, str(stored.version), str(due.step)),
        ("owner", "coordinator") if "owner" in task else ("coordinator",),
        subject_key=subject_key(runtime, task["for"]),
        text=CHECK_IN,
        now=now,
    )
    unit.effects.append(timer_effect(due.task_id, due.state, again, step=due.step + 1))
