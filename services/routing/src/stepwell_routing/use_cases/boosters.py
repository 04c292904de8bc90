"""Boosters after the end of care, or in the last step of a ladder: dated Tasks, completed by measures that come then.

Those of a step are known by rows of evidence, so that no decision looks for them in vain.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.fhir.unit import Stored

from stepwell_routing.builders import course as builders
from stepwell_routing.rules.steps import Step
from stepwell_routing.tables import BOOSTER as BOOSTER_ROW
from stepwell_routing.tables import BOOSTER_DATED, Known, evidence_effect
from stepwell_routing.timers import BOOSTER
from stepwell_routing.use_cases.derivations import is_answered
from stepwell_routing.use_cases.evidence import newest_versions
from stepwell_routing.use_cases.reviews import Keeping, close_task, put_task
from stepwell_routing.use_cases.standing import booster_id

Resource = dict[str, Any]


def date_boosters(keeping: Keeping, subject: Resource, step: Step | None) -> None:
    """Care ends in this step: one Task for each booster, counted from now. Those of the step itself go on as they are.

    `step` is None when the policy no longer has it.
    """
    if step is not None and not step.boosters_in_step:
        for number, span in enumerate(step.booster_after, start=1):
            _date(keeping, keeping.standing.episode_id, number, subject, keeping.now + span, None)


async def enter_step(
    keeping: Keeping, step: Step | None, request: str, subject: Resource, known: Sequence[Known]
) -> None:
    """Care begins in a step: its boosters get their dates, and those of the step before are cancelled."""
    await cancel_dated(keeping, known)
    if step is None or not step.boosters_in_step:
        return
    for number, span in enumerate(step.booster_after, start=1):
        due_at = keeping.now + span
        task = _date(keeping, request.rpartition("/")[2], number, subject, due_at, request)
        row = Known(BOOSTER_DATED, due_at.isoformat(), keeping.now, f"Task/{task.id}", task.version)
        keeping.unit.effects.append(evidence_effect(keeping.subject_key, row))


def booster_taken(known: Sequence[Known], brought: Sequence[Known], now: datetime) -> Known | None:
    """The booster of the step that takes place with what was brought: the oldest that is due, one at a time."""
    if not any(is_answered(row) for row in brought):
        return None
    due = [row for row in _dated(known) if datetime.fromisoformat(str(row.value)) <= now]
    first = min(due, key=lambda row: str(row.value), default=None)
    return None if first is None else Known(BOOSTER_ROW, "1", now, first.reference, first.source_version + 1)


async def keep_taken(keeping: Keeping, taken: Known | None) -> None:
    """The booster has taken place: its Task is completed, and it counts."""
    if taken is not None:
        keeping.unit.effects.append(evidence_effect(keeping.subject_key, taken))
        await _settle(keeping, taken, "completed")


async def cancel_dated(keeping: Keeping, known: Sequence[Known]) -> None:
    """What was dated for a step that is left is cancelled."""
    for row in _dated(known):
        await _settle(keeping, row._replace(source_version=row.source_version + 1), "cancelled")


def complete_boosters(keeping: Keeping) -> None:
    """Measures have come after the end of care: boosters that are due have taken place."""
    for stored in keeping.standing.boosters:
        if _is_open(stored) and builders.due_at(_body(stored)) <= keeping.now:
            close_task(keeping, stored, BOOSTER, "completed")
            keeping.unit.effects.append(evidence_effect(keeping.subject_key, _done(stored, keeping.now)))


def cancel_boosters(keeping: Keeping) -> None:
    """Care has begun again: its own reviews take the place of boosters."""
    for stored in keeping.standing.boosters:
        close_task(keeping, stored, BOOSTER, "cancelled")


def _date(
    keeping: Keeping, anchor: str, number: int, subject: Resource, due_at: datetime, request: str | None
) -> Stored:
    task = builders.course_task(
        builders.BOOSTER,
        task_id=booster_id(keeping.runtime, keeping.unit.tenant, anchor, number),
        episode=keeping.episode,
        request=request,
        subject=subject,
        period=builders.Period(keeping.now, due_at),
        now=keeping.now,
    )
    return put_task(keeping, task, None, BOOSTER, due_at)


async def _settle(keeping: Keeping, row: Known, status: str) -> None:
    stored = await keeping.runtime.store.read(keeping.unit.tenant, "Task", row.reference.removeprefix("Task/"))
    if stored is not None and stored.body is not None:
        close_task(keeping, stored, BOOSTER, status)
    gone = row._replace(name=BOOSTER_DATED, value=None, observed_at=keeping.now)
    keeping.unit.effects.append(evidence_effect(keeping.subject_key, gone))


def _dated(known: Sequence[Known]) -> list[Known]:
    rows = newest_versions(row for row in known if row.name == BOOSTER_DATED)
    return [row for row in rows if row.value is not None]


def _done(stored: Stored, now: datetime) -> Known:
    return Known(BOOSTER_ROW, "1", now, f"Task/{stored.id}", stored.version + 1)


def _is_open(stored: Stored) -> bool:
    return _body(stored)["status"] in builders.OPEN


def _body(stored: Stored) -> Resource:
    body: Resource = orjson.loads(stored.body or b"null")
    return body
