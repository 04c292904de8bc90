"""Somebody's safety needs a person: RiskAssessment, Flag and Task are opened, once for each reason.

All of it, with the timer that escalates the Task, is one unit of work with what gave the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.registry import Reader, Write
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_screening import safety_builders as builders
from stepwell_screening.instruments import Instrument, safety_policy
from stepwell_screening.rules.escalation import first_due
from stepwell_screening.rules.safety import SafetyFinding, found, is_minor
from stepwell_screening.rules.safety_policy import NOT_ASKED, POSITIVE, SAFETY_REVIEW, UNANSWERED
from stepwell_screening.rules.safety_reviews import OPEN_STATUSES
from stepwell_screening.safety_builders import Ask, SafetyCause
from stepwell_screening.subscriptions import SAFETY_ALERT
from stepwell_screening.timers import Timer, timer_effect, timer_of
from stepwell_screening.use_cases.on_call import Site, site_of
from stepwell_screening.use_cases.safety_plans import plan_in_use
from stepwell_screening.use_cases.subjects import Subject

Entry = tuple[str, Stored]
Resource = dict[str, Any]

UNDER_AGE = "under-18"


@dataclass
class Alerts:
    """The RiskAssessments behind safety findings; `opened` are the versions that this unit of work makes."""

    entries: list[Entry] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Opening:
    """Where alerts are opened: the unit of work and its time, what can be read, and what they were found in."""

    tenant: str
    read: Reader
    unit: UnitOfWork
    now: datetime
    source: str
    answered: str
    requester: Resource | None = None


async def open_alerts(runtime: Runtime, write: Write, subject: Subject, instrument: Instrument) -> Alerts:
    """Adds to a response's unit of work what is not open, or settled, for its findings already.

    An unanswered item that is then answered positively is a new alert; the other way round it is the same one.
    """
    alerts, response = Alerts(), write.resource or {}
    person = _patient(subject)
    findings = instrument.safety(response, write.now, person)
    minor = person is not None and is_minor(person.get("birthDate"), write.now.date(), safety_policy().adult_from_years)
    if not findings and not minor and not instrument.safety.answers_an_ask:
        return alerts
    source = f"QuestionnaireResponse/{write.stored.id}"
    opening = Opening(write.access.tenant, write.read, write.unit, write.now, source, response["authored"])
    for finding in findings:
        if finding.rule.code == NOT_ASKED:
            await _ask(runtime, opening, subject, finding, alerts)
        else:
            await _open_once(
                runtime, opening, subject, finding, _ids(runtime, opening, write.stored.id, finding), alerts
            )
    if minor and response["status"] in safety_policy().positive_statuses:
        concern = safety_policy().concerns[UNDER_AGE]
        finding = found(concern.rule, UNDER_AGE, concern.topic, write.now)
        ids = [derived_id(runtime.engine.base_url, opening.tenant, "safety", "person", subject.key, UNDER_AGE)]
        await _open_once(runtime, opening, subject, finding, ids, alerts)
    if instrument.safety.answers_an_ask and response["status"] in safety_policy().unanswered_statuses:
        await _answered(runtime, opening, subject, alerts)
    return alerts


def entry_of(runtime: Runtime, stored: Stored) -> Entry:
    """A stored resource as a notification carries it."""
    return f"{runtime.engine.base_url}/{stored.resource_type}/{stored.id}", stored


def alert_id(runtime: Runtime, tenant: str, resource_type: str, assessment_id: str) -> str:
    """The id of the Flag or Task that belongs to a RiskAssessment, so that each leads to the others."""
    return derived_id(runtime.engine.base_url, tenant, resource_type, assessment_id)


async def open_alert(
    runtime: Runtime, opening: Opening, subject: Subject, finding: SafetyFinding, assessment_id: str
) -> tuple[Stored, Stored | None]:
    """Opens a Task with its timer, and where its kind has them RiskAssessment, Flag and event; Task and RiskAssessment.

    A Task without RiskAssessment is announced to nobody: it stands in the worklist, and escalates.
    """
    site = await site_of(runtime, opening.tenant)
    task_id = alert_id(runtime, opening.tenant, "Task", assessment_id)
    cause = SafetyCause(finding, opening.source, subject.local_reference, opening.answered, opening.now)
    assessment = f"RiskAssessment/{assessment_id}" if finding.rule.is_assessed else None
    resources = [
        builders.safety_task(
            task_id=task_id,
            cause=cause,
            assessment=assessment,
            ask=_ask_with(site, finding),
            requester=opening.requester,
        )
    ]
    if assessment is not None:
        flag_id = alert_id(runtime, opening.tenant, "Flag", assessment_id)
        flag = builders.safety_flag(flag_id=flag_id, assessment=assessment, cause=cause)
        plan = await plan_in_use(runtime, opening.tenant, opening.read, subject)
        resources += [
            builders.risk_assessment(
                assessment_id=assessment_id, cause=cause, policy=safety_policy(), performer=opening.requester
            ),
            flag if plan is None else builders.linked_flag(flag, plan, is_open=True),
        ]
    task, *rest = changes = [built(runtime.engine, resource, opening.now) for resource in resources]
    opening.unit.changes += changes
    _set_timer(opening, site, finding, task_id)
    if not rest:
        return task.stored, None
    context = [entry_of(runtime, task.stored), entry_of(runtime, rest[0].stored)]
    effect = event(SAFETY_ALERT.canonical, subject.key, f"Task/{task_id}", context, opening.now)
    opening.unit.effects.append(effect)
    return task.stored, rest[0].stored


async def _open_once(
    runtime: Runtime,
    opening: Opening,
    subject: Subject,
    finding: SafetyFinding,
    ids: Sequence[str],
    alerts: Alerts,
) -> None:
    """Opens what has none of these ids yet, under the first of them."""
    if not finding.rule.is_assessed:
        if await opening.read("Task", alert_id(runtime, opening.tenant, "Task", ids[0])) is None:
            task, _ = await open_alert(runtime, opening, subject, finding, ids[0])
            alerts.opened.append(_version(task))
        return
    known = [await opening.read("RiskAssessment", id_) for id_ in ids]
    entries = [entry_of(runtime, stored) for stored in known if stored is not None]
    if not entries:
        task, assessment = await open_alert(runtime, opening, subject, finding, ids[0])
        assert assessment is not None, "its rule is assessed"
        entries = [entry_of(runtime, assessment)]
        alerts.opened += [_version(assessment), _version(task)]
    alerts.entries += entries


async def _ask(runtime: Runtime, opening: Opening, subject: Subject, finding: SafetyFinding, alerts: Alerts) -> None:
    """Asks for the safety question once for each person; asks again when it was asked before and a form asks anew."""
    task_id, cause_id = _ask_ids(runtime, opening.tenant, subject)
    stored = await opening.read("Task", task_id)
    if stored is None or stored.body is None:
        task, _ = await open_alert(runtime, opening, subject, finding, cause_id)
        alerts.opened.append(_version(task))
    elif orjson.loads(stored.body)["status"] not in OPEN_STATUSES:
        site = await site_of(runtime, opening.tenant)
        cause = SafetyCause(finding, opening.source, subject.local_reference, opening.answered, opening.now)
        again = builders.safety_task(task_id=task_id, cause=cause, ask=_ask_with(site, finding))
        change = built(runtime.engine, again, opening.now, version=stored.version + 1)
        opening.unit.changes.append(change)
        _set_timer(opening, site, finding, task_id)
        alerts.opened.append(_version(change.stored))


async def ask_about_safety(runtime: Runtime, opening: Opening, subject: Subject) -> None:
    """A policy knows of no answer to any safety question: the same is asked, once for the cause in `opening`."""
    stored = await opening.read("Task", _ask_ids(runtime, opening.tenant, subject)[0])
    task = orjson.loads(stored.body) if stored is not None and stored.body is not None else {}
    if task.get("focus", {}).get("reference") != opening.source:
        rule = safety_policy().rules[NOT_ASKED]
        await _ask(runtime, opening, subject, found(rule, "", rule.display, opening.now), Alerts())


async def _answered(runtime: Runtime, opening: Opening, subject: Subject, alerts: Alerts) -> None:
    """The safety question was answered: whoever was to ask it need not any more."""
    task_id, _ = _ask_ids(runtime, opening.tenant, subject)
    stored = await opening.read("Task", task_id)
    task = orjson.loads(stored.body) if stored is not None and stored.body is not None else None
    if stored is None or task is None or task["status"] not in OPEN_STATUSES:
        return
    outcome = safety_policy().outcomes["resolved"]
    done = builders.answered_task(task, outcome=outcome, response=opening.source, moment=opening.now)
    change = built(runtime.engine, done, opening.now, version=stored.version + 1)
    opening.unit.changes.append(change)
    timer = await timer_of(runtime.database, opening.tenant, task_id)
    if timer is not None:
        opening.unit.effects.append(timer_effect(task_id, timer, None))
    alerts.opened.append(_version(change.stored))


def _ask_ids(runtime: Runtime, tenant: str, subject: Subject) -> tuple[str, str]:
    """The id of the Task that asks for one person's safety, and the one that it is derived from."""
    cause_id = derived_id(runtime.engine.base_url, tenant, "safety", "ask", subject.key)
    return alert_id(runtime, tenant, "Task", cause_id), cause_id


def _ids(runtime: Runtime, opening: Opening, response_id: str, finding: SafetyFinding) -> list[str]:
    """Ids of RiskAssessments of which one is enough; the first is that of the finding."""
    code = finding.rule.code
    rules = (UNANSWERED, POSITIVE) if code == UNANSWERED else (code,)
    base_url = runtime.engine.base_url
    return [derived_id(base_url, opening.tenant, "safety", response_id, finding.link_id, rule) for rule in rules]


def _set_timer(opening: Opening, site: Site, finding: SafetyFinding, task_id: str) -> None:
    ladder = site.ladder(finding.rule)
    if ladder is not None:
        due = first_due(ladder, opening.now, finding.deadline)
        timer = Timer(finding.rule.kind, finding.rule.ladder or "", 0, finding.deadline)
        opening.unit.effects.append(timer_effect(task_id, timer, due))


def _ask_with(site: Site, finding: SafetyFinding) -> Ask | None:
    """What is asked after this finding: the preferred screener where the site may use it, else ASQ, then a person."""
    follow_up, code = safety_policy().follow_up, finding.rule.code
    if code == NOT_ASKED:
        return Ask("", follow_up.otherwise)
    if code not in {POSITIVE, UNANSWERED} or finding.rule.kind != SAFETY_REVIEW or finding.link_id == "c-ssrs":
        return None
    if site.screener is not None:
        return Ask(follow_up.preferred_text, site.screener)
    return Ask(follow_up.otherwise_text, follow_up.otherwise)


def _patient(subject: Subject) -> Resource | None:
    """The Patient, when it is ours."""
    for _, stored in subject.entries:
        if stored.body is not None:
            patient: Resource = orjson.loads(stored.body)
            return patient
    return None


def _version(stored: Stored) -> str:
    return f"{stored.resource_type}/{stored.id}/_history/{stored.version}"
