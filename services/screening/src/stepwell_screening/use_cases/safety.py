"""The safety Task in people's hands: taken on, worked on, and closed by a clinician who records what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, check_if_match
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction, Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_screening import safety_builders as builders
from stepwell_screening.instruments import safety_policy
from stepwell_screening.rules.finding import Finding
from stepwell_screening.rules.safety_policy import SAFETY_REVIEW, ReviewOutcome, RiskLevel
from stepwell_screening.rules.safety_reviews import (
    TAKEN_ON,
    clinician_of,
    is_acknowledged,
    kind_of,
    recorded_outcome,
    recorded_risk_level,
)
from stepwell_screening.subscriptions import SAFETY_ALERT
from stepwell_screening.timers import timer_effect, timer_of
from stepwell_screening.use_cases.alerts import alert_id
from stepwell_screening.use_cases.subjects import subject_key

ATTEMPTS_MAX = 8

# What a person may change on a safety Task; the rest says what happened and stays.
CHANGEABLE = frozenset({"id", "meta", "status", "statusReason", "businessStatus", "owner", "note", "output",
                        "lastModified", "executionPeriod", "text"})  # fmt: skip

Resource = dict[str, Any]
Result = RiskLevel | ReviewOutcome


@dataclass(frozen=True)
class Recorded:
    """What is recorded on a Task, and what speaks against it."""

    result: Result | None
    findings: list[Finding]


async def change_safety_task(runtime: Runtime, write: Write) -> None:
    """Lets a person move a safety Task on; when its result is recorded, the alert is settled with it.

    Raises FhirError BUSINESS_RULE for a Task closed without a result, a result that is not known or that no clinician
    stands for, or a change of what happened; CONFLICT once a result stands; FORBIDDEN when the caller may work on
    Tasks but not rate a risk (no update on RiskAssessment).
    """
    if write.previous is None or write.previous.body is None or write.resource is None:
        raise FhirError(Category.METHOD_NOT_ALLOWED, "safety Tasks are made by screening; they can only be changed")
    before = orjson.loads(write.previous.body)
    if recorded_on(before).result is not None:
        raise FhirError(Category.CONFLICT, "what came of this Task is recorded; it is closed")
    _refuse_rewriting(before, write.resource)
    # Where it stands is ours to say: it may have escalated since the sender read it, and that must not refuse a person.
    _replace(runtime, write, {**write.resource, "businessStatus": before.get("businessStatus")})
    recorded = recorded_on(write.resource)
    if recorded.findings:
        issues = [Issue(each.text, each.code, each.expression) for each in recorded.findings]
        raise FhirError(Category.BUSINESS_RULE, issues)
    if recorded.result is not None:
        write.access.require("RiskAssessment", Interaction.UPDATE)
        await _settle(runtime, write, before, recorded.result)
    elif write.resource["status"] in TAKEN_ON:
        await _taken_on(runtime, write)


async def record_risk_level(runtime: Runtime, request: Request) -> Response:
    """`Task/[id]/$record-risk-level` with the parameter `level`: completes a safety review as an update would."""
    level = safety_policy().risk_levels.get(_given(request.body, "level", "valueCode"))
    if level is None:
        raise _not_one_of("level", safety_policy().risk_levels)
    return await _record(runtime, request, level)


async def record_review(runtime: Runtime, request: Request) -> Response:
    """`Task/[id]/$record-review` with `outcome` and perhaps `note`: completes a safety Task of another kind."""
    outcome = safety_policy().outcomes.get(_given(request.body, "outcome", "valueCode"))
    if outcome is None:
        raise _not_one_of("outcome", safety_policy().outcomes)
    return await _record(runtime, request, outcome, _given(request.body, "note", "valueString"))


def recorded_on(task: Resource) -> Recorded:
    """The risk level of a safety review, or the outcome of another safety Task."""
    policy = safety_policy()
    if kind_of(policy, task) == SAFETY_REVIEW:
        return Recorded(*recorded_risk_level(policy, task))
    return Recorded(*recorded_outcome(policy, task))


def deadline_of(task: Mapping[str, Any]) -> datetime:
    """When a person must have acted."""
    return datetime.fromisoformat(task["restriction"]["period"]["end"])


async def _record(runtime: Runtime, request: Request, result: Result, note: str = "") -> Response:
    for _ in range(ATTEMPTS_MAX):
        stored = await runtime.store.read(request.access.tenant, "Task", request.id)
        if stored is None or stored.body is None:
            raise FhirError(Category.NOT_FOUND, "there is no Task with this id")
        check_if_match(request, stored)
        task = orjson.loads(stored.body)
        if isinstance(result, RiskLevel) is not (kind_of(safety_policy(), task) == SAFETY_REVIEW):
            text = "a risk level is recorded on a safety review, an outcome on every other kind of safety Task"
            raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "Task.code")])
        acting = clinician_of(request.access.fhir_user, {})
        clinician = {"reference": acting} if acting else None
        completed = builders.completed_task(
            task, result=result, recorded=runtime.clock(), clinician=clinician, note=note
        )
        headers = {**request.headers, "if-match": f'W/"{stored.version}"'}
        try:
            return await interactions.update(runtime.engine, replace(request, body=encode(completed), headers=headers))
        except FhirError as error:
            if error.category is not Category.PRECONDITION_FAILED:
                raise
    raise FhirError(Category.CONFLICT, "this Task is being changed by too many at once; try again")


def _given(body: bytes, name: str, element: str) -> str:
    try:
        parameters = orjson.loads(body)["parameter"]
        return next(str(each[element]) for each in parameters if each["name"] == name)
    except (orjson.JSONDecodeError, KeyError, TypeError, StopIteration):
        return ""


def _not_one_of(name: str, known: Mapping[str, Any]) -> FhirError:
    text = f"the parameter {name} is one of {', '.join(sorted(known))}"
    return FhirError(Category.INVALID, [Issue(text, "value", f"Parameters.parameter.where(name = '{name}')")])


def _refuse_rewriting(before: Resource, after: Resource) -> None:
    changed = [name for name in sorted({*before, *after} - CHANGEABLE) if before.get(name) != after.get(name)]
    if changed:
        text = "this says what happened and cannot be changed"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", f"Task.{name}") for name in changed])


async def _taken_on(runtime: Runtime, write: Write) -> None:
    """A person who takes the Task on by changing its status has acknowledged it; a system alone has not."""
    task = write.resource
    assert task is not None, "only an update takes on"
    person = clinician_of(write.access.fhir_user, task)
    if person is None or is_acknowledged(safety_policy(), task):
        return
    acknowledged = builders.acknowledged_task(task, person={"reference": person}, moment=write.now)
    _replace(runtime, write, {**acknowledged, "owner": task.get("owner", acknowledged["owner"])})
    await _reset_timer(runtime, write, max(write.now, deadline_of(task)))


async def _settle(runtime: Runtime, write: Write, before: Resource, result: Result) -> None:
    """Flag and RiskAssessment as the result says, the timer stopped, and the alert announced again."""
    task = write.resource
    assert task is not None, "only an update settles"
    reference = clinician_of(write.access.fhir_user, task if _stands_for_it(before, task) else {})
    if reference is None:
        text = "name the clinician who recorded this: a Practitioner or PractitionerRole as owner"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "required", "Task.owner")])
    _replace(runtime, write, {**task, "businessStatus": builders.business_status(builders.REVIEWED)})
    await _reset_timer(runtime, write, None)
    kind, _, assessment_id = task["focus"]["reference"].rpartition("/")
    if kind != "RiskAssessment":
        return
    assessment = await _current(write, "RiskAssessment", assessment_id)
    final = builders.final_risk_assessment(
        orjson.loads(assessment.body or b""), result=result, recorded=write.now, clinician={"reference": reference}
    )
    changes = [built(runtime.engine, final, write.now, version=assessment.version + 1)]
    flag = await _current(write, "Flag", alert_id(runtime, write.access.tenant, "Flag", assessment_id))
    reviewed = builders.reviewed_flag(orjson.loads(flag.body or b""), result=result, recorded=write.now)
    changes.append(built(runtime.engine, reviewed, write.now, version=flag.version + 1))
    write.unit.changes += changes
    base_url, focus = runtime.engine.base_url, f"Task/{write.stored.id}"
    entries = [
        (f"{base_url}/{focus}", write.stored),
        (f"{base_url}/RiskAssessment/{assessment_id}", changes[0].stored),
    ]
    key = subject_key(runtime, task["for"], "Task.for")
    write.unit.effects.append(event(SAFETY_ALERT.canonical, key, focus, entries, write.now))


def _stands_for_it(before: Resource, task: Resource) -> bool:
    """Whether the owner is the clinician's word: named now, or a person who took it on; not whom a step told."""
    return task.get("owner") != before.get("owner") or is_acknowledged(safety_policy(), before)


def _replace(runtime: Runtime, write: Write, task: Resource) -> None:
    """Stores this in place of what was sent: what only the server says of a Task stands beside what a person says."""
    assert write.unit.changes[0].stored is write.stored, "the first change of a write is the write's own"
    said = {name: value for name, value in task.items() if value is not None}
    change = built(runtime.engine, said, write.now, version=write.stored.version)
    write.unit.changes[0], write.stored, write.resource = change, change.stored, said


async def _reset_timer(runtime: Runtime, write: Write, due_at: datetime | None) -> None:
    timer = await timer_of(runtime.database, write.access.tenant, write.stored.id)
    if timer is not None:
        write.unit.effects.append(timer_effect(write.stored.id, timer, due_at))


async def _current(write: Write, resource_type: str, id_: str) -> Stored:
    stored = await write.read(resource_type, id_)
    if stored is None or stored.body is None:
        raise FhirError(Category.CONFLICT, f"the {resource_type} of this Task is gone")
    return stored
