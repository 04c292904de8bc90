"""What falls due in somebody's course, looked for by every replica and worked on by one: reviews, boosters, checks.

A review is decided anew; without new measures it stands as overdue, asks for them and tells somebody, again and again.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
import structlog
from stepwell_shared.background import DATABASE_AWAY, poll
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing.builders import course as builders
from stepwell_routing.data.course import reminded_after
from stepwell_routing.timers import EVIDENCE, REVIEW, Due, claim_due, timer_effect
from stepwell_routing.use_cases.assignment import decide_on_review
from stepwell_routing.use_cases.causes import Cause
from stepwell_routing.use_cases.clinical import decide_on_evidence
from stepwell_routing.use_cases.derivations import is_answered
from stepwell_routing.use_cases.knowledge import known_of
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Keeping, keep_overdue
from stepwell_routing.use_cases.standing import standing_of

log = structlog.get_logger("stepwell.course")


def loops(runtime: Runtime) -> list[Callable[[], Awaitable[None]]]:
    """The loop of one process."""

    async def look(tenants: Sequence[str]) -> None:
        await work_on_due(runtime, tenants)

    return [lambda: poll(runtime, look, "reviews")]


async def work_on_due(runtime: Runtime, tenants: Sequence[str]) -> int:
    """Works on what is due now; how many Tasks that were. One that fails holds up no other."""
    worked_on = 0
    for due in await claim_due(runtime.database, tenants, runtime.clock()):
        try:
            worked_on += await _work_on(runtime, due)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("a review could not be worked on; it is tried again", tenant=due.tenant, task=due.task_id)
    return worked_on


async def _work_on(runtime: Runtime, due: Due) -> bool:
    if due.kind == EVIDENCE:
        await decide_on_evidence(runtime, due)
        return True
    stored = await runtime.store.read(due.tenant, "Task", due.task_id)
    task: dict[str, Any] | None = None if stored is None or stored.body is None else orjson.loads(stored.body)
    if stored is None or task is None or task["status"] not in builders.OPEN:
        settled = timer_effect(due.task_id, due.kind, due.subject, None)
        await runtime.store.commit(UnitOfWork(due.tenant, effects=[settled]))
        return False
    if due.kind == REVIEW:
        await _review(runtime, due, stored, task)
    else:
        await _tell(runtime, due)
    return True


async def _review(runtime: Runtime, due: Due, stored: Stored, task: dict[str, Any]) -> None:
    known = await known_of(runtime, due.tenant, due.subject)
    since = builders.starts_at(task)
    is_overdue = not any(is_answered(row) and row.observed_at > since for row in known)
    request = await runtime.store.read(due.tenant, "ServiceRequest", task["basedOn"][0]["reference"].rpartition("/")[2])
    body = orjson.loads((request.body if request is not None else None) or b"{}")
    cause = Cause(
        id=("Task", due.task_id, str(stored.version)),
        status=task["status"],
        source=f"Task/{due.task_id}/_history/{stored.version}",
        response_url=body.get("supportingInfo", [{"reference": f"Task/{due.task_id}"}])[0]["reference"],
        subject_key=due.subject,
        subject=task["for"],
        known=(),
    )
    await decide_on_review(runtime, due.tenant, cause, is_overdue=is_overdue)


async def _tell(runtime: Runtime, due: Due) -> None:
    async def attempt() -> None:
        stored = await runtime.store.read(due.tenant, "Task", due.task_id)
        if stored is None or stored.body is None:
            return
        unit = UnitOfWork(due.tenant)
        standing = await standing_of(runtime, due.tenant, due.subject)
        keeping = Keeping(runtime, unit, standing, due.subject, runtime.clock())
        keep_overdue(keeping, stored, due.kind, reminded_after())
        await runtime.store.commit(unit)

    text = "a Task is being changed by too many at once"
    await until_committed(attempt, FhirError(Category.UNAVAILABLE, text))
