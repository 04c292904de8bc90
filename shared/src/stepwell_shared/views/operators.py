"""What paths are made of: steps to members, literals, and operators, each a function that makes compiled paths.

https://hl7.org/fhirpath/N1/#operations
"""

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from stepwell_shared.views.functions import of_type
from stepwell_shared.views.values import (
    Path,
    Scope,
    Values,
    ViewError,
    compared,
    equal,
    is_number,
    members,
    single,
    truth,
)


def this(values: Values, scope: Scope) -> Values:
    return values


def nothing(values: Values, scope: Scope) -> Values:
    return []


def row_index(values: Values, scope: Scope) -> Values:
    return [scope.row_index]


def literal(value: Any) -> Path:
    found = [value]
    return lambda values, scope: found


def constant(name: str) -> Path:
    return lambda values, scope: [scope.constants[name]]


def then(first: Path, second: Path) -> Path:
    return lambda values, scope: second(first(values, scope), scope)


def member(name: str) -> Path:
    return lambda values, scope: members(values, name)


def chosen(name: str, kind: str) -> Path:
    """`value.ofType(Quantity)` is valueQuantity; without such a member it is what the element has of the type."""
    spelt = f"{name}{kind[0].upper()}{kind[1:]}"
    filtered = of_type(kind)

    def run(values: Values, scope: Scope) -> Values:
        return members(values, spelt) or filtered(members(values, name), scope)

    return run


def choice(name: str) -> Path:
    """The member of this name, or the one whose name goes on with a type."""
    length = len(name)

    def run(values: Values, scope: Scope) -> Values:
        if found := members(values, name):
            return found
        for each in values:
            if type(each) is dict:
                for key in each:
                    if key.startswith(name) and len(key) > length and key[length].isupper():
                        found += members([each], key)
        return found

    return run


def at(index: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        place = single(index([], scope))
        if not is_number(place):
            raise ViewError("a place in a collection is a whole number")
        return values[place : place + 1] if place >= 0 else []

    return run


def same(left: Path, right: Path) -> Path:
    return lambda values, scope: equal(left(values, scope), right(values, scope))


def different(left: Path, right: Path) -> Path:
    return lambda values, scope: [not each for each in equal(left(values, scope), right(values, scope))]


def ordered(test: Callable[[Any, Any], bool]) -> Callable[[Path, Path], Path]:
    def made(left: Path, right: Path) -> Path:
        return lambda values, scope: compared(left(values, scope), right(values, scope), test)

    return made


def both(left: Path, right: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        one, other = truth(left(values, scope)), truth(right(values, scope))
        if one is False or other is False:
            return [False]
        return [True] if one and other else []

    return run


def either(left: Path, right: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        one, other = truth(left(values, scope)), truth(right(values, scope))
        if one or other:
            return [True]
        return [False] if one is False and other is False else []

    return run


def xor(left: Path, right: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        one, other = truth(left(values, scope)), truth(right(values, scope))
        return [] if one is None or other is None else [one is not other]

    return run


def numbers(left: Values, right: Values) -> tuple[Any, Any] | None:
    one, other = single(left), single(right)
    if one is None or other is None:
        return None
    if not is_number(one) or not is_number(other):
        raise ViewError("only numbers are reckoned with")
    return one, other


def arithmetic(reckon: Callable[[Any, Any], Any]) -> Callable[[Path, Path], Path]:
    def made(left: Path, right: Path) -> Path:
        def run(values: Values, scope: Scope) -> Values:
            pair = numbers(left(values, scope), right(values, scope))
            return [] if pair is None else [reckon(*pair)]

        return run

    return made


def divided(left: Path, right: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        pair = numbers(left(values, scope), right(values, scope))
        return [] if pair is None or pair[1] == 0 else [Decimal(pair[0]) / Decimal(pair[1])]

    return run


def added(left: Path, right: Path) -> Path:
    plus = arithmetic(operator.add)

    def run(values: Values, scope: Scope) -> Values:
        one, other = single(left(values, scope)), single(right(values, scope))
        if isinstance(one, str) and isinstance(other, str):
            return [one + other]
        return plus(lambda v, s: [] if one is None else [one], lambda v, s: [] if other is None else [other])([], scope)

    return run


def concatenated(left: Path, right: Path) -> Path:
    def run(values: Values, scope: Scope) -> Values:
        one, other = single(left(values, scope)), single(right(values, scope))
        return [f"{'' if one is None else one}{'' if other is None else other}"]

    return run
