"""Decides a tier: policy, evidence and the time in; tier, status, priority, review date, rules and reasons out.

Order of the stages: safety, red flags, domain floors, modifiers, preference, proposal. The tier is the highest
floor of every rule that fired, so that worse evidence never gives less care and nothing lowers a safety floor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from stepwell_routing.rules.expressions import Scalar, kind_of
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.reasons import clinician_reason, patient_reason
from stepwell_routing.rules.rule_reading import PRIORITIES, Floor, Rule
from stepwell_routing.rules.tiers import Tier

ACTIVE, ON_HOLD = "active", "on-hold"


class EvidenceValue(NamedTuple):
    """One thing that is known: its value, when it was observed, and the URL of the resource that says so."""

    value: Scalar
    observed_at: datetime
    reference: str


class RiskState(NamedTuple):
    """Where safety stands: alerts still open, and the level a clinician recorded last (low, moderate or high)."""

    positive_item_open: bool = False
    unanswered_item_open: bool = False
    level: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything known about one person, by the names that policies use; what is absent is unknown, never zero."""

    values: Mapping[str, EvidenceValue] = field(default_factory=dict)
    risk: RiskState = field(default_factory=RiskState)


class Fired(NamedTuple):
    """A rule that applied, with the values it saw."""

    code: str
    stage: str
    seen: tuple[tuple[str, Scalar], ...]


class NotFired(NamedTuple):
    """A rule that did not apply: its condition was false, or `missing` (absent or too old) evidence left it open."""

    code: str
    why: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """A proposal with everything needed to explain and to repeat it."""

    policy: str
    pathway: str
    profile: str | None
    language: str
    tier: Tier
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


class _Run(NamedTuple):
    """What one pass over the rules gave."""

    environment: dict[str, Scalar]
    fired: list[Rule]
    floors: list[int]
    not_fired: list[NotFired]


def decide(policy: Policy, evidence: Evidence, now: datetime) -> Decision:
    """The proposal of this policy on this evidence at this time.

    Raises TypeError for a value of another kind than the policy declares.
    """
    environment, stale = _environment(policy, evidence, now)
    run = _evaluate(policy, environment)
    rank = max(run.floors)
    deciding = run.fired[run.floors.index(rank)]
    tier, step = policy.catalogue.tiers[rank - 1], policy.steps[rank - 1]
    waits = not any(rule.never_waits for rule in run.fired)
    holds = tuple(rule.code for rule in run.fired if rule.holds) if waits else ()
    review_at = now + min([step.review_within, *(rule.review_within for rule in run.fired if rule.review_within)])
    not_known = _not_known(policy, run, rank)
    words = {**policy.constants, **environment, "tier": tier.rank, "review_date": review_at.date().isoformat()}
    return Decision(
        policy=policy.canonical,
        pathway=policy.pathway,
        profile=policy.profile,
        language=policy.language,
        tier=tier,
        status=ON_HOLD if holds else ACTIVE,
        priority=max((rule.priority for rule in run.fired), key=PRIORITIES.index),
        decided_at=now,
        review_at=review_at,
        rule=deciding.code,
        holds=holds,
        excluded_options=tuple(sorted({option for rule in run.fired for option in rule.excluded_options})),
        fired=tuple(_fired(rule, environment) for rule in run.fired),
        not_fired=tuple(run.not_fired),
        not_known=not_known,
        stale=stale,
        clinician_reason=clinician_reason(policy, deciding, run.fired, run.floors, words, not_known),
        patient_reason=patient_reason(policy, deciding, run.fired, tier, words, on_hold=bool(holds)),
        references=_references(policy, evidence, environment),
        rule_titles=MappingProxyType({rule.code: rule.title for rule in run.fired}),
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


def _environment(policy: Policy, evidence: Evidence, now: datetime) -> tuple[dict[str, Scalar], tuple[str, ...]]:
    """What the conditions may see: fresh evidence of the declared kinds and the state of safety; and what is stale."""
    environment: dict[str, Scalar] = {}
    stale: list[str] = []
    for declared in policy.inputs:
        known = evidence.values.get(declared.name)
        if known is None:
            continue
        if kind_of(known.value) is not declared.kind:
            raise TypeError(f"the evidence {declared.name} is declared as {declared.kind.value}")
        if declared.max_age is not None and now - known.observed_at > declared.max_age:
            stale.append(declared.name)
        else:
            environment[declared.name] = known.value
    risk = evidence.risk
    environment["positive_safety_item_open"] = risk.positive_item_open
    environment["unanswered_safety_item_open"] = risk.unanswered_item_open
    if risk.level is not None:
        environment["risk_level"] = risk.level
    return environment, tuple(stale)


def _evaluate(policy: Policy, environment: dict[str, Scalar]) -> _Run:
    run = _Run(environment, [], [], [])
    domains: dict[str, int] = {}
    counted = False
    for rule in policy.rules:
        if not counted and rule.stage not in ("safety", "red-flags", "floors"):
            counted = True
            highest = max(domains.values(), default=0)
            environment["highest_floor"] = highest
            environment["domains_at_highest_floor"] = sum(rank == highest for rank in domains.values())
        verdict = True if rule.expression is None else rule.expression.run(environment)
        if verdict:
            rank = max((_rank(floor, environment) for floor in rule.floors), default=0)
            run.fired.append(rule)
            run.floors.append(rank)
            if rule.domain is not None:
                domains[rule.domain] = max(rank, domains.get(rule.domain, 0))
        else:
            run.not_fired.append(_not_fired(rule, environment, verdict))
    return run


def _rank(floor: Floor, environment: Mapping[str, Scalar]) -> int:
    if floor.name is None:
        return floor.rank
    start = environment.get(floor.name, 0)
    rank = int(start) + floor.plus
    return rank if floor.cap is None else min(rank, floor.cap)


def _not_fired(rule: Rule, environment: Mapping[str, Scalar], verdict: bool | None) -> NotFired:
    if verdict is not None or rule.expression is None:
        return NotFired(rule.code, "false")
    return NotFired(rule.code, "missing", tuple(name for name in rule.expression.names if name not in environment))


def _not_known(policy: Policy, run: _Run, rank: int) -> tuple[str, ...]:
    """The missing evidence that could have given a higher tier."""
    open_rules = {rule.code: rule.missing for rule in run.not_fired if rule.why == "missing"}
    names = {
        name
        for rule in policy.rules
        if rule.code in open_rules and any(floor.name or floor.rank > rank for floor in rule.floors)
        for name in open_rules[rule.code]
    }
    return tuple(sorted(names))


def _fired(rule: Rule, environment: Mapping[str, Scalar]) -> Fired:
    names = rule.expression.names if rule.expression else ()
    return Fired(rule.code, rule.stage, tuple((name, environment[name]) for name in names if name in environment))


def _references(policy: Policy, evidence: Evidence, environment: Mapping[str, Scalar]) -> tuple[str, ...]:
    """The resources whose values the decision could use, in the policy's order, then the safety assessment."""
    names = (declared.name for declared in policy.inputs if declared.name in environment)
    used = [evidence.values[name].reference for name in names if name in evidence.values]
    if evidence.risk.reference is not None:
        used.append(evidence.risk.reference)
    return tuple(dict.fromkeys(used))
