"""The safety Task: accepted, worked on, and closed by a clinician who records a risk level."""

from dataclasses import replace
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

from stepwell_screening import builders
from stepwell_screening.instruments import safety_policy
from stepwell_screening.rules.safety import RiskLevel, clinician_of, recorded_risk_level
from stepwell_screening.subscriptions import SAFETY_ALERT
from stepwell_screening.use_cases.alerts import alert_id
from stepwell_screening.use_cases.subjects import subject_key

ATTEMPTS_MAX = 8

# What a person may change on a safety Task; the rest says what happened and stays.
CHANGEABLE = frozenset({"id", "meta", "status", "statusReason", "businessStatus", "owner", "note", "output",
                        "lastModified", "executionPeriod", "text"})  # fmt: skip


async def change_safety_task(runtime: Runtime, write: Write) -> None:
    """Lets a person move a safety Task on; when a risk level is recorded, the alert is settled with it.

    Raises FhirError BUSINESS_RULE for a Task closed without a level, a level that is not known or that no clinician
    stands for, or a change of what happened; CONFLICT once a level stands; FORBIDDEN when the caller may work on
    Tasks but not rate a risk (no update on RiskAssessment).
    """
    if write.previous is None or write.previous.body is None or write.resource is None:
        raise FhirError(Category.METHOD_NOT_ALLOWED, "safety Tasks are made by screening; they can only be changed")
    before = orjson.loads(write.previous.body)
    _refuse_rewriting(before, write.resource)
    settled, _ = recorded_risk_level(safety_policy(), before)
    if settled is not None:
        raise FhirError(Category.CONFLICT, "a risk level is recorded on this Task; it is closed")
    level, findings = recorded_risk_level(safety_policy(), write.resource)
    if findings:
        raise FhirError(Category.BUSINESS_RULE, [Issue(each.text, each.code, each.expression) for each in findings])
    if level is not None:
        write.access.require("RiskAssessment", Interaction.UPDATE)
        await _settle(runtime, write, level)


async def record_risk_level(runtime: Runtime, request: Request) -> Response:
    """`Task/[id]/$record-risk-level` with the parameter `level`: completes the Task as an update would."""
    level = safety_policy().risk_levels.get(_level_code(request.body))
    if level is None:
        known = ", ".join(sorted(safety_policy().risk_levels))
        text = f"the parameter level is one of {known}"
        raise FhirError(Category.INVALID, [Issue(text, "value", "Parameters.parameter.where(name = 'level')")])
    for _ in range(ATTEMPTS_MAX):
        stored = await runtime.store.read(request.access.tenant, "Task", request.id)
        if stored is None or stored.body is None:
            raise FhirError(Category.NOT_FOUND, "there is no Task with this id")
        check_if_match(request, stored)
        task = orjson.loads(stored.body)
        acting = clinician_of(request.access.fhir_user, {})
        clinician = {"reference": acting} if acting else None
        completed = builders.completed_task(task, level=level, recorded=runtime.clock(), clinician=clinician)
        headers = {**request.headers, "if-match": f'W/"{stored.version}"'}
        try:
            return await interactions.update(runtime.engine, replace(request, body=encode(completed), headers=headers))
        except FhirError as error:
            if error.category is not Category.PRECONDITION_FAILED:
                raise
    raise FhirError(Category.CONFLICT, "this Task is being changed by too many at once; try again")


def _level_code(body: bytes) -> str:
    try:
        parameters = orjson.loads(body)["parameter"]
        return next(str(each["valueCode"]) for each in parameters if each["name"] == "level")
    except (orjson.JSONDecodeError, KeyError, TypeError, StopIteration):
        return ""


def _refuse_rewriting(before: dict[str, Any], after: dict[str, Any]) -> None:
    changed = [name for name in sorted({*before, *after} - CHANGEABLE) if before.get(name) != after.get(name)]
    if changed:
        text = "this says what happened and cannot be changed"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", f"Task.{name}") for name in changed])


async def _settle(runtime: Runtime, write: Write, level: RiskLevel) -> None:
    """RiskAssessment final, Flag as the level says, and the alert announced again with both."""
    task = write.resource
    assert task is not None, "only an update settles"
    tenant = write.access.tenant
    reference = clinician_of(write.access.fhir_user, task)
    if reference is None:
        text = "name the clinician who recorded the risk level: a Practitioner or PractitionerRole as owner"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "required", "Task.owner")])
    clinician = {"reference": reference}
    assessment_id = task["focus"]["reference"].rpartition("/")[2]
    assessment = await _current(write, "RiskAssessment", assessment_id)
    final = builders.final_risk_assessment(
        orjson.loads(assessment.body or b""), level=level, recorded=write.now, clinician=clinician
    )
    changes = [built(runtime.engine, final, write.now, version=assessment.version + 1)]
    flag = await _current(write, "Flag", alert_id(runtime, tenant, "Flag", assessment_id))
    reviewed = builders.reviewed_flag(orjson.loads(flag.body or b""), level=level, recorded=write.now)
    changes.append(built(runtime.engine, reviewed, write.now, version=flag.version + 1))
    write.unit.changes += changes
    base_url = runtime.engine.base_url
    entries = [
        (f"{base_url}/Task/{write.stored.id}", write.stored),
        (f"{base_url}/RiskAssessment/{assessment_id}", changes[0].stored),
    ]
    focus = f"Task/{write.stored.id}"
    write.unit.effects.append(
        event(SAFETY_ALERT.canonical, subject_key(runtime, task["for"], "Task.for"), focus, entries, write.now)
    )


async def _current(write: Write, resource_type: str, id_: str) -> Stored:
    stored = await write.read(resource_type, id_)
    if stored is None or stored.body is None:
        raise FhirError(Category.CONFLICT, f"the {resource_type} of this Task is gone")
    return stored
