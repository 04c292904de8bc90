"""Operators of FHIRPath over collections. http://hl7.org/fhirpath/N1/#operations

An empty side makes an empty result; arithmetic that has no answer (division by zero, overflow) is empty too.
"""

from collections.abc import Callable
from decimal import Decimal, DecimalException, localcontext
from typing import Any

from stepwell_screening.rules.fhirpath.budget import Budget, ExpressionError
from stepwell_screening.rules.fhirpath.items import Collection, Item, kind_of
from stepwell_screening.rules.fhirpath.moments import moved
from stepwell_screening.rules.ordering import compare
from stepwell_screening.rules.weights import exact

INTEGER_MAX = 2**63
EXPONENT_MAX = 400
Number = int | Decimal
_TEMPORAL = frozenset({"date", "dateTime", "instant", "time"})


def single(collection: Collection) -> Item | None:
    """The only element; None when there is none. Raises ExpressionError when there are several."""
    if len(collection) > 1:
        raise ExpressionError("an expression takes one value where its data has several")
    return collection[0] if collection else None


def truth(collection: Collection) -> bool | None:
    """What a collection says as a condition: a single element that is no boolean is true."""
    item = single(collection)
    if item is None:
        return None
    return item.value if isinstance(item.value, bool) else True


def boolean(value: bool | None) -> Collection:
    return [] if value is None else [Item(value, "boolean")]


def number(value: object) -> Number | None:
    """A finite number of bounded size, else None; a float of JSON becomes the decimal that it was written as."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    found = Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(found, int):
        return found if abs(found) < INTEGER_MAX else None
    return found if found.is_finite() and abs(found.adjusted()) <= EXPONENT_MAX else None


def numeric(value: Number | None) -> Collection:
    bounded = number(value)
    if bounded is None:
        return []
    return [Item(bounded, "integer" if isinstance(bounded, int) else "decimal")]


def implies(left: bool | None, right: Callable[[], bool | None]) -> bool | None:
    return either(None if left is None else not left, right)


def both(left: bool | None, right: Callable[[], bool | None]) -> bool | None:
    if left is False:
        return False
    second = right()
    return False if second is False else (True if left and second else None)


def either(left: bool | None, right: Callable[[], bool | None]) -> bool | None:
    if left:
        return True
    second = right()
    return True if second else (None if left is None or second is None else False)


def differ(left: bool | None, right: Callable[[], bool | None]) -> bool | None:
    second = right()
    return None if left is None or second is None else left != second


def same(first: Any, second: Any, budget: Budget) -> bool:
    """Whether two JSON values say the same; numbers by their value, never a number and a boolean."""
    budget.spend()
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(value, second[key], budget) for key, value in first.items())
    if isinstance(first, list) and isinstance(second, list):
        pairs = zip(first, second, strict=True)
        return len(first) == len(second) and all(same(one, other, budget) for one, other in pairs)
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    return bool(first == second)


def equal(left: Collection, right: Collection, budget: Budget) -> bool | None:
    """`=`: None when one side is empty, or dates of unequal precision cannot be told apart."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    answer: bool | None = True
    for first, second in zip(left, right, strict=True):
        found = _equal_items(first, second, budget)
        if found is False:
            return False
        answer = answer if found else None
    return answer


def _equal_items(first: Item, second: Item, budget: Budget) -> bool | None:
    if kind_of(first) in _TEMPORAL or kind_of(second) in _TEMPORAL:
        budget.spend()
        order = compare(first.value, second.value)
        return None if order is None else order == 0
    if _is_quantity(first) and _is_quantity(second):
        return compare(first.value, second.value) == 0
    return same(_content(first), _content(second), budget)


def _content(item: Item) -> Any:
    value = item.value
    return Decimal(repr(value)) if isinstance(value, float) else value


def _is_quantity(item: Item) -> bool:
    return isinstance(item.value, dict) and "value" in item.value


def alike(left: Collection, right: Collection, budget: Budget) -> bool:
    """`~`: as `=`, but text without regard to case and white space, and collections in any order."""
    if len(left) != len(right):
        return False
    rest = [_plain(item) for item in right]
    for item in left:
        wanted = _plain(item)
        place = next((index for index, other in enumerate(rest) if same(wanted, other, budget)), None)
        if place is None:
            return False
        del rest[place]
    return True


def _plain(item: Item) -> Any:
    value = _content(item)
    if isinstance(value, str):
        return " ".join(value.lower().split())
    if isinstance(value, dict) and "code" in value and kind_of(item) in {None, "Coding"}:
        return {"system": value.get("system"), "code": value["code"]}
    return value


def has(collection: Collection, item: Item, budget: Budget) -> bool:
    return any(_equal_items(each, item, budget) for each in collection)


def ordered(left: Collection, right: Collection, holds: Callable[[int], bool], budget: Budget) -> Collection:
    """`<` and its kin. Raises ExpressionError for values of kinds that have no order."""
    first, second = single(left), single(right)
    if first is None or second is None:
        return []
    budget.spend()
    if _sort(first.value) != _sort(second.value):
        raise ExpressionError("an expression compares values of different kinds")
    order = compare(first.value, second.value)
    return boolean(None if order is None else holds(order))


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    return "text" if isinstance(value, str) else "quantity"


def add(left: Collection, right: Collection, sign: int, budget: Budget) -> Collection:
    """`+` and `-` of numbers, texts (`+` only), quantities of one unit, and dates with time quantities."""
    first, second = single(left), single(right)
    if first is None or second is None:
        return []
    one, other = first.value, second.value
    if isinstance(one, str) and isinstance(other, str) and sign > 0:
        return [Item(budget.text(one + other), "string")]
    if isinstance(one, str) and isinstance(other, dict):
        text = moved(one, other, sign)
        return [] if text is None else [Item(text, first.kind or ("dateTime" if "T" in text else "date"))]
    if isinstance(one, dict) and isinstance(other, dict):
        total = calculate("+", number(one.get("value")), number(_signed(other.get("value"), sign)))
        is_one_unit = (one.get("code"), one.get("unit")) == (other.get("code"), other.get("unit"))
        return [Item({**one, "value": total}, "Quantity")] if total is not None and is_one_unit else []
    return arithmetic("+" if sign > 0 else "-", left, right)


def _signed(value: Any, sign: int) -> Any:
    found = number(value)
    return None if found is None else sign * found


def arithmetic(mark: str, left: Collection, right: Collection) -> Collection:
    """`+ - * / div mod` of numbers, a quantity times or by a number too. Raises ExpressionError for other kinds."""
    first, second = single(left), single(right)
    if first is None or second is None:
        return []
    if isinstance(first.value, dict) and mark in {"*", "/"} and number(second.value) is not None:
        value = calculate(mark, number(first.value.get("value")), number(second.value))
        return [] if value is None else [Item({**first.value, "value": value}, "Quantity")]
    one, other = number(first.value), number(second.value)
    if one is None or other is None:
        raise ExpressionError(f"an expression uses {mark} on what is no number")
    return numeric(calculate(mark, one, other))


def calculate(mark: str, one: Number | None, other: Number | None) -> Number | None:
    """The result, or None where there is none: nothing is raised for a division by zero or a number out of bounds."""
    if one is None or other is None:
        return None
    with localcontext() as context:
        context.prec = 28
        try:
            return _calculated(mark, one, other)
        except (DecimalException, ZeroDivisionError, OverflowError):
            return None


def _calculated(mark: str, one: Number, other: Number) -> Number | None:
    if mark == "+":
        return number(one + other)
    if mark == "-":
        return number(one - other)
    if mark == "*":
        return number(one * other)
    if mark == "/":
        return number(Decimal(one) / Decimal(other))
    quotient = Decimal(one) // Decimal(other)
    if mark == "div":
        return int(quotient) if abs(quotient) < INTEGER_MAX else None
    rest = Decimal(one) - Decimal(other) * quotient
    return exact(rest) if isinstance(one, int) and isinstance(other, int) else rest
