"""What only the whole of a policy's conditions shows: rules that never apply, and thresholds with gaps or no effect.

Conditions compare names with constants, so their answers flip only there: trying the values at and beside every
constant, within the range of each name, tries everything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product
from math import prod

from stepwell_routing.rules.effects import FLOORS
from stepwell_routing.rules.evidence_names import RELIABLE, STEP_NAMES, base_of, known
from stepwell_routing.rules.expressions import Expression, Kind, Scalar
from stepwell_routing.rules.rule_reading import FACTS, Rule

TRIED_MAX = 20_000
"""Beyond so many combinations a condition is taken as reachable: it asks too many things at once to be tried out."""

Placed = tuple[Rule, str]


def check_reach(rules: Sequence[Placed], steps: int) -> Iterator[tuple[str, str]]:
    """Rules whose condition can never be true, as (place, text). `steps` is how many steps the ladder has."""
    for rule, path in rules:
        if rule.expression is not None and not _can_be_true(rule.expression, steps):
            place = f"{path}.condition[0].expression.expression"
            yield place, f"the rule {rule.code} can never apply: its condition is true for no values"


def check_thresholds(rules: Sequence[Placed]) -> Iterator[tuple[str, str]]:
    """Gaps and overlaps between the floors that one measure sets in one domain, as (place, text)."""
    groups: dict[tuple[str | None, str], list[Placed]] = {}
    for rule, path in rules:
        names = rule.expression.names if rule.expression else ()
        fixed = rule.stage == FLOORS and rule.floors and all(floor.name is None for floor in rule.floors)
        if fixed and len(names) == 1 and known(names[0]) is not None:
            groups.setdefault((rule.domain, names[0]), []).append((rule, path))
    for (_, name), placed in groups.items():
        if len(placed) > 1 or len(set(_floors(placed, name))) > 1:
            yield from _check_measure(name, placed)


def candidates(expression: Expression, name: str, kind: Kind, steps: int = 9) -> list[Scalar | None]:
    """Values of a name at and beside the places where a condition can flip, and None for missing."""
    base, suffix = base_of(name)
    found = known(base)
    if kind is Kind.BOOLEAN:
        return [None, False, True]
    if kind is Kind.STRING:
        listed = RELIABLE if suffix == "reliable" else (found.values if found else ())
        return [None, *(listed or (*expression.texts, "another"))]
    limits = {limit.constant for limit in expression.thresholds if limit.name == name} or {0}
    step = Decimal(1).scaleb(-found.decimals) if found and suffix is None and found.decimals else 1
    values = {limit + offset for limit in limits for offset in (-step, 0, step)}
    if suffix is None and found is not None:
        low, high = found.minimum, steps if name in STEP_NAMES else found.maximum
        values |= {each for each in (low, high) if each is not None}
        values = {v for v in values if (low is None or v >= low) and (high is None or v <= high)}
    elif name in FACTS:
        values = {value for value in values | {0, steps} if 0 <= value <= steps}
    if any(each not in {limit.name for limit in expression.thresholds} for each in expression.names):
        values |= {-1000, 0, 1000} if suffix is not None or found is None or found.maximum is None else set()
    return [None, *sorted(values)]


def _can_be_true(expression: Expression, steps: int) -> bool:
    choices = [candidates(expression, name, expression.kinds[name], steps) for name in expression.names]
    if prod(map(len, choices)) > TRIED_MAX:
        return True
    for values in product(*choices):
        environment = {n: v for n, v in zip(expression.names, values, strict=True) if v is not None}
        if expression.run(environment):
            return True
    return False


def _floors(placed: Sequence[Placed], name: str) -> list[int]:
    return [rank for _, rank in _profile(placed, name)]


def _profile(placed: Sequence[Placed], name: str) -> list[tuple[Scalar, int]]:
    """The floor at every value where it can change, from the best value to the worst."""
    found = known(name)
    values: set[int | Decimal] = set()
    for rule, _ in placed:
        if rule.expression is not None:
            values |= set(_numbers(candidates(rule.expression, name, Kind.NUMBER)))
    ordered = sorted(values, reverse=found is not None and found.worse < 0)
    return [(value, _floor_at(placed, {name: value})) for value in ordered]


def _floor_at(placed: Sequence[Placed], environment: Mapping[str, Scalar]) -> int:
    fired = (rule for rule, _ in placed if rule.expression is not None and rule.expression.run(environment))
    return max((floor.rank for rule in fired for floor in rule.floors), default=0)


def _check_measure(name: str, placed: Sequence[Placed]) -> Iterator[tuple[str, str]]:
    found = known(name)
    if found is None or found.kind is not Kind.NUMBER or not found.worse:
        return
    profile = _profile(placed, name)
    highest = 0
    for value, rank in profile:
        if rank < highest:
            place = _place(placed[0][1])
            yield place, f"the floors of {name} leave a gap: at {value} they give less than at a better value"
            return
        highest = max(highest, rank)
    reached = {rank for _, rank in profile}
    for rule, path in placed:
        if all(floor.rank not in reached for floor in rule.floors):
            yield _place(path), f"the floors of {name} overlap: the rule {rule.code} never decides"


def _place(path: str) -> str:
    return f"{path}.condition[0].expression.expression"


def _numbers(values: Iterable[Scalar | None]) -> Iterator[int | Decimal]:
    for value in values:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            yield value
