"""People steer a course: a hold with a date, going on again, the end of care, and what the person has agreed to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import Change, Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.tables import AGREED, EXIT, HOLD, MANUAL_TRIAGE, RED_FLAG, Known, evidence_effect
from stepwell_routing.timers import REVIEW
from stepwell_routing.use_cases.assignment import decide_on_review
from stepwell_routing.use_cases.besides import Ended, end_beside, open_besides
from stepwell_routing.use_cases.boosters import date_boosters
from stepwell_routing.use_cases.causes import Cause
from stepwell_routing.use_cases.course import AGREEMENTS, RELEASED, Course, course_of
from stepwell_routing.use_cases.episodes import episode_told
from stepwell_routing.use_cases.governing import Governing, governing
from stepwell_routing.use_cases.knowledge import evidence_now, known_of
from stepwell_routing.use_cases.outcomes import with_status
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Keeping, close_task, rest, resume
from stepwell_routing.use_cases.standing import Assignment, Standing, key_of, standing_of
from stepwell_routing.use_cases.units import announced, versioned

REASONS = {
    "not-ready": "It is not the right time yet.",
    "contraindication": "There is a reason against what is done in this step.",
    "flare": "Symptoms are flaring up.",
}

# The activity of the Provenance -> the operation that leads to it.
OPERATIONS = {"pause": "hold", "resume": "resume", "exit": "finish", "agree": "agree"}

Resource = dict[str, Any]


@dataclass(frozen=True)
class _Steering:
    """What somebody has asked for, about whom, and what stands."""

    runtime: Runtime
    request: Request
    clinician: str
    standing: Standing
    governed: Governing
    course: Course
    plan: Assignment
    subject_key: str
    now: datetime
    is_safety_open: bool


async def hold_course(runtime: Runtime, request: Request) -> Response:
    """`EpisodeOfCare/[id]/$hold` with `reason` (code) and `resume-check` (date): the step rests, contact goes on.

    Raises FhirError: INVALID for other parameters or a date that is past, BUSINESS_RULE without a step in which care
    has begun, FORBIDDEN when the token names no person.
    """
    given = _given(request.body)
    reason, date = str(given.get("reason")), given.get("resume-check")
    moment = _date(date, runtime.clock())
    if reason not in REASONS or moment is None:
        text = f"Parameters: reason (one of {', '.join(REASONS)}), and resume-check, a date to come"
        raise FhirError(Category.INVALID, [Issue(text, "value", "Parameters.parameter")])

    async def change(steering: _Steering, unit: UnitOfWork) -> str | None:
        if steering.course.held is not None:
            return None
        if not steering.plan.is_open:
            _refuse("what this step asked for has been given; it waits for its review", "EpisodeOfCare.status")
        _row(steering, unit, HOLD, reason)
        if steering.plan.body["status"] != "on-hold":
            version = _move(steering, unit, "on-hold")
            rest(_keeping(steering, unit), steering.plan, version, moment, REASONS[reason])
        return "onhold"

    return await _steer(runtime, request, "pause", change)


async def resume_course(runtime: Runtime, request: Request) -> Response:
    """`EpisodeOfCare/[id]/$resume`: the step goes on. Raises FhirError BUSINESS_RULE while a medical review is open."""

    async def change(steering: _Steering, unit: UnitOfWork) -> str | None:
        if steering.plan.body["status"] != "on-hold":
            return None
        _refuse_open(steering, RED_FLAG)
        _row(steering, unit, HOLD, RELEASED)
        _move(steering, unit, "active")
        resume(_keeping(steering, unit))
        return "active"

    return await _steer(runtime, request, "resume", change)


async def finish_course(runtime: Runtime, request: Request) -> Response:
    """`EpisodeOfCare/[id]/$finish`: care ends with the person's agreement; boosters get their dates.

    Raises FhirError BUSINESS_RULE while a question of safety, a medical review or a triage is open.
    """

    async def change(steering: _Steering, unit: UnitOfWork) -> str | None:
        if steering.is_safety_open:
            _refuse("a safety question is open; a clinician records a risk level first", "EpisodeOfCare.status")
        _refuse_open(steering, RED_FLAG, MANUAL_TRIAGE)
        _row(steering, unit, EXIT, steering.plan.step)
        keeping = _keeping(steering, unit)
        await _end_all(steering, keeping)
        date_boosters(keeping, steering.plan.body["subject"], steering.governed.policy.step_of(steering.plan.step))
        return "finished"

    return await _steer(runtime, request, "exit", change)


async def _end_all(steering: _Steering, keeping: Keeping) -> None:
    """Whatever is open in this course ends with it: plans, the proposal, reviews, and what runs beside the step."""
    runtime, unit, standing, now = steering.runtime, keeping.unit, steering.standing, steering.now
    for plan in (steering.plan, *standing.earlier):
        if plan.is_open:
            _announce(steering, unit, with_status(runtime, plan, "completed", now))
        elif plan is steering.plan:  # given before; that care has ended as well is told
            unit.effects.append(announced(runtime, steering.subject_key, plan.stored, now))
    if standing.proposal is not None:
        _announce(steering, unit, with_status(runtime, standing.proposal, "revoked", now))
    for review in standing.reviews.values():
        close_task(keeping, review, REVIEW, "completed")
    resume(keeping)
    proposed = derived_id(runtime.engine.base_url, unit.tenant, "exit-review", steering.plan.stored.id)
    exit_review = await runtime.store.read(unit.tenant, "Task", proposed)
    if exit_review is not None and exit_review.body is not None:
        close_task(keeping, exit_review, REVIEW, "completed")
    for row in open_besides(steering.course.rows):
        await end_beside(keeping, row, Ended("completed", "completed", steering.clinician))


async def agree_on_course(runtime: Runtime, request: Request) -> Response:
    """`EpisodeOfCare/[id]/$agree` with `to` (step-down, exit or advance): the person agrees, and it is decided anew."""
    wanted = str(_given(request.body).get("to"))
    if wanted not in AGREEMENTS:
        text = f"Parameters: to, one of {', '.join(AGREEMENTS)}"
        raise FhirError(Category.INVALID, [Issue(text, "value", "Parameters.parameter")])
    causes: list[Cause] = []

    async def change(steering: _Steering, unit: UnitOfWork) -> str | None:
        _row(steering, unit, AGREED + wanted, "true")
        request_id, version = steering.plan.stored.id, str(steering.standing.version)
        causes[:] = [
            Cause(
                id=("agreement", wanted, request_id, version),
                status="completed",
                source=f"EpisodeOfCare/{steering.standing.episode_id}/_history/{version}",
                response_url=steering.plan.body["supportingInfo"][0]["reference"],
                subject_key=steering.subject_key,
                subject=steering.plan.body["subject"],
                known=(),
            )
        ]
        return steering.standing.status

    answer = await _steer(runtime, request, "agree", change)
    for cause in causes:
        await decide_on_review(runtime, request.access.tenant, cause, is_overdue=False)
    return answer


async def _steer(
    runtime: Runtime, request: Request, activity: str, change: Callable[[_Steering, UnitOfWork], Awaitable[str | None]]
) -> Response:
    """Commits what `change` adds, the episode with the status it gives, and who did it; None changes nothing."""
    clinician = request.access.fhir_user
    if clinician is None:
        text = "a person steers a course: use a client that is registered with --fhir-user Practitioner/..."
        raise FhirError(Category.FORBIDDEN, text)
    served_type = runtime.engine.served("EpisodeOfCare", Interaction.READ)
    tenant = request.access.tenant

    async def attempt() -> Response:
        stored = await runtime.store.read(tenant, "EpisodeOfCare", request.id)
        if stored is None or stored.body is None or request.access.filters("EpisodeOfCare", Interaction.UPDATE):
            raise FhirError(Category.NOT_FOUND, "there is no EpisodeOfCare with this id")
        steering = await _steering(runtime, request, clinician, stored)
        unit = UnitOfWork(tenant)
        status = await change(steering, unit)
        if status is None:
            return written(runtime.engine.base_url, request, served_type, stored, created=False, witnessed=False)
        episode = _episode(steering, unit, status, activity)
        answer = written(runtime.engine.base_url, request, served_type, episode, created=False)
        unit.effects += request.records(f"${OPERATIONS[activity]}", answer)
        await runtime.store.commit(unit)
        return answer

    text = "this course is being changed by too many at once; try again"
    return await until_committed(attempt, FhirError(Category.CONFLICT, text))


async def _steering(runtime: Runtime, request: Request, clinician: str, stored: Stored) -> _Steering:
    tenant = request.access.tenant
    key = key_of(runtime, orjson.loads(stored.body or b"null")["patient"])
    standing, known = await asyncio.gather(standing_of(runtime, tenant, key), known_of(runtime, tenant, key))
    if standing.episode_id != stored.id:
        _refuse("this episode has ended; another may have taken its place", "EpisodeOfCare.status")
    if standing.plan is None:
        _refuse("care has not begun in any step: accept a proposal first", "EpisodeOfCare.referralRequest")
    governed, now = await governing(runtime, tenant, standing, key), runtime.clock()
    risk = evidence_now(governed.policy, known, standing, now).risk
    is_open = risk.positive_item_open or risk.unanswered_item_open
    return _Steering(
        runtime, request, clinician, standing, governed, course_of(known), standing.plan, key, now, is_open
    )


def _keeping(steering: _Steering, unit: UnitOfWork) -> Keeping:
    return Keeping(steering.runtime, unit, steering.standing, steering.subject_key, steering.now)


def _row(steering: _Steering, unit: UnitOfWork, name: str, value: str) -> None:
    """What was said is evidence for the next decision; each saying has a reference of its own."""
    reference = f"EpisodeOfCare/{steering.standing.episode_id}/_history/{steering.standing.version}"
    said = Known(name, value, steering.now, reference, steering.standing.version)
    unit.effects.append(evidence_effect(steering.subject_key, said))


def _move(steering: _Steering, unit: UnitOfWork, status: str) -> int:
    """The plan's next version, with another status; its number."""
    change = with_status(steering.runtime, steering.plan, status, steering.now)
    _announce(steering, unit, change)
    return change.stored.version


def _announce(steering: _Steering, unit: UnitOfWork, change: Change) -> None:
    unit.changes.append(change)
    unit.effects.append(announced(steering.runtime, steering.subject_key, change.stored, steering.now))


def _episode(steering: _Steering, unit: UnitOfWork, status: str, activity: str) -> Stored:
    """The episode's next version, and the Provenance that says who did what."""
    standing, engine = steering.standing, steering.runtime.engine
    body = builders.episode(
        resource_id=standing.episode_id,
        pathway=steering.governed.pathway,
        subject=steering.plan.body["subject"],
        requests=standing.references,
        moment=steering.now,
        previous=standing.episode_body,
        status=status,
    )
    change = built(engine, body, steering.now, version=standing.version)
    targets = [versioned(each.stored) for each in unit.changes]
    focus = f"EpisodeOfCare/{standing.episode_id}/_history"
    provenance = builders.acceptance_provenance(
        resource_id=derived_id(engine.base_url, unit.tenant, "steering", focus, str(standing.version)),
        target=f"{focus}/{standing.version}",
        proposal=f"{focus}/{standing.version - 1}",
        practitioner=steering.clinician,
        policy=steering.plan.body["instantiatesCanonical"][0],
        accepted_at=steering.now,
        activity=activity,
        others=targets,
    )
    unit.changes += [change, built(engine, provenance, steering.now)]
    unit.effects.append(episode_told(steering.runtime, steering.subject_key, change.stored, steering.now))
    return change.stored


def _refuse_open(steering: _Steering, *names: str) -> None:
    if any(steering.course.last(name) is not None for name in names):
        _refuse("a medical review or a triage is open; it is completed in screening first", "EpisodeOfCare.status")


def _refuse(text: str, expression: str) -> NoReturn:
    raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", expression)])


def _given(body: bytes) -> dict[str, Any]:
    """The parameters by name: each one's value."""
    try:
        return {
            each["name"]: next(value for name, value in each.items() if name.startswith("value"))
            for each in orjson.loads(body or b"{}").get("parameter", ())
        }
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, StopIteration):
        text = "Parameters, each with a name and a value"
        raise FhirError(Category.INVALID, [Issue(text, "structure", "Parameters.parameter")]) from None


def _date(text: object, now: datetime) -> datetime | None:
    """A day to come, as the moment at which it begins."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return aware if aware > now else None
