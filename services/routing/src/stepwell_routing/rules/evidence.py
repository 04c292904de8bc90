"""What is known about a person, and what of it a policy's conditions may see: fresh, of the declared kind, derived."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from stepwell_routing.rules.expressions import Scalar, kind_of
from stepwell_routing.rules.policies import Input, Policy
from stepwell_routing.rules.series import Course, Measure, derived


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
    """Everything known about one person, by the names that policies use; what is absent is unknown, never zero.

    `values` are the latest of each name; `courses` the measures of this episode by name, oldest first and with the
    latest among them. A suffixed name in `values` (such as `phq9_reliable`) is taken as it is given. `places` says how
    many people can begin in a week at the places of each tier, by its code.
    """

    values: Mapping[str, EvidenceValue] = field(default_factory=dict)
    risk: RiskState = field(default_factory=RiskState)
    courses: Mapping[str, Sequence[Measure]] = field(default_factory=dict)
    places: Mapping[str, EvidenceValue] = field(default_factory=dict)


def environment_of(policy: Policy, evidence: Evidence, now: datetime) -> tuple[dict[str, Scalar], tuple[str, ...]]:
    """What the conditions may see, and the names of what is known but too old.

    Raises TypeError for a value of another kind than the policy declares.
    """
    environment: dict[str, Scalar] = {}
    stale: list[str] = []
    values = evidence.values
    for declared in policy.inputs:
        name = declared.name
        known = values.get(name)
        if known is not None:
            if kind_of(known.value) is not declared.kind:
                raise TypeError(f"the evidence {name} is declared as {declared.kind.value}")
            if declared.max_age is not None and now - known.observed_at > declared.max_age:
                stale.append(name)
            else:
                environment[name] = known.value
        asked = policy.derived.get(name)
        if asked is not None:
            _derive(policy, evidence, declared, asked, now, environment)
    risk = evidence.risk
    environment["positive_safety_item_open"] = risk.positive_item_open
    environment["unanswered_safety_item_open"] = risk.unanswered_item_open
    if risk.level is not None:
        environment["risk_level"] = risk.level
    return environment, tuple(stale)


def _derive(
    policy: Policy,
    evidence: Evidence,
    declared: Input,
    asked: Sequence[tuple[str, str]],
    now: datetime,
    environment: dict[str, Scalar],
) -> None:
    """Adds what the policy asks of the course of one measure."""
    values = evidence.values
    latest, measures = values.get(declared.name), evidence.courses.get(declared.name)
    if not measures and latest is not None and not isinstance(latest.value, str):
        measures = (Measure(latest.value, latest.observed_at),)
    course: Course | None = None
    if measures:
        threshold = policy.constants.get(declared.reliable_change) if declared.reliable_change else None
        course = Course(measures, now, declared.name in environment, declared, threshold)
    for suffix, name in asked:
        given = values.get(name)
        if given is not None:
            environment[name] = given.value
        elif course is not None:
            value = derived(suffix, course)
            if value is not None:
                environment[name] = value
        elif suffix == "count":
            environment[name] = 0
