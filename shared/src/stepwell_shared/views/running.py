"""Runs a view: the rows of each resource, as tuples in the order of the columns.

https://sql-on-fhir.org/ig/2.0.0/StructureDefinition-ViewDefinition.html#processing-algorithm-normative-proposal
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from stepwell_shared.views.definition import Column, Select, View
from stepwell_shared.views.values import Scope, Values, ViewError, truth

Row = tuple[Any, ...]
# The rows of one element.
Rows = Callable[[Any, Scope], list[Row]]
# Decimals keep their digits: 72.50 stays 72.50.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
REPEATED_MAX = 100_000


def rows_of(view: View, *, bases: Sequence[str] = ()) -> Callable[[Any], list[Row]]:
    """The function that makes rows of a resource; none of those of other types or that the view leaves out.

    `bases` are the base URLs of our own services: references to them are keys as relative ones are.
    """
    make = _compiled(view.select)
    prefixes = tuple(f"{base.rstrip('/')}/" for base in bases)

    def run(resource: Any) -> list[Row]:
        if not isinstance(resource, dict) or resource.get("resourceType") != view.resource_type:
            return []
        scope = Scope(dict(view.constants), 0, prefixes)
        if not all(truth(test([resource], scope)) for test in view.where):
            return []
        return make(resource, scope)

    return run


def rows_of_lines(view: View, lines: Iterable[bytes], *, bases: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of an NDJSON file, one resource after the other. Raises ViewError with the number of the line."""
    make = rows_of(view, bases=bases)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield from make(_decode(line))
        except (msgspec.DecodeError, ViewError) as error:
            raise ViewError(f"line {number}: {error}") from error


def _compiled(select: Select) -> Rows:
    """The rows of one element of a select: its columns beside every combination of what is joined to them."""
    parts: list[Rows] = []
    if select.columns:
        parts.append(_columns(select.columns))
    parts += [_over(each) for each in select.selects]
    if select.unions:
        parts.append(_union([_over(each) for each in select.unions]))
    if len(parts) == 1:
        return parts[0]

    def run(element: Any, scope: Scope) -> list[Row]:
        found: list[Row] = [()]
        for part in parts:
            own = part(element, scope)
            found = [(*row, *more) for row in found for more in own]
            if not found:
                break
        return found

    return run


def _over(select: Select) -> Rows:
    """The rows of a select for each of its elements, each with its place; without elements of its own it is where it
    stands."""
    inner = _compiled(select)
    if not select.over:
        return inner
    nothing: Row = (None,) * len(select.all_columns())

    def run(element: Any, scope: Scope) -> list[Row]:
        found: list[Row] = []
        outer = scope.row_index
        elements = _repeated(select, [element], scope) if select.is_repeated else select.over[0]([element], scope)
        for index, each in enumerate(elements):
            scope.row_index = index
            found += inner(each, scope)
        if select.or_null and not elements:
            scope.row_index = 0
            found = inner({}, scope) or [nothing]
        scope.row_index = outer
        return found

    return run


def _repeated(select: Select, values: Values, scope: Scope) -> Values:
    """The elements at the paths, and those at the paths from these, deeper before further."""
    found: Values = []
    stack = [each for path in reversed(select.over) for each in reversed(path(values, scope))]
    while stack:
        element = stack.pop()
        found.append(element)
        if len(found) > REPEATED_MAX:
            raise ViewError("repeat: there is no end of elements")
        stack += [each for path in reversed(select.over) for each in reversed(path([element], scope))]
    return found


def _columns(columns: Sequence[Column]) -> Rows:
    def run(element: Any, scope: Scope) -> list[Row]:
        values = [element]
        return [tuple(_value(column, column.path(values, scope)) for column in columns)]

    return run


def _value(column: Column, values: Values) -> Any:
    if column.is_collection:
        return values
    if len(values) > 1:
        raise ViewError(f"column {column.name} has several values; collection: true would keep them")
    return values[0] if values else None


def _union(branches: Sequence[Rows]) -> Rows:
    def run(element: Any, scope: Scope) -> list[Row]:
        return [row for branch in branches for row in branch(element, scope)]

    return run
