"""A QuestionnaireResponse comes in: validated, scored, safety items acted on, announced, in one unit of work."""

from collections.abc import Sequence
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_screening import builders
from stepwell_screening.instruments import Instrument, instruments
from stepwell_screening.rules.finding import FINISHED, Finding
from stepwell_screening.rules.safety import SafetyFinding
from stepwell_screening.subscriptions import SAFETY_ALERT, SCORE_FINALIZED
from stepwell_screening.use_cases.subjects import Subject, alert_id, subject_of

RETRACTED = "entered-in-error"
VERSION = "0.1.0"

Resource = dict[str, Any]


async def submit_response(runtime: Runtime, write: Write) -> None:
    """Holds a response to its Questionnaire; once finished, adds what follows from it to the same unit of work.

    Raises FhirError BUSINESS_RULE with every finding when it does not conform.
    """
    response = write.resource
    assert response is not None, "responses are never deleted"
    instrument = _instrument(response)
    subject = await subject_of(runtime, write.access.tenant, response.get("subject"), "QuestionnaireResponse.subject")
    result = instrument.score(response)
    _refuse([*instrument.check(response), *instrument.score.check(response, result)])
    safety = instrument.safety(response, write.now)
    unsafe = await _open_alerts(runtime, write, subject, safety)
    status = response["status"]
    if status not in FINISHED and status != RETRACTED:
        return
    observation = builders.score_observation(
        observation_id=observation_id(runtime, write.access.tenant, write.stored.id, instrument),
        definition=instrument.definition,
        result=result,
        response_url=f"{runtime.engine.base_url}/QuestionnaireResponse/{write.stored.id}",
        subject=subject.reference,
        effective=response["authored"],
        issued=write.now,
        status={"amended": "amended", RETRACTED: RETRACTED}.get(status, "final"),
    )
    _record_origin(runtime, write, instrument, [observation], unsafe)
    entries: list[tuple[str, bytes | Resource]] = [
        (f"{runtime.engine.base_url}/QuestionnaireResponse/{write.stored.id}", write.stored.body or b""),
        (f"{runtime.settings.url_of('measurement')}/Observation/{observation['id']}", observation),
        *unsafe,
        *subject.entries,
    ]
    focus = f"QuestionnaireResponse/{write.stored.id}"
    write.unit.effects.append(event(SCORE_FINALIZED.canonical, subject.key, focus, entries, write.now))


def observation_id(runtime: Runtime, tenant: str, response_id: str, instrument: Instrument) -> str:
    """The id that this response's score has in measurement; an amended response changes the same Observation."""
    return derived_id(runtime.engine.base_url, tenant, "score", response_id, instrument.definition.code["code"])


def _instrument(response: Resource) -> Instrument:
    """The instrument that the response names with its version."""
    canonical = response.get("questionnaire", "")
    found = instruments().get(canonical)
    if found is None:
        known = ", ".join(instruments())
        text = f"name a Questionnaire that is known here, with its version: {known}"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "business-rule", "QuestionnaireResponse.questionnaire")])
    if "authored" not in response:
        text = "say when the answers were given"
        raise FhirError(Category.BUSINESS_RULE, [Issue(text, "required", "QuestionnaireResponse.authored")])
    return found


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise FhirError(Category.BUSINESS_RULE, [Issue(each.text, each.code, each.expression) for each in findings])


async def _open_alerts(
    runtime: Runtime, write: Write, subject: Subject, findings: Sequence[SafetyFinding]
) -> list[tuple[str, bytes]]:
    """RiskAssessment, Flag and Task for each safety item that needs a person; once per response and item."""
    entries: list[tuple[str, bytes]] = []
    for finding in findings:
        tenant = write.access.tenant
        assessment_id = derived_id(runtime.engine.base_url, tenant, "safety", write.stored.id, finding.link_id)
        known = await runtime.store.read(tenant, "RiskAssessment", assessment_id)
        if known is not None:
            entries.append(_entry(runtime, known))
            continue
        shared = builders.SafetyCause(
            finding=finding,
            response=f"QuestionnaireResponse/{write.stored.id}",
            subject=subject.local_reference,
            answered=(write.resource or {})["authored"],
            opened=write.now,
        )
        assessment, task_id = f"RiskAssessment/{assessment_id}", alert_id(runtime, tenant, "Task", assessment_id)
        flag_id = alert_id(runtime, tenant, "Flag", assessment_id)
        resources = [
            builders.risk_assessment(assessment_id=assessment_id, cause=shared),
            builders.safety_flag(flag_id=flag_id, assessment=assessment, cause=shared),
            builders.safety_task(task_id=task_id, assessment=assessment, cause=shared),
        ]
        changes = [built(runtime.engine, resource, write.now) for resource in resources]
        write.unit.changes += changes
        opened = [_entry(runtime, change.stored) for change in changes]
        entries.append(opened[0])
        context = [opened[2], opened[0]]
        write.unit.effects.append(event(SAFETY_ALERT.canonical, subject.key, f"Task/{task_id}", context, write.now))
    return entries


def _record_origin(
    runtime: Runtime,
    write: Write,
    instrument: Instrument,
    observations: list[Resource],
    unsafe: list[tuple[str, bytes]],
) -> None:
    """Provenance: this software, from this version of the response, made these."""
    measurement = runtime.settings.url_of("measurement")
    targets = [f"{measurement}/Observation/{observation['id']}" for observation in observations]
    base_url = runtime.engine.base_url
    targets += [url.removeprefix(f"{base_url}/") + "/_history/1" for url, _ in unsafe]
    version = f"QuestionnaireResponse/{write.stored.id}/_history/{write.stored.version}"
    provenance = builders.provenance(
        provenance_id=derived_id(base_url, write.access.tenant, "provenance", version),
        targets=targets,
        response_version=version,
        questionnaire=instrument.canonical,
        recorded=write.now,
        software_version=VERSION,
    )
    write.unit.changes.append(built(runtime.engine, provenance, write.now))
    # The source lets a receiver tell a repeat from an amendment.
    for observation in observations:
        observation["meta"] = {"source": f"{base_url}/{version}"}


def _entry(runtime: Runtime, stored: Stored) -> tuple[str, bytes]:
    return f"{runtime.engine.base_url}/{stored.resource_type}/{stored.id}", stored.body or b""
