"""Every step is looked at again by a date: the review Task of each request, its timer, and what is told when due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing.builders import course as builders
from stepwell_routing.subscriptions import REVIEW_DUE
from stepwell_routing.timers import BOOSTER, RESUME_CHECK, REVIEW, timer_effect
from stepwell_routing.use_cases.standing import Assignment, Standing, resume_id, review_id

Resource = dict[str, Any]


@dataclass(frozen=True)
class Keeping:
    """The unit of work that Tasks of a course are added to, with what stands for the person."""

    runtime: Runtime
    unit: UnitOfWork
    standing: Standing
    subject_key: str
    now: datetime

    @property
    def episode(self) -> str:
        return f"EpisodeOfCare/{self.standing.episode_id}"


class Dated(NamedTuple):
    """A request, by when it is looked at again, and what somebody is asked and told until then."""

    request: Resource
    review_at: datetime
    priority: str
    ask: tuple[str, ...] = ()
    tell: tuple[str, ...] = ()


def keep_reviewed(keeping: Keeping, dated: Dated) -> None:
    """The request is reviewed by its date; reviews of what no longer leads are cancelled. Whom the
    policy names find it in their worklist."""
    runtime, reference = keeping.runtime, f"ServiceRequest/{dated.request['id']}"
    previous = keeping.standing.reviews.get(reference)
    task = builders.course_task(
        builders.REVIEW,
        task_id=review_id(runtime, keeping.unit.tenant, dated.request["id"]),
        episode=keeping.episode,
        request=reference,
        subject=dated.request["subject"],
        period=builders.Period(keeping.now, dated.review_at),
        now=keeping.now,
        priority=dated.priority,
        ask=dated.ask,
        tell=dated.tell,
        previous=None if previous is None else orjson.loads(previous.body or b"null"),
    )
    put_task(keeping, task, previous, REVIEW, dated.review_at)
    for other, stored in keeping.standing.reviews.items():
        if other != reference:
            close_task(keeping, stored, REVIEW, "cancelled")


def keep_overdue(keeping: Keeping, stored: Stored, kind: str, again: timedelta) -> None:
    """What is due is told, now and again after `again`, and stands as overdue until measures come or somebody acts."""
    status = builders.OVERDUE if kind == REVIEW else builders.DUE
    task = builders.marked(orjson.loads(stored.body or b"null"), status, keeping.now)
    put_task(keeping, task, stored, kind, None if kind == BOOSTER else keeping.now + again, is_told=True)


def rest(keeping: Keeping, plan: Assignment, resting_version: int, resume_at: datetime, reason: str) -> None:
    """A check whether to resume the plan, by its date."""
    resting = Stored("ServiceRequest", plan.stored.id, resting_version, keeping.now, None)
    task = builders.course_task(
        builders.RESUME_CHECK,
        task_id=resume_id(keeping.runtime, keeping.unit.tenant, resting),
        episode=keeping.episode,
        request=plan.reference,
        subject=plan.body["subject"],
        period=builders.Period(keeping.now, resume_at),
        now=keeping.now,
        reason=reason,
    )
    put_task(keeping, task, None, RESUME_CHECK, resume_at)


def resume(keeping: Keeping) -> None:
    """The plan goes on: nobody needs to ask any more."""
    if keeping.standing.resume_check is not None:
        close_task(keeping, keeping.standing.resume_check, RESUME_CHECK, "completed")


def put_task(
    keeping: Keeping,
    task: Resource,
    previous: Stored | None,
    kind: str,
    due_at: datetime | None,
    *,
    is_told: bool = False,
) -> Stored:
    """Adds a Task with its timer, and the event where somebody is told of it."""
    version = 1 if previous is None else previous.version + 1
    change = built(keeping.runtime.engine, task, keeping.now, version=version)
    keeping.unit.changes.append(change)
    if due_at is not None or previous is not None:
        keeping.unit.effects.append(timer_effect(task["id"], kind, keeping.subject_key, due_at))
    if is_told:
        focus = f"Task/{task['id']}"
        entries = [(f"{keeping.runtime.engine.base_url}/{focus}", change.stored)]
        keeping.unit.effects.append(event(REVIEW_DUE.canonical, keeping.subject_key, focus, entries, keeping.now))
    return change.stored


def close_task(keeping: Keeping, stored: Stored, kind: str, status: str) -> None:
    """Closes a Task that is open, and settles its timer."""
    body = orjson.loads(stored.body or b"null")
    if body["status"] in builders.OPEN:
        put_task(keeping, builders.closed(body, status, keeping.now), stored, kind, None)
