"""Functions of FHIRPath on one value: texts, numbers, conversions. http://hl7.org/fhirpath/N1/#functions"""

import math
import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal, DecimalException, localcontext
from typing import Any

from stepwell_screening.rules.fhirpath.budget import ExpressionError
from stepwell_screening.rules.fhirpath.items import Collection, Item, kind_of
from stepwell_screening.rules.fhirpath.moments import DATE, DATE_TIME, TIME
from stepwell_screening.rules.fhirpath.operators import INTEGER_MAX, Number, boolean, number, numeric, single
from stepwell_screening.rules.fhirpath.patterns import search
from stepwell_screening.rules.fhirpath.scope import Scope

Values = Sequence[Any]
Run = Callable[[Scope, Item, Values], Collection]
STEPS_OF_A_ROOT = 20  # a power or a logarithm of 28 digits takes as long as so many steps
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_QUANTITY = re.compile(r"([+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?)\s*(?:'([^']{1,100})'|([a-z]{1,20}))?")
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "1", "1.0"}), frozenset({"false", "f", "no", "n", "0", "0.0"})


def join(scope: Scope, given: Collection, arguments: Sequence[Callable[[Scope], Collection]]) -> Collection:
    """`join()`: all texts of the collection as one."""
    between = single(arguments[0](scope)) if arguments else None
    parts = [_text(item) for item in given]
    separator = "" if between is None else str(between.value)
    scope.run.budget.spend(len(parts) * (1 + len(separator) // 50))
    return [Item(scope.run.budget.text(separator.join(parts)), "string")] if parts else []


def _text(item: Item) -> str:
    if not isinstance(item.value, str):
        raise ExpressionError("a function on texts is used on another value")
    return item.value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ExpressionError("a function needs a whole number")
    return value


def _string(scope: Scope, text: str) -> Collection:
    return [Item(scope.run.budget.text(text), "string")]


def _on_text(run: Callable[..., object], *, to: str = "string") -> Run:
    """A function of a text and texts; an empty argument makes an empty result."""

    def call(scope: Scope, item: Item, values: Values) -> Collection:
        text = _text(item)
        if any(value is None for value in values):
            return []
        scope.run.budget.spend(1 + len(text) // 50)
        found: Any = run(text, *values)
        return _string(scope, found) if to == "string" else [Item(found, to)]

    return call


def _substring(scope: Scope, item: Item, values: Values) -> Collection:
    text = _text(item)
    if values[0] is None:
        return []
    start = _whole(values[0])
    if not 0 <= start < len(text):
        return []
    length = _whole(values[1]) if len(values) > 1 and values[1] is not None else len(text)
    return _string(scope, text[start : start + max(0, length)])


def _replace(scope: Scope, item: Item, values: Values) -> Collection:
    text, (old, new) = _text(item), values
    if old is None or new is None:
        return []
    scope.run.budget.spend(1 + (len(text) + 1) * (1 + len(new)) // 50)
    return _string(scope, text.replace(old, new))


def _split(scope: Scope, item: Item, values: Values) -> Collection:
    text = _text(item)
    if not isinstance(values[0], str) or not values[0]:
        return [Item(text, "string")]
    parts = text.split(values[0])
    scope.run.budget.spend(len(parts))
    return [Item(part, "string") for part in parts]


def _characters(scope: Scope, item: Item, values: Values) -> Collection:
    text = _text(item)
    scope.run.budget.spend(len(text))
    return [Item(character, "string") for character in text]


def _matches(scope: Scope, item: Item, values: Values) -> Collection:
    if values[0] is None:
        return []
    return boolean(search(str(values[0]), _text(item), scope.run.budget))


def _math(run: Callable[..., Number | None]) -> Run:
    """A function of numbers; what has no answer (the root of a negative number) is empty."""

    def call(scope: Scope, item: Item, values: Values) -> Collection:
        value = number(item.value)
        if value is None:
            raise ExpressionError("a function on numbers is used on another value")
        numbers = [number(each) for each in values]
        scope.run.budget.spend(STEPS_OF_A_ROOT)
        if any(each is None for each in numbers):
            return []
        with localcontext() as context:
            context.prec = 28
            try:
                return numeric(run(value, *numbers))
            except (DecimalException, ValueError, OverflowError, ZeroDivisionError):
                return []

    return call


def _integral(run: Callable[[Number], int]) -> Callable[[Number], int | None]:
    return lambda value: run(value) if -INTEGER_MAX < value < INTEGER_MAX else None


def _round(value: Number, digits: Number = 0) -> Number | None:
    if not 0 <= digits <= 20:
        raise ExpressionError("round() takes 0 to 20 digits")
    found = Decimal(value).quantize(Decimal(1).scaleb(-int(digits)), rounding=ROUND_HALF_UP)
    return found if digits else int(found)


def _root(value: Number) -> Number | None:
    return Decimal(value).sqrt() if value >= 0 else None


def _power(base: Number, exponent: Number) -> Number | None:
    found = Decimal(base) ** Decimal(exponent)
    is_whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0
    return int(found) if is_whole and abs(found) < INTEGER_MAX else found


def written(value: Any) -> str | None:
    """A primitive value as text; None for what has no text form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    found = number(value)
    if found is not None:
        return format(found, "f") if isinstance(found, Decimal) else str(found)
    if isinstance(value, dict) and number(value.get("value")) is not None:
        unit = f"'{value['code']}'" if "code" in value else value.get("unit", "'1'")
        return f"{written(value['value'])} {unit}"
    return value if isinstance(value, str) else None


def _to_boolean(item: Item) -> Collection:
    text = (written(item.value) or "").lower()
    return boolean(text in _TRUE) if text in _TRUE | _FALSE else []


def _to_integer(item: Item) -> Collection:
    if isinstance(item.value, bool):
        return numeric(int(item.value))
    if isinstance(item.value, int):
        return numeric(item.value)
    text = item.value if isinstance(item.value, str) else ""
    return numeric(int(text)) if _NUMBER.fullmatch(text) and "." not in text else []


def _to_decimal(item: Item) -> Collection:
    if isinstance(item.value, bool):
        return [Item(Decimal(int(item.value)), "decimal")]
    found = number(item.value)
    if found is None and isinstance(item.value, str) and _NUMBER.fullmatch(item.value):
        found = Decimal(item.value)
    return [] if found is None else [Item(Decimal(found), "decimal")]


def _to_quantity(item: Item) -> Collection:
    if isinstance(item.value, dict):
        return [Item(item.value, "Quantity")] if "value" in item.value else []
    match = _QUANTITY.fullmatch(written(item.value) or "")
    if match is None or isinstance(item.value, bool):
        return []
    value: dict[str, Any] = {"value": Decimal(match[1])}
    if match[2]:
        value |= {"unit": match[2], "system": "http://unitsofmeasure.org", "code": match[2]}
    elif match[3]:
        value["unit"] = match[3]
    return [Item(value, "Quantity")]


def _to_text(item: Item) -> Collection:
    found = written(item.value)
    return [] if found is None else [Item(found, "string")]


def _to_moment(kind: str) -> Callable[[Item], Collection]:
    patterns = {"date": (DATE,), "dateTime": (DATE_TIME, DATE), "time": (TIME,)}[kind]

    def run(item: Item) -> Collection:
        text = item.value if isinstance(item.value, str) else ""
        if kind == "date" and DATE_TIME.fullmatch(text):
            text = text[:10]
        return [Item(text, kind)] if any(pattern.fullmatch(text) for pattern in patterns) else []

    return run


_CONVERSIONS: dict[str, Callable[[Item], Collection]] = {
    "Boolean": _to_boolean,
    "Integer": _to_integer,
    "Decimal": _to_decimal,
    "Quantity": _to_quantity,
    "String": _to_text,
    "Date": _to_moment("date"),
    "DateTime": _to_moment("dateTime"),
    "Time": _to_moment("time"),
}


def _converted(run: Callable[[Item], Collection]) -> Run:
    return lambda scope, item, values: run(item)


def _converts(run: Callable[[Item], Collection]) -> Run:
    return lambda scope, item, values: boolean(bool(run(item)))


def _type(item: Item) -> Collection:
    return [Item({"namespace": "FHIR", "name": kind_of(item) or "Element"})]


FUNCTIONS: dict[str, tuple[Run, int, int]] = {
    "startsWith": (_on_text(lambda text, part: text.startswith(part), to="boolean"), 1, 1),
    "endsWith": (_on_text(lambda text, part: text.endswith(part), to="boolean"), 1, 1),
    "contains": (_on_text(lambda text, part: part in text, to="boolean"), 1, 1),
    "indexOf": (_on_text(lambda text, part: text.find(part), to="integer"), 1, 1),
    "upper": (_on_text(str.upper), 0, 0),
    "lower": (_on_text(str.lower), 0, 0),
    "trim": (_on_text(str.strip), 0, 0),
    "length": (_on_text(len, to="integer"), 0, 0),
    "substring": (_substring, 1, 2),
    "replace": (_replace, 2, 2),
    "split": (_split, 1, 1),
    "toChars": (_characters, 0, 0),
    "matches": (_matches, 1, 1),
    "abs": (_math(abs), 0, 0),
    "ceiling": (_math(_integral(math.ceil)), 0, 0),
    "floor": (_math(_integral(math.floor)), 0, 0),
    "truncate": (_math(_integral(math.trunc)), 0, 0),
    "round": (_math(_round), 0, 1),
    "sqrt": (_math(_root), 0, 0),
    "exp": (_math(lambda value: Decimal(value).exp()), 0, 0),
    "ln": (_math(lambda value: Decimal(value).ln()), 0, 0),
    "log": (_math(lambda value, base: Decimal(value).ln() / Decimal(base).ln()), 1, 1),
    "power": (_math(_power), 1, 1),
    "type": (_converted(_type), 0, 0),
    "hasValue": (_converted(lambda item: boolean(item.value is not None and not isinstance(item.value, dict))), 0, 0),
    "getValue": (_converted(lambda item: [] if item.value is None else [item]), 0, 0),
    **{f"to{name}": (_converted(run), 0, 1) for name, run in _CONVERSIONS.items()},
    **{f"convertsTo{name}": (_converts(run), 0, 1) for name, run in _CONVERSIONS.items()},
}
