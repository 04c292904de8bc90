"""A safety item needs a person: RiskAssessment, Flag and Task are opened, once for each item and rule of a response."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.registry import Write
from stepwell_shared.fhir.unit import Stored
from stepwell_shared.runtime import Runtime

from stepwell_screening import builders
from stepwell_screening.rules.safety import POSITIVE, UNANSWERED, SafetyFinding
from stepwell_screening.subscriptions import SAFETY_ALERT
from stepwell_screening.use_cases.subjects import Subject

Entry = tuple[str, Stored]


@dataclass
class Alerts:
    """The RiskAssessments behind a response's safety findings; `opened` are versions that this unit of work makes."""

    entries: list[Entry] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)


async def open_alerts(runtime: Runtime, write: Write, subject: Subject, findings: Sequence[SafetyFinding]) -> Alerts:
    """Adds to the unit of work what is not open, or settled, for these findings already.

    An unanswered item that is then answered positively is a new alert; the other way round it is the same one.
    """
    alerts = Alerts()
    for finding in findings:
        rules = (UNANSWERED, POSITIVE) if finding.rule.code == UNANSWERED else (finding.rule.code,)
        ids = [_assessment_id(runtime, write, finding, rule) for rule in rules]
        known = [await write.read("RiskAssessment", id_) for id_ in ids]
        found = [entry_of(runtime, stored) for stored in known if stored is not None]
        if found:
            alerts.entries += found
        else:
            opened = _open(runtime, write, subject, finding, ids[0])
            alerts.entries.append(entry_of(runtime, opened))
            alerts.opened.append(f"RiskAssessment/{opened.id}/_history/{opened.version}")
    return alerts


def entry_of(runtime: Runtime, stored: Stored) -> Entry:
    """A stored resource as a notification carries it."""
    return f"{runtime.engine.base_url}/{stored.resource_type}/{stored.id}", stored


def alert_id(runtime: Runtime, tenant: str, resource_type: str, assessment_id: str) -> str:
    """The id of the Flag or Task that belongs to a RiskAssessment, so that each leads to the others."""
    return derived_id(runtime.engine.base_url, tenant, resource_type, assessment_id)


def _assessment_id(runtime: Runtime, write: Write, finding: SafetyFinding, rule: str) -> str:
    cause = ("safety", write.stored.id, finding.link_id, rule)
    return derived_id(runtime.engine.base_url, write.access.tenant, *cause)


def _open(runtime: Runtime, write: Write, subject: Subject, finding: SafetyFinding, assessment_id: str) -> Stored:
    """The three resources and the event; returns the RiskAssessment."""
    tenant, assessment = write.access.tenant, f"RiskAssessment/{assessment_id}"
    task_id = alert_id(runtime, tenant, "Task", assessment_id)
    flag_id = alert_id(runtime, tenant, "Flag", assessment_id)
    response: dict[str, Any] = write.resource or {}
    cause = builders.SafetyCause(
        finding=finding,
        response=f"QuestionnaireResponse/{write.stored.id}",
        subject=subject.local_reference,
        answered=response["authored"],
        opened=write.now,
    )
    resources = [
        builders.risk_assessment(assessment_id=assessment_id, cause=cause),
        builders.safety_flag(flag_id=flag_id, assessment=assessment, cause=cause),
        builders.safety_task(task_id=task_id, assessment=assessment, cause=cause),
    ]
    opened, _, task = changes = [built(runtime.engine, resource, write.now) for resource in resources]
    write.unit.changes += changes
    context = [entry_of(runtime, task.stored), entry_of(runtime, opened.stored)]
    write.unit.effects.append(event(SAFETY_ALERT.canonical, subject.key, f"Task/{task_id}", context, write.now))
    return opened.stored
