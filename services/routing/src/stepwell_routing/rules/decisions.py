"""Decides a step: policy, evidence and the time in; step, outcome, priority, review date, rules and reasons out.

Order of the stages: safety, red flags, domain floors, modifiers, preference, proposal. What the rules come to is in
`stepping`; here it becomes one proposal with everything that explains it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from stepwell_routing.rules.effects import PREFERENCE, Effect
from stepwell_routing.rules.evidence import Evidence, EvidenceValue, RiskState, environment_of
from stepwell_routing.rules.evidence_names import CAPACITY, base_of
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.places import settle
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.reasons import Told, clinician_reason, patient_reason
from stepwell_routing.rules.rule_reading import PRIORITIES, NotFired, Rule
from stepwell_routing.rules.stepping import (
    Run,
    Target,
    current_rank,
    holding,
    step_rests,
)
from stepwell_routing.rules.steps import Step
from stepwell_routing.rules.tiers import Option, Tier

__all__ = ["Decision", "Evidence", "EvidenceValue", "Fired", "NotFired", "Outcome", "RiskState", "as_record", "decide"]

ACTIVE, ON_HOLD = "active", "on-hold"
# Effects that become outcomes beside the step, each with its rule.
OUTCOMES = frozenset({"stay", "modify", "pause", "input", "urgent", "track", "informed-choice"})

# A rule with one of these could have led to another step, had its evidence been there; one of the others never to more.
RAISING = frozenset({"up", "advance", "return", "enter", "re-enter", "track", "urgent"})
LOWERING = frozenset({"down", "keep"})


class Fired(NamedTuple):
    """A rule that applied, with the values it saw."""

    code: str
    stage: str
    seen: tuple[tuple[str, Scalar], ...]


class Outcome(NamedTuple):
    """One outcome beside the step, with the rule that asks for it; `until` is when a pause is looked at again."""

    kind: str
    rule: str
    detail: Effect
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A proposal with everything needed to explain and to repeat it.

    `tier` is what `step` offers. `outcome` names the move: assign, stay, modify, pause, up, down, advance, return,
    urgent, exit or re-enter; `outcomes` are all that lie beside it. `accepted_rank` is the lower step that the person
    knowingly accepts instead. `ask` is the evidence to ask for, `tell` the roles to tell, with the rule.
    """

    policy: str
    pathway: str
    profile: str | None
    language: str
    tier: Tier
    step: Step
    outcome: str
    outcomes: tuple[Outcome, ...]
    previous_rank: int | None
    accepted_rank: int | None
    tracks: tuple[str, ...]
    menu: tuple[Option, ...]
    ask: tuple[str, ...]
    tell: tuple[tuple[str, str], ...]
    status: str
    priority: str
    decided_at: datetime
    review_at: datetime
    rule: str
    holds: tuple[str, ...]
    excluded_options: tuple[str, ...]
    fired: tuple[Fired, ...]
    not_fired: tuple[NotFired, ...]
    not_known: tuple[str, ...]
    stale: tuple[str, ...]
    clinician_reason: Mapping[str, str]
    patient_reason: Mapping[str, str]
    references: tuple[str, ...]
    rule_titles: Mapping[str, Mapping[str, str]]

    @property
    def reason_codes(self) -> tuple[str, ...]:
        """What to name as the reason: what it waits for, what decided, then the other safety rules that fired."""
        safety = (rule.code for rule in self.fired if rule.stage == "safety")
        return tuple(dict.fromkeys((*self.holds, self.rule, *safety)))

    @property
    def needs_clinician(self) -> bool:
        """Whether the step is one that only a named clinician enters, and care is not there already."""
        return self.step.offering.human and self.step.rank != self.previous_rank


def decide(policy: Policy, evidence: Evidence, now: datetime) -> Decision:
    """The proposal of this policy on this evidence at this time.

    Raises TypeError for a value of another kind than the policy declares.
    """
    environment, stale = environment_of(policy, evidence, now)
    run, target, places, is_stale = settle(policy, evidence, environment, now)
    step = policy.steps[target.rank - 1]
    waiting, resting = holding(run), step_rests(run)
    holds = () if run.never_waits else tuple(dict.fromkeys(rule.code for rule in (*waiting, *resting)))
    review_at = now + min([step.review_within, *(rule.review_within for rule in run.fired if rule.review_within)])
    not_known = _not_known(policy, run, target.rank)
    outcomes = _outcomes(run, target, now)
    review_date = review_at.date().isoformat()
    told = Told(
        words={**policy.constants, **environment, "review_date": review_date},
        closing={"tier": step.rank, "step": step.rank, "review_date": review_date},
    )
    return Decision(
        policy=policy.canonical,
        pathway=policy.pathway,
        profile=policy.profile,
        language=policy.language,
        tier=step.offering,
        step=step,
        outcome=_primary(target, run, resting, outcomes),
        outcomes=outcomes,
        previous_rank=current_rank(environment),
        accepted_rank=_accepted_rank(run, target),
        tracks=tuple(dict.fromkeys(str(each.detail.track) for each in outcomes if each.kind == "track")),
        menu=_menu(policy, run, step),
        ask=_asked(run),
        tell=_told_roles(run),
        status=ON_HOLD if holds else ACTIVE,
        priority=max((rule.priority for rule in run.fired), key=PRIORITIES.index),
        decided_at=now,
        review_at=review_at,
        rule=target.rule.code,
        holds=holds,
        excluded_options=tuple(sorted({option for rule in run.fired for option in rule.excluded_options})),
        fired=tuple(_fired(rule, environment) for rule in run.fired),
        not_fired=tuple(run.not_fired),
        not_known=not_known,
        stale=(*stale, CAPACITY) if is_stale else stale,
        clinician_reason=clinician_reason(policy, target.rule, run.fired, run.floors, told, not_known),
        patient_reason=patient_reason(
            policy,
            target.rule,
            run.fired,
            step.offering,
            told,
            waiting=[] if run.never_waits else resting,
            on_hold=bool(holds),
        ),
        references=_references(policy, evidence, environment, places),
        rule_titles=policy.rule_titles,
    )


def change_from(decision: Decision, tier_code: str | None, status: str | None, priority: str | None) -> str:
    """What the decision means for the assignment in force: `assign` (none, or another tier), `modify` or `stay`."""
    if tier_code != decision.tier.code:
        return "assign"
    return "stay" if (status, priority) == (decision.status, decision.priority) else "modify"


def as_record(decision: Decision) -> dict[str, Any]:
    """The decision as plain JSON values in a fixed order, for storage, `$explain` and comparing replays."""
    return {
        "policy": decision.policy,
        "profile": decision.profile,
        "tier": decision.tier.code,
        "outcome": decision.outcome,
        "outcomes": [_outcome_record(outcome) for outcome in decision.outcomes],
        "previousRank": decision.previous_rank,
        "acceptedRank": decision.accepted_rank,
        "tracks": list(decision.tracks),
        "menu": [option.code for option in decision.menu],
        "ask": list(decision.ask),
        "tell": [{"role": role, "rule": rule} for role, rule in decision.tell],
        "status": decision.status,
        "priority": decision.priority,
        "decidedAt": decision.decided_at.isoformat(),
        "reviewAt": decision.review_at.isoformat(),
        "rule": decision.rule,
        "holds": list(decision.holds),
        "excludedOptions": list(decision.excluded_options),
        "fired": [
            {"code": rule.code, "seen": {name: _plain(value) for name, value in rule.seen}} for rule in decision.fired
        ],
        "notFired": [
            {"code": rule.code, "why": rule.why, "missing": list(rule.missing)} for rule in decision.not_fired
        ],
        "notKnown": list(decision.not_known),
        "stale": list(decision.stale),
        "clinicianReason": dict(sorted(decision.clinician_reason.items())),
        "patientReason": dict(sorted(decision.patient_reason.items())),
        "references": list(decision.references),
    }


def _plain(value: Scalar) -> Scalar:
    return value if isinstance(value, bool | int | str) else str(value)


def _outcome_record(outcome: Outcome) -> dict[str, Any]:
    parts = {
        name: getattr(outcome.detail, name)
        for name in ("track", "discipline", "activity", "option", "modality", "role", "resumed_by")
    }
    until = outcome.until.isoformat() if outcome.until else None
    named = {"kind": outcome.kind, "rule": outcome.rule, **parts, "until": until}
    return {name: value for name, value in named.items() if value is not None}


def _outcomes(run: Run, target: Target, now: datetime) -> tuple[Outcome, ...]:
    """What the rules ask for beside the step; a person's choices give way where safety does not allow them."""
    found = []
    for rule in run.moving:
        for effect in rule.effects:
            if effect.kind not in OUTCOMES or (
                effect.kind == "informed-choice" and _accepted_rank(run, target) is None
            ):
                continue
            if effect.kind == "pause" and run.never_waits and rule.stage == PREFERENCE:
                continue
            until = now + effect.resume_within if effect.resume_within else None
            found.append(Outcome(effect.kind, rule.code, effect, until))
    return tuple(found)


def _primary(target: Target, run: Run, resting: Sequence[Rule], outcomes: Sequence[Outcome]) -> str:
    """The one word for what is decided: urgent before rest, rest before every move, changes before staying."""
    if run.has("urgent"):
        return "urgent"
    if resting:
        return "pause"
    if target.move == "stay":
        # An activity that rests also is a pause, though the step goes on.
        kinds = {outcome.kind for outcome in outcomes}
        return next((kind for kind in ("pause", "modify") if kind in kinds), "stay")
    return target.move


def _accepted_rank(run: Run, target: Target) -> int | None:
    """The lower step that the person knowingly accepts; never while safety asks for more or for a person first."""
    if run.blocked or any(rule.holds for rule in run.fired):
        return None
    for _, effect in run.effects("informed-choice"):
        chosen = run.environment.get(str(effect.name))
        if isinstance(chosen, int) and 1 <= chosen < target.rank:
            return chosen
    return None


def _menu(policy: Policy, run: Run, step: Step) -> tuple[Option, ...]:
    """What the person can choose from: the step's options, what rules add, without what they exclude.

    Nothing unguided is offered while a question about safety is open.
    """
    options = {option.code: option for option in step.offering.options}
    for _, effect in run.effects("add-option"):
        if effect.option is not None and effect.option in policy.options:
            options.setdefault(effect.option, policy.options[effect.option])
    open_question = run.environment["positive_safety_item_open"] or run.environment["unanswered_safety_item_open"]
    excluded = {option for rule in run.fired for option in rule.excluded_options}
    found = [
        each for each in options.values() if each.code not in excluded and not (open_question and each.self_guided)
    ]
    wanted = [effect for _, effect in run.effects("first-option")]
    if wanted:
        found.sort(key=lambda each: not any(each.code == e.option or e.modality in each.modalities for e in wanted))
    return tuple(found)


def _asked(run: Run) -> tuple[str, ...]:
    """The evidence to ask for: what rules name, and what is missing where a rule asks for what it lacks."""
    asked = [name for _, effect in run.effects("ask") for name in effect.names]
    missing = {each.code: each.missing for each in run.not_fired}
    asked += [
        base_of(name)[0]
        for rule in run.open_rules
        if any(each.effect == "ask" for each in rule.missing)
        for name in missing[rule.code]
    ]
    return tuple(dict.fromkeys(asked))


def _told_roles(run: Run) -> tuple[tuple[str, str], ...]:
    told = [(str(effect.role), rule.code) for rule, effect in run.effects("tell")]
    told += [(str(each.role), rule.code) for rule in run.open_rules for each in rule.missing if each.effect == "tell"]
    return tuple(dict.fromkeys(told))


def _not_known(policy: Policy, run: Run, rank: int) -> tuple[str, ...]:
    """The missing evidence that could have given a higher tier."""
    open_rules = {rule.code: rule.missing for rule in run.not_fired if rule.why == "missing"}
    if not open_rules:
        return ()
    names = {
        name
        for rule in policy.rules
        if rule.code in open_rules and _could_change(rule, rank)
        for name in open_rules[rule.code]
    }
    return tuple(sorted(names))


def _could_change(rule: Rule, rank: int) -> bool:
    if not rule.kinds.isdisjoint(LOWERING):
        return False
    return not rule.kinds.isdisjoint(RAISING) or any(floor.name or floor.rank > rank for floor in rule.floors)


def _fired(rule: Rule, environment: Mapping[str, Scalar]) -> Fired:
    names = rule.expression.names if rule.expression else ()
    return Fired(rule.code, rule.stage, tuple((name, environment[name]) for name in names if name in environment))


def _references(
    policy: Policy, evidence: Evidence, environment: Mapping[str, Scalar], places: EvidenceValue | None
) -> tuple[str, ...]:
    """The resources whose values the decision could use, in the policy's order, then the safety assessment."""
    names = (declared.name for declared in policy.inputs if declared.name in environment)
    known = evidence.values if places is None else {**evidence.values, CAPACITY: places}
    used = [known[name].reference for name in names if name in known]
    if evidence.risk.reference is not None:
        used.append(evidence.risk.reference)
    return tuple(dict.fromkeys(used))
