"""What is known of a person, and what a policy makes of it: one way for every decision, explanation and simulation."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from stepwell_shared.database.coalescing import Coalescer
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.policies import publishing
from stepwell_routing.rules.decisions import Evidence, EvidenceValue
from stepwell_routing.rules.policies import Policy
from stepwell_routing.tables import STEP, Known, knowledge_reader
from stepwell_routing.use_cases.course import Course, course_of, course_values
from stepwell_routing.use_cases.evidence import gather, moment
from stepwell_routing.use_cases.standing import Standing


class Situation(NamedTuple):
    """Where an episode stands, since when it has, and what says so."""

    status: str | None
    started_at: datetime | None
    reference: str


async def known_of(runtime: Runtime, tenant: str, subject_key: str) -> list[Known]:
    """Everything that is known of a person; how much the tenant has published is heard with it."""
    reader = runtime.cache.get(knowledge_reader)
    if not isinstance(reader, Coalescer):
        reader = knowledge_reader(runtime.database, publishing(runtime).hear)
        runtime.cache[knowledge_reader] = reader
    found: list[Known] | None = await reader.get((tenant,), subject_key)
    return found or []


def situation_of(standing: Standing) -> Situation:
    """Where somebody's episode stands now."""
    body = standing.episode_body
    started_at = None if body is None else moment(body["period"]["start"])
    reference = standing.plan.reference if standing.plan else f"EpisodeOfCare/{standing.episode_id}"
    return Situation(standing.status, started_at, reference)


def situation_then(course: Course, reference: str) -> Situation:
    """Where an episode stood, as far as the rows of that time say: it had begun with the first step."""
    if course.held is not None:
        status: str | None = "onhold"
    elif course.steps:
        status = "active"
    else:
        status = "finished" if course.exited_at is not None else None
    return Situation(status, course.steps[0].observed_at if course.steps else None, reference)


def evidence_of(
    policy: Policy,
    rows: Sequence[Known],
    course: Course,
    situation: Situation,
    now: datetime,
    *,
    is_overdue: bool = False,
) -> Evidence:
    """Everything that is known, by the names of the policy."""
    found = gather(policy, rows, course.exited_at, now=now)
    said = course_values(
        policy, course, now, status=situation.status, started_at=situation.started_at, is_overdue=is_overdue
    )
    values = dict(found.values)
    for name, value in said.items():
        if name not in values or value is True:
            values[name] = EvidenceValue(value, now, situation.reference)
    return Evidence(values, found.risk, found.courses, found.places)


def evidence_now(policy: Policy, known: Sequence[Known], standing: Standing, now: datetime) -> Evidence:
    """Everything that is known now, with the step in which care has begun."""
    rows = with_step(known, standing)
    return evidence_of(policy, rows, course_of(rows), situation_of(standing), now)


def with_step(rows: Sequence[Known], standing: Standing) -> list[Known]:
    """The rows with the step in which care has begun, where it began before steps were kept."""
    plan = standing.plan
    since = builders.step_since(standing.episode_body or {})
    if plan is None or since is None or any(row.name == STEP and row.reference == plan.reference for row in rows):
        return [*rows]
    return [*rows, Known(STEP, plan.step, moment(since), plan.reference, plan.stored.version)]
