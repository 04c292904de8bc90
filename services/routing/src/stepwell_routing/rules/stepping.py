"""From what is known to the step: which rules fire, where the ladder leads, and which outcome that is.

Intensity ladders take the highest floor of all rules that fired. Progress ladders move by rule, the most cautious
first. While a rule of safety or red flags forbids it, nobody is moved to less care, whatever the policy says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stepwell_routing.rules.effects import INTENSITY, PREFERENCE, PROPOSAL, STAGES, Effect
from stepwell_routing.rules.evidence_names import STEP_NAMES
from stepwell_routing.rules.expressions import Scalar
from stepwell_routing.rules.policies import Policy
from stepwell_routing.rules.rule_reading import Floor, NotFired, Rule

_RISING = STAGES[:4]


@dataclass(slots=True)
class Run:
    """One pass over the rules: those that fired with the floor each gives, and those that did not.

    `waiting` are rules that ask for places, which are known once the step is, each with where it belongs in the lists.
    """

    environment: dict[str, Scalar]
    fired: list[Rule] = field(default_factory=list)
    floors: list[int] = field(default_factory=list)
    not_fired: list[NotFired] = field(default_factory=list)
    open_rules: list[Rule] = field(default_factory=list)
    moving: list[Rule] = field(default_factory=list)
    """Those that fired and do more than set floors, and what they do by name."""
    kinds: set[str] = field(default_factory=set)
    waiting: list[tuple[Rule, int, int, int]] = field(default_factory=list)
    blocked: bool = False
    kept: bool = False
    never_waits: bool = False

    def effects(self, kind: str) -> list[tuple[Rule, Effect]]:
        """Every effect of one kind with its rule, in the policy's order."""
        if kind not in self.kinds:
            return []
        return [
            (rule, effect)
            for rule in self.moving
            if kind in rule.kinds
            for effect in rule.effects
            if effect.kind == kind
        ]

    def has(self, kind: str) -> bool:
        """Whether any rule that fired has this effect; floors and exclusions are not asked for here."""
        return kind in self.kinds


class Target(NamedTuple):
    """Where the ladder leads, the rule that decided it, and what that is called."""

    rank: int
    rule: Rule
    move: str


def evaluate(policy: Policy, environment: dict[str, Scalar]) -> Run:
    """Runs the rules in order; adds to the environment what the domain floors came to.

    Rules that ask for places wait: `add_placed` runs them.
    """
    run = Run(environment)
    domains: dict[str, int] = {}
    _run_rules(run, policy.rules[: policy.facts_at], domains)
    highest = max(domains.values(), default=0)
    environment["highest_floor"] = highest
    environment["domains_at_highest_floor"] = sum(rank == highest for rank in domains.values())
    _run_rules(run, policy.rules[policy.facts_at :], domains)
    return run


def _run_rules(run: Run, rules: Sequence[Rule], domains: dict[str, int]) -> None:
    environment, fired, floors, not_fired = run.environment, run.fired, run.floors, run.not_fired
    for rule in rules:
        if rule.asks_places:
            run.waiting.append((rule, len(fired), len(run.moving), len(not_fired)))
            continue
        verdict = True if rule.expression is None else rule.expression.run(environment)
        if verdict:
            rank = _floor_of(rule, environment) if rule.floors else 0
            fired.append(rule)
            floors.append(rank)
            if rule.moves:
                run.moving.append(rule)
                run.kinds |= rule.kinds
            if rule.blocks:
                run.blocked = True
            if rule.never_waits:
                run.never_waits = True
            if rule.domain is not None and rank >= domains.get(rule.domain, 0):
                domains[rule.domain] = rank
        elif verdict is None:
            _left_open(run, rule)
        else:
            not_fired.append(rule.not_applied)


def add_placed(run: Run) -> bool:
    """Runs the rules that ask for places, each at its own place in the policy's order; whether one of them fired.

    Publishing lets them change offers and tell people: none of them can lead to another step.
    """
    before_fired, before_moving, before_not_fired = len(run.fired), len(run.moving), len(run.not_fired)
    for rule, fired_at, moving_at, not_fired_at in run.waiting:
        verdict = True if rule.expression is None else rule.expression.run(run.environment)
        if verdict:
            at = fired_at + len(run.fired) - before_fired
            run.fired.insert(at, rule)
            run.floors.insert(at, 0)
            if rule.moves:
                run.moving.insert(moving_at + len(run.moving) - before_moving, rule)
                run.kinds |= rule.kinds
        else:
            at = not_fired_at + len(run.not_fired) - before_not_fired
            run.not_fired.insert(at, rule.not_applied if verdict is not None else _missing(run, rule))
            if verdict is None and rule.missing:
                run.open_rules.append(rule)
    run.waiting.clear()
    return len(run.fired) > before_fired


def target_of(policy: Policy, run: Run) -> Target:
    """The step that the rules lead to."""
    return _highest_floor(policy, run) if policy.kind == INTENSITY else _moved(policy, run)


def current_rank(environment: Mapping[str, Scalar]) -> int | None:
    """The step in which care has begun."""
    for name in ("step", "current_tier"):
        value = environment.get(name)
        if value is not None:
            return int(value)
    return None


def step_rests(run: Run) -> list[Rule]:
    """The rules that let the whole step rest; a person's wish to rest gives way to urgent help."""
    return [
        rule
        for rule, effect in run.effects("pause")
        if effect.activity is None and not (run.never_waits and rule.stage == PREFERENCE)
    ]


def holding(run: Run) -> list[Rule]:
    """The rules that make the proposal wait, those included that wait for missing evidence."""
    waiting = [rule for rule in run.open_rules if any(each.effect == "hold" for each in rule.missing)]
    return [*(rule for rule in run.fired if rule.holds), *waiting]


def _left_open(run: Run, rule: Rule) -> None:
    run.not_fired.append(_missing(run, rule))
    if rule.missing:
        run.open_rules.append(rule)
        run.kept = run.kept or any(each.effect == "keep" for each in rule.missing)


def _missing(run: Run, rule: Rule) -> NotFired:
    names = rule.expression.names if rule.expression else ()
    return NotFired(rule.code, "missing", tuple([name for name in names if name not in run.environment]))


def _floor_of(rule: Rule, environment: Mapping[str, Scalar]) -> int:
    """The highest floor of a rule."""
    if len(rule.floors) == 1:
        return _rank(rule.floors[0], environment)
    return max([_rank(floor, environment) for floor in rule.floors])


def _rank(floor: Floor, environment: Mapping[str, Scalar]) -> int:
    if floor.name is None:
        return floor.rank
    start = environment.get(floor.name)
    if start is None:
        return 0
    rank = int(start) + floor.plus
    return rank if floor.cap is None else min(rank, floor.cap)


def _highest_floor(policy: Policy, run: Run) -> Target:
    """The highest floor; the present step is kept unless a step down fired and nothing forbids it."""
    floors = run.floors
    if run.has("keep") or run.has("down"):
        dropped = "keep" if not run.blocked and not run.kept and run.has("down") else "down"
        floors = [0 if dropped in rule.kinds else rank for rule, rank in zip(run.fired, run.floors, strict=True)]
    highest = max(floors)
    rank, deciding = min(max(1, highest), len(policy.steps)), run.fired[floors.index(highest)]
    run.floors = floors
    current = current_rank(run.environment)
    if current is None:
        return Target(rank, deciding, "re-enter" if run.has("re-enter") else "assign")
    if run.has("exit") and _may_exit(run) and _highest_need(run) <= 1:
        leaving = next((rule for rule in run.moving if "exit" in rule.kinds), None)
        if leaving is not None:
            return Target(rank, leaving, "exit")
    move = "stay" if rank == current else ("up" if rank > current else "down")
    return Target(rank, deciding, move)


def _highest_need(run: Run) -> int:
    """The highest floor that says how much is needed; that of the present step says nothing of it."""
    return max(
        (
            rank
            for rule, rank in zip(run.fired, run.floors, strict=True)
            if rule.stage in _RISING and not any(floor.name in STEP_NAMES for floor in rule.floors)
        ),
        default=0,
    )


def _may_exit(run: Run) -> bool:
    waits = run.blocked or run.kept or any(rule.holds for rule in run.fired)
    return not waits and not step_rests(run)


def _moved(policy: Policy, run: Run) -> Target:
    """The most cautious move of those that the rules ask for."""
    current = current_rank(run.environment)
    if current is None or current > len(policy.steps):
        return _entered(policy, run)
    step = policy.steps[current - 1]
    first_back = min(step.return_ranks, default=current)
    backs = [(_aimed(run, effect) or first_back, rule) for rule, effect in run.effects("return")]
    backs = [(rank, rule) for rank, rule in backs if rank < current]
    if backs:
        rank, rule = min(backs, key=lambda each: each[0])
        return Target(rank, rule, "return")
    top = max((each.rank for each in policy.steps if each.kind == INTENSITY), default=current)
    # What asks for more waits while the step rests: nobody moves on from a phase that is paused.
    if step.kind == INTENSITY and not step_rests(run):
        ups = [(min(current + effect.plus, top), rule) for rule, effect in run.effects("up")]
        ups = [(rank, rule) for rank, rule in ups if rank > current]
        if ups:
            rank, rule = max(ups, key=lambda each: each[0])
            return Target(rank, rule, "up")
    if _may_exit(run):
        leaving = next((rule for rule in run.moving if "exit" in rule.kinds), None)
        if leaving is not None:
            return Target(current, leaving, "exit")
        ahead = [(effect.rank or step.next_rank or current, rule) for rule, effect in run.effects("advance")]
        ahead = [(rank, rule) for rank, rule in ahead if rank > current]
        if ahead:
            rank, rule = min(ahead, key=lambda each: each[0])
            return Target(rank, rule, "advance")
    return Target(current, _reason_to_stay(run), "stay")


def _entered(policy: Policy, run: Run) -> Target:
    for kind, move in (("re-enter", "re-enter"), ("enter", "assign")):
        entries = [(_aimed(run, effect) or 1, rule) for rule, effect in run.effects(kind)]
        if entries:
            rank, rule = min(entries, key=lambda each: each[0])
            return Target(min(rank, len(policy.steps)), rule, move)
    raise AssertionError("a published policy has an entry for everybody")


def _aimed(run: Run, effect: Effect) -> int | None:
    """The step that an effect names, itself or by evidence such as the step that last helped."""
    known = None if effect.name is None else run.environment.get(effect.name)
    return effect.rank if known is None else int(known)


def _reason_to_stay(run: Run) -> Rule:
    """The rule that says best why nothing moves; every policy has one in its proposal that always fires."""
    for kind in ("urgent", "pause", "hold", "modify", "stay"):
        for rule in run.fired:
            if kind in rule.kinds:
                return rule
    return next(rule for rule in reversed(run.fired) if rule.stage == PROPOSAL)
