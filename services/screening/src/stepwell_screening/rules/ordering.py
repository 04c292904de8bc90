"""How answers of one data type compare: numbers exactly, quantities in one unit, moments across time zones.

Where precision leaves it open there is no order, as in FHIRPath: https://hl7.org/fhirpath/N1/#comparison
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from stepwell_screening.rules.weights import exact

_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(T.+)?)?)?")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2}(?:\.[0-9]+)?)")


def compare(first: Any, second: Any) -> int | None:
    """-1, 0 or 1 as the first is less than, equal to or greater than the second; None where neither can be said.

    Values of different kinds, quantities in different units and dates of unequal precision that agree as far as they
    go have no order. Coded values compare by their code.
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        if _unit(first) != _unit(second):
            return None
        first, second = _content(first), _content(second)
    if isinstance(first, bool) or isinstance(second, bool):
        return 0 if first is second else None
    numbers = exact(first), exact(second)
    if numbers[0] is not None and numbers[1] is not None:
        return (numbers[0] > numbers[1]) - (numbers[0] < numbers[1])
    if isinstance(first, str) and isinstance(second, str):
        return _texts(first, second)
    return None


def _unit(value: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """What a quantity is counted in: its coded unit, or the word for it; None for what is no quantity."""
    if "value" not in value:
        return None
    return (value.get("system"), value["code"]) if "code" in value else (None, value.get("unit"))


def _content(value: Mapping[str, Any]) -> Any:
    return value.get("value", value.get("code"))


def _texts(first: str, second: str) -> int | None:
    """Dates and times by their meaning, any other text as it is."""
    times = _TIME.fullmatch(first), _TIME.fullmatch(second)
    if times[0] and times[1]:
        return _sign(_seconds(times[0]), _seconds(times[1]))
    dates = _DATE.fullmatch(first), _DATE.fullmatch(second)
    if dates[0] and dates[1]:
        return _dates(dates[0], dates[1])
    return int(first > second) - int(first < second)


def _seconds(time: re.Match[str]) -> Decimal:
    return int(time[1]) * 3600 + int(time[2]) * 60 + Decimal(time[3])


def _dates(first: re.Match[str], second: re.Match[str]) -> int | None:
    if first[4] and second[4]:
        return _sign(_moment(first[0]), _moment(second[0]))
    parts = [[each for each in match.groups()[:3] if each] for match in (first, second)]
    shared = min(map(len, parts))
    order = _sign(parts[0][:shared], parts[1][:shared])
    is_as_precise = len(parts[0]) == len(parts[1]) and bool(first[4]) == bool(second[4])
    return order if order or is_as_precise else None


def _moment(text: str) -> datetime:
    # A leap second counts as the second before it: the calendar of Python has none.
    return datetime.fromisoformat(f"{text[:17]}59{text[19:]}" if text[17:19] == "60" else text)


def _sign(first: Any, second: Any) -> int:
    return int(first > second) - int(first < second)
