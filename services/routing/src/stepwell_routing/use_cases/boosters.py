"""Boosters after the end of care: dated Tasks, completed by measures that come once they are due."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from stepwell_shared.fhir.unit import Stored

from stepwell_routing.builders import course as builders
from stepwell_routing.tables import BOOSTER as BOOSTER_ROW
from stepwell_routing.tables import Known, evidence_effect
from stepwell_routing.timers import BOOSTER
from stepwell_routing.use_cases.reviews import Keeping, close_task, put_task
from stepwell_routing.use_cases.standing import booster_id


def date_boosters(keeping: Keeping, subject: dict[str, Any], after: Sequence[timedelta]) -> None:
    """One Task for each booster that the policy's step names, counted from now, the end of care."""
    runtime, tenant = keeping.runtime, keeping.unit.tenant
    for number, span in enumerate(after, start=1):
        task = builders.course_task(
            builders.BOOSTER,
            task_id=booster_id(runtime, tenant, keeping.standing.episode_id, number),
            episode=keeping.episode,
            request=None,
            subject=subject,
            period=builders.Period(keeping.now, keeping.now + span),
            now=keeping.now,
        )
        put_task(keeping, task, None, BOOSTER, keeping.now + span)


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


def _done(stored: Stored, now: datetime) -> Known:
    return Known(BOOSTER_ROW, "1", now, f"Task/{stored.id}", stored.version + 1)


def _is_open(stored: Stored) -> bool:
    return _body(stored)["status"] in builders.OPEN


def _body(stored: Stored) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(stored.body or b"null")
    return body
