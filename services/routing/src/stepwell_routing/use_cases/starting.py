"""A clinician starts a person on a pathway: another one than the site's default, or another than they are on.

A person is on one pathway at a time: the episode of the one before ends, and another follows it. A step in which care
has begun goes on until the first contact in the new pathway's, as with every move.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from stepwell_shared.canonical import derived_id
from stepwell_shared.events.outbox import event
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.messages import Request, Response, written
from stepwell_shared.fhir.outcome import Category, FhirError, Issue
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.fhir.unit import Stored, UnitOfWork
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.builders import course as course_builders
from stepwell_routing.policies import active_policies
from stepwell_routing.subscriptions import TIER_ASSIGNED
from stepwell_routing.timers import REVIEW
from stepwell_routing.use_cases.assignment import decide_on_review
from stepwell_routing.use_cases.boosters import cancel_boosters
from stepwell_routing.use_cases.causes import Cause
from stepwell_routing.use_cases.episodes import episode_told
from stepwell_routing.use_cases.governing import Governing, governing_now
from stepwell_routing.use_cases.outcomes import with_status
from stepwell_routing.use_cases.people import (
    Person,
    acting_person,
    one,
    optional,
    parameters,
    person_of,
    require_whole,
)
from stepwell_routing.use_cases.retrying import until_committed
from stepwell_routing.use_cases.reviews import Keeping, close_task
from stepwell_routing.use_cases.standing import Standing, standing_of

KNOWN = ("subject", "pathway", "reason")

Resource = dict[str, Any]


@dataclass(frozen=True)
class _Start:
    """What somebody has asked for, about whom, and what stands."""

    runtime: Runtime
    clinician: str
    person: Person
    reason: str | None
    standing: Standing
    governed: Governing
    now: datetime


async def start_pathway(runtime: Runtime, request: Request) -> Response:
    """`EpisodeOfCare/$start-pathway` with `subject`, `pathway` (code) and perhaps `reason`: the episode on it.

    It is decided at once, by the pathway's policy in force at the person's site, on what is known. Starting the pathway
    that somebody is on changes nothing. Raises FhirError: INVALID for other parameters, BUSINESS_RULE for a Patient who
    is not known, FORBIDDEN when the token names no person or reaches only some episodes.
    """
    clinician, tenant = acting_person(request), request.access.tenant
    require_whole(request, "EpisodeOfCare", Interaction.UPDATE)
    given = parameters(request, KNOWN)
    pathway, reason = one(given, "pathway", "valueCode"), optional(given, "reason", "valueString")
    if pathway not in active_policies():
        text = f"pathway is one of {', '.join(active_policies())}"
        raise FhirError(Category.INVALID, [Issue(text, "value", "Parameters.parameter.where(name = 'pathway')")])
    place = "Parameters.parameter.where(name = 'subject').value"
    reference = one(given, "subject", "valueReference")
    person = await person_of(runtime, partial(runtime.store.read, tenant), reference, place)
    served_type = runtime.engine.served("EpisodeOfCare", Interaction.READ)

    async def attempt() -> tuple[Response, Standing]:
        standing = await standing_of(runtime, tenant, person.key)
        if standing.episode is not None and standing.pathway == pathway:
            answer = written(runtime.engine.base_url, request, served_type, standing.episode, created=False)
            return answer, standing
        governed = await governing_now(runtime, tenant, standing, person.key, pathway=pathway)
        start = _Start(runtime, clinician, person, reason, standing, governed, runtime.clock())
        unit, episode = _started(start, tenant)
        answer = written(runtime.engine.base_url, request, served_type, episode, created=True)
        unit.effects += request.records("$start-pathway", answer)
        await runtime.store.commit(unit)
        return answer, await standing_of(runtime, tenant, person.key)

    text = "this course is being changed by too many at once; try again"
    answer, standing = await until_committed(attempt, FhirError(Category.CONFLICT, text))
    await _decide(runtime, tenant, person, standing)
    return answer


def _started(start: _Start, tenant: str) -> tuple[UnitOfWork, Stored]:
    """The episode that begins, the one that ends with what was only proposed in it, and who decided so."""
    runtime, standing, now = start.runtime, start.standing, start.now
    engine, unit = runtime.engine, UnitOfWork(tenant)
    keeping = Keeping(runtime, unit, standing, start.person.key, now)
    cancel_boosters(keeping)
    ended = _end(start, keeping)
    episode_id = standing.episode_id
    if ended is not None:
        episode_id = derived_id(engine.base_url, tenant, "episode-after", episode_id)
    resting = standing.plan is not None and standing.plan.body["status"] == "on-hold"
    body = builders.episode(
        resource_id=episode_id,
        pathway=start.governed.pathway,
        subject=_subject(runtime, start.person),
        requests=[each.reference for each in (standing.plan, *standing.earlier) if each is not None],
        moment=now,
        status="onhold" if resting else None,
        organization=start.governed.organization,
    )
    change = built(engine, body, now)
    provenance = course_builders.pathway_provenance(
        resource_id=_provenance_id(runtime, tenant, episode_id),
        targets=[_versioned(each.stored) for each in (change, *unit.changes)],
        ended=ended,
        practitioner=start.clinician,
        policy=start.governed.policy.canonical,
        reason=start.reason,
        started_at=now,
    )
    unit.changes += [change, built(engine, provenance, now)]
    unit.effects.append(episode_told(runtime, start.person.key, change.stored, now))
    return unit, change.stored


def _end(start: _Start, keeping: Keeping) -> str | None:
    """Ends the episode that goes on; the version that it had. Care that was never begun is cancelled, not finished."""
    runtime, standing, unit = start.runtime, start.standing, keeping.unit
    body = standing.episode_body
    if body is None or standing.episode is None:
        return None
    has_begun = standing.plan is not None
    closed = builders.episode(
        resource_id=standing.episode_id,
        pathway=str(standing.pathway),
        subject=body["patient"],
        requests=standing.references,
        moment=start.now,
        previous=body,
        status="finished" if has_begun else "cancelled",
    )
    change = built(runtime.engine, closed, start.now, version=standing.version)
    unit.changes.append(change)
    unit.effects.append(episode_told(runtime, start.person.key, change.stored, start.now))
    if standing.proposal is not None:
        change = with_status(runtime, standing.proposal, "revoked", start.now)
        focus = standing.proposal.reference
        entries = [(f"{runtime.engine.base_url}/{focus}", change.stored)]
        unit.changes.append(change)
        unit.effects.append(event(TIER_ASSIGNED.canonical, start.person.key, focus, entries, start.now))
        review = standing.reviews.get(focus)
        if review is not None:
            close_task(keeping, review, REVIEW, "cancelled")
    return f"EpisodeOfCare/{standing.episode_id}/_history/{standing.episode.version}"


async def _decide(runtime: Runtime, tenant: str, person: Person, standing: Standing) -> None:
    """Once for each start, however often it is asked for: who was interrupted asks again."""
    provenance_id = _provenance_id(runtime, tenant, standing.episode_id)
    if await runtime.store.read(tenant, "Provenance", provenance_id) is None:
        return  # this episode was begun by a decision
    reference = f"EpisodeOfCare/{standing.episode_id}"
    source = orjson.loads((standing.plan.stored.body if standing.plan is not None else None) or b"{}")
    cause = Cause(
        id=("EpisodeOfCare", standing.episode_id, "1"),
        status="active",
        source=f"{reference}/_history/1",
        response_url=source.get("supportingInfo", [{"reference": reference}])[0]["reference"],
        subject_key=person.key,
        subject=_subject(runtime, person),
        known=(),
    )
    await decide_on_review(runtime, tenant, cause, is_overdue=False)


def _subject(runtime: Runtime, person: Person) -> Resource:
    """The person as other services can follow it."""
    reference = person.reference.get("reference")
    if reference is None or "://" in reference:
        return person.reference
    return {**person.reference, "reference": f"{runtime.settings.url_of('screening')}/{reference}"}


def _provenance_id(runtime: Runtime, tenant: str, episode_id: str) -> str:
    return derived_id(runtime.engine.base_url, tenant, "pathway", episode_id)


def _versioned(stored: Stored) -> str:
    return f"{stored.resource_type}/{stored.id}/_history/{stored.version}"
