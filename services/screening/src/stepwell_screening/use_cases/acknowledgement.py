"""A person says that they take a safety Task on: who and when, before anything is found out or completed."""

from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, check_if_match, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.store import WriteConflictError
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening import safety_builders as builders
from stepwell_screening.instruments import safety_policy
from stepwell_screening.rules.safety_reviews import OPEN_STATUSES, is_acknowledged, is_person
from stepwell_screening.timers import timer_effect, timer_of
from stepwell_screening.use_cases.safety import ATTEMPTS_MAX

Resource = dict[str, Any]


async def acknowledge(runtime: Runtime, request: Request) -> Response:
    """`Task/[id]/$acknowledge`: the Task is the caller's, or that of the person in the parameter `by` (valueReference).

    Saying it twice changes nothing; another person takes it over. Until the deadline nobody else is told; a Task that
    is still open then escalates again. Raises FhirError BUSINESS_RULE when no person is named, CONFLICT when the Task
    is closed.
    """
    person = _person(request)
    for _ in range(ATTEMPTS_MAX):
        stored = await runtime.store.read(request.access.tenant, "Task", request.id)
        if stored is None or stored.body is None:
            raise FhirError(Category.NOT_FOUND, "there is no Task with this id")
        check_if_match(request, stored)
        task: Resource = orjson.loads(stored.body)
        served_type = runtime.engine.served("Task", Interaction.READ)
        if task["status"] not in OPEN_STATUSES:
            raise FhirError(Category.CONFLICT, "this Task is closed")
        if is_acknowledged(safety_policy(), task) and task.get("owner", {}).get("reference") == person["reference"]:
            return written(runtime.engine.base_url, request, served_type, stored, created=False, witnessed=False)
        unit, taken = await _acknowledged(runtime, request, stored, task, person)
        answer = written(runtime.engine.base_url, request, served_type, taken, created=False)
        unit.effects += request.records("$acknowledge", answer)
        try:
            await runtime.store.commit(unit)
        except WriteConflictError:
            continue
        return answer
    raise FhirError(Category.CONFLICT, "this Task is being changed by too many at once; try again")


def _person(request: Request) -> Resource:
    """Who acknowledges: the person who acts; a system says for whom."""
    acting = request.access.fhir_user
    if acting is not None and is_person(acting):
        return {"reference": acting}
    try:
        parameters = orjson.loads(request.body or b"{}").get("parameter", ())
        named = next(each["valueReference"]["reference"] for each in parameters if each["name"] == "by")
    except (AttributeError, KeyError, TypeError, StopIteration):
        named = None
    if acting is None and is_person(named):
        return {"reference": str(named)}
    text = "a person acknowledges: act as one, or name a Practitioner or PractitionerRole in the parameter by"
    raise FhirError(Category.BUSINESS_RULE, [Issue(text, "required", "Parameters.parameter.where(name = 'by')")])


async def _acknowledged(
    runtime: Runtime, request: Request, stored: Stored, task: Resource, person: Resource
) -> tuple[UnitOfWork, Stored]:
    """The Task, Provenance of who took it on, and the timer, which waits for the deadline now."""
    engine, tenant, now = runtime.engine, request.access.tenant, runtime.clock()
    timer = await timer_of(runtime.database, tenant, stored.id)
    body = builders.acknowledged_task(task, person=person, moment=now)
    change = built(engine, body, now, version=stored.version + 1)
    focus = f"Task/{stored.id}/_history"
    provenance = builders.step_provenance(
        provenance_id=derived_id(engine.base_url, tenant, "acknowledged", stored.id, str(change.stored.version)),
        targets=[f"{focus}/{change.stored.version}"],
        source=f"{focus}/{stored.version}",
        activity="acknowledge",
        recorded=now,
        person=person,
    )
    effects = [timer_effect(stored.id, timer, max(now, timer.deadline))] if timer is not None else []
    return UnitOfWork(tenant, [change, built(engine, provenance, now)], effects), change.stored
