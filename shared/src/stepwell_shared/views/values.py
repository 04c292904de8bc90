"""Values as paths see them: JSON with exact decimals, in collections; what is empty is an empty list.

https://hl7.org/fhirpath/N1/#equality
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Values = list[Any]


class ViewError(ValueError):
    """A view that cannot be run, or not on this resource; the message says what is wrong, and nothing of a person."""


@dataclass(slots=True)
class Scope:
    """What a path may use beside the resource: the view's constants, the place of the present element, and where our
    own resources are, whose absolute and relative addresses are the same."""

    constants: dict[str, Any]
    row_index: int = 0
    bases: tuple[str, ...] = ()


# A compiled path: what it finds from these values.
Path = Callable[[Values, Scope], Values]


def truth(values: Values) -> bool | None:
    """The one truth of a collection; None when it is empty. Raises ViewError for anything else."""
    if not values:
        return None
    if len(values) == 1 and isinstance(values[0], bool):
        return values[0]
    raise ViewError("a condition must be true or false")


def single(values: Values) -> Any:
    """The one value of a collection, None when it is empty. Raises ViewError for several."""
    if len(values) > 1:
        raise ViewError("one value was expected, not several")
    return values[0] if values else None


def equal(left: Values, right: Values) -> Values:
    """Whether two collections are the same in the same order; empty when one of them is."""
    if not left or not right:
        return []
    return [len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))]


def compared(left: Values, right: Values, test: Callable[[Any, Any], bool]) -> Values:
    """Whether the order of two single values passes a test; empty when one is missing."""
    one, other = single(left), single(right)
    if one is None or other is None:
        return []
    if is_number(one) != is_number(other) or not isinstance(one, (str, int, Decimal)):
        raise ViewError("only numbers, and texts of one kind, have an order")
    return [test(one, other)]


def is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def members(values: Sequence[Any], name: str) -> Values:
    """What the elements have under a name, lists laid flat."""
    found: Values = []
    for each in values:
        if type(each) is dict:
            value = each.get(name)
            if type(value) is list:
                found += [one for one in value if one is not None]
            elif value is not None:
                found.append(value)
    return found
