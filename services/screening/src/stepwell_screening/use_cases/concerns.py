"""A person raises a concern about somebody by hand: what a form cannot know, or what was said beside it."""

from typing import Any

import orjson
from stepwell_shared.canonical import instant
from stepwell_shared.fhir.messages import Request, Response, version_headers
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening.instruments import safety_policy
from stepwell_screening.rules.safety import found
from stepwell_screening.rules.safety_policy import Concern
from stepwell_screening.rules.safety_reviews import is_person
from stepwell_screening.use_cases.alerts import Opening, open_alert
from stepwell_screening.use_cases.subjects import subject_of

CONCERN, NOTE, BY = "concern", "note", "by"
NOTE_CHARACTERS_MAX = 4000


async def raise_safety_concern(runtime: Runtime, request: Request) -> Response:
    """`Patient/[id]/$raise-safety-concern` with `concern`, perhaps `note`, and `by` when a system acts; gives the Task.

    It opens what an answer would: Task, RiskAssessment, Flag, timer and event in one transaction. Raises FhirError
    FORBIDDEN for whoever may not work on Tasks, INVALID for a concern that is not known, BUSINESS_RULE when no person
    stands for it.
    """
    request.access.require("Task", Interaction.UPDATE)
    given = _given(request.body)
    concern = _concern(given)
    person = request.access.fhir_user or str((given.get(BY) or {}).get("reference", ""))
    if not is_person(person):
        text = "a person raises a concern: act as one, or name a Practitioner or PractitionerRole in the parameter by"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "required", _place(BY))])
    now, tenant = runtime.clock(), request.access.tenant

    async def read(type_: str, id_: str) -> Any:
        return await runtime.store.read(tenant, type_, id_)

    reference = f"Patient/{request.id}"
    subject = await subject_of(runtime, read, {"reference": reference}, "Patient")
    topic = concern.topic if NOTE not in given else f"{concern.topic} ({given[NOTE]})"
    finding = found(concern.rule, concern.code, topic, now)
    unit = UnitOfWork(tenant)
    opening = Opening(tenant, read, unit, now, reference, instant(now), {"reference": person})
    task, _ = await open_alert(runtime, opening, subject, finding, runtime.new_id())
    headers = {**version_headers(task), "Location": f"{runtime.engine.base_url}/Task/{task.id}/_history/1"}
    answer = Response(201, task.body or b"", headers, task.id, witnessed=True, last_updated=task.last_updated)
    unit.effects += request.records("$raise-safety-concern", answer)
    await runtime.store.commit(unit)
    return answer


def _given(body: bytes) -> dict[str, Any]:
    """The parameters by name: each one's value."""
    given: dict[str, Any] = {}
    parameters = orjson.loads(body or b"{}").get("parameter", ())
    for each in parameters:
        values = [value for name, value in each.items() if name.startswith("value")]
        if values:
            given[each["name"]] = values[0]
    if len(str(given.get(NOTE, ""))) > NOTE_CHARACTERS_MAX:
        text = f"a note has at most {NOTE_CHARACTERS_MAX} characters"
        raise FhirError(Category.INVALID, [Issue(text, "too-long", _place(NOTE))])
    return given


def _concern(given: dict[str, Any]) -> Concern:
    concern = safety_policy().concerns.get(str(given.get(CONCERN, "")))
    if concern is None:
        known = ", ".join(safety_policy().concerns)
        raise FhirError(Category.INVALID, [Issue(f"the parameter concern is one of {known}", "value", _place(CONCERN))])
    return concern


def _place(name: str) -> str:
    return f"Parameters.parameter.where(name = '{name}')"
