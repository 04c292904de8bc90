"""What runs beside a step: another discipline is asked, a track opens, one activity rests or changes.

Each is a Task that tells somebody, once for as long as its reason stands: a row of evidence says that it is open, so
that no decision looks for it. Advice and tracks are requests of their own as well; people end them, or their referral.
An activity goes on when the reason is gone.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import Stored, UnitOfWork

from stepwell_routing.builders import besides as builders
from stepwell_routing.builders import course as course_builders
from stepwell_routing.policies import tier_of
from stepwell_routing.rules.decisions import Outcome as Beside
from stepwell_routing.rules.effects import SAFETY
from stepwell_routing.tables import BESIDE, Known, evidence_effect
from stepwell_routing.timers import RESUME_CHECK
from stepwell_routing.use_cases.evidence import newest_versions
from stepwell_routing.use_cases.outcomes import Making, with_status
from stepwell_routing.use_cases.reviews import Keeping, put_task
from stepwell_routing.use_cases.standing import Assignment
from stepwell_routing.use_cases.units import announced

OPEN = "open"
CLOSED, PAST = "closed/", "past/"
"""Before the id of the request: people have ended it, and its reason stands; or its reason has gone since then."""
INPUT, TRACK, PAUSE, MODIFY = "input", "track", "pause", "modify"

Resource = dict[str, Any]


class _Thing(NamedTuple):
    """One thing beside the step: `name` is its row's, `task_id` its Task's, whatever asked for it."""

    name: str
    task_id: str
    kind: str
    what: str
    asked: Beside


class Ended(NamedTuple):
    """The status in which Task and request are left, and by whom and why, where a person says so."""

    task: str
    request: str
    by: str | None = None
    reason: Resource | None = None


async def keep_besides(making: Making, unit: UnitOfWork, rows: Sequence[Known], in_force: Stored) -> None:
    """Opens what the decision asks for beside the step that is in force, and closes what no longer stands."""
    runtime, decision = making.runtime, making.decision
    keeping = Keeping(runtime, unit, making.standing, making.cause.subject_key, decision.decided_at)
    known = {row.name: row for row in newest_versions(row for row in rows if row.name.startswith(BESIDE))}
    wanted = {thing.name: thing for thing in _wanted(making)}
    for name, thing in wanted.items():
        row = known.get(name)
        is_mine = row is not None and row.reference == f"Task/{thing.task_id}"
        if not _waits(making, thing) and (row is None or not is_mine or _may_open(row)):
            _open(making, keeping, thing, in_force, row.source_version if row is not None and is_mine else 0)
    if making.is_overdue:
        return  # nothing was measured: no reason has gone
    for name, row in known.items():
        if row.value is None or name in wanted:
            continue
        if name.startswith(f"{BESIDE}{PAUSE}/"):
            await _close(making, keeping, row)
        elif row.value.startswith(CLOSED):
            past = row._replace(value=PAST + row.value.removeprefix(CLOSED), observed_at=decision.decided_at)
            unit.effects.append(evidence_effect(keeping.subject_key, past))


def beside_of(rows: Sequence[Known], request_id: str) -> Known | None:
    """What a request runs for beside the steps: its contacts are none of the step's."""
    found = newest_versions(row for row in rows if row.name.startswith(BESIDE))
    return next((row for row in found if row.value is not None and _request_id(row.value) == request_id), None)


def open_besides(rows: Sequence[Known]) -> list[Known]:
    """What is open beside the step."""
    found = newest_versions(row for row in rows if row.name.startswith(BESIDE))
    return [row for row in found if row.value is not None and not row.value.startswith((CLOSED, PAST))]


async def end_beside(keeping: Keeping, row: Known, ended: Ended) -> Stored | None:
    """Ends what runs beside a step, with its request; its Task. It opens anew once its reason has gone and come back.

    What has ended already stays as it is.
    """
    store, tenant = keeping.runtime.store, keeping.unit.tenant
    stored = await store.read(tenant, "Task", row.reference.removeprefix("Task/"))
    if stored is None or stored.body is None or not open_besides([row]):
        return stored
    body = orjson.loads(stored.body)
    if body["status"] in course_builders.OPEN:
        task = course_builders.closed(body, ended.task, keeping.now, by=ended.by, reason=ended.reason)
        stored = put_task(keeping, task, stored, RESUME_CHECK, None)
    request = None if row.value == OPEN else await store.read(tenant, "ServiceRequest", str(row.value))
    if request is not None and request.body is not None:
        _end_request(keeping, Assignment(request, orjson.loads(request.body)), ended.request)
    gone = row._replace(value=f"{CLOSED}{row.value}", observed_at=keeping.now, source_version=stored.version)
    keeping.unit.effects.append(evidence_effect(keeping.subject_key, gone))
    return stored


def _end_request(keeping: Keeping, request: Assignment, status: str) -> None:
    if request.is_open:
        change = with_status(keeping.runtime, request, status, keeping.now)
        keeping.unit.changes.append(change)
        if builders.is_tier_assignment(request.body):
            told = announced(keeping.runtime, keeping.subject_key, change.stored, keeping.now)
            keeping.unit.effects.append(told)


def _may_open(row: Known) -> bool:
    return row.value is None or row.value.startswith(PAST)


def _request_id(value: str) -> str:
    return value.rpartition("/")[2]


def _waits(making: Making, thing: _Thing) -> bool:
    """Whether a person answers first: a track opens with the decision after that, unless safety asks for it."""
    decision = making.decision
    stage = next((fired.stage for fired in decision.fired if fired.code == thing.asked.rule), None)
    return thing.kind == TRACK and bool(decision.holds) and stage != SAFETY


def _wanted(making: Making) -> Iterator[_Thing]:
    for each in making.decision.outcomes:
        what = {INPUT: each.detail.discipline, TRACK: each.detail.track}.get(each.kind, each.detail.activity)
        if each.kind not in {INPUT, TRACK, PAUSE, MODIFY} or what is None:
            continue
        kind = PAUSE if each.kind == MODIFY else each.kind
        base_url, episode = making.runtime.engine.base_url, making.standing.episode_id
        task_id = derived_id(base_url, making.tenant, "beside", episode, kind, what)
        yield _Thing(f"{BESIDE}{kind}/{what}", task_id, kind, what, each)


def _open(making: Making, keeping: Keeping, thing: _Thing, in_force: Stored, version: int) -> None:
    decision, request = making.decision, None
    if thing.kind in {INPUT, TRACK}:
        request = _request(making, keeping, thing, in_force, version)
    until = thing.asked.until if thing.kind == PAUSE else None
    about = _about(making, thing)
    task = course_builders.course_task(
        {INPUT: course_builders.ADVICE, TRACK: course_builders.TRACK}.get(thing.kind, course_builders.ACTIVITY),
        task_id=thing.task_id,
        episode=keeping.episode,
        request=f"ServiceRequest/{request or in_force.id}",
        subject=making.cause.subject,
        period=course_builders.Period(decision.decided_at, until or decision.review_at),
        now=decision.decided_at,
        priority=decision.priority,
        tell=tuple(filter(None, (thing.asked.detail.resumed_by, thing.asked.detail.discipline))),
        reason=decision.rule_titles[thing.asked.rule][decision.language],
        about=about,
    )
    previous = Stored("Task", thing.task_id, version, decision.decided_at, None) if version else None
    put_task(keeping, task, previous, RESUME_CHECK, until, is_told=True)
    row = Known(thing.name, request or OPEN, decision.decided_at, f"Task/{thing.task_id}", version + 1)
    keeping.unit.effects.append(evidence_effect(keeping.subject_key, row))


def _request(making: Making, keeping: Keeping, thing: _Thing, in_force: Stored, version: int) -> str:
    """The second request; a track is told of as a tier assignment, so that a place is looked for.

    `version` is that of a Task which opens anew.
    """
    runtime, decision = making.runtime, making.decision
    again = [str(version)] if version else []
    id_ = derived_id(runtime.engine.base_url, making.tenant, "beside-request", thing.task_id, *again)
    track = making.governed.policy.tracks.get(thing.what) if thing.kind == TRACK else None
    about = _about(making, thing)
    if track is not None:
        tier, words = tier_of(track), track.offering.service[decision.language]
        categories = [builders.coded("tier", tier.code, tier.display.get(decision.language)), about]
        code = builders.coded("tier-service", track.offering.service_code, words)
    else:
        categories, code = [about], about
    body = builders.beside_request(
        decision,
        resource_id=id_,
        rule=thing.asked.rule,
        based_on=f"ServiceRequest/{in_force.id}",
        subject=making.cause.subject,
        source=making.cause.response_url,
        categories=categories,
        code=code,
    )
    change = built(runtime.engine, body, decision.decided_at)
    keeping.unit.changes.append(change)
    if track is not None:
        keeping.unit.effects.append(announced(runtime, keeping.subject_key, change.stored, decision.decided_at))
    return id_


def _about(making: Making, thing: _Thing) -> Resource:
    policy, language = making.governed.policy, making.decision.language
    if thing.kind == TRACK:
        track = policy.tracks.get(thing.what)
        return builders.coded("track", thing.what, None if track is None else track.offering.display[language])
    if thing.kind == INPUT:
        return builders.coded("discipline", thing.what)
    option = policy.options.get(thing.what)
    return builders.coded("care-option", thing.what, None if option is None else option.display[language])


async def _close(making: Making, keeping: Keeping, row: Known) -> None:
    """The reason is gone: the activity is done as before. A Task that somebody has closed stays as it is."""
    stored = await making.runtime.store.read(making.tenant, "Task", row.reference.removeprefix("Task/"))
    if stored is None or stored.body is None:
        return
    body, version = orjson.loads(stored.body), row.source_version
    if body["status"] in course_builders.OPEN:
        task = course_builders.closed(body, "completed", keeping.now)
        version = put_task(keeping, task, stored, RESUME_CHECK, None).version
    gone = row._replace(value=None, observed_at=keeping.now, source_version=max(version, row.source_version + 1))
    keeping.unit.effects.append(evidence_effect(keeping.subject_key, gone))
