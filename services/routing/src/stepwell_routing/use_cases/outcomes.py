"""From a decision to what changes: requests proposed, changed, withdrawn, at rest or going on again, and ends proposed.

Care that a person has accepted goes on as it is until its tier changes; a proposal follows every decision. What is
less, and what ends, is only ever proposed.
"""

from dataclasses import dataclass, field
from datetime import datetime

from stepwell_shared.canonical import derived_id
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.unit import Change, Stored
from stepwell_shared.runtime import Runtime

from stepwell_routing import builders
from stepwell_routing.builders.endings import given_reason
from stepwell_routing.policies import tier_of
from stepwell_routing.rules.decisions import Decision, change_from
from stepwell_routing.rules.decisions import Outcome as Rested
from stepwell_routing.rules.effects import FLOORS, PROPOSAL, RED_FLAGS, SAFETY
from stepwell_routing.use_cases.causes import Cause
from stepwell_routing.use_cases.course import Course
from stepwell_routing.use_cases.governing import Governing
from stepwell_routing.use_cases.standing import COURSE, Assignment, Standing

EXIT, PAUSE, STAY, URGENT = "exit", "pause", "stay", "urgent"


@dataclass(frozen=True)
class Making:
    """A decision on its way to the store; `is_overdue` when a review fell due without new measures."""

    runtime: Runtime
    tenant: str
    cause: Cause
    decision: Decision
    standing: Standing
    course: Course
    governed: Governing
    is_overdue: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a decision does: its activity, the requests that change, and the one that it leaves in force (None after
    the end of care). `status` is the episode's from now on, where it changes; `rested` the plan that rests from now
    on, `resumed` whether it goes on again."""

    activity: str
    changes: list[Change]
    in_force: Stored | None
    status: str | None = None
    rested: Stored | None = None
    resumed: bool = False


@dataclass(frozen=True)
class _Rest:
    """How rest changes the plan, if it does."""

    changes: list[Change] = field(default_factory=list)
    status: str | None = None
    rested: Stored | None = None
    resumed: bool = False


def outcome_of(making: Making) -> Outcome:
    """What the decision changes."""
    decision, standing = making.decision, making.standing
    plan, proposal = standing.plan, standing.proposal
    if _stays_away(making):
        return Outcome(STAY, [], None)
    standing_request = proposal or plan
    if making.is_overdue and decision.stale and standing_request is not None:
        return Outcome(STAY, [], standing_request.stored)  # nothing is moved by measures that have become too old
    rest = _rest(making)
    if plan is not None and (decision.outcome == EXIT or plan.step == decision.step.code):
        withdrawn = [_revoked(making.runtime, proposal, decision.decided_at)] if proposal else []
        in_force = next((each.stored for each in rest.changes), plan.stored)
        return _with_rest(_activity(making, rest), withdrawn, in_force, rest)
    if proposal is not None:
        body = proposal.body
        activity = change_from(decision, proposal.step, body["status"], body["priority"])
        waits_for_more = body["status"] == "on-hold" and not builders.rule_codes(body).issuperset(decision.holds)
        if activity == STAY and not waits_for_more:
            return _with_rest(activity, [], proposal.stored, rest)
        if activity in {STAY, "modify"}:
            replaced = next((each["reference"] for each in body.get("replaces", ())), None)
            change = _assignment(making, proposal.stored.id, replaced, proposal.stored.version + 1)
            return _with_rest("modify", [change], change.stored, rest)
    return _assigned(making, rest)


def _assigned(making: Making, rest: _Rest) -> Outcome:
    standing, runtime = making.standing, making.runtime
    prior = standing.proposal or standing.plan
    cause = making.cause
    id_ = derived_id(runtime.engine.base_url, making.tenant, "assignment", COURSE, cause.subject_key, *cause.id)
    change = _assignment(making, id_, prior.reference if prior else None, 1)
    proposal = standing.proposal
    withdrawn = [_revoked(runtime, proposal, making.decision.decided_at)] if proposal else []
    return _with_rest("assign", [change, *withdrawn], change.stored, rest)


def _with_rest(activity: str, changes: list[Change], in_force: Stored, rest: _Rest) -> Outcome:
    return Outcome(activity, [*changes, *rest.changes], in_force, rest.status, rest.rested, rest.resumed)


def _activity(making: Making, rest: _Rest) -> str:
    if making.decision.outcome == EXIT:
        return EXIT
    if rest.rested is not None:
        return PAUSE
    return "modify" if rest.resumed else STAY


def _stays_away(making: Making) -> bool:
    """After the end of care only what says that help is needed again begins it anew: a floor, or a question of safety.

    That an earlier step was not enough, or that somebody has come back at all, says where care begins and not that it
    does: whoever is well at a booster stays well.
    """
    decision, standing = making.decision, making.standing
    is_over = standing.episode is None and standing.prior is not None
    deciding = next((fired.stage for fired in decision.fired if fired.code == decision.rule), PROPOSAL)
    has_floor = any(fired.stage == FLOORS for fired in decision.fired)
    needs_help = decision.outcome == URGENT or bool(decision.holds) or has_floor or deciding in {SAFETY, RED_FLAGS}
    return is_over and not needs_help


def _rest(making: Making) -> _Rest:
    """The plan rests while a person or a rule says so, and goes on when neither does."""
    plan, decision = making.standing.plan, making.decision
    if plan is None or not plan.is_open:
        return _Rest()
    rests = making.course.held is not None or step_pause(decision) is not None
    is_resting = plan.body["status"] == "on-hold"
    if rests == is_resting:
        return _Rest()
    change = with_status(making.runtime, plan, "on-hold" if rests else "active", decision.decided_at)
    return _Rest([change], "onhold" if rests else "active", change.stored if rests else None, not rests)


def step_pause(decision: Decision) -> Rested | None:
    """What lets the whole step rest. An activity that rests is none: the step goes on without it."""
    if decision.outcome != PAUSE:
        return None
    return next((each for each in decision.outcomes if each.kind == PAUSE and each.detail.activity is None), None)


def _assignment(making: Making, id_: str, replaced: str | None, version: int) -> Change:
    standing, decision = making.standing, making.decision
    came_back = standing.episode is None and standing.prior is not None
    body = builders.tier_assignment(
        decision,
        resource_id=id_,
        identifier=id_,
        subject=making.cause.subject,
        questionnaire_response=making.cause.response_url,
        tier=tier_of(decision.step),
        prior=replaced,
        prior_episode=f"EpisodeOfCare/{standing.prior.id}" if came_back and standing.prior else None,
    )
    return built(making.runtime.engine, body, decision.decided_at, version=version)


def _revoked(runtime: Runtime, proposal: Assignment, now: datetime) -> Change:
    """A proposal that nobody accepted is withdrawn when it no longer holds."""
    return with_status(runtime, proposal, "revoked", now)


def with_status(runtime: Runtime, request: Assignment, status: str, now: datetime, *, is_given: bool = False) -> Change:
    """The request's next version, with another status; and that what it asked for has been given, where it has."""
    body = {name: value for name, value in request.body.items() if name != "meta"} | {"status": status}
    if is_given:
        body["extension"] = [*body.get("extension", ()), given_reason()]
    return built(runtime.engine, body, now, version=request.stored.version + 1)
