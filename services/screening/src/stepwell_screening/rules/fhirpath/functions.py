"""Functions of FHIRPath over collections; those on single values are in `single_values`.

http://hl7.org/fhirpath/N1/#functions
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from stepwell_screening.rules.fhirpath import single_values
from stepwell_screening.rules.fhirpath.budget import ExpressionError
from stepwell_screening.rules.fhirpath.items import Collection, Item, children, is_a
from stepwell_screening.rules.fhirpath.operators import (
    arithmetic,
    boolean,
    has,
    numeric,
    ordered,
    single,
    truth,
)
from stepwell_screening.rules.fhirpath.scope import Scope

Argument = Callable[[Scope], Collection]
Step = Callable[[Scope, Collection], Collection]
Call = Callable[[Scope, Collection, Sequence[Argument]], Collection]


class Function(NamedTuple):
    """What a name does, and how many arguments it takes."""

    run: Call
    least: int = 0
    most: int = 0


def of_type(name: str, function: str) -> Step:
    """`ofType()`, `as()` and `is()`: by the type as far as JSON tells it."""

    def run(scope: Scope, given: Collection) -> Collection:
        scope.run.budget.spend(1 + len(given))
        if function == "is":
            item = single(given)
            return [] if item is None else boolean(is_a(item, name))
        return [item for item in given if is_a(item, name)]

    return run


def _each(scope: Scope, given: Collection, criteria: Argument) -> list[Collection]:
    scope.run.budget.spend(1 + len(given))
    return [criteria(scope.at(item, index)) for index, item in enumerate(given)]


def _where(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    return [item for item, found in zip(given, _each(scope, given, arguments[0]), strict=True) if truth(found)]


def _exists(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    return boolean(bool(_where(scope, given, arguments) if arguments else given))


def _all(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    return boolean(all(truth(found) for found in _each(scope, given, arguments[0])))


def _select(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    found = [item for each in _each(scope, given, arguments[0]) for item in each]
    scope.run.budget.spend(len(found))
    return found


def _repeat(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    found: Collection = []
    pending = list(given)
    seen: set[int] = set()
    while pending:
        made = []
        for item in _select(scope, pending, arguments):
            if id(item.value) not in seen if isinstance(item.value, dict) else not has(found, item, scope.run.budget):
                seen.add(id(item.value))
                made.append(item)
                found.append(item)
        pending = made
    return found


def _aggregate(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    total = arguments[1](scope) if len(arguments) > 1 else []
    for index, item in enumerate(given):
        scope.run.budget.spend(1 + len(total))
        total = arguments[0](scope.at(item, index, total))
    return total


def _iif(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    item = single(given)
    here = scope if item is None else scope.at(item, 0)
    if truth(arguments[0](here)):
        return arguments[1](here)
    return arguments[2](here) if len(arguments) > 2 else []


def _distinct(scope: Scope, given: Collection, arguments: Sequence[Argument] = ()) -> Collection:
    found: Collection = []
    for item in given:
        if not has(found, item, scope.run.budget):
            found.append(item)
    return found


def _shared(scope: Scope, given: Collection, arguments: Sequence[Argument], *, keeps: bool) -> Collection:
    other = arguments[0](scope)
    found = [item for item in given if has(other, item, scope.run.budget) is keeps]
    return _distinct(scope, found) if keeps else found


def _subset(scope: Scope, given: Collection, arguments: Sequence[Argument], *, is_super: bool = False) -> Collection:
    other = arguments[0](scope)
    small, great = (other, given) if is_super else (given, other)
    return boolean(all(has(great, item, scope.run.budget) for item in small))


def _combine(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    found = [*given, *arguments[0](scope)]
    scope.run.budget.spend(len(found))
    return found


def _count_of(scope: Scope, argument: Argument) -> int:
    item = single(argument(scope))
    if item is None or isinstance(item.value, bool) or not isinstance(item.value, int):
        raise ExpressionError("skip() and take() need a whole number")
    return max(0, item.value)


def _children(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    found = [child for item in given for child in children(item)]
    scope.run.budget.spend(1 + len(found))
    return found


def _descendants(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    found: Collection = []
    level = _children(scope, given, ())
    while level:
        found += level
        level = _children(scope, level, ())
    return found


def _extension(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    url = single(arguments[0](scope))
    found: Collection = []
    for item in given:
        holder = item.value if isinstance(item.value, dict) else item.extra
        for each in holder.get("extension", ()) if isinstance(holder, dict) else ():
            scope.run.budget.spend()
            if url is not None and each.get("url") == url.value:
                found.append(Item(each, "Extension", None, item))
    return found


def _resolve(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    found: Collection = []
    for item in given:
        scope.run.budget.spend()
        reference = item.value.get("reference") if isinstance(item.value, dict) else item.value
        resource = scope.run.resolve(reference) if isinstance(reference, str) else None
        if resource is not None:
            found.append(Item(resource))
    return found


def _sum(scope: Scope, given: Collection, arguments: Sequence[Argument] = ()) -> Collection:
    scope.run.budget.spend(1 + len(given))
    total: Collection = given[:1]
    for item in given[1:]:
        total = arithmetic("+", total, [item])
    return total


def _average(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    return arithmetic("/", _sum(scope, given), numeric(len(given))) if given else []


def _extreme(scope: Scope, given: Collection, *, sign: int) -> Collection:
    best = given[:1]
    for item in given[1:]:
        if truth(ordered([item], best, lambda order: order * sign > 0, scope.run.budget)):
            best = [item]
    return best


def _weight(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    """SDC's `weight()`, and `ordinal()` as it was called before: what nothing gives a weight has none."""
    scope.run.budget.spend(1 + len(given))
    return [weight for item in given for weight in numeric(scope.run.weigh(item))]


def _not(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
    found = truth(given)
    return boolean(None if found is None else not found)


def _plain(run: Callable[[Collection], Collection]) -> Call:
    return lambda scope, given, arguments: run(given)


def _said(wanted: bool, *, of_all: bool) -> Call:
    def run(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
        scope.run.budget.spend(1 + len(given))
        return boolean((all if of_all else any)(item.value is wanted for item in given))

    return run


def _single(given: Collection) -> Collection:
    item = single(given)
    return [] if item is None else [item]


def _values(run: Any) -> Call:
    """A function on one value with the single values of its arguments; empty input is an empty result."""

    def call(scope: Scope, given: Collection, arguments: Sequence[Argument]) -> Collection:
        item = single(given)
        if item is None:
            return []
        values = [single(argument(scope)) for argument in arguments]
        scope.run.budget.spend()
        found: Collection = run(scope, item, [None if each is None else each.value for each in values])
        return found

    return call


FUNCTIONS: dict[str, Function] = {
    "where": Function(_where, 1, 1),
    "exists": Function(_exists, 0, 1),
    "empty": Function(_plain(lambda given: boolean(not given))),
    "not": Function(_not),
    "all": Function(_all, 1, 1),
    "allTrue": Function(_said(wanted=True, of_all=True)),
    "anyTrue": Function(_said(wanted=True, of_all=False)),
    "allFalse": Function(_said(wanted=False, of_all=True)),
    "anyFalse": Function(_said(wanted=False, of_all=False)),
    "count": Function(_plain(lambda given: numeric(len(given)))),
    "distinct": Function(_distinct),
    "isDistinct": Function(lambda scope, given, _: boolean(len(_distinct(scope, given)) == len(given))),
    "subsetOf": Function(_subset, 1, 1),
    "supersetOf": Function(lambda scope, given, arguments: _subset(scope, given, arguments, is_super=True), 1, 1),
    "select": Function(_select, 1, 1),
    "repeat": Function(_repeat, 1, 1),
    "aggregate": Function(_aggregate, 1, 2),
    "iif": Function(_iif, 2, 3),
    "first": Function(_plain(lambda given: given[:1])),
    "last": Function(_plain(lambda given: given[-1:])),
    "tail": Function(_plain(lambda given: given[1:])),
    "single": Function(_plain(_single)),
    "skip": Function(lambda scope, given, arguments: given[_count_of(scope, arguments[0]) :], 1, 1),
    "take": Function(lambda scope, given, arguments: given[: _count_of(scope, arguments[0])], 1, 1),
    "intersect": Function(lambda scope, given, arguments: _shared(scope, given, arguments, keeps=True), 1, 1),
    "exclude": Function(lambda scope, given, arguments: _shared(scope, given, arguments, keeps=False), 1, 1),
    "combine": Function(_combine, 1, 1),
    "union": Function(lambda scope, given, arguments: _distinct(scope, _combine(scope, given, arguments)), 1, 1),
    "children": Function(_children),
    "descendants": Function(_descendants),
    "extension": Function(_extension, 1, 1),
    "resolve": Function(_resolve),
    "sum": Function(_sum),
    "avg": Function(_average),
    "min": Function(lambda scope, given, _: _extreme(scope, given, sign=-1)),
    "max": Function(lambda scope, given, _: _extreme(scope, given, sign=1)),
    "weight": Function(_weight),
    "ordinal": Function(_weight),
    "trace": Function(_plain(lambda given: given), 1, 2),
    "now": Function(lambda scope, given, _: [Item(scope.run.now.isoformat(timespec="milliseconds"), "dateTime")]),
    "today": Function(lambda scope, given, _: [Item(scope.run.now.date().isoformat(), "date")]),
    "timeOfDay": Function(
        lambda scope, given, _: [Item(scope.run.now.time().isoformat(timespec="milliseconds"), "time")]
    ),
    "join": Function(single_values.join, 0, 1),
    **{name: Function(_values(run), least, most) for name, (run, least, most) in single_values.FUNCTIONS.items()},
}
