"""Conditions as closures over what is known: a value that is missing is the empty collection (None here).

An operator is empty as soon as one side is; `and` and `or` may be decided by one side alone, and stop there
(http://hl7.org/fhirpath/N1 section 6.5). What is missing is left out of the environment.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Environment = Mapping[str, Any]
Run = Callable[[Environment], Any]


def constant(value: Any) -> Run:
    """Always this value."""
    return lambda _: value


def named(name: str) -> Run:
    """What is known under a name."""
    return lambda environment: environment.get(name)


def strict(left: Run, right: Run, function: Callable[[Any, Any], Any]) -> Run:
    """An operator that has a value only where both sides have one."""

    def run(environment: Environment) -> Any:
        first = left(environment)
        if first is None:
            return None
        second = right(environment)
        return None if second is None else function(first, second)

    return run


def divided(left: Any, right: Any) -> Decimal | None:
    """Exactly, as decimals; empty where the divisor is zero."""
    return Decimal(left) / Decimal(right) if right else None


def _at_least(name: str, limit: Any) -> Run:
    def run(environment: Environment) -> bool | None:
        value = environment.get(name)
        return None if value is None else value >= limit

    return run


def _above(name: str, limit: Any) -> Run:
    def run(environment: Environment) -> bool | None:
        value = environment.get(name)
        return None if value is None else value > limit

    return run


def _at_most(name: str, limit: Any) -> Run:
    def run(environment: Environment) -> bool | None:
        value = environment.get(name)
        return None if value is None else value <= limit

    return run


def _below(name: str, limit: Any) -> Run:
    def run(environment: Environment) -> bool | None:
        value = environment.get(name)
        return None if value is None else value < limit

    return run


def _equal(name: str, other: Any) -> Run:
    def run(environment: Environment) -> bool | None:
        value = environment.get(name)
        return None if value is None else value == other

    return run


def _unequal(name: str, other: Any) -> Run:
    def run(environment: Environment) -> bool | None:
        value = environment.get(name)
        return None if value is None else value != other

    return run


AGAINST_CONSTANT: Mapping[str, Callable[[str, Any], Run]] = {
    ">=": _at_least,
    ">": _above,
    "<=": _at_most,
    "<": _below,
    "=": _equal,
    "!=": _unequal,
}
"""A name compared with a constant, by far the most frequent: without a call in between."""


def all_of(operands: Sequence[Run]) -> Run:
    """`and`: false as soon as one is."""

    def run(environment: Environment) -> bool | None:
        found: bool | None = True
        for operand in operands:
            value = operand(environment)
            if value is None:
                found = None
            elif not value:
                return False
        return found

    return run


def any_of(operands: Sequence[Run]) -> Run:
    """`or`: true as soon as one is."""

    def run(environment: Environment) -> bool | None:
        found: bool | None = False
        for operand in operands:
            value = operand(environment)
            if value:
                return True
            if value is None:
                found = None
        return found

    return run


def implies(left: Run, right: Run) -> Run:
    """True where the left is false or the right true."""
    return any_of((negated(left), right))


def negated(operand: Run) -> Run:
    """`not()`."""

    def run(environment: Environment) -> bool | None:
        value = operand(environment)
        return None if value is None else not value

    return run


def exists(operand: Run, name: str | None) -> Run:
    """Whether there is a value; `name` when it is asked of one."""
    if name is not None:
        return lambda environment: name in environment
    return lambda environment: operand(environment) is not None


def empty(operand: Run, name: str | None) -> Run:
    """Whether there is none."""
    if name is not None:
        return lambda environment: name not in environment
    return lambda environment: operand(environment) is None
