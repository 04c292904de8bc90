"""What runs beside a step: another discipline is asked, a track opens, one activity rests or changes.

Each is a Task that tells somebody, once for an episode: a row of evidence says that it is open, so that no decision
looks for it. Advice and tracks are requests of their own as well; people end them. An activity goes on when the
reason is gone.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import Stored, UnitOfWork

from stepwell_routing.builders import besides as builders
from stepwell_routing.builders import course as course_builders
from stepwell_routing.policies import tier_of
from stepwell_routing.rules.decisions import Outcome as Beside
from stepwell_routing.rules.effects import SAFETY
from stepwell_routing.subscriptions import TIER_ASSIGNED
from stepwell_routing.tables import BESIDE, Known, evidence_effect
from stepwell_routing.timers import RESUME_CHECK
from stepwell_routing.use_cases.evidence import newest_versions
from stepwell_routing.use_cases.outcomes import Making
from stepwell_routing.use_cases.reviews import Keeping, put_task

OPEN = "open"
INPUT, TRACK, PAUSE, MODIFY = "input", "track", "pause", "modify"

Resource = dict[str, Any]


class _Thing(NamedTuple):
    """One thing beside the step: `name` is its row's, `task_id` its Task's, whatever asked for it."""

    name: str
    task_id: str
    kind: str
    what: str
    asked: Beside


async def keep_besides(making: Making, unit: UnitOfWork, rows: Sequence[Known], in_force: Stored) -> None:
    """Opens what the decision asks for beside the step that is in force, and closes what no longer stands."""
    runtime, decision = making.runtime, making.decision
    keeping = Keeping(runtime, unit, making.standing, making.cause.subject_key, decision.decided_at)
    known = {row.name: row for row in newest_versions(row for row in rows if row.name.startswith(BESIDE))}
    wanted = {thing.name: thing for thing in _wanted(making)}
    for name, thing in wanted.items():
        row = known.get(name)
        is_mine = row is not None and row.reference == f"Task/{thing.task_id}"
        if row is None or not is_mine or row.value is None:
            _open(making, keeping, thing, in_force, row.source_version if row is not None and is_mine else 0)
    for name, row in known.items():
        if row.value is not None and name.startswith(f"{BESIDE}{PAUSE}/") and name not in wanted:
            await _close(making, keeping, row)


def is_beside(rows: Sequence[Known], request_id: str) -> bool:
    """Whether a request runs beside the steps: its contacts are none of the step's."""
    return any(row.name.startswith(BESIDE) and row.value == request_id for row in rows)


def _wanted(making: Making) -> Iterator[_Thing]:
    decision = making.decision
    stages = {fired.code: fired.stage for fired in decision.fired}
    for each in decision.outcomes:
        if each.kind == TRACK and decision.holds and stages.get(each.rule) != SAFETY:
            continue  # a person answers first; it opens with the decision after that
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
        request = _request(making, keeping, thing, in_force)
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


def _request(making: Making, keeping: Keeping, thing: _Thing, in_force: Stored) -> str:
    """The second request; a track is told of as a tier assignment, so that a place is looked for."""
    runtime, decision = making.runtime, making.decision
    id_ = derived_id(runtime.engine.base_url, making.tenant, "beside-request", thing.task_id)
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
        focus = f"ServiceRequest/{id_}"
        entries = [(f"{runtime.engine.base_url}/{focus}", change.stored)]
        told = event(TIER_ASSIGNED.canonical, keeping.subject_key, focus, entries, decision.decided_at)
        keeping.unit.effects.append(told)
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
