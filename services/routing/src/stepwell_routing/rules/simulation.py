"""What a policy would do with many people: how many at each step, who moves, which safety promises break, what waits.

One pass counts; what is published is made of the counts alone, with small groups merged first.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from stepwell_routing.rules.disclosure import SMALL_BELOW, Labels, merged, partition, regrouped, rounded
from stepwell_routing.rules.effects import INTENSITY
from stepwell_routing.rules.evidence import Evidence, RiskState, environment_of
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.statistics import Capacity, Queue, queue
from stepwell_routing.rules.stepping import Run, evaluate, holding, step_rests, target_of

PROPOSED, PRESENT = "proposed", "present"


class Person(NamedTuple):
    """One person of a cohort: what was known, when that was, and the strata that the person belongs to.

    `present` is the same as the present policy names it, where that differs.
    """

    evidence: Evidence
    now: datetime
    strata: Mapping[str, str]
    present: Evidence | None = None


class Placement(NamedTuple):
    """Where a policy puts somebody, and the safety promises that it breaks with that."""

    step: str
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SafetyPromises:
    """What every policy owes, whatever its rules say: the last step after a high risk level, at least `moderate_rank`
    after a moderate one (the last step of a shorter ladder); a person first while a question is open."""

    high_rule: str
    moderate_rule: str
    moderate_rank: int
    positive_rule: str
    unanswered_rule: str


@dataclass(slots=True)
class Tally:
    """The counts of one simulation, by step code; `strata` by dimension, value, and (which policy, step)."""

    people: int = 0
    proposed: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    strata: dict[str, dict[str, Counter[tuple[str, str]]]] = field(default_factory=dict)


def place(policy: Policy, promises: SafetyPromises, evidence: Evidence, now: datetime) -> Placement:
    """The step that `decide` would propose, without its words: those of a hundred thousand people nobody reads."""
    environment, _ = environment_of(policy, evidence, now)
    run = evaluate(policy, environment)
    rank = target_of(policy, run).rank
    broken = broken_promises(policy, promises, run, evidence.risk, rank)
    return Placement(policy.steps[rank - 1].code, broken)


_SAFE = RiskState()


def broken_promises(policy: Policy, promises: SafetyPromises, run: Run, risk: RiskState, rank: int) -> tuple[str, ...]:
    """The safety rules whose promise is not kept; a progress ladder keeps it beside its phases (pathways.md 8)."""
    if risk == _SAFE:
        return ()
    kinds = {kind for rule in run.fired for kind in rule.kinds}
    goes_first = run.never_waits or "urgent" in kinds
    waits = goes_first or bool(holding(run) or step_rests(run))
    top, found = len(policy.steps), []
    climbs = policy.kind == INTENSITY
    if risk.level == "high" and not (goes_first and (rank == top or not climbs)):
        found.append(promises.high_rule)
    if risk.level == "moderate":
        beside = goes_first or not kinds.isdisjoint(("track", "input"))
        if not (rank >= min(promises.moderate_rank, top) if climbs else beside):
            found.append(promises.moderate_rule)
    if risk.positive_item_open and not waits:
        found.append(promises.positive_rule)
    if risk.unanswered_item_open and not waits:
        found.append(promises.unanswered_rule)
    return tuple(found)


def count(tally: Tally, person: Person, proposed: Policy, present: Policy, promises: SafetyPromises) -> None:
    """Adds one person to the counts."""
    would = place(proposed, promises, person.evidence, person.now)
    does = place(present, promises, person.present or person.evidence, person.now)
    tally.people += 1
    tally.proposed[would.step] += 1
    tally.present[does.step] += 1
    tally.moves[does.step, would.step] += 1
    for code in would.broken:
        tally.broken[code] += 1
    for dimension, value in person.strata.items():
        counts = tally.strata.setdefault(dimension, {}).setdefault(value, Counter())
        counts[PROPOSED, would.step] += 1
        counts[PRESENT, does.step] += 1


class Mix(NamedTuple):
    """How many are at a step, or at several that are published together."""

    steps: Labels
    people: int


class Move(NamedTuple):
    """How many the present policy puts at one step and the proposed one at another."""

    present: Labels
    proposed: Labels
    people: int


class Stratum(NamedTuple):
    """People of one value, or of several together, with their mix under both policies."""

    values: Labels
    people: int
    proposed: tuple[Mix, ...]
    present: tuple[Mix, ...]


class Load(NamedTuple):
    """Arrivals a week at a step, and what follows from the capacity that was given for it."""

    steps: Labels
    arrivals_per_week: float
    capacity: Capacity | None
    queue: Queue | None


class Beside(NamedTuple):
    """How a policy in shadow decided beside the one in force: how many decisions came to the same step, to a higher or
    a lower one; and the rules that fired in one of the two alone, by how often."""

    moves: tuple[Mix, ...]
    rules: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What is published of a simulation. `broken` names safety rules and is empty when every promise is kept.

    `beside` is there where decisions were made live, and not of people that it was tried on.
    """

    proposed_policy: str
    present_policy: str
    people: int
    weeks: int
    broken: tuple[tuple[str, int], ...]
    proposed: tuple[Mix, ...]
    present: tuple[Mix, ...]
    moves: tuple[Move, ...]
    load: tuple[Load, ...]
    strata: Mapping[str, tuple[Stratum, ...]]
    rounded_to: int
    beside: Beside | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """How a report is made: the weeks in which the people came, capacities by step, how far to look, and rounding."""

    weeks: int
    capacities: Mapping[str, Capacity]
    horizon_weeks: int
    round_to: int
    small_below: int = SMALL_BELOW


def published(tally: Tally, proposed: Policy, present: Policy, frame: Frame) -> Report | None:
    """The report of these counts; None when there are too few people for any.

    How many broke a promise is said even when it is one: nothing may hide that. It is a fault of the policy.
    """
    groups = partition(_in_order(proposed, tally.proposed), frame.small_below)
    present_groups = partition(_in_order(present, tally.present), frame.small_below)
    if tally.people < frame.small_below or groups is None or present_groups is None:
        return None
    mix = _mix(groups, tally.proposed, frame)
    return Report(
        proposed_policy=proposed.canonical,
        present_policy=present.canonical,
        people=rounded(tally.people, frame.round_to),
        weeks=frame.weeks,
        broken=tuple(sorted(tally.broken.items())),
        proposed=mix,
        present=_mix(present_groups, tally.present, frame),
        moves=_moves(tally, groups, present_groups, frame),
        load=tuple(_load(each, frame) for each in mix),
        strata={
            dimension: _strata(rows, groups, present_groups, frame) for dimension, rows in sorted(tally.strata.items())
        },
        rounded_to=frame.round_to,
    )


def _in_order(policy: Policy, counts: Mapping[str, int]) -> dict[str, int]:
    return {step.code: counts.get(step.code, 0) for step in policy.steps}


def _mix(groups: Sequence[Labels], counts: Mapping[str, int], frame: Frame) -> tuple[Mix, ...]:
    sums = regrouped(counts, groups)
    return tuple(Mix(labels, rounded(people, frame.round_to)) for labels, people in zip(groups, sums, strict=True))


def _moves(tally: Tally, groups: Sequence[Labels], present_groups: Sequence[Labels], frame: Frame) -> tuple[Move, ...]:
    """Rows and columns are unions of what the mixes publish, so that the two cannot be subtracted from each other."""
    rows = {}
    for index, before in enumerate(present_groups):
        rows[str(index)] = tuple(sum(tally.moves[b, a] for b in before for a in after) for after in groups)
    return tuple(
        Move(_union(present_groups, row.labels), after, rounded(people, frame.round_to))
        for row in merged(rows, frame.small_below) or ()
        for after, people in zip(groups, row.counts, strict=True)
        if people
    )


def _union(groups: Sequence[Labels], indexes: Iterable[str]) -> Labels:
    return tuple(label for index in indexes for label in groups[int(index)])


def _strata(
    rows: Mapping[str, Counter[tuple[str, str]]],
    groups: Sequence[Labels],
    present_groups: Sequence[Labels],
    frame: Frame,
) -> tuple[Stratum, ...]:
    """The same people in the same rows under both policies: two partitions could be subtracted from each other."""
    wide = {}
    for value, counts in sorted(rows.items()):
        after = {step: people for (which, step), people in counts.items() if which == PROPOSED}
        before = {step: people for (which, step), people in counts.items() if which == PRESENT}
        wide[value] = (*regrouped(after, groups), *regrouped(before, present_groups))
    found = []
    for row in merged(wide, frame.small_below) or ():
        split = len(groups)
        found.append(
            Stratum(
                row.labels,
                rounded(sum(row.counts[:split]), frame.round_to),
                _counted(groups, row.counts[:split], frame),
                _counted(present_groups, row.counts[split:], frame),
            )
        )
    return tuple(found)


def _counted(groups: Sequence[Labels], counts: Sequence[int], frame: Frame) -> tuple[Mix, ...]:
    return tuple(Mix(labels, rounded(people, frame.round_to)) for labels, people in zip(groups, counts, strict=True))


def _load(mix: Mix, frame: Frame) -> Load:
    """Everybody of the cohort begins once: the arrivals of a week are its people over its weeks."""
    arrivals = mix.people / frame.weeks
    given = [frame.capacities[step] for step in mix.steps if step in frame.capacities]
    if len(given) != len(mix.steps):
        return Load(mix.steps, arrivals, None, None)
    capacity = Capacity(sum(each.starts_per_week for each in given), sum(each.waiting for each in given))
    return Load(mix.steps, arrivals, capacity, queue(arrivals, capacity, frame.horizon_weeks))
